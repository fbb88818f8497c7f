"""How the agent is right now, as one JSON value: for its status page, ``/api/v1/status`` and ``status``.

Everything is asked of the running parts and of the buffer; nothing is kept here. Times are ISO with Z; seq and
other 64-bit numbers of records are strings, as everywhere outside.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import JsonValue

from drivers.supervise import ScannerSupervisor, Supervisor
from drivers.tags import TagSettings
from edge_agent.aside_words import aside_json
from edge_agent.buffer_watch import Standing
from edge_agent.clock_offset import Offset
from edge_agent.document_ages import KindAge, by_kind
from edge_agent.hold_view import hold_json
from edge_agent.holds import station_is_held
from edge_agent.identity_view import identity_report
from edge_agent.line_watch import Refusal
from edge_agent.outbox import Outbox, glance
from edge_agent.outbox.aside import set_aside
from edge_agent.outbox.proof import standing
from edge_agent.papers import Papers
from edge_agent.read_once import NOT_REACHED, reading_json
from edge_agent.runner import StationRunner
from edge_agent.settings import LineSettings
from edge_agent.uplink import Uplink
from records.clock import MICROSECONDS, Clock, iso_z
from records.codes import EVENTS
from records.errors import Invalid, LotkeeperError
from records.model import OperationRecord, OperationsEvent, Quality, Reading, decode
from records.reasons import as_json
from records.trouble import Trouble
from records.wire import Envelope
from records.yaml import Loaded

Json = dict[str, JsonValue]
LAST_RECORDS = 12
TOMBSTONE = "tombstone"
"""Stands for the code of a record whose content is gone."""
DETAIL_CHARACTERS = 120
UNWATCHED_EVERY_S = 5.0
UNWATCHED_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running agent. What a reload may change is asked anew each time."""

    loaded: Callable[[], Loaded[LineSettings]]
    software: str
    started_us: int
    supervisors: Callable[[], Mapping[str, Supervisor]]
    scanners: Callable[[], Mapping[str, ScannerSupervisor]]
    runners: Callable[[], Sequence[StationRunner]]
    papers: Callable[[], Papers]
    counts: Callable[[], Mapping[str, int]]
    outbox: Outbox
    uplink: Uplink
    clock: Clock
    refusal: Callable[[], Refusal | None] = lambda: None
    room: Callable[[], Standing] = Standing
    identity_problems: Callable[[], Mapping[str, Trouble]] = dict
    clock_offset: Callable[[], Offset | None] = lambda: None
    unanswered_s: Callable[[], float | None] = lambda: None


def identity_of(loaded: Loaded[LineSettings]) -> Json:
    """Which agent, by which configuration."""
    line = loaded.value
    return {
        "agent": line.agent,
        "site": line.site,
        "line": line.line,
        "file": loaded.file,
        "configuration": loaded.hash,
    }


class Unwatched:
    """Newest readings of tags that nobody watches: read when somebody looks at the page, and not too often."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._read_s: float | None = None
        self._reading: dict[str, asyncio.Future[None]] = {}
        self.readings: dict[str, Reading] = {}

    async def look(self) -> None:
        """Read them, where the last time is long enough ago; waits for a moment, and never cuts a request off."""
        now_s = self._parts.clock.monotonic_s()
        if self._read_s is not None and now_s - self._read_s < UNWATCHED_EVERY_S:
            return
        self._read_s = now_s
        self._reading = {name: reading for name, reading in self._reading.items() if not reading.done()}
        devices = self._parts.loaded().value.devices
        for name, supervisor in self._parts.supervisors().items():
            known = supervisor.latest()
            tags = [tag.name for tag in devices[name].tags if tag.name not in known] if name in devices else []
            if tags and supervisor.connected and name not in self._reading:
                self._reading[name] = asyncio.ensure_future(self._read(supervisor, tags))
        if self._reading:
            await asyncio.wait(self._reading.values(), timeout=UNWATCHED_LIMIT_S)

    async def _read(self, supervisor: Supervisor, tags: Sequence[str]) -> None:
        with suppress(LotkeeperError):
            block = await supervisor.read(tags)
            self.readings |= {reading.tag: reading for reading in block.readings()}


def live_report(parts: Parts, others: Mapping[str, Reading] | None = None) -> Json:
    """What the running parts say; call it in their loop. ``others`` are readings of tags that nobody watches."""
    now_us = parts.clock.now_us()
    line = parts.loaded().value
    supervisors, scanners = parts.supervisors(), parts.scanners()
    devices: list[JsonValue] = [
        _device(line, name, supervisors[name], now_us, others or {}) for name in supervisors
    ]
    return identity_of(parts.loaded()) | {
        "running": True,
        "software": parts.software,
        "started_at": iso_z(parts.started_us),
        "now": iso_z(now_us),
        "time_zone": line.time_zone,
        "devices": devices,
        "scanners": [
            {
                "name": name,
                "address": scanner.scanner.settings.address_text,
                "connected": scanner.connected,
                "error": scanner.error,
                "trouble": trouble_json(scanner.trouble),
            }
            for name, scanner in scanners.items()
        ],
        "refused": _refused(parts.refusal()),
        "stations": [_station(runner) for runner in parts.runners()],
        "documents": [_told_by_central(one) for one in by_kind(line.documents, parts.papers())],
        "reasons": as_json(parts.papers().reasons),
        "counts": {**parts.counts()},
    }


def stored_report(parts: Parts) -> Json:
    """What the buffer holds and how the way to central is; reads the disk, so call it in a thread."""
    way, unanswered_s = parts.uplink.status(), parts.unanswered_s()
    central: Json = {
        "connected": way.connected,
        "broker": way.broker,
        "error": way.last_error,
        "trouble": trouble_json(way.trouble),
        "frames_sent": way.frames_sent,
        "frames_sent_again": way.frames_sent_again,
        "payloads_refused": way.payloads_refused,
        "dropped": way.dropped,
        "clock": _clock(parts.clock_offset()),
        "unanswered_s": None if unanswered_s is None or not way.connected else round(unanswered_s),
    }
    standing = parts.room()
    cap = None if standing.fill is None else standing.fill.cap
    found = buffer_report(parts.outbox.path, cap, parts.clock.now_us(), standing)
    identity = identity_of_line(parts.loaded().value, parts.clock.now_us(), parts.identity_problems())
    return found | {"central": central, "identity": identity}


def identity_of_line(line: LineSettings, now_us: int, problems: Mapping[str, Trouble] | None = None) -> JsonValue:
    """What the line's identity folder holds and what is wrong with it; None for a line without uplink."""
    if line.uplink is None:
        return None
    tls = line.uplink.broker.startswith("mqtts:")
    return identity_report(line.uplink.identity, now_us, problems or {}, tls=tls)


