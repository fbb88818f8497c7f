"""The line file: one agent, its devices, stations and characteristics, read once at the composition root.

``load_line`` gives every error of the file at once: what each part says wrong, and what the parts say wrong of
each other (a tag that no device has, an acknowledge that may not be written, a scanner that is none).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from drivers.tags import ALIASES, Devices, SerialScannerDevice, TagSettings
from edge_agent.station_settings import CharacteristicSettings, Source, StationSettings
from records.errors import Problem
from records.yaml import Duration, Loaded, Settings, Size, did_you_mean, fault, load
from records.yaml import Path as Place


def _zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        raise fault(
            f"{name!r} is no IANA time zone", hint=did_you_mean(name, zones) or "for example Asia/Shanghai"
        )
    return name


def _agent(name: str) -> str:
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
    identity: Path
    protocol: Literal[5, "3.1.1"] = 5
    head_interval: Duration = 30.0
    keepalive: Duration = 30.0


class Buffer(Settings):
    """Where records wait. ``path`` is a folder with ``records.db``."""

    path: Path
    keep_acknowledged: Duration = 14 * 86_400.0
    records_max: Size | None = None


class LineSettings(Settings):
    agent: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"), AfterValidator(_agent)]
    site: str = Field(min_length=1)
    line: str = Field(min_length=1)
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    devices: Devices = Field(min_length=1)
    stations: dict[str, StationSettings] = Field(default_factory=dict)
    characteristics: dict[str, CharacteristicSettings] = Field(default_factory=dict)
    uplink: Uplink | None = None
    buffer: Buffer | None = None

    def tag(self, name: str) -> TagSettings | None:
        """The settings of ``device.tag``."""
        device, _, tag = name.partition(".")
        found = self.devices.get(device)
        return None if found is None else next((t for t in found.tags if t.name == tag), None)

    @property
    def scanners(self) -> dict[str, SerialScannerDevice]:
        return {n: d for n, d in self.devices.items() if isinstance(d, SerialScannerDevice)}


def load_line(path: Path) -> Loaded[LineSettings]:
    """Read and check a line file; its relative paths start at its own folder.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    loaded = load(path, LineSettings, aliases=ALIASES, check=_cross_check)
    return replace(loaded, value=_resolved(loaded.value, path.resolve().parent))


def _resolved(line: LineSettings, base: Path) -> LineSettings:
    """The same settings with every relative path taken from the file's folder."""
    uplink, buffer = line.uplink, line.buffer
    return line.model_copy(
        update={
            "uplink": uplink and uplink.model_copy(update={"identity": base / uplink.identity}),
            "buffer": buffer and buffer.model_copy(update={"path": base / buffer.path}),
        }
    )


def _cross_check(loaded: Loaded[LineSettings]) -> Iterator[Problem]:
    line = loaded.value
    tags = [f"{name}.{tag.name}" for name, device in line.devices.items() for tag in device.tags]
    for where, name, writable in _tag_uses(line):
        tag = line.tag(name)
        if tag is None:
            yield loaded.problem(where, f"no device has a tag {name!r}", did_you_mean(name, tags) or "DEVICE.TAG")
        elif writable and tag.access != "write":
            yield loaded.problem(where, f"{name} is written here and is read only", "give the tag access: write")
        elif _counts(where) and _no_number(tag):
            yield loaded.problem(where, f"{name} is no number", "a machine's count is needed")
    for where, scanner in _scanner_uses(line):
        if scanner not in line.scanners:
            hint = did_you_mean(scanner, line.scanners) or "a device with driver: serial_scanner"
            yield loaded.problem(where, f"{scanner!r} is no scanner", hint)
    yield from _characteristics(loaded)


def _counts(where: Place) -> bool:
    """Whether this place of a station names a count."""
    return where[2:] == ("trigger", "cycle") or where[2:3] == ("counters",)


def _no_number(tag: TagSettings) -> bool:
    return tag.type_name.endswith("[]") or tag.type_name in ("bool", "string")


def _characteristics(loaded: Loaded[LineSettings]) -> Iterator[Problem]:
    """A characteristic that no station captures would never be judged, and nobody would notice."""
    line = loaded.value
    captured = {tag for station in line.stations.values() for tag in station.captured()}
    for name, settings in line.characteristics.items():
        where: Place = ("characteristics", name, "tag")
        tag = line.tag(settings.tag)
        if tag is None:
            continue
        if _no_number(tag):
            yield loaded.problem(where, f"{settings.tag} is no number", "a characteristic is one number a run")
        elif line.stations and settings.tag not in captured:
            yield loaded.problem(where, f"no station captures {settings.tag}", "add it to capture: of its station")


def _tag_uses(line: LineSettings) -> Iterator[tuple[Place, str, bool]]:
    """Every place that names a tag, the name, and whether it is written."""
    for name, station in line.stations.items():
        at: Place = ("stations", name)
        trigger = station.trigger
        single = (
            (("trigger", "tag"), trigger.tag, False),
            (("trigger", "acknowledge"), trigger.acknowledge, True),
            (("trigger", "cycle"), trigger.cycle, False),
            (("trigger", "running"), trigger.running, False),
            (("permit", "tag"), station.permit and station.permit.tag, True),
            (("subject", "tag"), station.subject.tag, False),
            (("subject", "carrier"), station.subject.carrier, False),
            (("order", "tag"), station.order.tag, False),
            (("operator", "tag"), station.operator and station.operator.tag, False),
            (("purpose", "tag"), station.purpose and station.purpose.tag, False),
            (("result", "tag"), station.result and station.result.tag, False),
        )
        yield from ((at + below, tag, write) for below, tag, write in single if tag)
        yield from (((*at, "capture", n), tag, False) for n, tag in enumerate(station.capture))
        yield from (((*at, "counters", key), tag, False) for key, tag in station.counters.items())
    yield from ((("characteristics", n, "tag"), c.tag, False) for n, c in line.characteristics.items())


def _scanner_uses(line: LineSettings) -> Iterator[tuple[Place, str]]:
    for name, station in line.stations.items():
        sources: tuple[tuple[str, Source | None], ...] = (("order", station.order), ("operator", station.operator))
        for key, source in sources:
            if source is not None and source.scan is not None:
                yield ("stations", name, key, "scan"), source.scan
        if station.subject.scan is not None:
            yield ("stations", name, "subject", "scan"), station.subject.scan
