"""The ``devices:`` part of a line file: devices and their tags, as pure models without any protocol library.

What a driver of this version cannot do is refused here, with its place in the file, never silently at run time.
Words of other tools (``slave_id``, ``type``, ``id``, ...) are taken with a warning when the file is loaded with
``aliases=ALIASES``.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from records.yaml import Duration, Settings, did_you_mean, fault

ALIASES = MappingProxyType(
    {
        "slave_id": "unit_id",
        "slave": "unit_id",
        "unitId": "unit_id",
        "device_id": "unit_id",
        "type": "data_type",
        "dataType": "data_type",
        "id": "node_id",
        "nodeId": "node_id",
        "identifer": "identifier",
        "byteOrder": "byte_order",
        "input_type": "register",
        "count": "length",
        "multiplier": "scale",
        "interval": "poll_interval",
        "scan_interval": "poll_interval",
        "baud": "baudrate",
        "baud_rate": "baudrate",
    }
)
"""Words of Telegraf, ThingsBoard, Home Assistant and others, and ours for them."""

Role = Literal["characteristic", "record", "trigger", "counter", "telemetry"]
ByteOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Register = Literal["holding", "input", "coil", "discrete"]

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_NUMBERS = (*_INTEGERS, "float32", "float64")
_SCALARS = ("bool", *_NUMBERS, "string")
OPCUA_TYPES = (*_SCALARS, *(f"{name}[]" for name in _SCALARS))
REGISTER_COUNT = MappingProxyType(
    {
        "bool": 1,
        "int16": 1,
        "uint16": 1,
        "int32": 2,
        "uint32": 2,
        "float32": 2,
        "int64": 4,
        "uint64": 4,
        "float64": 4,
    }
)
"""How many registers a value of each type takes (a string: its ``length``)."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,62}", value):
        raise fault(
            f"{value!r} is no name",
            hint="a letter, then letters, digits, _ and -, at most 63; a tag is called DEVICE.TAG elsewhere",
        )
    return value


Name = Annotated[str, AfterValidator(_name)]
"""The name of a device or a tag."""


def _known_type(known: tuple[str, ...], value: object) -> object:
    if isinstance(value, str) and value not in known:
        raise fault(f"{value!r} is no data type here", hint=did_you_mean(value, known))
    return value


def _opcua_type(value: object) -> object:
    return _known_type(OPCUA_TYPES, value)


def _modbus_type(value: object) -> object:
    return _known_type((*REGISTER_COUNT, "string"), value)


class TagSettings(Settings):
    """What every tag has. ``access: write`` may be written, and read as well."""

    name: Name
    unit: str | None = None
    role: Role = "telemetry"
    access: Literal["read", "write"] = "read"
    mode: Literal["poll", "subscribe"] = "poll"
    description: str | None = None

    @property
    def type_name(self) -> str:
        """The data type that readings of this tag name; empty when the server decides."""
        return ""


class OpcUaTag(TagSettings):
    """A node: ``node_id``, or ``namespace_uri`` with ``identifier`` (which survives a server's new order)."""

    node_id: str | None = None
    namespace_uri: str | None = None
    identifier: str | None = None
    data_type: Annotated[str, BeforeValidator(_opcua_type)] | None = None
    sampling_interval: Duration | None = None
    queue_size: int = Field(10, ge=1, le=10_000)

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


class OpcUaSecurity(Settings):
    """How the channel is protected. This version speaks to servers without security only, and only when told."""

    policy: str = "None"
    allow_insecure: bool = False

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("policy", "None") != "None":
            raise fault(f"policy {data['policy']} is not supported by this version", at="policy", hint=_INSECURE)
        for key in ("mode", "auth", "server_fingerprint", "certificate", "private_key"):
            if key in data and not (key == "mode" and data[key] == "None"):
                raise fault(f"`{key}` is not supported by this version", at=key, hint=_INSECURE)
        return {key: value for key, value in data.items() if key != "mode"}

    @model_validator(mode="after")
    def _deliberate(self) -> OpcUaSecurity:
        if not self.allow_insecure:
            raise fault("a channel without security must be allowed", at="policy", hint=_INSECURE)
        return self


_INSECURE = "write security: {policy: None, allow_insecure: true} where the network is trusted"


class DeviceSettings(Settings):
    """What every device has, but for its driver and address."""

    timeout: Duration = 2.0
    poll_interval: Duration = 0.2
    description: str | None = None

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


class OpcUaDevice(DeviceSettings):
    driver: Literal["opcua"]
    endpoint: str
    security: OpcUaSecurity | None = Field(None, validate_default=True)
    publish_interval: Duration = 0.1
    tags: tuple[OpcUaTag, ...] = ()

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
            raise fault("`security` is missing", hint=_INSECURE)
        return security

    @field_validator("tags")
    @classmethod
    def _once(cls, tags: tuple[OpcUaTag, ...]) -> tuple[OpcUaTag, ...]:
        _names_once(tags)
        return tags

    @property
    def address_text(self) -> str:
        return self.endpoint


