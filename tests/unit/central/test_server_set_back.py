"""A server that comes back without what it had confirmed: central does not go on as if nothing were missing."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from central.store import intake, postgres
from central.store.database import Server
from central.store.engine import Connection, Store
from records.errors import StorageFailed
from tests.rigs.postgres import PostgresServer

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture
def place(own_server: PostgresServer) -> Server:
    return own_server.place(own_server.copy())


def keep(connection: Connection) -> None:
    intake.move_cursor(connection, "kept", 1)


def put_back(server: PostgresServer, copy: Path) -> None:
    """As a virtual machine that is set back to a snapshot: nothing says that it is not the server that it was."""
    server.stop()
    shutil.rmtree(server.data)
    subprocess.run(["cp", "-a", str(copy), str(server.data)], check=True)
    server.start()


@pytest.mark.parametrize("copied", ["between two commits", "before central came"])
def test_a_server_that_was_set_back_is_not_written_on_with(
    own_server: PostgresServer, place: Server, copied: str
) -> None:
    """Bug: a server that was away for less than a minute was taken for the same, whatever it had lost."""
    copy = own_server.folder / "copy"

    def take_copy() -> None:
        own_server.stop()
        subprocess.run(["cp", "-a", str(own_server.data), str(copy)], check=True)
        own_server.start()

    failures: list[StorageFailed] = []
    if copied == "before central came":
        take_copy()
    store = Store(place, failures.append)
    store.write(keep)
    if copied == "between two commits":
        take_copy()
    store.write(lambda c: intake.move_cursor(c, "lost", 1))
    put_back(own_server, copy)
    with pytest.raises(StorageFailed, match=r"lacks what it had confirmed.*restore --as-is"):
        store.write(lambda c: intake.move_cursor(c, "more", 1))
    assert len(failures) == 1
    store.close()


def test_who_wrote_nothing_for_long_may_find_its_mark_gone(
    own_server: PostgresServer, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes it for one of yesterday's then."""
    monkeypatch.setattr(postgres, "MARK_SURE_S", 0.0)
    with closing(Store(place)) as store:
        store.write(keep)
        with own_server.admin(place.name) as admin:
            admin.execute("DELETE FROM meta WHERE name LIKE 'commit-mark/%'")
        own_server.stop()
        own_server.start()
        store.write(lambda c: intake.move_cursor(c, "later", 1))
