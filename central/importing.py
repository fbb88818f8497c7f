"""An agent's records from a file, for when its network, its PC or its agent is gone for good.

The file (``records.exported``) is not trusted: every frame in it is signed by its agent and goes the very way of
one that came over the network, so importing again, or before, or after, changes nothing. What is whole in a
damaged file is taken, and the place of the damage is named. Records signed by a key that was revoked or replaced
are taken only where a person has decided so, with a reason; the decision and every import stand in the audit
stream before the first record of it is taken. How it ended stands there, too: of one that was killed the next
start says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from pydantic import JsonValue

from central.access import Actor
from central.committing import Outcome
from central.facts import Facts
from central.ingest import Ingest
from central.store import agents, intake
from central.store.brought import CUT_SHORT, IMPORT_BEGUN, IMPORTED, imports
from central.store.engine import Connection, Store
from central.store.envelopes import TELEMETRY
from records.clock import iso_z, new_id
from records.errors import ConfigurationError, Damaged, Invalid, LotkeeperError, Refused, Unknown
from records.exported import Exported, read_export
from records.foreign import of_path
from records.model import OperationsEvent
from records.progress import Tell, silent
from records.wire import DAMAGED, FrameHeader, unverified

CHUNK = 1024 * 1024
KB = 1000
NO_FILE = (
    "is the name right, and is it on this machine? A central that runs as a service has a /tmp of its own: put "
    "the file elsewhere, where the account that runs central can read it"
)
MOST_NAMED = 20
"""So many records that came without content are named in the answer; all are counted, and named in the fact."""
_Record = tuple[str, str, int]
"""Epoch, stream, seq."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Records and telemetry chunks by what became of them, chunks alone in ``new_telemetry`` and
    ``known_telemetry``; ``conflicts``, ``quarantined`` and ``holes`` count frames (and heads).

    ``holes``: frames behind records that are neither here nor in the file. ``damage``: where the file ended before
    its end, and why. ``through``: how far the agent's chains are committed now. ``without_body``: records that
    came without their content, which their disk had lost; the first of them are named. ``quarantined_why``: what
    was wrong with frames and heads in quarantine, each once, the first as well.
    """

    agent: str
    made: str
    digest: str
    frames: int
    new: int
    known: int
    conflicts: int
    quarantined: int
    holes: int
    damage: str | None
    through: dict[str, int]
    without_body: int = 0
    without_body_named: tuple[str, ...] = ()
    new_telemetry: int = 0
    known_telemetry: int = 0
    quarantined_why: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of the file is here now; what its disk had lost before is not in it."""
        return not (self.conflicts or self.quarantined or self.holes or self.damage)

    def to_json(self) -> dict[str, JsonValue]:
        named: dict[str, JsonValue] = {
            "without_body_named": [*self.without_body_named],
            "quarantined_why": [*self.quarantined_why],
        }
        return {"ok": self.ok, **asdict(self), **named}


