"""The store on a server: what a commit means when connections, sessions and servers go away in the middle."""

from __future__ import annotations

import signal
import threading
import tracemalloc
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from sqlalchemy import text

from central.settings import CentralSettings, load_settings
from central.store import intake, moving, partitions, session, snapshots
from central.store.bulk import Insert
from central.store.database import Server
from central.store.engine import Connection, Store, assert_guards, reading
from central.store.postgres import INSTANCE_LOCK
from central.store.schema import body
from records.errors import ConfigurationError, Damaged, LotkeeperError, NoRoom, Refused, StorageFailed, Unreachable
from records.jobs import Refusing
from records.yaml import Secret
from tests.rigs import postgres
from tests.rigs.postgres import PostgresServer
from tests.rigs.uplinks import until

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> PostgresServer:
    return postgres.shared()


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that tests may stop and spoil; each leaves it as it was."""
    made = PostgresServer()
    yield made
    made.remove()


@pytest.fixture
def place(server: PostgresServer) -> Server:
    return server.place(server.copy())


@pytest.fixture
def failures() -> list[StorageFailed]:
    return []


@pytest.fixture
def store(place: Server, failures: list[StorageFailed]) -> Iterator[Store]:
    opened = Store(place, failures.append)
    yield opened
    opened.close()


def add(connection: Connection, name: str) -> int:
    """A plain row; it fails when it is there already."""
    intake.move_cursor(connection, name, 1)
    return connection.execute(text("SELECT count(*) FROM cursor")).scalar_one()


def names(place: Server) -> list[str]:
    with reading(place) as connection:
        return sorted(connection.execute(text("SELECT name FROM cursor")).scalars())


def refused_for(store: Store) -> type[LotkeeperError] | None:
    return None if store.refusing is None else type(store.refusing)


def cut(server: PostgresServer, place: Server) -> None:
    """End the writer's session, as an administrator or a dying network does."""
    with server.admin(place.name) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'lotkeeper writer'"
        )


def test_one_that_stands_still_within_a_transaction_holds_nobody_up(
    place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session._WRITER, "idle_in_transaction_session_timeout", "2s")
    paused, other = Store(place, alone=False), Store(place, alone=False)
    began, go_on = threading.Event(), threading.Event()

    def stand_still(connection: Connection) -> int:
        done = add(connection, "paused")
        began.set()
        go_on.wait(60)
        return done

    try:
        waiting = paused.submit(stand_still)
        assert began.wait(60)
        assert other.write(lambda c: add(c, "other")) == 1
        go_on.set()
        assert waiting.result() == 2, "done again on a new session"
    finally:
        go_on.set()
        paused.close()
        other.close()
    assert names(place) == ["other", "paused"]


def test_a_session_that_was_cut_while_nothing_was_written_costs_nothing(
    server: PostgresServer, place: Server, store: Store, failures: list[StorageFailed]
) -> None:
    cut(server, place)
    assert store.write(lambda c: add(c, "a")) == 1
    assert (names(place), failures) == (["a"], [])


def test_a_session_cut_before_its_commit_does_the_work_again_and_once(
    server: PostgresServer, place: Server, store: Store, failures: list[StorageFailed]
) -> None:
    runs: list[int] = []

    def job(connection: Connection) -> int:
        runs.append(1)
        count = add(connection, "a")
        if len(runs) == 1:
            cut(server, place)
        return count

    assert store.write(job) == 1
    assert (len(runs), names(place), failures) == (2, ["a"], [])


