"""OPC UA devices and their nodes."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from drivers.tags.common import DeviceSettings, TagSettings, known_type, names_once
from drivers.tags.opcua_profiles import PROFILES
from drivers.tags.opcua_security import SECURE, OpcUaSecurity
from records.yaml import Duration, did_you_mean, fault

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_NUMBERS = (*_INTEGERS, "float32", "float64")
_SCALARS = ("bool", *_NUMBERS, "string")
OPCUA_TYPES = (*_SCALARS, *(f"{name}[]" for name in _SCALARS))


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


class OpcUaTag(TagSettings):
    """A node: ``node_id``, or ``namespace_uri`` with ``identifier`` (which survives a server's new order)."""

    node_id: str | None = None
    """``ns=2;s=Cycle.Done``: the namespace by its number, which a server may change."""
    namespace_uri: str | None = None
    """The namespace by its name, looked up after every connect."""
    identifier: str | None = None
    """``s=Cycle.Done``, with namespace_uri."""
    data_type: _DataType | None = None
    """What the node must hold (``float64``, ``uint32``, ``string``, ``float64[]``, ...); another type is a bad
    reading. Left out: whatever the server has."""
    sampling_interval: Duration | None = None
    """How often the server looks at a subscribed node; the publish interval when left out."""
    queue_size: int = Field(10, ge=1, le=10_000)
    """How many values of a subscribed node the server keeps between two messages."""

    @property
    def type_name(self) -> str:
        return self.data_type or ""

    @model_validator(mode="after")
    def _one_address(self) -> OpcUaTag:
        if self.node_id is not None and (self.namespace_uri or self.identifier):
            raise fault("give either node_id or namespace_uri with identifier", at="node_id")
        if self.node_id is None and not (self.namespace_uri and self.identifier):
            raise fault("`node_id` is missing", hint="or namespace_uri together with identifier")
        if self.node_id is not None:
            _check_node_id(self.node_id, "node_id", r"(ns=[0-9]{1,5};)?")
        if self.identifier is not None:
            _check_node_id(self.identifier, "identifier", "")
        if self.role == "characteristic" and self.type_name.removesuffix("[]") in ("bool", "string"):
            raise fault(f"a characteristic is a number, {self.type_name} is none", at="role")
        if self.access == "write" and self.type_name.endswith("[]"):
            raise fault("an array cannot be written", at="access")
        return self


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
        if not re.fullmatch(r"opc\.tcp://[^/\s@]+(/\S*)?", value):
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
