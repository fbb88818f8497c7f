"""Whether what central keeps would survive: backups, the second place of the anchors, the database server,
workers, what the lines keep for a restore, and the ERP's clock. Part of ``central.doctor``.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from pydantic import JsonValue

from central import ahead, worker_states
from central.doctor_told import State, Told
from central.document_sync import UNREACHED
from central.settings import CentralSettings
from central.shares import PARTITION, SERVE, WORKER
from central.store import agents, leases, partitions, search, server_state, snapshots
from central.store.engine import Connection
from central.witness import RESTORED
from records.clock import MICROSECONDS, Clock, iso_z, to_us
from records.configuration import ConfigurationRecord
from records.wire import CENTRAL

LATE = 2.0
"""A backup that is older than so many of its intervals was left out."""
ANCHORS_LARGE = 512 * 1024**2
CLOCK_OFF_S = 60.0
ERP_TIMEOUT_S = 5.0
BUSY_S = 3.0
"""A transaction of central's that lasts so long holds up others."""
OLDEST_SERVER = 130_000
UNREACHED_US = 86_400 * MICROSECONDS
"""For so long it is told of; who still does not hear is told of again."""
DURABLE: dict[str, State] = {"fsync": "bad", "full_page_writes": "bad", "synchronous_commit": "warning"}
"""Settings that must be on; central sets the last one itself, for its own sessions."""
CARELESS = ("data_sync_retry", "zero_damaged_pages", "ignore_checksum_failure")
"""Settings that must be off: with them a server goes on over what its disk has lost, and says nothing."""


