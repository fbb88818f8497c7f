"""The gap certificate of one agent as a whole: all of its chains, all cycles of its machines.

The same grades and rules as for a lot (``central.certificate``), over everything that is here of the agent. A
count that goes on over a restart of the agent goes on here, too: what it missed it has stated, or it stands here
as not accounted for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from central.certificate import worst
from central.counters import COUNTING, MISSED, NEAR, REPLACED, SIZES
from central.domain import EpochEvidence, Grade
from central.dossier import whole
from central.judgement import Gap
from central.store import again, chains, countings, intake, snapshots
from central.store.brought import Part, brought
from central.store.countings import Link, Moment
from central.store.engine import Connection
from central.store.gaps import chunks_left
from records.clock import MICROSECONDS, iso_z
from records.errors import Unknown
from records.wire import Head

NAMED = 1000
"""Most cycles that a part names one by one."""


@dataclass(slots=True)
class _Counting:
    """One station's cycles within one counting."""

    station: str
    number: int
    provable: bool
    first: int | None = None
    last: int | None = None
    recorded: int = 0
    missed: int = 0
    doubled: int = 0
    unaccounted: list[int] = field(default_factory=list)
    unaccounted_count: int = 0

    @property
    def grade(self) -> Grade:
        if self.unaccounted_count or self.doubled:
            return Grade.INCOMPLETE
        return Grade.COMPLETE if self.provable and self.first is not None else Grade.CYCLES_NOT_PROVABLE

    def absent(self, cycles: range, declared: list[range]) -> None:
        """Cycles without a record: declared missed, or not accounted for."""
        stated = sum(len(_shared(cycles, each)) for each in declared)
        if stated >= len(cycles):
            self.missed += len(cycles)
            return
        for cycle in cycles[:NAMED]:
            if any(cycle in each for each in declared):
                self.missed += 1
            else:
                self.unaccounted_count += 1
                self.unaccounted.append(cycle)
        self.unaccounted_count += max(0, len(cycles) - NAMED)
        del self.unaccounted[NAMED:]

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "station": self.station,
            "period": self.number,
            "first": self.first,
            "last": self.last,
            "recorded": self.recorded,
            "missed": self.missed,
            "unaccounted": [*self.unaccounted],
            "unaccounted_count": self.unaccounted_count,
            "doubled": self.doubled,
            "grade": self.grade.value,
        }


def certificate_of(connection: Connection, agent: str, now_us: int, grace_s: float) -> dict[str, JsonValue]:
    """The certificate as JSON; ``grade`` is that of the whole. ``grace_s``: how old a signed head may be.

    Raises:
        Unknown: nothing is here of an agent of that name.
    """
    links = countings.links(connection, agent)
    if not links:
        raise Unknown(f"nothing is here of an agent {agent!r}")
    here = chains.opened(connection, [agent])
    epochs = {each.epoch: each for each in chains.epochs_of(connection, here)}
    otherwise = {epoch: chains.signed_otherwise(connection, agent, epoch, here) for epoch in epochs}
    told = [_chain(connection, agent, link, links, epochs, otherwise, now_us, grace_s) for link in links]
    stations = _countings(connection, agent, [link for link in links if link.stream == chains.RECORDS])
    grades = [Grade(str(chain["grade"])) for chain in told] + [station.grade for station in stations]
    parts = [Part(agent, link.epoch, link.stream, link.first, link.last) for link in links]
    return {
        "agent": agent,
        "grade": worst(grades).value,
        "chains": [*told],
        "cycles": [station.to_json() for station in stations],
        "brought": [each.to_json() for each in brought(connection, parts)],
    }


def _chain(
    connection: Connection,
    agent: str,
    link: Link,
    links: list[Link],
    epochs: Mapping[str, EpochEvidence],
    otherwise: Mapping[str, Sequence[int]],
    now_us: int,
    grace_s: float,
) -> dict[str, JsonValue]:
    """One chain; ``epochs``: those of its agent's records. ``missing_records``: which records of this very chain
    its agent made and are not here, ``signed`` by its own head, or as it said later. ``lost``: what its agent says
    in it that it had made before, in whichever epochs, and no longer has. ``otherwise``: as in ``ChainEvidence``.
    """
    same = [each for each in links if each.stream == link.stream]
    newest = link is same[-1]
    of_records = link.stream == chains.RECORDS
    own = epochs.get(link.epoch) if of_records else None
    held = intake.held_head(connection, agent, link.epoch, link.stream)
    head, stated_us = (None, 0) if held is None else (held[0], intake.stated_us(held[0].at_us, held[1]))
    joined = link is same[0] or not of_records or (own is not None and own.joined)
    if of_records:
        lost = () if own is None else tuple(gap for gap in own.gaps if not gap.signed)
    else:
        lost = chunks_left(connection, agent, link.epoch)
    told = [gap for each in epochs.values() for gap in each.gaps if of_records and gap.epoch == link.epoch]
    later = [each.epoch for each in same[same.index(link) + 1 :]]
    chunks, untold = _chunks_behind(connection, head, link, later)
    gaps = sorted([*told, *chunks], key=lambda gap: gap.first)
    missing = link.last - link.records + sum(gap.count for gap in gaps)
    silent = head is None or head.last > link.last or now_us - stated_us > grace_s * MICROSECONDS
    grade = Grade.COMPLETE
    thinned = link.tombstones > 0 and of_records
    twice = otherwise.get(link.epoch, ()) if of_records else ()
    if missing or thinned or lost or twice or not joined:
        grade = Grade.INCOMPLETE
    elif untold or (newest and silent):
        grade = Grade.TAIL_UNKNOWN
    return {
        "stream": link.stream,
        "epoch": link.epoch,
        "first": link.first,
        "last": link.last,
        "records": link.records,
        "missing": missing,
        "missing_records": [{"first": gap.first, "last": gap.last, "signed": gap.signed} for gap in gaps],
        "otherwise": [*twice],
        "tombstones": link.tombstones,
        "joined": joined,
        "lost": [{"epoch": gap.epoch, "first": gap.first, "last": gap.last} for gap in lost],
        "head_last": None if head is None else head.last,
        "head_at": None if head is None else iso_z(head.at_us),
        "grade": grade.value,
    }


