"""Settings that an administrator gave to the server, the database or the role for others, and that would break a
promise: central sets what it needs itself, or refuses and names what is wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from sqlalchemy import text

from central import doctor_keeping
from central.store.database import Server
from central.store.engine import Connection, Store, reading
from central.store.session import connect
from records.clock import SystemClock
from records.errors import Refused, StorageFailed, Unreachable
from simulators.faults.postgres import as_user
from simulators.sockets import reserved_port
from tests.rigs import postgres
from tests.rigs.postgres import USER, PostgresServer
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

VALUES = {"number": 0.1 + 0.2, "tiny": 5e-324, "words": "扭矩 é \\ ' \\x41", "bytes": b"\\\x00\xff'"}
OF_THE_ROLE = {
    "synchronous_commit": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "statement_timeout": "250ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "250ms",
    "idle_session_timeout": "250ms",
    "extra_float_digits": "0",
    "client_encoding": "LATIN1",
    "TimeZone": "Asia/Shanghai",
    "DateStyle": "SQL, DMY",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
}


@pytest.fixture
def server() -> PostgresServer:
    return postgres.shared()


@pytest.fixture
def place(server: PostgresServer) -> Server:
    return server.place(server.copy())


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server whose own settings tests may change; each leaves them as they were."""
    made = PostgresServer()
    yield made
    made.remove()


