"""What a station remembers of its charts: a stream for each characteristic and key, kept under a name of its own.

A stream that is judged by another plan than before begins a new segment: when the chart, its subgroup, rules or
limits, or the measured tag are changed, no run of points and no open subgroup crosses the change. Subgroups count
on, so that none of an agent's epoch is named twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue, TypeAdapter, ValidationError

from records.fields import Int64
from spc.state import ChartState

MOST_STREAMS = 500
"""Most streams of one station; the one whose last reading is oldest gives way."""
HEAD = ""
"""The name under which what belongs to no single stream is kept."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One chart. ``key`` is the text of its ``ChartKey``, ``judged_by`` describes the plan it was last judged by.

    ``opened_us``: when its open subgroup was opened. ``order``, ``lot``: those of its last reading, whose time was
    ``used_us``. ``unlimited``: the order for which it was said last that there are no limits. ``left``: another
    product, revision or tool was set up since.
    """

    characteristic: str
    key: str
    state: ChartState
    judged_by: JsonValue
    opened_us: int | None = None
    order: str | None = None
    lot: str | None = None
    unlimited: str | None = None
    used_us: int = 0
    left: bool = False

    @property
    def name(self) -> str:
        return stream_name(self.characteristic, self.key)


def stream_name(characteristic: str, key: str) -> str:
    return f"{characteristic}?{key}"


@dataclass(frozen=True, slots=True)
class ChartMemory:
    """The streams of a station by name; ``setups``: what each characteristic was set up for at its last reading.

    ``forgotten`` is the highest segment of a stream that gave way: one that comes back begins above it.
    """

    streams: Mapping[str, Stream] = field(default_factory=dict)
    setups: Mapping[str, str] = field(default_factory=dict)
    forgotten: int = 0


@dataclass(frozen=True, slots=True)
class _KeptStream:
    """A stream as it is stored; the state has a form and a version of its own."""

    characteristic: str
    key: str
    state: JsonValue
    judged_by: JsonValue
    opened_us: Int64 | None = None
    order: str | None = None
    lot: str | None = None
    unlimited: str | None = None
    used_us: Int64 = 0
    left: bool = False


@dataclass(frozen=True, slots=True)
class _KeptHead:
    setups: dict[str, str] = field(default_factory=dict)
    forgotten: int = 0


_STREAM = TypeAdapter(_KeptStream)
_HEAD = TypeAdapter(_KeptHead)


def read_memory(kept: Mapping[str, JsonValue]) -> ChartMemory:
    """What ``changes`` wrote. A stream that this version cannot read begins anew, in a segment that is new."""
    try:
        head = _HEAD.validate_python(kept.get(HEAD) or {})
    except ValidationError:
        head = _KeptHead()
    streams: dict[str, Stream] = {}
    forgotten = head.forgotten
    for name, value in kept.items():
        if name == HEAD:
            continue
        stream = _read_stream(value)
        if stream is None or stream.name != name:
            forgotten = max(forgotten, _segment_in(value))
        else:
            streams[name] = stream
    return ChartMemory(streams, head.setups, forgotten)


def _read_stream(value: JsonValue) -> Stream | None:
    try:
        told = _STREAM.validate_python(value)
        state = ChartState.from_json(told.state)
    except (ValidationError, ValueError):
        return None
    return Stream(
        told.characteristic,
        told.key,
        state,
        told.judged_by,
        told.opened_us,
        told.order,
        told.lot,
        told.unlimited,
        told.used_us,
        told.left,
    )


def _segment_in(value: JsonValue) -> int:
    """The segment of a state that cannot be read otherwise: 1 where not even that can be."""
    state = value.get("state") if isinstance(value, dict) else None
    segment = state.get("segment") if isinstance(state, dict) else None
    return segment if isinstance(segment, int) and not isinstance(segment, bool) else 1


def changes(before: ChartMemory, after: ChartMemory) -> dict[str, JsonValue]:
    """What has to be stored so that ``after`` is kept where ``before`` was: by name, None for what is gone."""
    found: dict[str, JsonValue] = {name: None for name in before.streams if name not in after.streams}
    for name, stream in after.streams.items():
        if before.streams.get(name) is not stream:
            found[name] = _stream_json(stream)
    if (before.setups, before.forgotten) != (after.setups, after.forgotten):
        found[HEAD] = _HEAD.dump_python(_KeptHead(dict(after.setups), after.forgotten), mode="json")
    return found


def _stream_json(stream: Stream) -> JsonValue:
    state: JsonValue = stream.state.to_json()  # type: ignore[assignment]  # JSON by its promise
    kept = _KeptStream(
        stream.characteristic,
        stream.key,
        state,
        stream.judged_by,
        stream.opened_us,
        stream.order,
        stream.lot,
        stream.unlimited,
        stream.used_us,
        stream.left,
    )
    value: JsonValue = _STREAM.dump_python(kept, mode="json")
    return value
