"""From what was captured to what is recorded: pure functions that build one ``OperationRecord``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.papers import Specified
from edge_agent.station_settings import Material, ResultSource, StationSettings
from records.model import (
    LONGEST_ID,
    Counter,
    Data,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    TestResult,
)

UNKNOWN = "unknown"
"""Id of a subject that the reader did not give; the record is kept, review shows ``identity-unknown``."""


@dataclass(frozen=True, slots=True)
class MountedLot:
    """The component lot that a station takes from now."""

    item: str
    lot: str
    expiry: str | None = None


def good_value(readings: Mapping[str, Reading], tag: str | None) -> JsonValue:
    """The value of a tag that was read well, else None."""
    if tag is None or tag not in readings or readings[tag].quality is Quality.BAD:
        return None
    return readings[tag].value


def identifier(value: object) -> str | None:
    """A value as the text that names something, None where it is empty or longer than an identifier can be."""
    text = "" if value is None else str(value).strip()
    return text if 0 < len(text) <= LONGEST_ID else None


def text_value(readings: Mapping[str, Reading], tag: str | None) -> str | None:
    """The value as an identifier; None also when it was not read well."""
    return identifier(good_value(readings, tag))


def integer_value(readings: Mapping[str, Reading], tag: str | None) -> int | None:
    """The value as an integer, None when it was not read or is none that a record can hold (63 bits)."""
    value = good_value(readings, tag)
    if not isinstance(value, int | float) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        return None
    return int(value)


def purpose_of(settings: StationSettings, readings: Mapping[str, Reading]) -> Purpose:
    """What the machine says the run is for. An unknown or unread mode counts as production: it must show."""
    if settings.purpose is None:
        return Purpose.PRODUCTION
    mode = integer_value(readings, settings.purpose.tag)
    return Purpose.PRODUCTION if mode is None else settings.purpose.values.get(mode, Purpose.PRODUCTION)


def machine_result(source: ResultSource | None, readings: Mapping[str, Reading]) -> Result:
    """The machine's own verdict."""
    if source is None:
        return Result.NOT_JUDGED
    value = good_value(readings, source.tag)
    meanings = (
        (source.passed, Result.PASS),
        (source.fail, Result.FAIL),
        (source.scrap, Result.SCRAP),
        (source.aborted, Result.ABORTED),
    )
    for meant, result in meanings:
        if meant is not None and value is not None and meant == value:
            return result
    return Result.NOT_JUDGED


def tests_of(
    specified: Iterable[tuple[str, str, Specified, str]], readings: Mapping[str, Reading]
) -> tuple[TestResult, ...]:
    """Each captured characteristic that has a specification, judged. Limits belong to the good side.

    ``specified``: name, tag and specification of each, and where the specification came from.
    """
    tests = []
    for name, tag, spec, source in specified:
        reading = readings.get(tag)
        if reading is None or (spec.lsl is None and spec.usl is None):
            continue
        value = reading.value if isinstance(reading.value, int | float) else None
        result = Result.NOT_JUDGED
        if value is not None and reading.quality is not Quality.BAD:
            inside = (spec.lsl is None or value >= spec.lsl) and (spec.usl is None or value <= spec.usl)
            result = Result.PASS if inside else Result.FAIL
        tests.append(
            TestResult(
                name,
                None if value is None else float(value),
                reading.unit,
                spec.lsl,
                spec.usl,
                spec.target,
                result,
                source,
            )
        )
    return tuple(tests)


def judged(machine: Result, tests: Iterable[TestResult]) -> tuple[Result, str | None]:
    """The worse of the machine's verdict and our tests, with the reason when it is not the machine's."""
    failed = any(test.result is Result.FAIL for test in tests)
    if failed and machine in (Result.PASS, Result.NOT_JUDGED):
        return Result.FAIL, "out-of-specification"
    return machine, None


def subject_results(
    subjects: Sequence[tuple[Subject, str | None]],
    attempts: Mapping[tuple[str, str | None, str, str], int],
    machine: Result,
    tests: tuple[TestResult, ...],
) -> tuple[SubjectResult, ...]:
    """One result per (subject, position); the run's tests are the tests of each subject in it."""
    result, reason = judged(machine, tests)
    return tuple(
        SubjectResult(subject, result, attempts.get(subject.key, 0) + 1, position, reason, tests)
        for subject, position in subjects
    )


