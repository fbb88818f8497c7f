"""What explains that a record has a tombstone instead of its body: for every one of them there must be something.

A chain holds without bodies, and no signature says which records had one: so whoever can write to the database
could take any body away. But nothing gives up a body without saying so in a chain:

- central, past their retention: ``retention-applied``, which says how many, received before when, by whom; never
  a record of its own;
- an agent that thinned its telemetry: ``telemetry-thinned`` among its records, which says which chunks and how
  many;
- an agent whose disk lost a body: ``record-damaged`` in the same stream, which names the record and its digest;
  or, where that disk was read for an export, central's own ``export-imported``.

Of telemetry that was received before an act gave up all that was so old, the agent's own reason may be gone too:
the act is enough. What says so can come later than the tombstone: it is awaited while the agent states that it has
records which are not here, or has stated nothing since; and an act is, until an anchor names it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from central.retention import APPLIED
from central.store import chains, envelopes, intake, search, snapshots
from central.store import tombstones as sql
from central.store.engine import Connection
from central.store.envelopes import TELEMETRY
from central.store.retention import REASON, RECORDS
from central.store.tombstones import DAMAGE_TOLD, THINNED, Buried, Grave
from central.stored import StoredFact
from central.witness import Key, Witnesses
from records.model import OperationsEvent
from records.wire import CENTRAL, DAMAGED, Envelope, Head

IMPORTED = "export-imported"


@dataclass(frozen=True, slots=True)
class Unexplained:
    """The first record of a chain whose tombstone nothing explains."""

    key: Key
    seq: int
    reason: str


@dataclass(slots=True)
class Graves:
    """``awaited``: tombstones whose explanation may be on its way."""

    unexplained: list[Unexplained]
    awaited: int


def examine(connection: Connection, anchored: Sequence[Head], found: Witnesses) -> Graves:
    """Look for what explains each tombstone; the chains themselves were proven before."""
    acts = _acts(connection, anchored)
    told = _Told(connection, acts, found)
    bad: dict[Key, tuple[int, str]] = {}
    more: Counter[Key] = Counter()
    awaited = acts.awaited
    for grave in sql.without_act(connection):
        why = told.missing(grave)
        if why is None:
            continue
        if told.awaits(grave):
            awaited += 1
            continue
        key = (grave.agent, grave.epoch, grave.stream)
        bad.setdefault(key, (grave.seq, why))
        more[key] += 1
    unexplained = [*acts.bad]
    for key, (seq, why) in bad.items():
        others = f" ({more[key]} such records in this chain)" if more[key] > 1 else ""
        unexplained.append(Unexplained(key, seq, f"{why}{others}"))
    return Graves(unexplained, awaited)


# -- acts of central ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Acts:
    """``telemetry_us``: all telemetry received before it may have been given up, by an act that holds."""

    bad: list[Unexplained] = field(default_factory=list)
    awaited: int = 0
    telemetry_us: int = 0


def _acts(connection: Connection, anchored: Sequence[Head]) -> _Acts:
    reach: dict[Key, int] = {}
    for head in anchored:
        key = (head.agent, head.epoch, head.stream)
        reach[key] = max(reach.get(key, 0), head.last)
    found = _Acts()
    groups: defaultdict[str, list[Buried]] = defaultdict(list)
    for buried in sql.by_act(connection):
        groups[buried.act].append(buried)
    for act, all_of_it in groups.items():
        fact = search.by_hash(connection, act)
        why = _fault(fact, all_of_it)
        if why is not None or fact is None:
            agent, epoch, stream, seq = sql.record(connection, all_of_it[0].first)
            count = sum(each.count for each in all_of_it)
            reason = f"the record's body was given up with {count - 1} others, and {why}"
            found.bad.append(Unexplained((agent, epoch, stream), seq, reason))
            continue
        if reach.get((fact.agent, fact.epoch, fact.stream), 0) < fact.seq:
            found.awaited += sum(each.count for each in all_of_it)
        elif any(each.stream == TELEMETRY for each in all_of_it):
            found.telemetry_us = max(found.telemetry_us, int(_params(fact)["until"]))
    return found


def _fault(fact: StoredFact | None, graves: list[Buried]) -> str | None:
    """Why a fact does not explain the tombstones that name it; None where it does."""
    if fact is None or (fact.agent, fact.stream) != (CENTRAL, "audit"):
        return "the act that its tombstone names is no fact of central's"
    params = _params(fact)
    if not params:
        return f"record {fact.seq} of central's audit stream, which its tombstone names, gave nothing up"
    act = f"record {fact.seq} of central's audit stream"
    for stream in (RECORDS, TELEMETRY):
        count = sum(each.count for each in graves if each.stream == stream)
        if count != params.get(stream):
            return f"{act} says that it gave up {params.get(stream)} bodies of {stream}, not {count}"
    if any((each.reason, each.by) != (REASON, params.get("by")) for each in graves):
        return f"{act} says another reason or another person"
    if not str(params.get("until")).isdigit() or any(each.received_us >= int(params["until"]) for each in graves):
        return f"{act} gave up what was received before {params.get('until')}: one of them came later"
    if any(each.last > fact.cursor for each in graves):
        return f"{act} is older than one of them"
    return None


def _params(fact: StoredFact) -> dict[str, Any]:
    data = fact.fact.data
    return dict(data.params) if isinstance(data, OperationsEvent) and data.code == APPLIED else {}


# -- what agents say ---------------------------------------------------------------------------------------

_Range = tuple[int, int, int]
"""First and last seq, and how many of them."""


class _Told:
    """What agents and imports say of bodies that they do not have; read when the first tombstone asks for it."""

    def __init__(self, connection: Connection, acts: _Acts, found: Witnesses) -> None:
        self._connection, self._acts, self._found = connection, acts, found
        self._used: Counter[tuple[str, str, int]] = Counter()

    def missing(self, grave: Grave) -> str | None:
        """Why nothing explains it; None where something does."""
        telemetry = grave.stream == TELEMETRY
        if telemetry and grave.received_us < self._acts.telemetry_us:
            return None
        if telemetry and grave.reason == "thinned":
            return self._not_thinned(grave)
        if grave.reason == DAMAGED:
            place = grave.agent, grave.stream, grave.epoch, str(grave.seq)
            if (*place, grave.digest.hex()) in self._damaged or self._was_imported(grave):
                return None
            return (
                "the record has no body, and no record of its agent says that its disk lost it (where an export "
                "brought it, import that once more)"
            )
        return f"the record's body is gone ({grave.reason}), and nothing in any chain says so"

    def awaits(self, grave: Grave) -> bool:
        """Whether its agent may have said it in a record that is not here: not here yet, or lost by a restore."""
        stream = RECORDS if grave.reason == "thinned" else grave.stream
        heads, through = self._heads
        stated = heads[grave.agent, stream]
        if any(head.last > through.get((head.agent, head.epoch, stream), 0) for head, _ in stated):
            return True
        if stated and all(received_us < grave.received_us for _, received_us in stated):
            return True
        lost = any(grave.received_us <= restore.held_until_us for restore in self._found.restores)
        return lost and grave.agent in self._with_gaps

    def _not_thinned(self, grave: Grave) -> str | None:
        ranges = self._thinned[grave.agent, grave.epoch]
        at = bisect_right(ranges, grave.seq, key=lambda each: each[0]) - 1
        if at < 0 or ranges[at][1] < grave.seq:
            return "the chunk is said to be thinned, and no record of its agent says so"
        self._used[grave.agent, grave.epoch, at] += 1
        first, last, chunks = ranges[at]
        if self._used[grave.agent, grave.epoch, at] > chunks:
            return f"of the chunks {first} to {last} its agent says that it thinned {chunks}: more have no body"
        return None

    def _was_imported(self, grave: Grave) -> bool:
        runs = self._imported[grave.agent, grave.epoch, grave.stream]
        return any(first <= grave.seq <= last for first, last in runs)

    @cached_property
    def _thinned(self) -> defaultdict[tuple[str, str], list[_Range]]:
        """What agents said that they thinned; where it overlaps, as one."""
        found: defaultdict[tuple[str, str], list[_Range]] = defaultdict(list)
        for agent, params in _said(snapshots.coded(self._connection, THINNED, RECORDS)):
            with suppress(KeyError, TypeError, ValueError):
                told = int(params["first"]), int(params["last"]), int(params["chunks"])
                found[agent, str(params["epoch"])].append(told)
        for key, ranges in found.items():
            joined: list[_Range] = []
            for first, last, chunks in sorted(ranges):
                if joined and first <= joined[-1][1]:
                    begin, end, before = joined.pop()
                    first, last, chunks = begin, max(end, last), before + chunks
                joined.append((first, last, chunks))
            found[key] = joined
        return found

    @cached_property
    def _damaged(self) -> set[tuple[str, str, str, str, str]]:
        """Agent, stream, epoch, seq and digest of bodies that a disk lost."""
        told = [
            (RECORDS, snapshots.coded(self._connection, DAMAGE_TOLD, RECORDS)),
            (TELEMETRY, sql.events_of_telemetry(self._connection)),
        ]
        return {
            (agent, stream, str(params.get("epoch")), str(params.get("seq")), str(params.get("digest")))
            for stream, items in told
            for agent, params in _said(items, DAMAGE_TOLD)
        }

    @cached_property
    def _imported(self) -> defaultdict[Key, list[tuple[int, int]]]:
        """Runs of what came by an import without its body."""
        found: defaultdict[Key, list[tuple[int, int]]] = defaultdict(list)
        for by, params in _said(snapshots.coded(self._connection, IMPORTED, "audit")):
            if by != CENTRAL:
                continue
            with suppress(KeyError, TypeError, ValueError):
                for epoch, stream, first, last in params["without_body"]:
                    found[str(params["agent"]), str(epoch), str(stream)].append((int(first), int(last)))
        return found

    @cached_property
    def _heads(self) -> tuple[defaultdict[tuple[str, str], list[tuple[Head, int]]], dict[Key, int]]:
        """The heads that an agent stated of its stream and when they came; through where each chain is here."""
        found: defaultdict[tuple[str, str], list[tuple[Head, int]]] = defaultdict(list)
        for head, received_us, _ in intake.heads(self._connection):
            found[head.agent, head.stream].append((head, received_us))
        marks = intake.watermarks(self._connection)
        return found, {(m.agent, m.epoch, m.stream): m.committed_through for m in marks}

    @cached_property
    def _with_gaps(self) -> set[str]:
        """Agents that no longer had records when central asked for them again."""
        all_of_them = {agent for agent, _, _ in envelopes.chains(self._connection) if agent != CENTRAL}
        told = chains.epochs(self._connection, all_of_them)
        return {each.agent for each in told if not all(gap.signed for gap in each.gaps)}


def _said(items: Iterable[Envelope], code: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Who stated an event, and its parameters; of this code alone."""
    for item in items:
        said = snapshots.said_by(item)
        if said is not None and code in (None, said.code):
            yield item.agent, said.params