def say(server: PostgresServer, *statements: str, database: str = "postgres") -> None:
    with server.admin(database) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def keep(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE kept (number float8, tiny float8, words text, bytes bytea)"))
    connection.execute(text("INSERT INTO kept VALUES (:number, :tiny, :words, :bytes)"), VALUES)


def kept(connection: Connection) -> dict[str, object]:
    return dict(connection.execute(text("SELECT * FROM kept")).mappings().one())


@pytest.mark.parametrize("name", OF_THE_ROLE)
def test_what_is_set_for_the_role_changes_nothing_that_is_kept(
    server: PostgresServer, place: Server, name: str
) -> None:
    """Bugs: digits of numbers were lost, other than Latin letters could not be stored, no start at all."""
    say(server, f"ALTER ROLE {USER} IN DATABASE {place.name} SET {name} = {of_the_role(name)}")
    failures: list[StorageFailed] = []
    with closing(Store(place, failures.append)) as store:
        store.write(keep)
        store.write(lambda c: c.execute(text("SELECT pg_sleep(0.3)")).close())
        assert store.write(kept) == VALUES
        with store.read() as connection:
            connection.execute(text("SELECT pg_sleep(0.3)"))
            assert kept(connection) == VALUES
        assert store.write(lambda c: c.execute(text("SHOW synchronous_commit")).scalar()) == "on"
    assert failures == []


def of_the_role(name: str) -> str:
    return OF_THE_ROLE[name] if name == "DateStyle" else f"'{OF_THE_ROLE[name]}'"


# -- which schema --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["a schema with the role's name", "another path"])
def test_central_stays_where_its_tables_are(server: PostgresServer, place: Server, how: str) -> None:
    """Bug: it made itself empty tables in the other schema, or called its evidence damaged."""
    with closing(Store(place)) as store:
        store.write(keep)
    schema = USER if how.startswith("a schema") else "elsewhere"
    say(server, f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", database=place.name)
    if how == "another path":
        say(server, f"ALTER ROLE {USER} IN DATABASE {place.name} SET search_path = {schema}")
    with closing(Store(place)) as store:
        assert store.write(kept) == VALUES
        with store.read() as connection:
            assert kept(connection) == VALUES
    with server.admin(place.name) as admin:
        there = admin.execute("SELECT count(*) FROM pg_tables WHERE schemaname = %s", (schema,)).fetchone()
    assert there == (0,)


def test_tables_of_central_in_two_schemas_are_refused_by_name(server: PostgresServer, place: Server) -> None:
    twin = [f"CREATE TABLE twin.{name} (LIKE public.{name})" for name in ("envelope", "watermark", "meta")]
    say(server, f"CREATE SCHEMA twin AUTHORIZATION {USER}", *twin, database=place.name)
    with pytest.raises(StorageFailed, match=r"several schemas: public, twin .*rename or drop"):
        Store(place)


# -- while it runs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_stops_keeping_its_commits_is_refused_until_it_keeps_them(
    own: PostgresServer, name: str
) -> None:
    """Bug: it was asked at each connection only; central went on committing what a crash would lose."""
    place = own.place(own.copy())
    failures: list[StorageFailed] = []
    with closing(Store(place, failures.append)) as store:
        store.write(keep)
        try:
            say(own, f"ALTER SYSTEM SET {name} = off", "SELECT pg_reload_conf()")
            until(lambda: shown(store, name) == "off")
            with pytest.raises(Refused, match=f"nothing was stored: {name} is off, on is needed"):
                store.write(lambda c: c.execute(text("DELETE FROM kept")).close())
            assert "nothing was stored" in str(store.refusing)
        finally:
            say(own, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        until(lambda: shown(store, name) == "on")
        assert store.write(kept) == VALUES
        assert store.refusing is None
    assert failures == []


def test_commits_wait_for_the_disk_though_the_servers_file_says_otherwise_by_now(own: PostgresServer) -> None:
    """Bug: a session that had not said so itself followed the server's file."""
    with closing(Store(own.place(own.copy()))) as store:
        try:
            say(own, "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
            with own.admin() as admin:
                until(lambda: admin.execute("SHOW synchronous_commit").fetchone() == ("off",))
            store.write(keep)
            shows = text("SHOW synchronous_commit")
            assert store.write(lambda c: c.execute(shows).scalar()) == "on"
        finally:
            say(own, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


def shown(store: Store, name: str) -> object:
    with store.read() as connection:
        return connection.execute(text(f"SHOW {name}")).scalar()


# -- another server than it looks -----------------------------------------------------------------------------


@pytest.fixture
def follower(own: PostgresServer) -> Iterator[Server]:
    """A database on a server that has become a hot stand-by."""
    place = own.place(own.copy())
    signal = own.data / "standby.signal"
    own.stop()
    signal.touch()
    own.start()
    yield place
    own.stop()
    signal.unlink()
    own.start()


def test_a_stand_by_is_refused_by_name_and_the_doctor_names_it(follower: Server) -> None:
    with pytest.raises(StorageFailed, match="only lets read: a stand-by"):
        Store(follower)
    with reading(follower) as connection:
        told = {one.says: one.do for one in doctor_keeping.server(connection, SystemClock()) if one.state == "bad"}
    assert "promote" in (told["it is a stand-by and only lets read"] or "")


@pytest.fixture
def pooled(server: PostgresServer, place: Server) -> Iterator[Server]:
    """The same database behind a real PgBouncer that changes sessions between transactions."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: pgbouncer)")
    port, folder = reserved_port("127.0.0.1"), server.folder / "pooler"  # where the server's account may read
    folder.mkdir()
    (folder / "users").write_text(f'"{USER}" ""\n')
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={server.folder} port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {folder / 'users'}\n"
        "pool_mode = transaction\nignore_startup_parameters = extra_float_digits\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*as_user(), program, str(settings)], stdout=log, stderr=log, cwd="/")
    behind = Server("127.0.0.1", port, USER, place.name, here=True)
    try:
        until(lambda: _lets_in(behind), what=(folder / "log").read_text())
        yield behind
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _lets_in(server: Server) -> bool:
    with suppress(Unreachable), closing(connect(server, "test")):
        return True
    return False


def test_a_pooler_that_changes_sessions_is_refused_by_name(pooled: Server) -> None:
    """Bug: settings and locks were another session's, and nobody heard of it."""
    failures: list[StorageFailed] = []
    with closing(Store(pooled, failures.append)) as store:
        store.write(keep)
        with connect(pooled, "another") as other, other.transaction():  # has the session that was central's
            other.execute("SELECT 1")
            with pytest.raises(Refused, match=r"nothing was stored: a connection pooler .*pool_mode = session"):
                store.write(lambda c: c.execute(text("DELETE FROM kept")).close())
        assert store.write(kept) == VALUES
    assert failures == []