LOAD_TOGETHER = 3 * 512 * 1024
"""Most bytes that all subjects of a run may take in its record; the rest is for its readings."""
_SUBJECT_BYTES, _TEST_BYTES = 700, 400
"""Most that is written of a subject beside its names, where it is scrap too, and of a test."""


def fits_a_record(subjects: Iterable[tuple[Subject, str | None]], tests: int) -> bool:
    """Whether one run can be recorded of these subjects, each with its position and so many tests."""
    names = [f"{subject.id}{subject.product}{position}".encode() for subject, position in subjects]
    each = _SUBJECT_BYTES + tests * _TEST_BYTES
    return sum(each + 2 * len(name) for name in names) <= LOAD_TOGETHER


def consumed(
    materials: Sequence[Material], lots: Sequence[MountedLot], target: Subject, purpose: Purpose
) -> tuple[MaterialActual, ...]:
    """What one run takes from the mounted lots; a component without a mounted lot is recorded as unknown."""
    by_item = {lot.item: lot.lot for lot in lots}
    reason = None if purpose.counts else purpose.value
    return tuple(
        MaterialActual(
            MaterialKind.CONSUMED,
            Subject(SubjectKind.LOT, by_item.get(m.item, UNKNOWN), m.item, "supplier", str(m.per_unit)),
            target,
            str(m.per_unit),
            reason=reason,
        )
        for m in materials
    )


def counters_of(settings: StationSettings, readings: Mapping[str, Reading]) -> tuple[Counter, ...]:
    found = ((name, integer_value(readings, tag)) for name, tag in settings.counters.items())
    return tuple(Counter(name, value) for name, value in found if value is not None)


def named(
    readings: Mapping[str, Reading], characteristics: Mapping[str, CharacteristicSettings]
) -> tuple[Reading, ...]:
    """The readings as a record holds them: each characteristic's under its name, 64-bit integers as text."""
    names: dict[str, str] = {}
    for name, settings in characteristics.items():
        for tag in settings.sources():
            names.setdefault(tag, name)
    return tuple(
        replace(reading, value=_exact(reading), characteristic=names.get(tag)) for tag, reading in readings.items()
    )


def sources_to_tell(characteristics: Mapping[str, CharacteristicSettings]) -> dict[str, tuple[str, ...]]:
    """The tags of each characteristic whose readings do not say it by their name, as ``named`` gives them."""
    told: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name, settings in characteristics.items():
        tags = settings.sources()
        if len(tags) > 1 or not taken.isdisjoint(tags):
            told[name] = tags
        taken.update(tags)
    return told


def _exact(reading: Reading) -> JsonValue:
    """JSON numbers are doubles to many readers: what needs 64 bits is written in digits."""
    if reading.data_type.removesuffix("[]") not in ("int64", "uint64"):
        return reading.value
    if isinstance(reading.value, list):
        return [str(value) for value in reading.value]
    return None if reading.value is None else str(reading.value)


LARGEST_READING = 256 * 1024
"""Most bytes of one reading in a record that would not go into the buffer otherwise."""
READINGS_TOGETHER = 2 * 1024 * 1024
"""Most bytes of all its readings; the rest of what a record may take is for everything else in it."""


def storable(data: Data) -> tuple[Data, tuple[str, ...]]:
    """The same without readings that no buffer can hold, which become bad ones; and the tags of those.

    A machine's cycle is recorded whatever it shows: refusing the whole record would stop the line for good. Where
    all of them are too much together, the largest are given up.
    """
    if not isinstance(data, OperationRecord):
        return data, ()
    sizes = {at: _bytes(reading) for at, reading in enumerate(data.readings)}
    kept = sorted((size, at) for at, size in sizes.items() if size is not None and size <= LARGEST_READING)
    while sum(size for size, _ in kept) > READINGS_TOGETHER:
        kept.pop()
    left = {at for _, at in kept}
    readings = tuple(
        reading
        if at in left
        else replace(reading, value=None, quality=Quality.BAD, status="BadNotStorable", raw=None)
        for at, reading in enumerate(data.readings)
    )
    given_up = tuple(reading.tag for at, reading in enumerate(data.readings) if at not in left)
    return replace(data, readings=readings), given_up


def _bytes(reading: Reading) -> int | None:
    """In a record; None: it cannot be written at all."""
    try:
        return len(json.dumps([reading.value, reading.raw], ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return None
