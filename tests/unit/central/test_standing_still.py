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


def test_a_copy_that_goes_on_is_not_ended(store: Store, paused: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: queue.Queue[object] = queue.Queue()
    look = session._standing

    def looks(raw: Raw) -> object:
        found = look(raw)
        seen.put(found)
        return found

    monkeypatch.setattr(session, "_standing", looks)
    with paused.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(rows(0))
        waiting = store.submit(write)
        for number in range(1, 5):
            assert seen.get(timeout=40) is not None, "its client is not waited for: nothing is tried"
            copy.write(rows(number))
    paused.execute("ROLLBACK")
    waiting.result(timeout=40)
    assert not paused.closed
