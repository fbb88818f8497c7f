"""What another configuration changes: a pure comparison of two lines.

Parts are compared by what was made of the file (defaults and relative paths resolved), never by its text: a
comment touches nothing, a device with another poll interval is another device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.tags import SerialScannerDevice
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.settings import LineSettings
from edge_agent.station_settings import StationSettings

NEEDS_RESTART = ("agent", "site", "buffer", "uplink", "status")
"""Who the agent is, where its records wait, how they leave, its page: these stay as they are while it runs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The names of what stays as it is, what is another now, what comes and what goes."""

    same: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @classmethod
    def of(cls, old: Mapping[str, object], new: Mapping[str, object]) -> Parts:
        """By name and equality."""
        both = [name for name in new if name in old]
        return cls(
            tuple(name for name in both if old[name] == new[name]),
            tuple(name for name in both if old[name] != new[name]),
            tuple(name for name in new if name not in old),
            tuple(name for name in old if name not in new),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a reload does. ``restart``: keys that only a restart can change; with one of them nothing is done."""

    devices: Parts
    scanners: Parts
    stations: Parts
    restart: tuple[str, ...] = ()


def plan(old: LineSettings, new: LineSettings) -> Plan:
    """What has to be done so that a line that works by ``old`` works by ``new``."""
    return Plan(
        Parts.of(machines(old), machines(new)),
        Parts.of(_scanners(old), _scanners(new)),
        Parts.of(_stations(old), _stations(new)),
        tuple(key for key in NEEDS_RESTART if getattr(old, key) != getattr(new, key)),
    )


def machines(line: LineSettings) -> dict[str, object]:
    """The devices that are read and written, by name."""
    return {n: device for n, device in line.devices.items() if not isinstance(device, SerialScannerDevice)}


def _scanners(line: LineSettings) -> dict[str, object]:
    """A scan is dated in the line's time zone and read by its schemes."""
    return {name: (scanner, line.time_zone, line.schemes) for name, scanner in line.scanners.items()}


def characteristics_of(line: LineSettings, station: StationSettings) -> dict[str, CharacteristicSettings]:
    """The characteristics that a station's runs measure."""
    captured = set(station.captured())
    return {name: c for name, c in line.characteristics.items() if captured.issuperset(c.read())}


def devices_of(station: StationSettings) -> tuple[str, ...]:
    """The devices that a station reads or writes."""
    tags = (*station.watched(), *station.captured(), *station.written())
    return tuple(dict.fromkeys(tag.partition(".")[0] for tag in tags))


def _stations(line: LineSettings) -> dict[str, object]:
    """Everything that a station works by: its own part, its characteristics, its devices, the ages."""
    return {
        name: (
            settings,
            characteristics_of(line, settings),
            {device: line.devices[device] for device in devices_of(settings)},
            line.documents,
        )
        for name, settings in line.stations.items()
    }
