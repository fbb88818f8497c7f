"""Everything that the line computed of a lot, computed again from raw registers, and held against the records.

Readings: each one's value again from its raw bytes, by the tag map whose hash its record names. Verdicts: each
chart that judged a record of the lot, followed from its oldest record held, by the configuration, recipes and
limit sets that each record names. Nothing is written; what differs, and what cannot be compared and why, is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from pydantic import JsonValue

from central.replay import Compared, Replay
from central.rescale import TagMaps, same
from central.store import histories, search
from central.store.engine import Connection
from central.stored import StoredFact
from records.configuration import ConfigurationRecord
from records.errors import Invalid, Unknown
from records.model import OperationRecord, OperationsEvent, Reading

MOST_DIFFERENCES = 1000
"""Most differences that are told one by one; all are counted."""
DOCUMENTS = ("recipe", "limit-sets")


@dataclass
class Part:
    """What was compared of one kind. ``reasons``: why some could not be."""

    compared: int = 0
    equal: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    differ: list[dict[str, JsonValue]] = field(default_factory=list)

    @property
    def differing(self) -> int:
        return self.compared - self.equal

    def add(self, difference: dict[str, JsonValue] | None) -> None:
        """One that could be compared; None: equal."""
        self.compared += 1
        if difference is None:
            self.equal += 1
        elif len(self.differ) < MOST_DIFFERENCES:
            self.differ.append(difference)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "compared": self.compared,
            "equal": self.equal,
            "not_comparable": self.reasons.total(),
            "reasons": dict(sorted(self.reasons.items())),
            "differ": [*self.differ],
        }


@dataclass
class Recomputed:
    """The result for one lot of one product."""

    lot: str
    product: str | None
    records: int = 0
    readings: Part = field(default_factory=Part)
    verdicts: Part = field(default_factory=Part)

    @property
    def differing(self) -> bool:
        return bool(self.readings.differing or self.verdicts.differing)

    @property
    def compared(self) -> int:
        return self.readings.compared + self.verdicts.compared

    @property
    def ok(self) -> bool:
        """Nothing that could be compared differs, and not everything was beyond comparing."""
        beyond = self.readings.reasons.total() + self.verdicts.reasons.total()
        return not self.differing and (self.compared > 0 or not beyond)

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "ok": self.ok,
            "lot": self.lot,
            "product": self.product,
            "records": self.records,
            "readings": self.readings.to_json(),
            "verdicts": self.verdicts.to_json(),
        }


def recompute(
    connection: Connection,
    lot: str,
    product: str | None = None,
    progress: Callable[[int], None] = lambda _records: None,
) -> Recomputed:
    """Compute a lot again from the records held; ``progress`` is told how many records were read so far.

    Raises:
        Unknown: no operation records of this lot. Invalid: it is of several products and none was named.
    """
    wanted = search.Wanted(lot=lot, product=product, kinds=("operation_record",))
    facts = [fact for fact in search.facts(connection, wanted) if not _again(connection, fact)]
    products = sorted({data.product or "" for _, data in _records(facts)})
    if not facts:
        raise Unknown(f"there are no operation records of lot {lot}" + (f" of {product}" if product else ""))
    if len(products) > 1:
        raise Invalid(f"lot {lot} is of several products: {', '.join(products)}", hint="name one: --product")
    line_files = _LineFiles(connection)
    result = Recomputed(lot, products[0] or None, len(facts))
    for fact, record in _records(facts):
        _rescale(result.readings, fact, record, line_files)
    _replay(connection, result, facts, line_files, progress)
    return result


def _records(facts: Iterable[StoredFact]) -> list[tuple[StoredFact, OperationRecord]]:
    return [(fact, fact.fact.data) for fact in facts if isinstance(fact.fact.data, OperationRecord)]


def _again(connection: Connection, fact: StoredFact) -> bool:
    """Whether this record is held a first time, under the identity that it had before a disk was rolled back."""
    first = fact.fact.header.stored_as
    return first is not None and first.hash is not None and histories.known_hash(connection, first.hash)


class _LineFiles:
    """What agents made of their line files, by agent and hash."""

    def __init__(self, connection: Connection) -> None:
        self._resolved: dict[tuple[str, str], Mapping[str, JsonValue] | None] = {}
        for fact in search.facts(connection, search.Wanted(kinds=("configuration",))):
            record = fact.fact.data
            if isinstance(record, ConfigurationRecord):
                resolved = record.resolved if isinstance(record.resolved, dict) else None
                self._resolved.setdefault((fact.agent, record.hash), resolved)
        self._tag_maps: dict[tuple[str, str], TagMaps] = {}

    def characteristics(self, agent: str, hash_: str | None) -> Mapping[str, JsonValue] | None:
        resolved = self._resolved.get((agent, hash_ or ""))
        told = None if resolved is None else resolved.get("characteristics")
        return told if isinstance(told, dict) else None

    def tag_maps(self, agent: str, hash_: str | None) -> TagMaps | None:
        key = (agent, hash_ or "")
        resolved = self._resolved.get(key)
        if resolved is None:
            return None
        if key not in self._tag_maps:
            self._tag_maps[key] = TagMaps(resolved)
        return self._tag_maps[key]


# -- readings ----------------------------------------------------------------------------------------------


def _rescale(part: Part, fact: StoredFact, record: OperationRecord, line_files: _LineFiles) -> None:
    maps = line_files.tag_maps(fact.agent, fact.fact.header.configuration)
    for reading in record.readings:
        if maps is None:
            part.reasons["configuration-unknown"] += 1
            continue
        again = maps.again(reading)
        if again.why is not None:
            part.reasons[again.why] += 1
        elif same(reading, again.value):
            part.add(None)
        else:
            part.add(_reading_differs(fact, record, reading, again.value))


def _reading_differs(
    fact: StoredFact, record: OperationRecord, reading: Reading, value: JsonValue
) -> dict[str, JsonValue]:
    return {
        "record": fact.hash,
        "run_id": record.run_id,
        "station": record.station,
        "tag": reading.tag,
        "raw": reading.raw,
        "recorded": reading.value,
        "recomputed": value,
    }


# -- verdicts ----------------------------------------------------------------------------------------------


def _replay(
    connection: Connection,
    result: Recomputed,
    facts: list[StoredFact],
    line_files: _LineFiles,
    progress: Callable[[int], None],
) -> None:
    issued: dict[tuple[str, str, int], object] | None = None

    def content(kind: str, name: str, version: int) -> JsonValue:
        nonlocal issued
        if issued is None:
            issued = histories.issued(connection, DOCUMENTS)
        return cast(JsonValue, issued[kind, name, version])

    ours = {fact.hash for fact in facts}
    read = 0
    for (agent, station), last in _stations(facts).items():
        replay = Replay(line_files.characteristics, content)
        lost = bool(histories.unreadable(connection, agent))
        pieces = _pieces(facts, agent, station)
        for fact in histories.of_station(connection, agent, station):
            if fact.cursor > last and isinstance(fact.fact.data, OperationRecord) and not replay.waits_for(ours):
                break
            read += 1
            progress(read)
            if isinstance(fact.fact.data, OperationRecord) and _again(connection, fact):
                continue
            for compared in replay.take(fact):
                if fact.hash in ours or _names(fact, pieces):
                    _count(result.verdicts, compared, lost=lost)


def _stations(facts: list[StoredFact]) -> dict[tuple[str, str], int]:
    """Stations whose charts judged records of the lot, with the cursor of the last one."""
    found: dict[tuple[str, str], int] = {}
    for fact, record in _records(facts):
        if record.spc:
            found[fact.agent, record.station] = fact.cursor
    return found


def _pieces(facts: list[StoredFact], agent: str, station: str) -> frozenset[tuple[str, str | None, str, str]]:
    return frozenset(
        one.subject.key
        for fact, record in _records(facts)
        if (fact.agent, record.station) == (agent, station)
        for one in record.subjects
    )


def _names(fact: StoredFact, pieces: frozenset[tuple[str, str | None, str, str]]) -> bool:
    """Whether an event is about a piece of the lot."""
    data = fact.fact.data
    return isinstance(data, OperationsEvent) and any(subject.key in pieces for subject in data.subjects)


def _count(part: Part, compared: Compared, *, lost: bool) -> None:
    if compared.why is not None:
        part.reasons[compared.why] += 1
    elif compared.fields and lost:
        part.reasons["records-thinned"] += 1
    elif compared.equal:
        part.add(None)
    else:
        fields = compared.fields or {}
        told: dict[str, JsonValue] = {
            name: {"recorded": recorded, "recomputed": value} for name, (recorded, value) in fields.items()
        }
        part.add(
            {
                "record": compared.fact.hash,
                "kind": compared.fact.kind,
                "characteristic": compared.characteristic,
                "stream": compared.stream,
                "subgroup": compared.subgroup,
                "fields": told,
            }
        )
