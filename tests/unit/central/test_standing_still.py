"""A process that was paused while it had the write lock holds up nobody for long; one that is slow may go on."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest

from central.store import intake, session
from central.store.database import Server
from central.store.engine import Connection, Store
from tests.rigs import postgres

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

Raw = psycopg.Connection[Any]
COPY = "COPY cursor (name, envelope_id) FROM STDIN"


@pytest.fixture
def place() -> Server:
    server = postgres.shared()
    return server.place(server.copy())


@pytest.fixture
def store(place: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(session, "STILL_S", 1)
    with closing(Store(place, alone=False)) as opened:
        yield opened


@pytest.fixture
def paused(place: Server, store: Store) -> Iterator[Raw]:
    """The session of another writer, which has the lock."""
    del store  # made first: it needs the lock, too
    with closing(session.connect(place, "lotkeeper writer")) as raw:
        session.begin_writing(raw)
        yield raw


def write(connection: Connection) -> None:
    intake.move_cursor(connection, "another", 1)


def rows(number: int) -> bytes:
    """More than the driver keeps back."""
    return b"".join(b"row %d of %d\t1\n" % (n, number) for n in range(2000))


def assert_ended(raw: Raw) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"terminating connection|closed"):
        raw.execute("SELECT 1")
    assert raw.closed


def test_one_paused_after_statements_that_were_sent_together_is_ended(store: Store, paused: Raw) -> None:
    """The server's own limit does not end it: the driver sends a Flush last, which stops the server's clock."""
    paused.execute("SET idle_in_transaction_session_timeout = '3s'")
    with paused.cursor() as cursor:
        cursor.executemany("INSERT INTO cursor (name, envelope_id) VALUES (%s, %s)", [("one", 1), ("two", 2)])
    store.submit(write).result(timeout=40)
    assert_ended(paused)


def test_one_paused_within_a_copy_is_ended(store: Store, paused: Raw) -> None:
    with suppress(psycopg.OperationalError), paused.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(rows(0))
        store.submit(write).result(timeout=40)
    assert_ended(paused)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[object]:
    """What each look at the lock's holder has found."""
    seen: queue.Queue[object] = queue.Queue()
    look = session._standing

    def looked(raw: Raw) -> object:
        found = look(raw)
        seen.put(found)
        return found

    monkeypatch.setattr(session, "_standing", looked)
    return seen


def test_a_copy_that_goes_on_is_not_ended(store: Store, paused: Raw, looks: queue.Queue[object]) -> None:
    with paused.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(rows(0))
        waiting = store.submit(write)
        for number in range(1, 5):
            assert looks.get(timeout=40) is not None, "its client is not waited for: nothing is tried"
            copy.write(rows(number))
    paused.execute("ROLLBACK")
    waiting.result(timeout=40)
    assert not paused.closed


def assert_waited_for(store: Store, raw: Raw, looks: queue.Queue[object]) -> None:
    waiting = store.submit(write)
    for _ in range(3):
        assert looks.get(timeout=40) is None, "it would be ended"
    raw.execute("ROLLBACK")
    waiting.result(timeout=40)


def test_one_of_which_the_server_tells_nothing_is_waited_for(
    place: Server, store: Store, looks: queue.Queue[object]
) -> None:
    """Bug: where track_activities is off, central ended itself by a mistake of its own."""
    with postgres.shared().admin() as admin:
        admin.execute(f"ALTER DATABASE {place.name} SET track_activities = off".encode())
    with closing(session.connect(place, "lotkeeper writer")) as raw:
        session.begin_writing(raw)
        assert_waited_for(store, raw, looks)


def test_one_of_another_role_is_waited_for_though_ours_may_see_it(
    place: Server, store: Store, looks: queue.Queue[object]
) -> None:
    """Bug: ours may not end it, and central ended itself for that."""
    with postgres.shared().admin(place.name) as admin:
        admin.execute(f"GRANT pg_read_all_stats TO {postgres.USER}".encode())
        try:
            session.begin_writing(admin)
            assert_waited_for(store, admin, looks)
        finally:
            admin.execute(f"REVOKE pg_read_all_stats FROM {postgres.USER}".encode())