def buffer_report(path: Path, cap: int | None, now_us: int, standing: Standing | None = None) -> Json:
    """The buffer's counts, room and last records, of a running agent or of one that is down (no ``standing``).

    Raises:
        StorageFailed: it cannot be opened. Damaged: it is no buffer.
    """
    seen = glance(path, LAST_RECORDS, cap, now_us)
    fill = seen.fill
    stands = standing or Standing()
    stopped = "disk" if stands.disk else "records" if stands.full else None
    space: Json = {
        "cap": fill.cap,
        "waiting": fill.waiting,
        "left": fill.room,
        "hours_left": None if fill.hours is None else round(fill.hours, 2),
        "free": seen.free,
        "low": stands.low,
        "line_stopped_for": stopped,
    }
    buffer: Json = {
        "path": str(path),
        "head": seen.head.to_json(),
        "acknowledged": seen.acknowledged.to_json(),
        "committed": seen.committed,
        "acknowledged_records": seen.acknowledged_records,
        "pending": seen.pending.records,
        "oldest_pending": iso_z(seen.pending.oldest_us),
        "kept": seen.records,
        "bytes": seen.bytes,
        "space": space,
        "gaps": [
            {"at": iso_z(each.at_us), "generation": each.generation, **gap.to_json()}
            for each in seen.restores
            for gap in each.gaps
        ],
        "set_aside": [aside_json(one) for one in set_aside(path.parent)],
        "proof": {name: _proof(path.with_name(f"{name}.db")) for name in ("records", "telemetry")},
    }
    return {"buffer": buffer, "records": [_record(envelope) for envelope in reversed(seen.last)]}


def _clock(offset: Offset | None) -> JsonValue:
    """How far the agent's clock is from central's; null before central was asked."""
    if offset is None:
        return None
    return {
        "offset_s": round(offset.seconds, 3),
        "within_s": round(offset.within_s, 3),
        "age_s": round(offset.age_s, 3),
        "wrong": offset.too_far,
    }


def _proof(database: Path) -> JsonValue:
    """What the background check has come to; null before its first minute."""
    found = standing(database)
    if found is None:
        return None
    return {
        "running": found.running,
        "began": iso_z(found.began_us),
        "through": str(found.position),
        "until": str(found.until),
        "rows": found.rows,
        "last_ended": iso_z(found.ended_us),
        "buried": found.buried,
        "wrong": found.wrong,
    }


def _device(
    line: LineSettings, name: str, supervisor: Supervisor, now_us: int, others: Mapping[str, Reading]
) -> Json:
    settings = line.devices.get(name) or supervisor.device.settings
    known, meter = supervisor.latest(), supervisor.meter
    seen = {tag.name: known.get(tag.name) or others.get(f"{name}.{tag.name}") for tag in settings.tags}
    if not supervisor.connected:
        seen = {tag: reading and _lost(reading) for tag, reading in seen.items()}
    tags: list[JsonValue] = [tag_json(f"{name}.{tag.name}", tag, seen[tag.name], now_us) for tag in settings.tags]
    return {
        "name": name,
        "driver": settings.driver,
        "address": settings.address_text,
        "connected": supervisor.connected,
        "error": supervisor.error,
        "trouble": trouble_json(supervisor.trouble),
        "last_answer": iso_z(supervisor.seen_us or None),
        "polls": meter.polls,
        "late": meter.late,
        "skipped": meter.skipped,
        "values": meter.values,
        "tags": tags,
    }