def _chunks_behind(
    connection: Connection, head: Head | None, link: Link, later: Sequence[str]
) -> tuple[tuple[Gap, ...], bool]:
    """Telemetry of a former epoch that its signed head names, is not here, and does not stand in a ``later`` one;
    whether that cannot be told. Records have their own rules (``central.store.gaps``).
    """
    if head is None or link.stream == chains.RECORDS or not later or head.last <= link.last:
        return (), False
    stand = again.chunk_stands(connection, head.agent, later, (head.epoch, head.last, head.hash))
    missing = () if stand is not False else (Gap(link.epoch, link.last + 1, head.last, signed=True),)
    return missing, stand is None


def _countings(connection: Connection, agent: str, links: list[Link]) -> list[_Counting]:
    """Each station's countings, one after the other."""
    stated = _stated(connection, agent)
    declared: dict[str, list[range]] = {}  # in the present counting, and since its last record
    since: dict[str, list[range]] = {}
    open_: dict[str, _Counting] = {}
    found: list[_Counting] = []
    away: set[str] = set()  # stations of which something was not seen since their last record
    replaced: set[str] = set()
    for moment in _moments(connection, agent, links):
        station = moment.station or ""
        if moment.code == MISSED:
            since.setdefault(station, []).extend(stated.get((moment.epoch, moment.seq), []))
            continue
        if moment.code is not None:
            away |= open_.keys()
            replaced |= open_.keys() if moment.code == REPLACED else set()
            continue
        counting = open_.get(station)
        began_anew = counting is not None and _anew(counting, moment.cycle)
        told = since.pop(station, [])
        if counting is None or began_anew or station in replaced:
            declared[station] = []
            counting = _next(station, counting, moment.cycle, told, unwatched=station in away)
            open_[station] = counting
            found.append(counting)
        declared[station] += told
        _count(counting, moment.cycle, declared[station])
        away.discard(station)
        replaced.discard(station)
    return sorted(found, key=lambda each: (each.station, each.number))


def _anew(counting: _Counting, cycle: int | None) -> bool:
    return cycle is not None and counting.last is not None and cycle < counting.last


def _next(
    station: str, before: _Counting | None, cycle: int | None, declared: list[range], *, unwatched: bool
) -> _Counting:
    if before is None:
        return _Counting(station, 1, provable=cycle is not None and cycle <= 1)
    counting = _Counting(station, before.number + 1, provable=cycle is not None and cycle <= 1 and not unwatched)
    last = before.last
    size = None if last is None else next((size for size in SIZES if size - NEAR <= last < size), None)
    if size is not None and last is not None and cycle is not None and cycle <= NEAR and not unwatched:
        counting.provable = True
        lost = [*range(last + 1, size), *(range(cycle) if cycle > 1 else ())]
        stated = [one for one in lost if any(one in each for each in declared)]
        counting.missed = len(stated)
        counting.unaccounted = [one for one in lost if one not in stated]
        counting.unaccounted_count = len(counting.unaccounted)
    return counting


def _count(counting: _Counting, cycle: int | None, declared: list[range]) -> None:
    counting.recorded += 1
    if cycle is None:
        counting.provable = False
        return
    if counting.last is None:
        counting.first = cycle
    elif cycle == counting.last:
        counting.doubled += 1
    elif cycle > counting.last + 1:
        counting.absent(range(counting.last + 1, cycle), declared)
    counting.last = cycle


def _moments(connection: Connection, agent: str, links: list[Link]) -> Iterator[Moment]:
    for link in links:
        yield from countings.moments(connection, agent, link.epoch, COUNTING)


def _stated(connection: Connection, agent: str) -> dict[tuple[str, int], list[range]]:
    """Cycles that the agent itself stated as missed, by epoch and seq of the event."""
    found: dict[tuple[str, int], list[range]] = {}
    for item in snapshots.coded(connection, MISSED, chains.RECORDS):
        said = snapshots.said_by(item) if item.agent == agent else None
        if said is None:
            continue
        first, last = whole(said.params.get("first")), whole(said.params.get("last"))
        if first is not None and last is not None:
            found[item.epoch, item.seq] = [range(first, last + 1)]
    return found


def _shared(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))
