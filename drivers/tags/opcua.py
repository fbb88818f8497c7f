"""OPC UA devices and their nodes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from drivers.tags.common import NUMBERS, DeviceSettings, TagSettings, known_type, names_once
from drivers.tags.opcua_profiles import PROFILES
from drivers.tags.opcua_security import SECURE, OpcUaSecurity
from records.yaml import Duration, did_you_mean, fault

_INTEGERS = tuple(name for name in NUMBERS if "int" in name)
_TEXTS = (
    "datetime",
    "guid",
    "bytestring",
    "xmlelement",
    "node_id",
    "expanded_node_id",
    "status_code",
    "qualified_name",
    "localized_text",
)
_SCALARS = ("bool", *NUMBERS, "string", *_TEXTS)
_WRITABLE = ("", "bool", *NUMBERS, "string", "datetime", "guid", "bytestring", "enum")
OPCUA_TYPES = (*_SCALARS, *(f"{name}[]" for name in _SCALARS), "enum", "structure")
"""Built-in types and arrays of them; ``enum`` is an integer told by its name, ``structure`` an object."""


def _opcua_type(value: object) -> object:
    return known_type(OPCUA_TYPES, value)


_DataType = Annotated[
    str, BeforeValidator(_opcua_type), WithJsonSchema({"type": "string", "enum": list(OPCUA_TYPES)})
]


def _known_profile(value: object) -> object:
    if value not in PROFILES:
        raise fault(f"{value!r} is no known profile", hint=did_you_mean(str(value), PROFILES))
    return value


_Profile = Annotated[
    str, BeforeValidator(_known_profile), WithJsonSchema({"type": "string", "enum": list(PROFILES)})
]


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a browse path, in a namespace by its URI or by its number."""

    name: str
    uri: str | None
    index: int


_STEP = re.compile(r"/(?:nsu=(?P<uri>[^;]+);|(?P<index>[0-9]{1,5}):)?(?P<name>(?:&.|[^/&])+)")


def browse_steps(path: str, namespace_uri: str | None = None) -> tuple[Step, ...]:
    """The names of a browse path from the root; ``&`` stands before a ``/`` or ``&`` inside a name.

    A name without a namespace is in ``namespace_uri``, or in the namespace of OPC UA where that is not given or
    the name is the first (``Objects``).

    Raises:
        ValueError: it is no browse path.
    """
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise ValueError(f"{path!r} is no browse path")
        at = found.end()
        uri, index = found["uri"], found["index"]
        if uri is None and index is None and steps:
            uri = namespace_uri
        steps.append(Step(re.sub("&(.)", r"\1", found["name"]), uri, int(index or 0)))
    if not steps:
        raise ValueError(f"{path!r} is no browse path")
    return tuple(steps)


