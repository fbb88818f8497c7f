"""What every device and every tag has, whatever its protocol."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, field_validator

from records.yaml import Duration, Settings, did_you_mean, fault

Role = Literal["characteristic", "record", "trigger", "counter", "telemetry"]


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        raise fault(
            f"{value!r} is no name",
            hint="a letter, then letters, digits, _ and -, at most 63; a tag is called DEVICE.TAG elsewhere",
        )
    return value


Name = Annotated[str, AfterValidator(_name)]
"""The name of a device or a tag."""


def known_type(known: tuple[str, ...], value: object) -> object:
    """The value, or a fault that suggests the type that is meant."""
    if isinstance(value, str) and value not in known:
        raise fault(f"{value!r} is no data type here", hint=did_you_mean(value, known))
    return value


class Described(Settings):
    """Texts below the fields are their descriptions in the JSON Schema and in the reference."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class TagSettings(Described):
    """What every tag has."""

    name: Name
    """What the tag is called; elsewhere it is DEVICE.TAG."""
    unit: str | None = None
    """The unit of the value, as the machine's maker writes it."""
    role: Role = "telemetry"
    """What the tag is for: a characteristic is judged by a control chart, a record tag is kept with each run."""
    access: Literal["read", "write"] = "read"
    """``write``: may be written by a station, and read as well."""
    mode: Literal["poll", "subscribe"] = "poll"
    """Whether a watched tag is read at the device's poll interval or told by its server."""
    description: str | None = None
    """For people."""

    @property
    def type_name(self) -> str:
        """The data type that readings of this tag name; empty when the server decides."""
        return ""


class DeviceSettings(Described):
    """What every device has, but for its driver and address."""

    timeout: Duration = 2.0
    """How long an answer may take; after it the connection is given up and made anew."""
    poll_interval: Duration = 0.2
    """How often watched tags are read."""
    description: str | None = None
    """For people."""

    @field_validator("timeout", "poll_interval")
    @classmethod
    def _positive(cls, seconds: float) -> float:
        if not 0.005 <= seconds <= 86_400:
            raise fault(f"{seconds:g} s is out of range", hint="from 5ms to 1d")
        return seconds

    @property
    def address_text(self) -> str:
        """Where the device is, for messages."""
        raise NotImplementedError


def names_once(tags: tuple[TagSettings, ...], *at: str) -> None:
    """A fault at the second of two tags with one name."""
    seen: set[str] = set()
    for n, tag in enumerate(tags):
        if tag.name in seen:
            raise fault(f"a second tag is called {tag.name}", at=(*at, n, "name"))
        seen.add(tag.name)
