"""A worker signs with central's present key as its folder has it, and says so when that is an old copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import FilteringBoundLogger

from central.access import Actor
from central.keys import PUBLIC, CentralKeys
from central.rollover import Rollover
from central.worker import FollowedKey
from records.errors import ConfigurationError
from records.keys import OVERLAP_US
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

LOG = cast(FilteringBoundLogger, structlog.get_logger())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path / "central") as opened:
        yield opened


def roll(rig: Rig, folder: Path) -> str:
    """Change the key as ``serve`` does; the new one's id."""
    keys = CentralKeys.open(folder)
    told = Rollover(keys, rig.store, rig.facts, rig.clock, lambda *_: None, ()).roll(
        "yearly", by=Actor("a", "test")
    )
    return str(told["key"])


def test_it_follows_its_folder(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = CentralKeys.create(folder, 0)
    followed = FollowedKey(keys, rig.store, rig.clock, LOG)
    assert followed() is not None
    fresh = roll(rig, folder)
    with capture_logs() as logs:
        assert (followed().id, followed().id) == (fresh, fresh)
    assert (logs, followed.over) == ([], False)
    assert keys.public[-1].id == fresh


def test_a_change_that_is_under_way_is_left_alone(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = CentralKeys.create(folder, 0)
    former = keys.signing.id
    before = (folder / PUBLIC).read_bytes()
    roll(rig, folder)
    (folder / PUBLIC).write_bytes(before)  # names the former key alone, beside the new private one
    assert FollowedKey(keys, rig.store, rig.clock, LOG)().id == former
    (folder / PUBLIC).unlink()
    with pytest.raises(ConfigurationError, match="cannot read central's keys"):
        keys.follow()


def test_a_copy_of_the_folder_is_told_of_once_and_ends_with_the_former_key(rig: Rig, tmp_path: Path) -> None:
    folder, copy = tmp_path / "keys", tmp_path / "copy"
    CentralKeys.create(folder, 0)
    shutil.copytree(folder, copy)
    keys = CentralKeys.open(copy)
    former = keys.signing.id
    followed = FollowedKey(keys, rig.store, rig.clock, LOG)
    fresh = roll(rig, folder)
    with capture_logs() as logs:
        assert [followed().id for _ in range(3)] == [former] * 3
    (told,) = logs
    assert (told["event"], told["present"], followed.over) == ("keys-folder-outdated", fresh, False)
    rig.clock.advance(OVERLAP_US / 1_000_000)
    followed()
    assert followed.over
    shutil.rmtree(copy)
    shutil.copytree(folder, copy)
    assert followed().id == fresh
    assert not followed.over