class OpcUaTag(TagSettings):
    """A node: ``node_id``, or ``namespace_uri`` with ``identifier`` (which survives a server's new order), or
    ``browse_path``.
    """

    node_id: str | None = None
    """``ns=2;s=Cycle.Done``: the namespace by its number, which a server may change."""
    namespace_uri: str | None = None
    """The namespace by its name, looked up after every connect."""
    identifier: str | None = None
    """``s=Cycle.Done``, with namespace_uri."""
    browse_path: str | None = None
    """``/Objects/2:Machine/2:Torque`` or ``/Objects/nsu=urn:maker;Machine/nsu=urn:maker;Torque``, followed after
    every
    connect; with namespace_uri, names without a namespace are in it, but for the first."""
    data_type: _DataType | None = None
    """What the node must hold (``float64``, ``uint32``, ``string``, ``float64[]``, ...); another type is a bad
    reading. ``enum``: an integer, told by the name that the server gives it. Left out: whatever the server has."""
    array_index: int | None = Field(None, ge=0, le=1_000_000)
    """One element of an array, 0 is the first; data_type is the element's."""
    field: str | None = None
    """One value inside a structure: ``Result.Torque``; data_type is the value's."""
    enumeration: dict[int, str] | None = None
    """Names of numbers: the value is the name, a number without one is bad."""
    range: tuple[float, float] | Literal["server"] | None = None
    """``[low, high]`` or ``server`` (its EURange): a good value outside is uncertain."""
    method: str | None = None
    """The tag is written by calling this method with the value (identifier with namespace_uri, else node id); then
    it must hold that value within the device's timeout."""
    sampling_interval: Duration | None = None
    """How often the server looks at a subscribed node; the publish interval when left out."""
    queue_size: int | None = Field(None, ge=1, le=10_000)
    """How many values of a subscribed node the server keeps between two messages; twice as many as it samples in
    that time when left out, 2 at least."""

    @property
    def type_name(self) -> str:
        if self.enumeration is not None or self.data_type == "enum":
            return "string"
        return self.data_type or ""

    @model_validator(mode="after")
    def _one_address(self) -> OpcUaTag:
        if self.node_id is not None and (self.namespace_uri or self.identifier):
            raise fault("give either node_id or namespace_uri with identifier", at="node_id")
        if self.browse_path is not None and (self.node_id or self.identifier):
            raise fault("give either browse_path or the node's id", at="browse_path")
        by_name = self.namespace_uri and self.identifier
        if self.node_id is None and self.browse_path is None and not by_name:
            raise fault("`node_id` is missing", hint="or namespace_uri together with identifier, or browse_path")
        if self.node_id is not None:
            _check_node_id(self.node_id, "node_id", _NAMESPACE)
        if self.identifier is not None:
            _check_node_id(self.identifier, "identifier", "")
        if self.method is not None:
            _check_node_id(self.method, "method", "" if self.namespace_uri else _NAMESPACE)
        if self.browse_path is not None:
            try:
                browse_steps(self.browse_path)
            except ValueError:
                example = "for example /Objects/2:Machine/2:Torque"
                raise fault(f"{self.browse_path!r} is no browse path", at="browse_path", hint=example) from None
        return self

    @model_validator(mode="after")
    def _one_value(self) -> OpcUaTag:
        data_type = self.data_type or ""
        if self.array_index is not None and (data_type.endswith("[]") or data_type == "structure" or self.field):
            raise fault("one element has no such type", at="array_index", hint="give the element's data_type")
        if self.field is not None and (data_type == "structure" or not all(self.field.split("."))):
            raise fault("a field is one value", at="field", hint="for example field: Result.Torque")
        if self.enumeration is not None:
            names = list(self.enumeration.values())
            if data_type not in ("", "enum", *_INTEGERS):
                raise fault("only whole numbers have names", at="enumeration", hint="leave data_type out")
            if not names or len(set(names)) < len(names) or not all(n.strip() == n != "" for n in names):
                raise fault("each number needs a name of its own", at="enumeration")
        if isinstance(self.range, tuple) and not self.range[0] < self.range[1]:
            raise fault("a range begins below its end", at="range", hint="for example [0, 250]")
        if self.range is not None and data_type not in ("", *NUMBERS):
            raise fault(f"{self.type_name} has no range", at="range")
        if data_type == "structure" and self.role != "record":
            raise fault("a whole structure is kept with a record only", at="data_type", hint="pick one `field`")
        number = self.type_name.removesuffix("[]")
        if self.role == "characteristic" and number not in ("", *NUMBERS):
            raise fault(f"a characteristic is a number, {number} is none", at="role")
        return self

    @model_validator(mode="after")
    def _written(self) -> OpcUaTag:
        if self.method is not None and self.access != "write":
            raise fault("a method is called to write", at="method", hint="add access: write")
        if self.access != "write":
            return self
        if (self.data_type or "").endswith("[]"):
            raise fault("an array cannot be written", at="access")
        if self.array_index is not None or self.field is not None:
            raise fault("a part of a value cannot be written alone", at="access")
        if (self.data_type or "") not in _WRITABLE:
            raise fault(f"a {self.data_type} cannot be written", at="access")
        return self


_NAMESPACE = r"(ns=[0-9]{1,5};)?"


def _check_node_id(text: str, at: str, prefix: str) -> None:
    guid = r"g=[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    if not re.fullmatch(rf"{prefix}(i=[0-9]{{1,10}}|s=.+|{guid}|b=[A-Za-z0-9+/]+=*)", text):
        example = "ns=2;s=Cycle.Done" if prefix else "s=Cycle.Done"
        raise fault(f"{text!r} is no {at}", at=at, hint=f"for example {example}; i=, s=, g= and b= are known")


class OpcUaDevice(DeviceSettings):
    """A machine with an OPC UA server."""

    driver: Literal["opcua"]
    endpoint: str
    """``opc.tcp://HOST:PORT`` and the path that the server names."""
    security: OpcUaSecurity | None = Field(None, validate_default=True)
    """How the channel is protected; must be said."""
    profile: _Profile | None = None
    """The kind of server, where its kind needs care that the server itself does not tell."""
    max_nodes_per_request: int | None = Field(None, ge=1, le=100_000)
    """At most so many nodes in one request, where the server does not say what it can take."""
    publish_interval: Duration = 0.1
    """How often the server sends what subscribed nodes did."""
    tags: tuple[OpcUaTag, ...] = ()
    """The nodes."""

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        found = re.fullmatch(r"opc\.tcp://([\w.%-]+|\[[\w:.%]+\])(:[0-9]{1,5})?(/\S*)?", value)
        if found is None or not 1 <= int((found[2] or ":4840")[1:]) <= 65_535:
            raise fault(f"{value!r} is no OPC UA endpoint", hint="for example opc.tcp://10.0.0.5:4840")
        return value

    @field_validator("security")
    @classmethod
    def _security_is_said(cls, security: OpcUaSecurity | None) -> OpcUaSecurity:
        if security is None:
            raise fault("`security` is missing", hint=SECURE)
        return security

    @field_validator("tags")
    @classmethod
    def _once(cls, tags: tuple[OpcUaTag, ...]) -> tuple[OpcUaTag, ...]:
        names_once(tags)
        return tags

    @property
    def address_text(self) -> str:
        return self.endpoint
