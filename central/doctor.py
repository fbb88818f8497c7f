"""What is wrong with central's surroundings, and what to do: keys, disks, database, anchors, clocks, broker.

Nothing is changed but one small file that is written and taken away again. Each check says what it found; a check
that could not be made says so and is not fine. Whether the records are what was committed is another question
(``central.verify``).
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import httpx

from central import doctor_keeping, footing, former_disks
from central.anchors import read_anchors
from central.authority import listed_serials
from central.broker import ACCESS_LIST, REVOKED, access_list
from central.broker_probe import probe
from central.doctor_told import State, Told
from central.keys import CentralKeys
from central.settings import CentralSettings
from central.store import agents, asked, documents, intake, snapshots
from central.store.engine import Connection, assert_guards, at_any_version, reading
from records.certificates import DAY_US, certificate_of, check_pair
from records.clock import MICROSECONDS, Clock, iso_z, new_id
from records.errors import LotkeeperError, StorageFailed, Unreachable
from records.wire import CENTRAL, FENCE

LEAST_FREE = 1 << 30
LEAST_SHARE = 0.05
LARGEST_WAL = 256 << 20
CLOCK_AHEAD_S = 10.0
ASK_S = 10.0
STORES_NOTHING = "put that right; central goes on by itself, and the lines keep everything until then"
LATELY_US = 86_400 * MICROSECONDS
"""An agent asks every ten minutes while it is connected: what was refused before this is over."""

KEY_OF_LATER = (
    "if it is right, the key was made by a clock that was ahead: lotkeeper-central keys roll --clock-was-ahead"
)

DOUBLED_US = 7 * DAY_US
"""For how long it is told that two agents had one identity: nobody hears when the second PC has gone."""


def examine(settings: CentralSettings, clock: Clock) -> list[Told]:
    """Every check, in the order in which one should act on them."""
    found: list[Told] = []
    for check in (
        _folder,
        _keys,
        _own_certificate,
        _locks,
        _serving,
        _ground,
        _database,
        _anchors,
        _broker,
        doctor_keeping.erp_clock,
    ):
        try:
            found += check(settings, clock)
        except LotkeeperError as error:
            state: State = "unreachable" if error.exit_code == 3 else "bad"
            found.append(Told(check.__name__.strip("_").replace("_", " "), state, error.message, error.hint))
    return found


def exit_code(found: list[Told]) -> int:
    """1 when something is bad, else 3 when something could not be reached, else 0."""
    states = {each.state for each in found}
    return 1 if "bad" in states else 3 if "unreachable" in states else 0


# -- disks ---------------------------------------------------------------------------------------------------


def _folder(settings: CentralSettings, _clock: Clock) -> Iterator[Told]:
    folder = settings.folder
    if not folder.is_dir():
        yield Told("folder", "bad", f"there is no folder {folder}", "lotkeeper-central init makes it")
        return
    try:
        _write_through(folder)
    except OSError as error:
        say = f"{folder} cannot be written by this account: {error.strerror}"
        yield Told("folder", "bad", say, "run this as the account of central; look at the disk and its mount")
    else:
        yield Told("folder", "fine", f"{folder} takes writes, and they reach the disk")
    usage = shutil.disk_usage(folder)
    say = f"{usage.free >> 20} MiB of {usage.total >> 20} MiB are free where {folder} is"
    short = usage.free < LEAST_FREE or usage.free < usage.total * LEAST_SHARE
    yield Told(
        "disk space",
        "warning" if short else "fine",
        say,
        "make room: a full disk stops central" if short else None,
    )
    if isinstance(settings.database, Path):
        wal = settings.database.with_name(settings.database.name + "-wal")
        size = wal.stat().st_size if wal.exists() else 0
        large = size > LARGEST_WAL
        do = "end what reads the database for long; a restart of central empties it" if large else None
        yield Told("database log", "warning" if large else "fine", f"{wal.name} has {size >> 20} MiB", do)


def _write_through(folder: Path) -> None:
    path = folder / f".doctor-{new_id(4)}"
    try:
        with path.open("wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)


# -- keys ----------------------------------------------------------------------------------------------------


def _keys(settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    now_us, folder = clock.now_us(), settings.keys
    keys = CentralKeys.open(folder)
    present = next(key for key in keys.public if key.id == keys.signing.id)
    if now_us < present.since_us:
        say = f"central's key is from {iso_z(present.since_us)}, the clock says {iso_z(now_us)}"
        yield Told("clock", "bad", say, f"set this machine's clock right (NTP); {KEY_OF_LATER}")
    if present.ended(now_us):
        say = f"central signs with {present.id}, which ended on {iso_z(present.until_us)}"
        yield Told("signing key", "bad", say, "restore the folder of keys from the newest copy")
    else:
        yield Told("signing key", "fine", f"central signs with {present.id}, since {iso_z(present.since_us)}")
    loose = [path for path in sorted(folder.glob("*.key")) if _others_read(path)]
    if loose:
        names = " ".join(str(path) for path in loose)
        say = f"others than the owner can read {', '.join(path.name for path in loose)}"
        yield Told("key files", "bad", say, f"chmod 600 {names}; who may have copied them?")
    else:
        yield Told("key files", "fine", f"the private keys in {folder} are the owner's alone")
    authority = certificate_of((folder / "ca.crt").read_bytes()) if (folder / "ca.crt").exists() else None
    if authority is None:
        yield Told("authority", "bad", f"{folder} has no ca.crt", "restore the folder of keys from its copy")
    else:
        late, ended = now_us >= authority.renew_us, now_us >= authority.until_us
        do = "every certificate ends with it: lotkeeper-central keys renew-authority"
        say = f"central's own authority is good until {iso_z(authority.until_us)}"
        yield Told("authority", "bad" if ended else "warning" if late else "fine", say, do if late else None)


def _others_read(path: Path) -> bool:
    return sys.platform != "win32" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _own_certificate(settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    broker = settings.broker
    if not broker.tls or broker.certificate is None or broker.key is None or broker.ca is None:
        return
    try:
        key, own, ca = (path.read_bytes() for path in (broker.key, broker.certificate, broker.ca))
    except OSError as error:
        yield Told("certificate", "bad", f"{error.filename}: {error.strerror}", "correct broker: in central.yaml")
        return
    found = check_pair(key, own, ca, clock.now_us(), CENTRAL)
    say = f"central's certificate at the broker is good until {iso_z(found.until_us)}"
    late = clock.now_us() >= found.renew_us
    do = (
        "lotkeeper-central enrol --central (with the plant's authority: --csr), then restart central"
        if late
        else None
    )
    yield Told("certificate", "warning" if late else "fine", say, do)


# -- what is stored ------------------------------------------------------------------------------------------


def _locks(settings: CentralSettings, _clock: Clock) -> Iterator[Told]:
    """First of what asks the database: who holds it up keeps the others waiting."""
    with suppress(StorageFailed, Unreachable), at_any_version(settings.database, whole=False) as connection:
        yield from doctor_keeping.locks(connection)


def _serving(settings: CentralSettings, _clock: Clock) -> Iterator[Told]:
    """What a central that runs cannot do now; nothing where none answers, which need not run."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http.host, settings.http.host)  # noqa: S104
    with suppress(httpx.HTTPError, ValueError):
        answer = httpx.get(
            f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}/healthz", timeout=ASK_S
        )
        told = answer.json() if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE else None
        if isinstance(told, dict):
            yield Told("central", "bad", f"not all is stored: {told.get('detail')}", STORES_NOTHING)


