"""Who keeps central waiting is named, and nobody else is blamed: sessions that lock a real server's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from central import doctor_keeping as doctor
from central.store import leases, session
from central.store.database import Server
from central.store.engine import Store, at_any_version, reading
from records.errors import Unreachable
from tests.rigs import postgres, stores
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig
from tests.unit.central.test_doctor_keeping import take

pytestmark = pytest.mark.postgres


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with stores.on_postgres(), core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def place(rig: Rig) -> Server:
    found = stores.place(rig.folder)
    assert isinstance(found, Server)
    return found


@contextmanager
def locked(place: Server, how: str) -> Iterator[int]:
    """A stranger's session that has locked the table of keys and hashes, as an administrator does; its pid."""
    with postgres.shared().admin(place.name) as other, other.transaction():
        other.execute(f"LOCK TABLE envelope IN {how} MODE".encode())
        yield other.info.backend_pid


def until_somebody_waits(place: Server) -> None:
    with postgres.shared().admin(place.name) as admin:
        deadline = time.monotonic() + 60
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = 'relation'"
        while (row := admin.execute(query).fetchone()) is None or row[0] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_session_that_holds_a_lock_is_named_and_not_central_s_own_that_waits_for_it(
    rig: Rig, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "BUSY_S", 0.0)
    rig.enrol(Agent("line-1"))
    take(rig, "partition/p0", "first abc", -60.0)
    with locked(place, "SHARE ROW EXCLUSIVE") as pid:
        waiting = rig.store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
        until_somebody_waits(place)
        with at_any_version(place, whole=False) as connection:
            (told,) = doctor.locks(connection)
            (workers,) = doctor.workers(connection, 10.0)
    assert waiting.result() == 0
    assert (told.state, str(told.do).split("SELECT ")[-1]) == ("bad", f"pg_terminate_backend({pid})")
    assert told.says.startswith(f"session {pid} of the database (user postgres, ")
    assert told.says.endswith(", with 1 sessions")
    assert (workers.state, workers.says.split(":")[-1]) == ("warning", " see locks")
    with at_any_version(place, whole=False) as connection:
        assert list(doctor.locks(connection)) == []


def test_who_reads_what_is_locked_is_told_so_soon(
    rig: Rig, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert session._READER["lock_timeout"] == "10s"
    monkeypatch.setitem(session._READER, "lock_timeout", "200ms")
    told = pytest.raises(Unreachable, match="another session has locked what is asked for")
    with locked(place, "ACCESS EXCLUSIVE"), told, reading(place) as connection:
        connection.execute(text("SELECT count(*) FROM envelope"))
    with reading(place) as connection:
        assert connection.execute(text("SELECT count(*) FROM envelope")).scalar_one() >= 0


def test_a_worker_is_not_called_gone_since_what_is_read_of_it_was_read_long_ago(rig: Rig, place: Server) -> None:
    rig.enrol(Agent("line-1"))
    take(rig, "partition/p0", "first abc", 0.5)
    with reading(place) as connection:
        assert leases.held(connection) == {"partition/p0": "first abc"}
        deadline = time.monotonic() + 60
        while leases.held(connection):  # what the worker renews meanwhile is not seen here any more
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert [one.state for one in doctor.workers(connection, 10.0)] == ["fine"]


def test_a_commit_that_waited_too_long_is_told_of_and_done_once_more(
    rig: Rig, place: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(session._SESSION, "lock_timeout", "200ms")
    with _second(place) as store:
        with locked(place, "SHARE ROW EXCLUSIVE"):
            waiting = store.submit(lambda c: c.execute(text("DELETE FROM envelope WHERE false")).rowcount)
            until_somebody_waits(place)
            deadline = time.monotonic() + 60
            said = ""
            while "commit-once-more" not in said:
                assert time.monotonic() < deadline
                said += capfd.readouterr().out
                time.sleep(0.02)
        assert waiting.result() == 0
    assert "doctor names" in said


@contextmanager
def _second(place: Server) -> Iterator[Store]:
    opened = Store(place, alone=False)
    try:
        yield opened
    finally:
        opened.close()
