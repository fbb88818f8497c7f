"""The line file: one agent, its devices, stations and characteristics, read once at the composition root.

``load_line`` gives every error of the file at once: what each part says wrong, and what the parts say wrong of
each other (a tag that no device has, an acknowledge that may not be written, a scanner that is none).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from drivers.tags import ALIASES, Devices, SerialScannerDevice, TagSettings, expand_devices
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.document_ages import DocumentAges
from edge_agent.line_check import check_line, doubtful
from edge_agent.line_view import LineView
from edge_agent.own_certificates import folder_beside, with_certificates
from edge_agent.station_settings import Pattern, StationSettings
from records.yaml import (
    DROP,
    Duration,
    Loaded,
    Parts,
    Settings,
    Shown,
    Size,
    did_you_mean,
    fault,
    parse,
    read_file,
)


def _zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        raise fault(
            f"{name!r} is no IANA time zone", hint=did_you_mean(name, zones) or "for example Asia/Shanghai"
        )
    return name


_IN_ADDRESSES = "/?#"


def _name(name: str) -> str:
    """A chart's address is AGENT/STATION/CHARACTERISTIC?KEY#POINT, in commands, decisions and URLs."""
    if name != name.strip() or not name or not name.isprintable() or any(c in name for c in _IN_ADDRESSES):
        hint = f"none of {' '.join(_IN_ADDRESSES)}, no blank at its ends"
        raise fault(f"{name!r} is no name: it is a part of the addresses of charts", hint=hint)
    return name


Name = Annotated[str, AfterValidator(_name)]

_AGENT = r"[a-z0-9][a-z0-9-]{0,62}"


def _agent(name: str) -> str:
    if not re.fullmatch(_AGENT, name):
        hint = "lower-case letters, digits and dashes, at most 63, as in sealing-1"
        raise fault(f"{name!r} is no name of an agent", hint=hint)
    if name == "central":
        raise fault("`central` is the name of central itself", hint="choose another name")
    return name


