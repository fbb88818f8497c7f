"""Read tags once, with sessions of our own: for a person who wants to know, while no agent need run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from drivers.factory import Lines, build_device
from drivers.tags import SerialScannerDevice
from edge_agent.settings import LineSettings
from records.clock import Clock, iso_z
from records.errors import Refused, Unknown, Unreachable
from records.model import Quality, Reading
from records.yaml import did_you_mean

NOT_REACHED = "BadNotConnected"
"""Status of a tag whose device was not reached (OPC UA's word)."""
LIMIT_S = 30.0
"""How long one device may take, whatever its own timeouts allow."""


@dataclass(frozen=True, slots=True)
class Found:
    """Readings in the order in which they were asked for, and why which devices were not reached."""

    readings: tuple[Reading, ...]
    errors: Mapping[str, str]


def wanted(line: LineSettings, names: Sequence[str]) -> tuple[str, ...]:
    """The ``DEVICE.TAG`` names that are meant: all without any, a device's all by its name alone.

    Raises:
        ConfigurationError: there is no such tag.
    """
    known = {device: [f"{device}.{tag.name}" for tag in each.tags] for device, each in line.devices.items()}
    every = [name for tags in known.values() for name in tags]
    asked: list[str] = []
    for name in names:
        if name not in every and not known.get(name):
            hint = (
                did_you_mean(name, [*every, *(device for device, tags in known.items() if tags)]) or "DEVICE.TAG"
            )
            raise Unknown(f"the line has no tag {name!r}", hint=hint)
        asked += known.get(name) or [name]
    return tuple(dict.fromkeys(asked or every))


async def read_once(line: LineSettings, names: Sequence[str], clock: Clock) -> Found:
    """Connect to the devices of these tags, all at once, read, and close."""
    groups, lines = by_device(names), Lines()
    answers = await asyncio.gather(*(_device(line, device, tags, clock, lines) for device, tags in groups.items()))
    found: dict[str, Reading] = {}
    errors: dict[str, str] = {}
    for device, answer in zip(groups, answers, strict=True):
        if isinstance(answer, str):
            errors[device] = answer
            answer = away(line, [f"{device}.{tag}" for tag in groups[device]], clock.now_us())
        found |= {reading.tag: reading for reading in answer}
    return Found(tuple(found[name] for name in names), errors)


def by_device(names: Iterable[str]) -> dict[str, list[str]]:
    """``DEVICE.TAG`` names grouped by device, without the device."""
    groups: dict[str, list[str]] = {}
    for name in names:
        device, _, tag = name.partition(".")
        groups.setdefault(device, []).append(tag)
    return groups


def away(line: LineSettings, names: Iterable[str], at_us: int) -> list[Reading]:
    """Readings of tags whose device does not answer."""
    tags = [(name, line.tag(name)) for name in names]
    return [
        Reading(
            name,
            None,
            tag.unit if tag else None,
            tag.type_name if tag else "",
            Quality.BAD,
            NOT_REACHED,
            None,
            None,
            at_us,
        )
        for name, tag in tags
    ]


async def _device(
    line: LineSettings, name: str, tags: list[str], clock: Clock, lines: Lines
) -> Sequence[Reading] | str:
    settings = line.devices[name]
    if isinstance(settings, SerialScannerDevice):
        return f"{name} is a scanner"
    device = build_device(name, settings, clock, lambda _: None, agent=line.agent, lines=lines)
    try:
        async with asyncio.timeout(LIMIT_S):
            await device.connect()
            return (await device.read(tags)).readings()
    except (Unreachable, Refused) as error:
        return str(error)
    except TimeoutError:
        return f"{name} ({settings.address_text}): no answer in {LIMIT_S:g} s"
    finally:
        await device.close()


def reading_json(reading: Reading) -> dict[str, JsonValue]:
    """One reading as ``read`` prints it."""
    return {
        "tag": reading.tag,
        "value": reading.value,
        "unit": reading.unit,
        "quality": reading.quality.value,
        "status": reading.status,
        "source_time": iso_z(reading.source_us),
        "server_time": iso_z(reading.server_us),
        "edge_time": iso_z(reading.edge_us),
    }


def exit_code(readings: Iterable[Mapping[str, JsonValue]], errors: Mapping[str, str]) -> int:
    """3 a device not reached, 1 some value bad, 0 none bad."""
    if errors:
        return 3
    return 1 if any(reading["quality"] == "bad" for reading in readings) else 0
