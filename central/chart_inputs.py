"""What a chart took from a record, by the characteristic as the resolved line file holds it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from records.model import OperationRecord, Quality, Reading
from records.verdict import SpcState
from spc.state import Sample

UNKNOWN = "unknown"
"""The position of a piece whose cavity or head could not be read, as the line calls it."""


def word(value: JsonValue) -> str | None:
    """A text of the line file, None for what is none."""
    return value if isinstance(value, str) else None


def tags_of(own: Mapping[str, JsonValue]) -> list[str]:
    """The tags that the chart reads: one, or one a variable, and that with the size of a sample."""
    several = own.get("tags")
    told: list[JsonValue] = [*several] if isinstance(several, list) and several else [own.get("tag")]
    return [str(tag) for tag in (*told, own.get("size")) if tag is not None]


def position_of(own: Mapping[str, JsonValue], record: OperationRecord) -> str | None:
    """The cavity or head that was measured, fixed or as the machine told it."""
    told = own.get("position")
    if not isinstance(told, dict):
        return word(told)
    reading = next((r for r in record.readings if r.tag == told.get("tag")), None)
    if reading is None or reading.quality is Quality.BAD or reading.value is None:
        return UNKNOWN
    return str(reading.value).strip() or UNKNOWN


def sample_of(own: Mapping[str, JsonValue], record: OperationRecord, *, plottable: bool) -> Sample:
    """The reading as the line's chart took it: bad quality is a gap, what is uncertain makes no limits."""
    readings = {reading.tag: reading for reading in record.readings}
    several = own.get("tags")
    tags = [str(tag) for tag in several] if isinstance(several, list) and several else [str(own.get("tag"))]
    read = [readings.get(tag) for tag in tags]
    values = tuple(number(reading) if plottable else None for reading in read)
    size: float | None = 1.0
    if own.get("size") is not None:
        read.append(readings.get(str(own["size"])))
        size = number(read[-1])
    if size is None:
        values, size = (None,) * len(values), 1.0
    certain = all(reading is not None and reading.quality is Quality.GOOD for reading in read)
    return Sample(values, size, certain)


def readings_of(record: OperationRecord, state: SpcState) -> list[Reading]:
    """The readings that a chart took from a record, of several variables in the chart's order."""
    if state.tags is None:
        return [reading for reading in record.readings if reading.characteristic == state.characteristic]
    readings = {reading.tag: reading for reading in record.readings}
    return [readings[tag] for tag in state.tags if tag in readings]


def uncertain(record: OperationRecord, state: SpcState, taken: list[Reading]) -> bool:
    """Whether a reading that the chart took was of uncertain quality, the size of the sample among them."""
    for reading in taken:
        if reading.quality is Quality.UNCERTAIN:
            return True
    if state.size_tag is None:
        return False
    return any(r.quality is Quality.UNCERTAIN for r in record.readings if r.tag == state.size_tag)


def number(reading: Reading | None) -> float | None:
    """The value as a chart takes it, None where it is none; whole numbers of 64 bits are recorded in digits."""
    if reading is None or reading.quality is Quality.BAD or isinstance(reading.value, bool):
        return None
    value = reading.value
    if not isinstance(value, int | float) and not (
        isinstance(value, str) and reading.data_type in ("int64", "uint64")
    ):
        return None
    try:
        return float(int(value)) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):  # no agent writes such, but a record may hold it
        return None
