"""Modbus devices and their values."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from drivers.tags.common import DeviceSettings, TagSettings, known_type, names_once
from records.yaml import fault

ByteOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Register = Literal["holding", "input", "coil", "discrete"]

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


_TYPES = (*REGISTER_COUNT, "string")


def _modbus_type(value: object) -> object:
    return known_type(_TYPES, value)


_DataType = Annotated[str, BeforeValidator(_modbus_type), WithJsonSchema({"type": "string", "enum": list(_TYPES)})]


class ModbusTag(TagSettings):
    """Registers or a bit. ``value = raw x scale + offset``; ``length`` of a string counts registers."""

    table: Register = Field("holding", alias="register")
    """Where the value is; coils and discrete inputs are booleans."""
    address: int = Field(ge=0, le=65_536)
    """The number in the table, without the Modicon digit, counted from the device's address_base."""
    data_type: _DataType | None = None
    """What the registers hold; ``uint16`` when left out."""
    byte_order: ByteOrder | None = None
    """The order of the bytes; the device's when left out."""
    bit: int | None = Field(None, ge=0, le=15)
    """One bit of a register, 0 is the lowest; the value is a boolean."""
    length: int | None = Field(None, ge=1, le=125)
    """How many registers a string takes."""
    scale: float = 1.0
    """The raw value times this, plus offset, is the value."""
    offset: float = 0.0
    """See scale."""

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
    """A machine that speaks Modbus TCP."""

    driver: Literal["modbus_tcp"]
    host: str = Field(min_length=1)
    """Name or address."""
    port: int = Field(502, ge=1, le=65_535)
    """TCP port."""
    unit_id: int = Field(1, ge=0, le=255)
    """The unit behind a gateway; 1 or 255 for most devices without one."""
    address_base: Literal[0, 1] = 0
    """Whether the manual counts addresses from 0 or from 1."""
    byte_order: ByteOrder = "ABCD"
    """The order of the bytes of values of several registers, most significant first in ABCD."""
    max_registers_per_request: int = Field(125, ge=1, le=125)
    """For devices that cannot answer the 125 that Modbus allows."""
    max_gap: int = Field(16, ge=0, le=124)
    """Holes up to this many registers are read along to save a request."""
    tags: tuple[ModbusTag, ...] = ()
    """The values."""

    @model_validator(mode="after")
    def _tags_fit(self) -> ModbusTcpDevice:
        names_once(self.tags, "tags")
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