def _ground(settings: CentralSettings, _clock: Clock) -> Iterator[Told]:
    found = footing.faults(settings, CentralKeys.open(settings.keys).ring)
    for fault in found:
        yield Told("database and anchors", "bad", fault.says, fault.do)
    if not found:
        yield Told("database and anchors", "fine", "what was anchored last is in the database")


def _database(settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    with reading(settings.database) as connection:
        assert_guards(connection)
        yield Told("database", "fine", "it opens, and its evidence is guarded as it must be")
        yield from _agents(connection, clock)
        yield from _lists(connection, settings)
        yield from doctor_keeping.server(connection, clock)
        yield from doctor_keeping.workers(connection, settings.lease)
        yield from doctor_keeping.records(connection)
        yield from doctor_keeping.behind(connection)
        yield from former_disks.waited_for(connection)
        yield from doctor_keeping.unreached(connection, clock)
        yield from doctor_keeping.backups(connection, settings, clock)


def _agents(connection: Connection, clock: Clock) -> Iterator[Told]:
    now_us = clock.now_us()
    newest = {each.owner: each for each in agents.certificates(connection)}
    known = agents.all_agents(connection)
    for agent in known:
        certificate = newest.get(agent.id)
        if agent.revoked_us is None and certificate is not None and now_us >= certificate.until_us:
            say = f"the last certificate of {agent.id} ended on {iso_z(certificate.until_us)}"
            yield Told("agents", "warning", say, f"it cannot connect: enrol {agent.id} again")
    revoked = sum(agent.revoked_us is not None for agent in known)
    yield Told("agents", "fine", f"{len(known)} enrolled, {revoked} of them revoked")
    believed = {agent.id for agent in known if agent.revoked_us is None}
    yield from refused(connection, believed)
    yield from requests(connection, clock, believed)
    yield from doubled(connection, clock, believed)
    ahead = {
        head.agent: (head.at_us - received_us) / MICROSECONDS
        for head, received_us, _ in intake.heads(connection)
        if head.at_us - received_us > CLOCK_AHEAD_S * MICROSECONDS
    }
    for agent_id, seconds in ahead.items():
        say = f"the clock of {agent_id} was {seconds:.0f} s ahead of central's when it last spoke"
        yield Told("clocks", "warning", say, "let both keep time by the same NTP server")
    if not ahead:
        yield Told("clocks", "fine", f"no agent's clock is more than {CLOCK_AHEAD_S:.0f} s ahead of central's")


def refused(connection: Connection, believed: set[str]) -> Iterator[Told]:
    """Agents of which nothing is taken: one that was enrolled after the backup that was restored, a PC that has
    a former identity.
    """
    taken: dict[str, int] = {}
    for head, received_us, _ in intake.heads(connection):
        taken[head.agent] = max(received_us, taken.get(head.agent, 0))
    found = [
        each
        for each in intake.refused_last(connection)
        if each.agent in believed and each.received_us > taken.get(each.agent, 0)
    ]
    for each in found:
        say = f"what {each.agent} sends is refused, the last on {iso_z(each.received_us)}: {each.detail}"
        do = "is it the PC that is meant? Then enrol it again (docs/how-to/enrol-an-agent.md), it keeps all. "
        yield Told("messages", "bad", say, f"{do}The page Lines and agents shows what was refused")
    if not found:
        yield Told("messages", "fine", "what agents send is taken")


def requests(connection: Connection, clock: Clock, believed: set[str]) -> Iterator[Told]:
    """An agent whose requests are refused works by the orders and holds that it knew before."""
    now_us = clock.now_us()
    refused = [
        each
        for each in asked.refusals(connection)
        if each.agent in believed and abs(now_us - each.last_us) < LATELY_US
    ]
    for each in refused:
        say = f"{each.agent} is not answered: {each.times} of its requests ({each.kind}) were refused, from "
        say += f"{iso_z(each.since_us)} to {iso_z(each.last_us)}; the last: {each.detail}"
        do = f"set the clocks of central and {each.agent} right (NTP); till then it hears of no new order or hold"
        yield Told("requests", "bad", say, do)
    if not refused:
        yield Told("requests", "fine", "no agent's request is refused for its time")


def doubled(connection: Connection, clock: Clock, believed: set[str]) -> Iterator[Told]:
    """Two agents with one identity; one of them keeps what it records."""
    now_us = clock.now_us()
    stated = {
        said.params.get("agent"): said.at_us
        for each in snapshots.coded(connection, "agent-doubled", "records")
        if each.agent == CENTRAL and (said := snapshots.said_by(each)) is not None
    }  # a restore issues documents again
    fenced = {
        each.id: stated.get(each.id, each.issued_us)
        for each in documents.of_kind(connection, FENCE)
        if each.id in believed and each.content is not None
    }
    lately = {agent: at_us for agent, at_us in fenced.items() if abs(now_us - at_us) < DOUBLED_US}
    for agent, at_us in lately.items():
        say = f"two agents ran as {agent} on {iso_z(at_us)}: one was told to keep what it records"
        do = "find the second PC and stop its agent, or give it a name of its own (docs/how-to/"
        yield Told("identities", "warning", say, f"{do}two-pcs-with-one-identity.md)")
    if not lately:
        yield Told("identities", "fine", f"no two agents ran with one identity for {DOUBLED_US // DAY_US} days")


def _lists(connection: Connection, settings: CentralSettings) -> Iterator[Told]:
    place = settings.broker_files
    wanted = access_list(agents.all_agents(connection)).encode()
    serials = {each.serial for each, _ in agents.revoked_certificates(connection)}
    held: bytes | None = None
    listed: set[str] | None = None
    with suppress(OSError):
        held = (place / ACCESS_LIST).read_bytes()
        listed = listed_serials(settings.keys, (place / REVOKED).read_bytes())
    if held == wanted and listed == serials:
        yield Told("broker's lists", "fine", f"{place} says who is enrolled and who is revoked")
    else:
        say = f"{ACCESS_LIST} or {REVOKED} in {place} is missing or not what it must be"
        yield Told("broker's lists", "bad", say, "start central: it writes both; then systemctl reload mosquitto")


def _anchors(settings: CentralSettings, clock: Clock) -> Iterator[Told]:
    heads = read_anchors(settings.anchors_file, CentralKeys.open(settings.keys).ring, tail_only=True)
    if not heads:
        yield Told("anchors", "warning", f"{settings.anchors_file} holds none", "run central: it writes them")
        return
    last = heads[-1]
    if last.at_us > clock.now_us() + MICROSECONDS:
        say = f"the newest anchor is from {iso_z(last.at_us)}, which is still to come"
        yield Told("clock", "bad", say, "set this machine's clock right (NTP)")
    yield Told("anchors", "fine", f"the newest is from {iso_z(last.at_us)}")
    yield doctor_keeping.anchors_size(settings.anchors_file)
    if settings.anchors.also is None:
        do = "name a copy on another host: anchors: {also: ...}"
        yield Told("copy of the anchors", "warning", "there is none", do)
    else:
        yield doctor_keeping.second_place(settings.anchors_file, settings.anchors.also)


def _broker(settings: CentralSettings, _clock: Clock) -> Iterator[Told]:
    return probe(settings.broker)