class ModbusTag(TagSettings):
    """Registers or a bit. ``value = raw x scale + offset``; ``length`` of a string counts registers."""

    table: Register = Field("holding", alias="register")
    address: int = Field(ge=0, le=65_536)
    data_type: Annotated[str, BeforeValidator(_modbus_type)] | None = None
    byte_order: ByteOrder | None = None
    bit: int | None = Field(None, ge=0, le=15)
    length: int | None = Field(None, ge=1, le=125)
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_bit(self) -> bool:
        return self.table in ("coil", "discrete")

    @property
    def type_name(self) -> str:
        if self.is_bit or self.bit is not None:
            return "bool"
        if self.scaled:
            return "float64"
        return self.raw_type

    @property
    def raw_type(self) -> str:
        """The type that the registers hold, before bit, scale and offset."""
        return self.data_type or ("bool" if self.is_bit else "uint16")

    @property
    def scaled(self) -> bool:
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def count(self) -> int:
        """How many registers (or bits of a coil table) the value takes."""
        return REGISTER_COUNT.get(self.raw_type) or self.length or 1

    @model_validator(mode="after")
    def _consistent(self) -> ModbusTag:
        raw = self.raw_type
        if self.is_bit and raw != "bool":
            raise fault(f"a {self.table} is one bit, not {raw}", at="data_type", hint="leave data_type out")
        if (raw == "string") != (self.length is not None):
            hint = "its number of registers" if raw == "string" else "only strings have a length"
            raise fault(f"`length` and data_type {raw} do not fit", at="length", hint=hint)
        if self.bit is not None and (self.is_bit or raw not in ("uint16", "int16", "bool")):
            raise fault("`bit` picks one bit of one register", at="bit", hint="use data_type uint16")
        if self.scaled and self.type_name in ("bool", "string"):
            raise fault(f"a {self.type_name} has no scale and no offset", at="scale")
        if self.scale == 0:
            raise fault("a scale of 0 makes every value the same", at="scale")
        if self.role == "characteristic" and self.type_name in ("bool", "string"):
            raise fault(f"a characteristic is a number, {self.type_name} is none", at="role")
        if self.mode == "subscribe":
            raise fault("Modbus has no subscriptions", at="mode", hint="use mode: poll")
        self._check_write()
        return self

    def _check_write(self) -> None:
        if self.access == "write" and self.table not in ("holding", "coil"):
            raise fault(f"{self.table} registers cannot be written", at="access", hint="holding or coil can")
        if self.access == "write" and self.bit is not None:
            raise fault("one bit of a register cannot be written", at="access", hint="write the whole register")


class ModbusTcpDevice(DeviceSettings):
    driver: Literal["modbus_tcp"]
    host: str = Field(min_length=1)
    port: int = Field(502, ge=1, le=65_535)
    unit_id: int = Field(1, ge=0, le=255)
    address_base: Literal[0, 1] = 0
    byte_order: ByteOrder = "ABCD"
    max_registers_per_request: int = Field(125, ge=1, le=125)
    max_gap: int = Field(16, ge=0, le=124)
    tags: tuple[ModbusTag, ...] = ()

    @model_validator(mode="after")
    def _tags_fit(self) -> ModbusTcpDevice:
        _names_once(self.tags, "tags")
        for n, tag in enumerate(self.tags):
            first = tag.address - self.address_base
            if first < 0 or first + tag.count > 65_536:
                raise fault(f"address {tag.address} is outside of the table", at=("tags", n, "address"))
            if tag.count > self.max_registers_per_request:
                raise fault("longer than max_registers_per_request", at=("tags", n, "length"))
        return self

    @property
    def address_text(self) -> str:
        return f"{self.host}:{self.port} unit {self.unit_id}"


class SerialScannerDevice(Settings):
    """A barcode scanner that sends text frames; ``acknowledge``: it waits for ACK or NAK after each."""

    driver: Literal["serial_scanner"]
    port: str = Field(min_length=1)
    baudrate: int = Field(9600, ge=50, le=4_000_000)
    bytesize: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    stopbits: Literal[1, 2] = 1
    terminator: Literal["CR", "LF", "CRLF"] = "CR"
    prefix: str = Field("", max_length=16)
    suffix: str = Field("", max_length=16)
    max_length: int = Field(512, ge=1, le=65_536)
    idle: Duration = 0.5
    encoding: Literal["ascii", "utf-8", "latin-1"] = "utf-8"
    acknowledge: bool = False
    description: str | None = None

    @property
    def tags(self) -> tuple[TagSettings, ...]:
        """A scanner has no tags; stations name it in ``scan:``."""
        return ()

    @property
    def address_text(self) -> str:
        return self.port


AnyDevice = Annotated[OpcUaDevice | ModbusTcpDevice | SerialScannerDevice, Field(discriminator="driver")]
Devices = dict[Name, AnyDevice]
"""The type of ``devices:`` in a line file."""


def _names_once(tags: tuple[TagSettings, ...], *at: str) -> None:
    seen: set[str] = set()
    for n, tag in enumerate(tags):
        if tag.name in seen:
            raise fault(f"a second tag is called {tag.name}", at=(*at, n, "name"))
        seen.add(tag.name)
