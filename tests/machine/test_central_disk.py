"""The disk that central copies to is full: that is said as such, and no half of a copy stays."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from records import durable
from records.errors import NoRoom
from tests.machine.conftest import Volume, fill

pytestmark = pytest.mark.timeout(120)


def test_a_copy_for_which_there_is_no_room_says_so(tmp_path: Path, volume: Volume) -> None:
    """Bug: it was told as a disk that failed."""
    source = tmp_path / "central.db"
    with closing(sqlite3.connect(source)) as database:
        database.execute("CREATE TABLE content AS SELECT randomblob(4000000) AS bytes")
        database.commit()
    disk = volume("40m")
    neighbour = disk / "neighbour"
    fill(neighbour)
    os.truncate(neighbour, neighbour.stat().st_size - 1024 * 1024)
    with pytest.raises(NoRoom, match="full"):
        durable.snapshot(source, disk / "copy.db")
    assert not (disk / "copy.db").exists()
