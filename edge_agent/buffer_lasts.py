"""What the caps of a buffer mean in time: about how long telemetry is kept as it is read, then as extremes, and
whether records may stay for ``keep_acknowledged``.

Telemetry is reckoned from the line file, at the polls that it asks for; what a server tells by itself cannot be.
The rate of records is that of the buffer that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings
from edge_agent.outbox.extremes import ENTRY_BYTES
from edge_agent.outbox.fill import Fill
from edge_agent.outbox.thinning import FROM_SHARE, GRAVE_BYTES, ROW_BYTES, WORTH
from edge_agent.settings import Buffer
from edge_agent.sizes import hours_text, size
from records.telemetry import DTYPES

HOUR_S = 3600.0
HEADER_BYTES, TAG_BYTES = 150, 12
"""About what the header of a chunk takes, and each tag in it."""
TEXT_BYTES = 16
KEPT = 4
"""Readings that are kept of each tag and bucket, where all is good."""
RECORD_BYTES = 2500
"""About what a record takes, with what stands beside it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Bytes an hour of telemetry as it is read and as extremes; ``told``: tags that servers tell by themselves."""

    whole: float
    thinned: float
    told: int


def rate(devices: Mapping[str, AnyDevice], buffer: Buffer) -> Rate:
    """While central is away, when a chunk is made every ``telemetry_interval``."""
    whole = thinned = 0.0
    told = 0
    for device in devices.values():
        if isinstance(device, SerialScannerDevice):
            continue
        told += sum(tag.mode == "subscribe" for tag in device.tags if tag.role == "telemetry")
        for interval_s, tags in _groups(device.tags, device.poll_interval):
            polls = HOUR_S / interval_s
            chunks = min(polls, HOUR_S / max(buffer.telemetry_interval, interval_s))
            header = HEADER_BYTES + TAG_BYTES * len(tags)
            values = sum(map(_bytes, tags))
            whole += polls * (values + 8) + chunks * (header + ROW_BYTES)
            kept = min(polls, KEPT * HOUR_S / buffer.telemetry_bucket)
            thinned += kept * (values + ENTRY_BYTES * len(tags)) + chunks * (ROW_BYTES + GRAVE_BYTES)
    return Rate(whole, thinned, told)


def _groups(tags: Iterable[TagSettings], poll_s: float) -> Iterator[tuple[float, list[TagSettings]]]:
    """Telemetry tags that are polled together."""
    found: dict[float, list[TagSettings]] = {}
    for tag in tags:
        if tag.role == "telemetry" and tag.mode == "poll":
            interval_s = max(tag.poll_interval or poll_s, tag.average or 0.0)
            found.setdefault(interval_s, []).append(tag)
    yield from found.items()


def _bytes(tag: TagSettings) -> int:
    kind = DTYPES.get(tag.type_name)
    return (TEXT_BYTES if kind is None and tag.type_name else 8) if kind is None else kind.itemsize


def telemetry_lasts(devices: Mapping[str, AnyDevice], buffer: Buffer, cap: int) -> str | None:
    """In words; None where nothing is polled for telemetry."""
    of = rate(devices, buffer)
    if of.whole <= 0:
        return None
    whole = cap * FROM_SHARE / of.whole
    but = f" ({of.told} tags that their servers tell by themselves not counted)" if of.told else ""
    words = f"{size(cap)} of telemetry are about {hours_text(whole)} without central as they are read{but}"
    if of.thinned >= WORTH * of.whole:
        return f"{words}, then the oldest goes: reading is so slow that extremes save no room"
    return (
        f"{words}; then the extremes of each {buffer.telemetry_bucket:g} s are kept of what is older, "
        f"about {hours_text(cap / of.thinned)}, before the oldest goes"
    )


def records_last(buffer: Buffer, cap: int, fill: Fill | None) -> tuple[str, bool]:
    """In words, and whether records can stay for ``keep_acknowledged``. ``fill``: of the buffer that is there."""
    keep_h = buffer.keep_acknowledged / HOUR_S
    keep = hours_text(keep_h)
    if fill is None or fill.rate <= 0:
        most = cap / keep_h / RECORD_BYTES if keep_h else 0.0
        if not keep_h:
            return f"{size(cap)} of records, which go as soon as central has them", True
        return (
            f"{size(cap)} of records hold keep_acknowledged ({keep}) up to about {most:.0f} records an hour",
            True,
        )
    holds = hours_text(cap / fill.rate)
    if cap / fill.rate >= keep_h:
        return f"{size(cap)} of records are about {holds} at the rate of late, keep_acknowledged is {keep}", True
    return (
        f"keep_acknowledged is {keep}, but {size(cap)} of records hold only about {holds} at the rate of late: "
        "what central has goes earlier, so a central that is restored from an older backup may lack it; "
        f"records_max would have to be {size(round(fill.rate * keep_h))}",
        False,
    )