def backups(connection: Connection, settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    """How old the newest backup is, and whether the lines keep long enough what it may lack."""
    last_us, which = _newest_backup(connection)
    age_s = None if last_us is None else (clock.now_us() - last_us) / MICROSECONDS
    plan = settings.backup
    if age_s is None or last_us is None:
        do = "lotkeeper-central backup --out FOLDER now, and set backup: {folder: ...} on another disk"
        yield Told("backup", "bad" if plan else "warning", "none was ever made", do)
    elif plan is not None and age_s > LATE * plan.every:
        say = f"the newest{which} is from {iso_z(last_us)}, one is due every {plan.every / 3600:.0f} h"
        yield Told("backup", "bad", say, f"is central running, and is there room in {plan.folder}? See its log")
    else:
        wanted = None if plan else "set backup: {folder: ...} on another disk, so that none is forgotten"
        yield Told("backup", "fine" if plan else "warning", f"the newest{which} is from {iso_z(last_us)}", wanted)
    yield from _flawed(connection)
    if plan is None:
        return
    short = {name: kept for name, kept in _kept(connection).items() if kept < plan.every}
    for name, kept_s in short.items():
        hours = f"{kept_s / 3600:.1f} h only, and a backup comes every {plan.every / 3600:.1f} h"
        say = f"{name} keeps what central has for {hours}: after a restore it could not send all again"
        do = f"set buffer: {{keep_acknowledged: ...}} of {name} above that"
        yield Told("lines' own copies", "warning", say, do)
    if not short:
        yield Told("lines' own copies", "fine", "every line keeps its records until the next backup and longer")


def _newest_backup(connection: Connection) -> tuple[int | None, str]:
    """When the newest backup was made, None: never; and words where it is the one that was restored, which cannot
    hold the fact that it was made.
    """
    made_us = snapshots.last_at_us(connection, CENTRAL, "backup-made")
    restored = snapshots.newest_params(connection, CENTRAL, RESTORED, "audit")
    folder, until = restored.get("backup"), restored.get("held_until")
    if folder is None or not isinstance(until, str) or (made_us is not None and made_us > int(until)):
        return made_us, ""
    return int(until), f", {folder}, was restored and"


def _flawed(connection: Connection) -> Iterator[Told]:
    """Whether the newest backup is of a database that did not hold."""
    made = snapshots.newest_params(connection, CENTRAL, "backup-made", "audit")
    flaws = made.get("flaws")
    if isinstance(flaws, list) and flaws:
        say = f"{made.get('backup')} is of a database that does not hold: {flaws[0]}"
        do = "keep the earlier backups, and restore the newest whole one: the lines send again what it lacks"
        yield Told("flawed backup", "bad", say, do)


def records(connection: Connection) -> Iterator[Told]:
    """What central's own check of all records found last: it makes one each night, and one of each backup."""
    last_us = snapshots.last_at_us(connection, CENTRAL, "chain-verified")
    if last_us is None:
        yield Told("records", "fine", "central has not checked them yet: it does at 3 each night")
        return
    found = snapshots.newest_params(connection, CENTRAL, "chain-verified", "audit")
    if found.get("ok") is True:
        yield Told("records", "fine", f"central checked all {found.get('records')} at {iso_z(last_us)}")
        return
    say = f"at {iso_z(last_us)} they were not what was committed: {found.get('reason')}"
    do = "see lotkeeper-central verify; restore a backup of before: the lines send again what it lacks"
    yield Told("records", "bad", say, do)


def behind(connection: Connection) -> Iterator[Told]:
    """Which agents go on behind records that central confirmed and has no more."""
    for one in ahead.gone(connection):
        say = (
            f"{one.agent} goes on at {one.offered} of {one.epoch}/{one.stream} since {iso_z(one.since_us)}: it "
            f"was told that central has all before, and central has {one.held} of it"
        )
        yield Told("what was confirmed", "bad", say, ahead.DO)


def unreached(connection: Connection, clock: Clock) -> Iterator[Told]:
    """Whether a line says that it holds documents which central cannot go above: it then hears of no new hold."""
    last_us = snapshots.last_at_us(connection, CENTRAL, UNREACHED)
    if last_us is None or clock.now_us() - last_us > UNREACHED_US:
        return
    told = snapshots.newest_params(connection, CENTRAL, UNREACHED, "audit")
    what = f"{told.get('kind')} {told.get('id')}"
    say = f"at {iso_z(last_us)} {told.get('agent')} held {what} above what central says: "
    do = "nothing shows that central signed that, and its line hears nothing new of it: look at that PC, "
    do += "and enrol it anew"
    yield Told("documents", "bad", f"{say}{told.get('why')}", do)


def _kept(connection: Connection) -> dict[str, float]:
    """Agent -> seconds for which it keeps acknowledged records, by the line file that it told of last."""
    found: dict[str, float] = {}
    for agent in agents.all_agents(connection):
        if agent.revoked_us is not None:
            continue
        told = search.facts(connection, search.Wanted(agent=agent.id, kinds=["configuration"]))
        data = told[-1].fact.data if told else None
        resolved: JsonValue = data.resolved if isinstance(data, ConfigurationRecord) else None
        buffer = resolved.get("buffer") if isinstance(resolved, dict) else None
        kept = buffer.get("keep_acknowledged") if isinstance(buffer, dict) else None
        if isinstance(kept, int | float):
            found[agent.id] = float(kept)
    return found


def anchors_size(path: Path, large: int = ANCHORS_LARGE) -> Told:
    """How large the file of anchors is: evidence, so it only grows; backups and ``verify`` read all of it."""
    size = path.stat().st_size
    say = f"{path} has {size / 1024**2:.1f} MiB"
    if size < large:
        return Told("size of the anchors", "fine", say)
    do = "set a longer anchor_interval: the file then grows more slowly; it is never cut"
    return Told("size of the anchors", "warning", f"{say}: verify and backups take long", do)


def second_place(path: Path, also: Path) -> Told:
    """Whether the copy of the anchors is there and is the beginning of the file."""
    try:
        with also.open("rb") as copy, path.open("rb") as own:
            while part := copy.read(1 << 20):
                if own.read(len(part)) != part:
                    say = f"{also} is not the beginning of {path}"
                    return Told(
                        "copy of the anchors", "bad", say, "one of them was changed: lotkeeper-central verify"
                    )
            behind = path.stat().st_size - also.stat().st_size
    except OSError as error:
        do = "mount it again, or correct anchors: {also: ...}"
        return Told("copy of the anchors", "unreachable", f"{also} cannot be read: {error.strerror}", do)
    lacks = f", but for the last {behind} bytes" if behind else ""
    return Told("copy of the anchors", "fine", f"{also} is the same as {path}{lacks}")


def server(connection: Connection, clock: Clock) -> Iterator[Told]:
    """A PostgreSQL: what it promises, what the role may do, whose clock is right; nothing of a file."""
    found = server_state.state_of(connection)
    if found is None:
        return
    old = found.version < OLDEST_SERVER
    newer = f"use PostgreSQL {OLDEST_SERVER // 10_000} or later" if old else None
    yield Told("database server", "bad" if old else "fine", f"it is PostgreSQL {found.version // 10_000}", newer)
    if found.follows:
        do = "let database: in central.yaml name the server that takes writes, or promote this one"
        yield Told("database server", "bad", "it is a stand-by and only lets read", do)
    wrong = {name: state for name, state in DURABLE.items() if found.settings.get(name) in ("off", "local")}
    for name, state in wrong.items():
        do = f"set {name} = on in postgresql.conf and reload: what is committed could be lost"
        yield Told("durable settings", state, f"{name} is {found.settings[name]}", do)
    careless = [name for name in CARELESS if found.settings.get(name) == "on"]
    for name in careless:
        do = (
            f"set {name} = off in postgresql.conf and restart: what its disk has lost would be lost without a word"
        )
        yield Told("durable settings", "bad", f"{name} is on", do)
    if not wrong and not careless:
        yield Told("durable settings", "fine", "what it calls committed is on its disk")
    if not found.may:
        do = f"GRANT CREATE ON SCHEMA, and EXECUTE ON FUNCTION pg_control_system(), TO {found.role}"
        yield Told("database role", "bad", f"{found.role} may not do all that central needs", do)
    elif found.superuser:
        do = "give central a role of its own that owns the database: docs/how-to/use-postgresql.md"
        yield Told("database role", "warning", f"{found.role} is a superuser, who can change evidence", do)
    else:
        yield Told("database role", "fine", f"{found.role} may do what central needs, and is no superuser")
    if partitions.next_is_made(connection, clock.now_us()):
        yield Told("parts by month", "fine", "next month's are made")
    else:
        do = "is central running, or does a session read for weeks (pg_stat_activity)? See parts in the log"
        yield Told("parts by month", "warning", "next month's are not made: retention would go row by row", do)
    yield _clock("database server", leases.now_us(connection), clock)


def locks(connection: Connection) -> Iterator[Told]:
    """Sessions of the database that keep central's waiting; nothing while nobody waits for long."""
    for one in server_state.holding_up(connection):
        if one.for_s >= BUSY_S:
            say = f"session {one.pid} of the database (user {one.owner}, program {one.program}, {one.state}) "
            say += f"holds a lock; central waits for it since {one.for_s:.0f} s, with {one.waiting} sessions"
            do = f"let it end what it does, or end it: SELECT pg_terminate_backend({one.pid})"
            yield Told("locks", "warning" if one.ours else "bad", say, do)


def workers(connection: Connection, lease_s: float) -> Iterator[Told]:
    """Partitions whose worker is gone and that nobody has taken over, whether workers go on without serve, and
    those that are not heard of while others are; nothing where none was ever leased.
    """
    known, now_us = leases.known(connection), leases.moment_us(connection)
    enrolled_in = agents.partitions(connection)
    leased = {each: known[PARTITION + each] for each in enrolled_in if PARTITION + each in known}
    dead = {name: one for name, one in leased.items() if 0 < one.until_us < now_us}
    if dead and (busy := _busy(connection)) is not None:
        yield busy
        return
    for name, one in dead.items():
        say = f"{one.holder.split()[0]} had partition {name} until {iso_z(one.until_us)}, and nobody took it over"
        yield Told("workers", "bad", say, "start a worker or serve: records of its lines wait at the broker")
    serve = known.get(WORKER + SERVE)
    alive = [name for name, one in known.items() if name.startswith(WORKER) and one.until_us > now_us]
    if alive and serve is not None and serve.until_us <= now_us:
        last = f"it was heard of until {iso_z(serve.until_us)}" if serve.until_us else "it was ended"
        do = "start it: pages, jobs, documents for the lines and their requests wait; workers take in records only"
        yield Told("workers", "bad", f"{SERVE} does not run: {last}", do)
    yield from _silent(connection, lease_s)
    if leased and not dead:
        taken = sum(one.until_us > now_us for one in leased.values())
        yield Told("workers", "fine", f"{taken} of {len(enrolled_in)} partitions are taken in")


def _silent(connection: Connection, lease_s: float) -> Iterator[Told]:
    for one in worker_states.look(connection, lease_s):
        if one.state == "silent" and one.name != SERVE:
            last = iso_z(one.since_us)
            say = f"{one.name} was heard of last at {last}: it ended without a word, or cannot use the database"
            do = "its log says why; one that was taken away for good is told of for a day"
            yield Told("workers", "warning", say, do)


def _busy(connection: Connection) -> Told | None:
    """Whether one that writes holds up all others: then nobody can renew a lease, and no worker need be gone."""
    if any(one.for_s >= BUSY_S for one in server_state.holding_up(connection)):
        say = "no process can renew its partitions while central waits for a lock: see locks"
        return Told("workers", "warning", say, "ask again once that lock is free")
    held = server_state.write_lock(connection)
    if held is None or held.old_s is None or held.old_s < BUSY_S:
        return None
    say = f"session {held.pid} of the database ({held.program}, {held.state}) has the write lock, its transaction "
    say += f"is {held.old_s:.0f} s old, {held.waiting} wait: no process can renew its partitions meanwhile"
    do = "ask again in a minute; a session that goes on, or stands still, is ended by "
    return Told("workers", "warning", say, f"{do}SELECT pg_terminate_backend({held.pid})")


def erp_clock(settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    """The ERP's clock, by the Date of any answer of its."""
    if settings.erp is None:
        return
    try:
        answer = httpx.head(settings.erp.url, timeout=ERP_TIMEOUT_S)
        told_us = to_us(parsedate_to_datetime(answer.headers["date"]))
    except httpx.HTTPError as error:
        say = f"{settings.erp.url} does not answer: {error}"
        yield Told("ERP", "unreachable", say, "is it running, and is the way to it open?")
    except (KeyError, ValueError):
        yield Told("ERP's clock", "fine", "it does not tell its time")
    else:
        yield _clock("ERP", told_us, clock)


def _clock(whose: str, theirs_us: int, clock: Clock) -> Told:
    off_s = (theirs_us - clock.now_us()) / MICROSECONDS
    if abs(off_s) > CLOCK_OFF_S:
        say = f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} central's"
        return Told(f"{whose}'s clock", "warning", say, "let both keep time by the same NTP server")
    return Told(f"{whose}'s clock", "fine", "it is within a minute of central's")