def trouble_json(trouble: Trouble | None) -> JsonValue:
    """What is wrong, for any language; null where nothing is, or where only the error's own text says it."""
    return None if trouble is None else trouble.to_json()


def _lost(reading: Reading) -> Reading:
    """What was last read of a machine that is away is no value of now."""
    if reading.quality is Quality.BAD:
        return reading
    return replace(reading, value=None, quality=Quality.BAD, status=NOT_REACHED)


def tag_json(name: str, tag: TagSettings, seen: Reading | None, now_us: int) -> Json:
    """One tag and its newest reading; ``age_s`` is null while it has none."""
    if seen is None:
        nothing = ("value", "quality", "status", "source_time", "server_time", "edge_time", "age_s")
        return {"tag": name, "unit": tag.unit, "role": tag.role} | dict.fromkeys(nothing)
    age_s = max(now_us - seen.edge_us, 0) / MICROSECONDS
    return reading_json(seen) | {"role": tag.role, "age_s": round(age_s, 3)}


def _refused(refusal: Refusal | None) -> JsonValue:
    """The line file on disk, where the agent does not work by it because something is wrong with it."""
    if refusal is None:
        return None
    return {
        "configuration": refusal.hash,
        "problems": [str(problem) for problem in refusal.problems],
        "troubles": [problem.told.to_json() for problem in refusal.problems],
    }


def _told_by_central(one: KindAge) -> Json:
    """How old the documents of one kind are, and what stations do beyond the longest age."""
    return {
        "kind": one.kind,
        "count": one.count,
        "age_s": None if one.age_s is None else round(one.age_s, 1),
        "max_age_s": one.max_age_s,
        "beyond": one.beyond,
        "too_old": one.too_old,
    }


def _station(runner: StationRunner) -> Json:
    status = asdict(runner.status)
    cycle = status.pop("last_cycle")
    missing = list(status.pop("missing"))
    status |= {
        "held": station_is_held(runner.holds),
        "holds": [hold_json(hold) for hold in sorted(runner.holds, key=lambda hold: hold.since_us)],
        "charts": [{"characteristic": name, "stream": stream} for name, stream in status["charts"]],
    }
    return {
        "name": runner.station.name,
        **status,
        "last_cycle": None if cycle is None else str(cycle),
        "missing": missing,
        "configuration": runner.configuration,
        "waits_to_change": runner.waits_to_change,
    }


def _record(envelope: Envelope) -> Json:
    """A record in a few words: what a person needs to find it again."""
    found: Json = {
        "epoch": envelope.epoch,
        "seq": str(envelope.seq),
        "kind": envelope.kind,
        "at": None,
        "station": None,
        "code": None,
        "result": None,
        "subjects": [],
        "params": {},
        "detail": None,
    }
    if envelope.body is None:
        return found | {"code": TOMBSTONE}
    try:
        fact = decode(envelope.kind, envelope.body)
    except Invalid:
        return found
    found |= {"at": iso_z(fact.header.at_us), "station": fact.header.station}
    if isinstance(fact.data, OperationRecord):
        run = fact.data
        results = {subject.result.value for subject in run.subjects}
        found |= {
            "station": run.station,
            "code": f"{run.operation} {'' if run.cycle is None else run.cycle}".strip(),
            "params": {"operation": run.operation, "cycle": None if run.cycle is None else str(run.cycle)},
            "result": results.pop() if len(results) == 1 else "mixed",
            "subjects": [subject.subject.id for subject in run.subjects[:3]],
        }
    elif isinstance(fact.data, OperationsEvent):
        params = _params(fact.data)
        found |= {"code": fact.data.code, "params": params, "detail": _told(params)}
    return found


def _params(event: OperationsEvent) -> Json:
    """What an event tells in single values, as the catalogue orders them; a trouble as it is."""
    names = dict.fromkeys((*EVENTS.get(event.code, ()), *event.params))
    return {
        name: value
        for name in names
        if (isinstance(value := event.params.get(name), str | int | float) and value != "")
        or (name == "trouble" and value is not None)
    }


def _told(params: Json) -> str | None:
    """The first of them in one line: ``tag sealer.ack, value true``."""
    told = [
        f"{name} {value if isinstance(value, str) else json.dumps(value)}"
        for name, value in params.items()
        if name != "trouble"
    ]
    text = ", ".join(told)
    return (text if len(text) <= DETAIL_CHARACTERS else f"{text[: DETAIL_CHARACTERS - 1]}…") or None