class Importer:
    """Takes exports. ``tell`` brings an agent its watermarks afterwards, in case it is still there."""

    def __init__(self, store: Store, facts: Facts, ingest: Ingest, tell: Callable[[str], None]) -> None:
        self._store = store
        self._facts = facts
        self._ingest = ingest
        self._tell = tell

    def take(self, path: Path, *, by: Actor, reason: str | None = None, tell: Tell = silent) -> Imported:
        """Import one file. ``reason``: why records by keys that are believed no more are taken too. ``tell`` hears
        how many kB of the file are taken.

        Raises:
            Unknown, Refused, Unreachable, StorageFailed: the file cannot be read, or is a folder, pipe, device.
            Invalid: it is no export.
            ConfigurationError: its agent was never enrolled. Refused: all keys of its agent were revoked, and no
            reason was given.
        """
        try:
            _check_file(path)
            digest = _digest(path)
            with path.open("rb") as file:
                exported = read_export(file)
                self._admit(exported.header.agent, reason)
                size = path.stat().st_size // KB
                which: dict[str, JsonValue] = {
                    "agent": exported.header.agent,
                    "digest": digest,
                    "import": new_id(),
                }
                by_whom: dict[str, JsonValue] = {"by": by.user, "origin": by.origin, "reason": reason}

                def far(offset: int) -> None:
                    tell(offset // KB, size)

                self._state(IMPORT_BEGUN, {**which, **by_whom})
                try:
                    result, bare, came = self._frames(exported, digest, far, by_any_key=reason is not None)
                except Exception:
                    with suppress(LotkeeperError):  # else the next start says so
                        self._state(CUT_SHORT, which)
                    raise
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise Unknown(f"there is no file {path}", hint=NO_FILE) from error
            told = f"{path} cannot be read: {error.strerror}"
            raise of_path(error, told, hint="the account that runs central must be able to") from error
        params: dict[str, JsonValue] = {
            **which,
            "made": result.made,
            "new": str(result.new),
            "known": str(result.known),
            "conflicts": result.conflicts,
            "quarantined": result.quarantined,
            "holes": result.holes,
            "damage": result.damage,
            **by_whom,
        }
        if came:  # of which chains, so that nothing that the line sent meanwhile is taken for it
            params["brought"] = [[*chain, str(count)] for chain, count in came.items()]
        if bare:  # their disk can say it no more: this is what explains to verify that they have no body
            params["without_body"] = [[*chain, str(first), str(last)] for chain, first, last in _runs(bare)]
        self._state(IMPORTED, params)
        self._tell(result.agent)
        return result

    def _state(self, code: str, params: dict[str, JsonValue]) -> None:
        event = OperationsEvent(code, params)
        self._store.write(lambda connection: self._facts.state(connection, event, stream="audit"))

    def _admit(self, agent: str, reason: str | None) -> None:
        with self._store.read() as connection:
            enrolled = agents.agent_of(connection, agent)
        if enrolled is None:
            raise ConfigurationError(
                f"{agent[:100]} was never enrolled here: nobody can vouch for these records",
                hint="is this the central of its plant? after a restore, enrol it again",
            )
        if enrolled.revoked_us is not None and reason is None:
            raise Refused(
                f"{agent} was revoked on {iso_z(enrolled.revoked_us)}",
                hint="to take its records all the same: --accept-revoked --reason 'why'",
            )

    def _frames(
        self, exported: Exported, digest: str, far: Callable[[int], None], *, by_any_key: bool
    ) -> tuple[Imported, list[_Record], Counter[tuple[str, str]]]:
        """What became of the file; the records without content; how many each chain (epoch, stream) got by it."""
        found: Counter[str] = Counter()
        came: Counter[tuple[str, str]] = Counter()
        damage: str | None = None
        bare: list[_Record] = []
        why: dict[str, None] = {}
        header, agent = exported.header, exported.header.agent
        try:
            for offset, frame in exported.frames:
                far(offset)
                outcome = self._ingest.bring(agent, frame, by_any_key=by_any_key)
                found["frames"] += 1
                found["new"] += outcome.new
                found["known"] += outcome.known
                found[outcome.result] += 1
                _name(why, outcome)
                if outcome.new or outcome.known:
                    told = unverified(frame)
                    bare += _lost_bodies(told)
                    found[f"new {told.stream}"] += outcome.new
                    came[told.epoch, told.stream] += outcome.new
                    found[f"known {told.stream}"] += outcome.known
        except (Invalid, Damaged) as error:
            damage = error.message
        for head in header.heads:
            outcome = self._ingest.bring_head(agent, head.encode(), by_any_key=by_any_key)
            found[outcome.result] += 1
            _name(why, outcome)
        with self._store.read() as connection:
            newest = {w.stream: w.committed_through for w in intake.watermarks(connection) if w.agent == agent}
        result = Imported(
            agent,
            header.made_at,
            digest,
            found["frames"],
            found["new"],
            found["known"],
            found["conflict"],
            found["quarantined"],
            found["hole"],
            damage,
            newest,
            len(bare),
            tuple("/".join(map(str, record)) for record in bare[:MOST_NAMED]),
            found[f"new {TELEMETRY}"],
            found[f"known {TELEMETRY}"],
            tuple(why),
        )
        return result, bare, +came


def settle(connection: Connection, facts: Facts) -> None:
    """State of each import without an end that it was cut short: at a start none is under way."""
    for begun, ended in imports(connection):
        if ended is None:
            which = {name: begun.params.get(name) for name in ("agent", "digest", "import")}
            facts.state(connection, OperationsEvent(CUT_SHORT, which), stream="audit")


def _name(why: dict[str, None], outcome: Outcome) -> None:
    """Remember what was wrong with a frame or head, once and in the order in which it was met."""
    if outcome.result == "quarantined" and len(why) < MOST_NAMED:
        why[outcome.detail] = None


def _lost_bodies(header: FrameHeader) -> list[_Record]:
    """Which records of a frame that was taken lost their content on their disk."""
    return [
        (header.epoch, header.stream, seq)
        for seq, entry in enumerate(header.records, header.first)
        if entry.tombstone is not None and entry.tombstone.reason == DAMAGED
    ]


def _runs(records: Iterable[_Record]) -> Iterator[tuple[tuple[str, str], int, int]]:
    """Epoch and stream, first and last seq of each run of them."""
    rising = enumerate(sorted(set(records)))
    for (epoch, stream, _), run in groupby(rising, lambda each: (each[1][0], each[1][1], each[1][2] - each[0])):
        seqs = [seq for _, (_, _, seq) in run]
        yield (epoch, stream), seqs[0], seqs[-1]


def _check_file(path: Path) -> None:
    """Raises Unknown: a pipe would keep its reader waiting, and a device may never end. OSError."""
    if not path.is_file():
        path.stat()  # says what else is wrong
        raise Unknown(f"{path} is no ordinary file: nothing was read", hint="write the export into a file first")


def _digest(path: Path) -> str:
    """SHA-256 of the file, hexadecimal: which file it was, for who keeps it."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