class _Cut(psycopg.Connection[object]):
    """A connection that is lost at COMMIT: before the server hears of it, or after it was done."""

    when = ""
    then: Callable[[], object] = staticmethod(lambda: None)

    def execute(self, query: object, *rest: object, **words: object) -> psycopg.Cursor[object]:  # type: ignore[override]
        if query == "COMMIT" and _Cut.when:
            when, _Cut.when = _Cut.when, ""
            if when == "after":
                super().execute("COMMIT")
            self.close()
            _Cut.then()
            raise psycopg.OperationalError("the network is gone")
        return super().execute(query, *rest, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(("when", "runs"), [("before", 2), ("after", 1)])
def test_a_commit_in_doubt_is_looked_up(
    place: Server, monkeypatch: pytest.MonkeyPatch, when: str, runs: int
) -> None:
    monkeypatch.setattr(psycopg, "connect", _Cut.connect)
    ran: list[int] = []

    def job(connection: Connection) -> int:
        ran.append(1)
        connection.execute(text("INSERT INTO cursor (name, envelope_id) VALUES (:name, 1)"), {"name": "a"})
        _Cut.when = when if len(ran) == 1 else ""
        return len(ran)

    store = Store(place)
    try:
        assert store.write(job) == runs
        assert (len(ran), names(place)) == (runs, ["a"])
        assert store.write(lambda c: add(c, "b")) == 2
    finally:
        store.close()


def test_a_commit_in_doubt_is_waited_for_however_long_the_server_is_away(
    server: PostgresServer, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither told as stored nor as refused before that is known."""
    monkeypatch.setattr(psycopg, "connect", _Cut.connect)
    monkeypatch.setattr("central.store.postgres.PATIENCE_S", 0.0)
    ran: list[int] = []

    def job(connection: Connection) -> int:
        ran.append(1)
        _Cut.when = "after" if len(ran) == 1 else ""
        return add(connection, "a")

    store = Store(place)
    try:
        with server.admin() as admin:
            admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false".encode())
            waiting = store.submit(job)
            until(lambda: refused_for(store) is Unreachable)
            assert not waiting.done()
            admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS true".encode())
        assert waiting.result(60) == 1
        assert (len(ran), names(place), refused_for(store)) == (1, ["a"], None)
    finally:
        store.close()


def test_a_commit_in_doubt_is_looked_up_beside_another_process_of_the_same_name(
    place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg, "connect", _Cut.connect)
    one, other = Store(place, alone=False), Store(place, alone=False)
    monkeypatch.setattr(_Cut, "then", lambda: other.write(lambda c: None))
    ran: list[int] = []

    def job(connection: Connection) -> None:
        ran.append(1)
        _Cut.when = "after" if len(ran) == 1 else ""
        add(connection, f"run {len(ran)}")

    try:
        one.write(job)
    finally:
        one.close()
        other.close()
    assert names(place) == ["run 1"]


def test_marks_of_commits_go_with_their_process_and_those_of_killed_ones_after_a_day(place: Server) -> None:
    def marks() -> list[str]:
        with reading(place) as connection:
            return sorted(
                connection.execute(text("SELECT name FROM meta WHERE name LIKE 'commit-mark/%'")).scalars()
            )

    Store(place, alone=False).close()
    assert marks() == []
    store = Store(place, alone=False)
    left = [("commit-mark/now", "a", 0), ("commit-mark/old", "b", 86_401)]
    query = text("INSERT INTO meta VALUES (:name, :token || ' ' || extract(epoch FROM now())::bigint - :age)")
    for name, token, age in left:
        told = {"name": name, "token": token, "age": age}
        store.write(lambda c, told=told: c.execute(query, told).close())  # type: ignore[misc]
    store.close()
    Store(place, alone=False).close()
    assert marks() == ["commit-mark/now"]


def test_a_job_that_fails_takes_only_itself_back(place: Server, store: Store) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def first(connection: Connection) -> int:
        entered.set()
        assert go_on.wait(20)
        return add(connection, "first")

    def wrong(connection: Connection) -> None:
        add(connection, "wrong")
        connection.execute(text("SELECT no_such_column FROM cursor"))

    def swallowed(connection: Connection) -> None:
        add(connection, "swallowed")
        with pytest.raises(Exception, match="no_such_table"):
            connection.execute(text("SELECT * FROM no_such_table"))

    held = store.submit(first)
    assert entered.wait(20)
    waiting = [store.submit(job) for job in (wrong, swallowed)]
    last = store.submit(lambda c: add(c, "last"))
    go_on.set()
    assert held.result() == 1
    for each in waiting:
        with pytest.raises(Exception, match=r"no_such_column|aborted"):
            each.result()
    assert last.result() == 2
    assert names(place) == ["first", "last"]


def test_a_server_whose_disk_is_full_refuses_what_it_has_no_room_for_and_is_used_on(
    place: Server, store: Store, failures: list[StorageFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: central ended itself, again with each start."""
    full = "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100', HINT = 'Make some.'; END $$"
    with pytest.raises(NoRoom, match="nothing was stored: no room HINT: Make some"):
        store.write(lambda connection: connection.execute(text(full)).rowcount)
    assert refused_for(store) is NoRoom
    assert store.write(lambda c: add(c, "small")) == 1
    assert refused_for(store) is NoRoom, "what is small finds room where what is large does not"
    monkeypatch.setattr(Refusing, "LASTS_S", 0.0)
    with pytest.raises(NoRoom):
        store.write(lambda connection: connection.execute(text(full)).rowcount)
    assert store.write(lambda c: add(c, "later")) == 2
    assert names(place) == ["later", "small"]
    assert (refused_for(store), failures) == (None, [])


def test_a_server_that_stays_away_is_told_of_and_used_again_when_it_comes(
    own: PostgresServer, failures: list[StorageFailed], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: central ended itself after a minute, and each of its starts until the server was there."""
    monkeypatch.setattr("central.store.postgres.PATIENCE_S", 0.0)
    monkeypatch.setattr("central.store.postgres.LONGEST_PAUSE_S", 0.1)
    place = own.place(own.copy())
    store = Store(place, failures.append)
    store.write(lambda c: add(c, "kept"))
    own.stop(signal.SIGQUIT)
    try:
        for name in ("refused", "late"):
            with pytest.raises(Unreachable, match="is away, nothing was stored"):
                store.write(lambda c, name=name: add(c, name))  # type: ignore[misc]
        assert refused_for(store) is Unreachable
        with pytest.raises(Unreachable), store.read() as connection:
            connection.execute(text("SELECT 1"))
        with pytest.raises(Unreachable, match="does not let central in"):
            Store(place)
    finally:
        own.start()

    def stored() -> bool:
        with suppress(Unreachable):
            return store.write(lambda c: add(c, "later")) == 2
        return False

    until(stored)
    store.close()
    assert (names(place), failures) == (["kept", "later"], [])


def test_a_server_that_lets_nobody_in_is_told_of_at_once(
    server: PostgresServer, place: Server, store: Store, failures: list[StorageFailed]
) -> None:
    store.write(lambda c: add(c, "before"))
    told = threading.Event()

    def hear(_log: object, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if line["event"] == "database-lost":
            told.set()
        return line

    with structlog.testing.capture_logs(processors=[hear]) as said:
        with server.admin() as admin:
            admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false".encode())
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (place.name,)
            )
            done = store.submit(lambda c: add(c, "after"))
            assert told.wait(60)
            admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS true".encode())
        assert done.result() == 2
    assert [line["event"] for line in said] == ["database-lost", "database-back"]
    assert "does not let central in" in said[0]["error"]
    assert failures == []


def test_a_server_that_crashed_and_came_back_is_used_again(
    own: PostgresServer, failures: list[StorageFailed]
) -> None:
    place = own.place(own.copy())
    store = Store(place, failures.append)
    store.write(lambda c: add(c, "before"))
    runs: list[int] = []
    crashed, back = threading.Event(), threading.Event()

    def job(connection: Connection) -> None:
        runs.append(add(connection, "after"))
        if len(runs) == 1:
            own.stop(signal.SIGQUIT)
            crashed.set()
            assert back.wait(60)

    done = store.submit(job)
    assert crashed.wait(60)
    own.start()  # from here: it ends with the thread that starts it
    back.set()
    done.result()
    with store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM cursor")).scalar_one() == 2
    assert (runs, failures) == ([2, 2], [])
    store.close()


def test_a_server_that_does_not_keep_its_commits_is_refused(own: PostgresServer) -> None:
    place = own.place(own.copy())
    with own.admin() as admin:
        for setting in ("fsync", "full_page_writes"):
            admin.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        admin.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StorageFailed, match=r"fsync is off.*full_page_writes is off"):
            Store(place)
    finally:
        with own.admin() as admin:
            admin.execute("ALTER SYSTEM RESET ALL")
            admin.execute("SELECT pg_reload_conf()")


def test_commits_wait_for_the_disk_whatever_the_role_says(server: PostgresServer, place: Server) -> None:
    with server.admin() as admin:
        admin.execute(f"ALTER DATABASE {place.name} SET synchronous_commit = off".encode())
    store = Store(place)
    try:
        shown = store.write(lambda c: c.execute(text("SHOW synchronous_commit")).scalar())
        assert shown == "on"
    finally:
        store.close()


def test_a_start_waits_for_the_session_of_one_that_was_killed(server: PostgresServer, place: Server) -> None:
    with server.admin(place.name) as before:
        before.execute("SELECT pg_advisory_lock(%s)", (INSTANCE_LOCK,))
        gone = threading.Timer(0.3, before.close)
        gone.start()
        Store(place).close()
        gone.join()


def test_a_second_central_is_refused_and_a_named_writer_is_not(
    place: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("central.store.postgres.TAKING_OVER_S", 0.0)
    with pytest.raises(Refused, match="another central"):
        Store(place)
    other = Store(place, alone=False)
    try:
        assert other.write(lambda c: add(c, "other")) == 1
    finally:
        other.close()


def test_numbers_are_given_in_the_order_of_commits(place: Server, store: Store) -> None:
    """A second writer waits until what the first one wrote can be seen."""
    other = Store(place, alone=False)
    entered, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> int:
        count = add(connection, "slow")
        entered.set()
        assert go_on.wait(20)
        return count

    try:
        first = store.submit(slow)
        assert entered.wait(20)
        second = other.submit(lambda c: add(c, "quick"))
        assert not second.done()
        go_on.set()
        assert (first.result(20), second.result(20)) == (1, 2), "the second one saw what the first one did"
    finally:
        other.close()


def test_a_password_is_given_by_reference(
    server: PostgresServer, place: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_tcp = server.over_tcp(place.name, Secret("env:LOTKEEPER_TEST_DATABASE"))
    monkeypatch.setenv("LOTKEEPER_TEST_DATABASE", "wrong")
    with pytest.raises(Unreachable, match="password authentication failed"):
        Store(by_tcp)
    monkeypatch.setenv("LOTKEEPER_TEST_DATABASE", postgres.PASSWORD)
    Store(by_tcp).close()
    with pytest.raises(Unreachable):
        Store(replace(by_tcp, name="no_such_database"))


def test_settings_name_a_server(tmp_path: Path) -> None:
    file = tmp_path / "central.yaml"
    begin = "site: suzhou\ntime_zone: Asia/Shanghai\nfolder: data\ndatabase:\n"

    def read(more: str) -> CentralSettings:
        file.write_text(begin + more)
        return load_settings(file).value

    there = read("  url: postgresql://lot@db.plant:6432/lotkeeper\n  password: file:pw\n  ca: db.crt\n").database
    assert isinstance(there, Server)
    assert str(there) == "postgresql://lot@db.plant:6432/lotkeeper"
    (tmp_path / "pw").write_text("geheim\n")
    told = there.parameters()
    assert (told["sslmode"], told["sslrootcert"], told["password"]) == (
        "verify-full",
        str(tmp_path / "db.crt"),
        "geheim",
    )
    assert "geheim" not in repr(there)
    here = read("  url: postgresql://lot@%2Frun%2FpostgreSQL/lotkeeper\n").database
    assert isinstance(here, Server)
    assert (here.host, here.port, here.parameters()["sslmode"]) == ("/run/postgreSQL", 5432, "prefer")
    for url in (
        "postgresql://lot:geheim@db/lot",
        "mysql://lot@db/lot",
        "postgresql://db/lot",
        "postgresql://l@db",
    ):
        with pytest.raises(ConfigurationError) as refused:
            read(f"  url: {url}\n")
        assert "geheim" not in str(refused.value)


def test_any_text_comes_back_as_it_was(place: Server, store: Store) -> None:
    odd = ["a\0b", "\0", "\ufdd0", "\ufdd00\0", "\ufdd01", "é\0\U0001f600", ""]
    for number, each in enumerate(odd):
        store.write(lambda c, name=each, at=number: intake.move_cursor(c, name, at))  # type: ignore[misc]
    with store.read() as connection:
        assert [intake.cursor_of(connection, each) for each in odd] == list(range(len(odd)))


def test_a_store_needs_no_rights_beyond_its_database(server: PostgresServer) -> None:
    place = server.place(server.empty())
    Store(place).close()
    with server.admin(place.name) as admin:
        row = admin.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'lotkeeper'").fetchone()
    assert row == (False, False)


def test_bodies_lie_in_parts_by_month_each_guarded(server: PostgresServer, place: Server, store: Store) -> None:
    begin_us = us("2026-11-30T23:59:59Z")
    made = store.write(lambda c: partitions.make_ahead(c, begin_us))
    months = ["2026_11", "2026_12", "2027_01", "2027_02"]
    assert made == [f"{table}_{month}" for table in ("body", "telemetry_body") for month in months]
    assert store.write(lambda c: partitions.make_ahead(c, begin_us)) == []

    def fill(connection: Connection) -> None:
        rows = [(1, begin_us, b"a"), (2, us("2026-12-01T00:00:00Z"), b"b"), (3, us("2029-01-05T00:00:00Z"), b"c")]
        Insert(body, "envelope_id", "received_us", "body")(connection, rows)

    store.write(fill)
    with store.read() as connection:
        query = text("SELECT tableoid::regclass::text FROM body ORDER BY envelope_id")
        assert list(connection.execute(query).scalars()) == ["body_2026_11", "body_2026_12", "body_rest"]
        assert_guards(connection)
    for statement in ("DELETE FROM body_2026_12", "UPDATE body_rest SET body = NULL", "TRUNCATE body_2026_11"):
        with server.admin(place.name) as admin, pytest.raises(psycopg.Error, match="append-only"):
            admin.execute(statement.encode())
    late = store.write(lambda c: partitions.make_ahead(c, us("2028-12-01T00:00:00Z")))
    assert "body_2029_01" not in late, "its first rows lie with the rest"
    assert "telemetry_body_2029_01" in late
    with server.admin(place.name) as admin:
        admin.execute("DROP TRIGGER guard_body_truncate ON body_2026_12")
    with store.read() as connection, pytest.raises(Damaged, match="body_2026_12"):
        assert_guards(connection)


def test_parts_wait_while_somebody_reads_for_long_and_central_goes_on(
    place: Server, store: Store, failures: list[StorageFailed]
) -> None:
    now_us = us("2026-11-30T23:59:59Z")
    with reading(place) as backup:
        backup.execute(text("SELECT count(*) FROM body")).scalar()
        with pytest.raises(partitions.InUse, match="tried again"):
            store.write(lambda c: partitions.make_ahead(c, now_us))
        assert store.write(lambda c: add(c, "meanwhile")) == 1
        assert store.write(lambda c: c.execute(text("SHOW lock_timeout")).scalar_one()) == "1min"
    assert len(store.write(lambda c: partitions.make_ahead(c, now_us))) == 8
    assert store.write(lambda c: c.execute(text("SHOW lock_timeout")).scalar_one()) == "1min"
    assert failures == []


def test_a_copy_of_large_bodies_needs_little_memory(place: Server, store: Store, tmp_path: Path) -> None:
    large = bytes(2**20)
    insert = Insert(body, "envelope_id", "received_us", "body")
    for number in range(64):
        store.write(lambda c, number=number: insert(c, [(number + 1, 0, large)]))  # type: ignore[misc]
    tracemalloc.start()
    try:
        snapshots.copy(place, tmp_path / "copy.db")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    with reading(tmp_path / "copy.db") as copied:
        assert copied.execute(text("SELECT count(*), sum(length(body)) FROM body")).one() == (64, 64 * 2**20)
    assert most < 48 * 2**20


def test_rows_that_are_moved_to_a_server_lie_in_the_parts_of_their_months(place: Server, tmp_path: Path) -> None:
    file = Store(tmp_path / "central.db")
    moments = [us("2025-01-31T23:59:59Z"), us("2026-11-02T00:00:00Z"), us("2026-11-30T23:59:59Z")]
    rows = [(number, at_us, b"a") for number, at_us in enumerate(moments, 1)]
    file.write(lambda c: Insert(body, "envelope_id", "received_us", "body")(c, rows))
    file.close()
    moving.into_server(tmp_path / "central.db", place)
    with reading(place) as connection:
        query = text("SELECT tableoid::regclass::text FROM body ORDER BY envelope_id")
        assert list(connection.execute(query).scalars()) == ["body_2025_01", "body_2026_11", "body_2026_11"]
        assert_guards(connection)
        past = partitions.parts_before(connection, "telemetry_body", us("2026-12-01T00:00:00Z"))
    assert {"telemetry_body_2025_01", "telemetry_body_2026_11"} <= {part.name for part in past}


def us(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp()) * 1_000_000
