"""What every device and every tag has, whatever its protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Annotated, Any, Literal, Optional, get_args

from pydantic import (
    AfterValidator,
    Field,
    create_model,
    field_validator,
    model_validator,
)

from records.yaml import Duration, Settings, did_you_mean, fault

Role = Literal["characteristic", "record", "trigger", "counter", "telemetry"]


_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,62}"


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise fault(
            f"{value!r} is no name",
            hint="a letter, then letters, digits, _ and -, at most 63; a tag is called DEVICE.TAG elsewhere",
        )
    return value


Name = Annotated[str, AfterValidator(_name)]
"""The name of a device or a tag."""


def _host(value: str) -> str:
    name, colon, port = value.partition(":")
    if colon and port.isdigit():
        raise fault(f"{value!r} holds a port", hint=f"host: {name}, and beside it port: {port}")
    if not re.fullmatch(r"[\w.:%-]+", value):
        raise fault(f"{value!r} is no name or address of a machine", hint="for example 10.0.0.6")
    return value


Host = Annotated[str, Field(min_length=1), AfterValidator(_host)]
"""A machine's name or address in the network."""


def known_type(known: tuple[str, ...], value: object) -> object:
    """The value, or a fault that suggests the type that is meant."""
    if isinstance(value, str) and value not in known:
        raise fault(f"{value!r} is no data type here", hint=did_you_mean(value, known))
    return value


NUMBERS = (
    *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float32", "float64"),
)
"""The data types of readings that are numbers."""

FILTERS = ("deadband", "on_change", "heartbeat", "average")
"""What thins the telemetry of a tag; never allowed on a tag that is kept with a run, judged or counted."""


class TagSettings(Settings):
    """What every tag has."""

    name: Name = Field(json_schema_extra={"pattern": f"^{_NAME}$"})
    """What the tag is called; elsewhere it is DEVICE.TAG."""
    unit: str | None = None
    """The unit of the value, as the machine's maker writes it."""
    role: Role = "telemetry"
    """What the tag is for: a characteristic is judged by a control chart, a record tag is kept with each run."""
    access: Literal["read", "write"] = "read"
    """``write``: may be written by a station, and read as well."""
    mode: Literal["poll", "subscribe"] = "poll"
    """Whether a watched tag is read at the poll interval or told by its server."""
    poll_interval: Duration | None = None
    """How often the tag is read; as often as the device says when left out."""
    stale_after: Duration | None = None
    """A value older than this is no longer good."""
    deadband: float | None = Field(None, gt=0)
    """Telemetry only: a value that differs by less than this (in the tag's unit) from the last one kept is left
    out."""
    on_change: bool = False
    """Telemetry only: a value equal to the last one kept is left out."""
    heartbeat: Duration | None = None
    """With on_change or deadband: a value is kept at least this often."""
    average: Duration | None = None
    """Telemetry only: one mean value for each span of this length."""
    description: str | None = None
    """For people."""

    @field_validator("poll_interval", "stale_after", "heartbeat", "average")
    @classmethod
    def _span(cls, seconds: float | None) -> float | None:
        return None if seconds is None else in_range(seconds)

    @model_validator(mode="after")
    def _filters_fit(self) -> TagSettings:
        filters = self.filters
        if filters and self.role != "telemetry":
            raise fault(
                f"`{filters[0]}` thins telemetry, a {self.role} tag keeps every value",
                at=filters[0],
                hint="take it out, or give the tag role: telemetry",
            )
        no_number = self.type_name not in ("", *NUMBERS)
        for key in ("deadband", "average"):
            if no_number and key in filters:
                raise fault(f"a {self.type_name} has no {key}", at=key, hint="use on_change: true")
        if self.heartbeat is not None and not (self.on_change or self.deadband is not None):
            raise fault(
                "nothing is left out, so there is no heartbeat", at="heartbeat", hint="add on_change: true"
            )
        if self.average is not None and (self.on_change or self.deadband is not None):
            raise fault("a mean is kept for each span, changed or not", at="average", hint="give one of the two")
        return self

    @property
    def filters(self) -> tuple[str, ...]:
        """Which of the keys that thin telemetry are set."""
        return tuple(key for key in FILTERS if getattr(self, key) not in (None, False))

    @property
    def type_name(self) -> str:
        """The data type that readings of this tag name; empty when the server decides."""
        return ""


@cache
def defaults_model(tag: type[TagSettings]) -> type[Settings]:
    """A model of the keys of a tag that its device may say for all of them."""
    return create_model(
        f"{tag.__name__}Defaults",
        __base__=Settings,
        __doc__="Keys that every tag of the device has unless it says otherwise.",
        **_optional(tag),
    )


@cache
def group_model(tag: type[TagSettings]) -> type[Settings]:
    """A model of a group: the same keys, and its tags."""
    rows: Any = tuple[tag, ...]  # type: ignore[valid-type]  # made here, from a class that is a value
    own: dict[str, Any] = {
        "name": (str | None, Field(None, description="By which an extending file names the group.")),
        "description": (str | None, Field(None, description="For people.")),
        "tags": (rows, Field(description="The tags.")),
    }
    doc = "Tags with keys that every one of them has unless it says otherwise."
    return create_model(f"{tag.__name__}Group", __base__=Settings, __doc__=doc, **own, **_optional(tag))


def _optional(tag: type[TagSettings]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, info in tag.model_fields.items():
        if name not in ("name", "description"):
            field = copy(info)
            field.default = None
            fields[name] = (Optional[info.annotation], field)  # noqa: UP045  # an annotation that is a value
    return fields


def in_range(seconds: float) -> float:
    """A span of time that a loop can keep, or a fault."""
    if not 0.005 <= seconds <= 86_400:
        raise fault(f"{seconds:g} s is out of range", hint="from 5ms to 1d")
    return seconds


class DeviceSettings(Settings):
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
        return in_range(seconds)

    @classmethod
    def resolved_keys(cls) -> Mapping[str, Any]:
        """``defaults`` and ``groups`` of tags."""
        tag = get_args(cls.model_fields["tags"].annotation)[0] if "tags" in cls.model_fields else None
        if tag is None:
            return {}
        defaults: Any = defaults_model(tag)
        groups: Any = tuple[group_model(tag), ...]  # type: ignore[misc]  # made here, from a class that is a value
        return {
            "defaults": Annotated[defaults, Field(description="What every tag has that does not say it itself.")],
            "groups": Annotated[groups, Field(description="Tags that share more than the device's defaults.")],
        }

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
