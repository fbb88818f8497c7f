"""A line file as its checks see it: devices, stations and characteristics, whole or only their sound parts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from re import Pattern
from typing import Any, Protocol

from drivers.tags import AnyDevice, TagSettings
from edge_agent.chart_parts import FromTag
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.document_ages import DocumentAges
from edge_agent.station_settings import Source, StationSettings
from records.errors import Problem
from records.yaml import Item, Path


class Tell(Protocol):
    """Makes a problem at a place of the file."""

    def __call__(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem: ...


@dataclass(frozen=True)
class Use:
    """A place that names a tag, and what the tag is for there."""

    path: Path
    tag: str
    kind: str
    """``count``, ``write``, ``watch``, ``identity`` (a unit's or lot's), ``reference`` (an order's, a carrier's, a
    person's), ``value`` (kept with the run), ``characteristic``, ``sample`` (its size), ``place`` (cavity,
    tool)."""


@dataclass(frozen=True)
class LineView:
    """What the parts of a line file may say of each other."""

    devices: Mapping[str, AnyDevice]
    stations: Mapping[str, StationSettings]
    characteristics: Mapping[str, CharacteristicSettings]
    schemes: Mapping[str, Pattern[str]]
    problem: Tell
    left_out: tuple[tuple[Path, Item], ...] = ()
    false_alarms_a_day: float = math.inf
    """How many the line's charts may give together before it is told."""
    ages: DocumentAges = field(default_factory=DocumentAges)

    @cached_property
    def _tags(self) -> dict[str, tuple[TagSettings, Path]]:
        return {
            f"{name}.{tag.name}": (tag, ("devices", name, "tags", row))
            for name, device in self.devices.items()
            for row, tag in enumerate(device.tags)
        }

    def tag(self, name: str) -> TagSettings | None:
        """The settings of ``device.tag``."""
        found = self._tags.get(name)
        return None if found is None else found[0]

    @property
    def tag_names(self) -> list[str]:
        return list(self._tags)

    def tag_place(self, name: str, key: str) -> Path:
        """Where a key of a tag stands."""
        return (*self._tags[name][1], key)

    def is_left_out(self, name: str) -> bool:
        """Whether a device, or a ``device.tag``, may be among the parts that are wrong themselves."""
        device, _, tag = name.partition(".")
        for path, item in self.left_out:
            if path[:2] != ("devices", device) or path[2:3] not in ((), ("tags",)):
                continue
            written = item.child("name")
            if len(path) == 2 or written is None or written.scalar == tag:
                return True
        return False

    @property
    def stations_are_whole(self) -> bool:
        return not any(
            path[0] == "stations" and path[2:] not in (("permit",), ("hold",)) for path, _ in self.left_out
        )

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """Every place that names a tag."""
        found = [use for name, station in self.stations.items() for use in _station_uses(name, station)]
        found += [
            use for name, settings in self.characteristics.items() for use in _characteristic_uses(name, settings)
        ]
        return tuple(found)

    def scanner_uses(self) -> Iterator[tuple[Path, str]]:
        """Every place that names a scanner, and the scanner."""
        for name, station in self.stations.items():
            sources: tuple[tuple[str, Source | None], ...] = (
                ("order", station.order),
                ("operator", station.operator),
            )
            for key, source in sources:
                if source is not None and source.scan is not None:
                    yield ("stations", name, key, "scan"), source.scan
            if station.subject.scan is not None:
                yield ("stations", name, "subject", "scan"), station.subject.scan


def _characteristic_uses(name: str, settings: CharacteristicSettings) -> Iterator[Use]:
    at: Path = ("characteristics", name)
    if settings.tag is not None:
        yield Use((*at, "tag"), settings.tag, "characteristic")
    yield from (Use((*at, "tags", n), tag, "characteristic") for n, tag in enumerate(settings.tags))
    if settings.size is not None:
        yield Use((*at, "size"), settings.size, "sample")
    if isinstance(settings.position, FromTag):
        yield Use((*at, "position", "tag"), settings.position.tag, "place")


def _station_uses(name: str, station: StationSettings) -> Iterator[Use]:
    at: Path = ("stations", name)
    trigger = station.trigger
    subject = "identity" if station.subject.kind.value in ("unit", "lot") else "reference"
    single: tuple[tuple[Path, Any, str], ...] = (
        (("trigger", "tag"), trigger.tag, "watch"),
        (("trigger", "acknowledge"), trigger.acknowledge, "write"),
        (("trigger", "cycle"), trigger.cycle, "count"),
        (("trigger", "running"), trigger.running, "watch"),
        (("permit", "tag"), station.permit and station.permit.tag, "write"),
        (("hold", "tag"), station.hold and station.hold.tag, "write"),
        (("subject", "tag"), station.subject.tag, subject),
        (("subject", "carrier"), station.subject.carrier, "reference"),
        (("order", "tag"), station.order.tag, "reference"),
        (("operator", "tag"), station.operator and station.operator.tag, "reference"),
        (("purpose", "tag"), station.purpose and station.purpose.tag, "value"),
        (("result", "tag"), station.result and station.result.tag, "value"),
        (("tool", "tag"), station.tool.tag if isinstance(station.tool, FromTag) else None, "place"),
    )
    yield from (Use((*at, *below), tag, kind) for below, tag, kind in single if tag)
    yield from (Use((*at, "capture", n), tag, "value") for n, tag in enumerate(station.capture))
    yield from (Use((*at, "counters", key), tag, "count") for key, tag in station.counters.items())