def _broker(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("mqtt", "mqtts") or not host:
        raise fault(f"{url!r} is no address of a broker", hint="mqtts://HOST:PORT, or mqtt://127.0.0.1:PORT")
    if parts.scheme == "mqtt" and not _on_this_machine(host):
        raise fault("plain mqtt:// is only for a broker on this machine", hint="write mqtts://")
    return url


def _on_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Uplink(Settings):
    """The way to central. ``protocol`` is never changed silently: a broker that refuses it is reported."""

    broker: Annotated[str, AfterValidator(_broker)] = "mqtt://127.0.0.1:1883"
    """``mqtts://HOST:PORT``; ``mqtt://`` only for a broker on this machine."""
    identity: Path
    """The folder that ``lotkeeper-central enrol`` wrote."""
    protocol: Literal[5, "3.1.1"] = 5
    """MQTT 5, or 3.1.1 for a broker that knows no other."""
    head_interval: Duration = 30.0
    """How often the agent states its last record, signed."""
    keepalive: Duration = 30.0
    """How often the broker hears of the agent when nothing else is said."""


class Buffer(Settings):
    """Where records and telemetry wait. ``path`` is a folder with ``records.db`` and ``telemetry.db``."""

    path: Path
    """The folder; on a disk of this machine."""
    keep_acknowledged: Duration = 14 * 86_400.0
    """How long a record stays after central has it."""
    records_max: Size | None = None
    """At this size the line is told to stop; records are never dropped. Else half of the room, at most 20GiB."""
    telemetry_max: Size | None = None
    """At this size the oldest telemetry goes, and a record says so. Else an eighth of the room, at most 5GiB."""
    telemetry_bucket: Annotated[Duration, Field(ge=1, le=600)] = 60.0
    """Long before that, from four fifths of it on, older telemetry keeps of each tag and each time of this length
    the first, last, lowest and highest value, and all that is not good."""
    ballast: Size = 32 * 1024**2
    """Kept free on the volume for the hour in which it is full; 0B for none."""
    warn_below: Duration = 24 * 3600.0
    """The agent warns when the records' room lasts for less than this, at the rate of late."""
    telemetry_interval: Annotated[Duration, Field(ge=0.01, le=60)] = 1.0
    """How often the values of that time are committed as one chunk."""


class StatusPage(Settings):
    """The agent's own page, for people at the line PC. It listens on this machine only (127.0.0.1)."""

    port: int = Field(8765, ge=1, le=65_535)
    """TCP port on 127.0.0.1."""


class Charts(Settings):
    """What the line's charts may cost the people beside it."""

    false_alarms_a_day: Annotated[float, Field(gt=0)] = 10.0
    """Signals a day with nothing wrong, of all charts together; above it a check warns."""


class LineSettings(Settings):
    """One agent: its devices, what they are to the stations, and where records go."""

    agent: Annotated[str, AfterValidator(_agent)] = Field(json_schema_extra={"pattern": f"^{_AGENT}$"})
    """The agent's name, unique in the plant; its identity and all its records carry it."""
    site: Shown = Field(min_length=1)
    """The plant."""
    line: Shown = Field(min_length=1)
    """The line, as people call it."""
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """IANA name of the zone that the line's clocks on the wall show; records keep UTC and this offset."""
    devices: Devices = Field(min_length=1)
    """The machines and scanners, by names of your choice; a tag is called DEVICE.TAG elsewhere."""
    stations: dict[Name, StationSettings] = Field(default_factory=dict)
    """Where operations are recorded. A file without stations can be checked and read."""
    characteristics: dict[Name, CharacteristicSettings] = Field(default_factory=dict)
    """What is measured and judged by charts; the name is a part of a chart's address, without / ? and #."""
    charts: Charts = Field(default_factory=Charts)
    """What holds for all charts of the line."""
    documents: DocumentAges = Field(default_factory=DocumentAges)
    """How old what central told may be, and what a station does beyond that."""
    schemes: dict[str, Pattern] = Field(default_factory=dict)
    """Patterns of codes that are neither GS1 nor HIBC nor EAN; their named groups are the fields."""
    uplink: Uplink | None = None
    """The way to central; without it records stay here."""
    buffer: Buffer | None = None
    """Where records wait; needed to run."""
    status: StatusPage | None = None
    """The agent's own page; none when left out."""
    approved_by: str | None = None
    """A note for people, never an approval: that is signed at central."""

    @classmethod
    def resolved_keys(cls) -> Mapping[str, Any]:
        """A line file may extend another one."""
        return {"extends": Annotated[str, Field(description="Another line file, from which this one differs.")]}

    def tag(self, name: str) -> TagSettings | None:
        """The settings of ``device.tag``."""
        device, _, tag = name.partition(".")
        found = self.devices.get(device)
        return None if found is None else next((t for t in found.tags if t.name == tag), None)

    @property
    def barcode_schemes(self) -> dict[str, re.Pattern[str]]:
        """The patterns of codes that are neither GS1 nor HIBC nor EAN, compiled; named groups are their fields."""
        return {name: re.compile(pattern) for name, pattern in self.schemes.items()}

    @property
    def scanners(self) -> dict[str, SerialScannerDevice]:
        return {n: d for n, d in self.devices.items() if isinstance(d, SerialScannerDevice)}


_PARTS: Parts = {
    ("agent",): "unnamed",
    ("site",): "unnamed",
    ("line",): "unnamed",
    ("time_zone",): DROP,
    ("uplink",): DROP,
    ("buffer",): DROP,
    ("status",): DROP,
    ("devices", "*"): DROP,
    ("devices", "*", "byte_order"): DROP,
    ("devices", "*", "poll_interval"): DROP,
    ("devices", "*", "timeout"): DROP,
    ("devices", "*", "tags", "*"): DROP,
    ("stations", "*"): DROP,
    ("stations", "*", "permit"): DROP,
    ("stations", "*", "hold"): DROP,
    ("stations", "*", "purpose"): DROP,
    ("stations", "*", "result"): DROP,
    ("characteristics", "*"): DROP,
    ("characteristics", "*", "reactions"): DROP,
    ("charts",): DROP,
    ("documents",): DROP,
    ("schemes", "*"): DROP,
}
"""What may be wrong without hiding what the other parts say wrong of each other."""


def load_line(path: Path, *, advise: bool = False) -> Loaded[LineSettings]:
    """Read and check a line file; its relative paths start at its own folder.

    ``advise``: warn of what is probably not meant too. What charts cost in false alarms may take seconds, which
    an agent at work and commands beside it do not spend.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    loaded = parse_line(read_file(path), str(path), path.parent, advise=advise)
    return replace(loaded, value=_resolved(loaded.value, path.resolve().parent))


def parse_line(content: bytes, file: str, folder: Path, *, advise: bool = False) -> Loaded[LineSettings]:
    """As ``load_line``, for bytes that are already here; buffer and identity keep their relative paths."""
    return parse(
        content,
        LineSettings,
        file=file,
        folder=folder,
        aliases=ALIASES,
        expand=expand_devices,
        check=lambda loaded: check_line(_view(loaded)),
        advise=(lambda loaded: doubtful(_view(loaded))) if advise else None,
        parts=_PARTS,
    )


def _resolved(line: LineSettings, base: Path) -> LineSettings:
    """The same settings with every relative path taken from the file's folder."""
    uplink, buffer = line.uplink, line.buffer
    ours = folder_beside(None if uplink is None else base / uplink.identity, base)
    return line.model_copy(
        update={
            "devices": with_certificates(line.devices, ours),
            "uplink": uplink and uplink.model_copy(update={"identity": base / uplink.identity}),
            "buffer": buffer and buffer.model_copy(update={"path": base / buffer.path}),
        }
    )


def _view(loaded: Loaded[LineSettings]) -> LineView:
    line = loaded.value
    return LineView(
        line.devices,
        line.stations,
        line.characteristics,
        line.barcode_schemes,
        loaded.problem,
        loaded.left_out,
        line.charts.false_alarms_a_day,
        line.documents,
    )
