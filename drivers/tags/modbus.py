"""Values in Modbus registers and bits; the devices are in ``modbus_devices``."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from drivers.tags.common import TagSettings, known_type
from records.yaml import Settings, fault

ByteOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Register = Literal["holding", "input", "coil", "discrete"]

REGISTER_COUNT = MappingProxyType(
    {
        "bool": 1,
        "int8": 1,
        "uint8": 1,
        "int16": 1,
        "uint16": 1,
        "int32": 2,
        "uint32": 2,
        "int64": 4,
        "uint64": 4,
        "float16": 1,
        "float32": 2,
        "float64": 4,
        "bcd16": 1,
        "bcd32": 2,
        "bcd64": 4,
    }
)
"""How many registers a value of each type takes (a string: its ``length``)."""

MODBUS_TYPES = (*REGISTER_COUNT, "string")

INTEGERS = MappingProxyType(
    {
        "int8": 8,
        "uint8": 8,
        "int16": 16,
        "uint16": 16,
        "int32": 32,
        "uint32": 32,
        "int64": 64,
        "uint64": 64,
        "bcd16": 16,
        "bcd32": 32,
        "bcd64": 64,
    }
)
"""The whole numbers and how many bits each has in its registers."""

VALUE_TYPES = MappingProxyType({"float16": "float32", "bcd16": "uint16", "bcd32": "uint32", "bcd64": "uint64"})
"""The data type of a reading where it is another than that of the registers."""

_FIELDS = ("uint16", "uint32", "uint64")


def _modbus_type(value: object) -> object:
    return known_type(MODBUS_TYPES, value)


def _number(value: object) -> object:
    """Addresses as manuals write them: 40001, "000017", 0x1F, "0x1F"."""
    if isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"0x[0-9a-f]{1,5}", text):
            return int(text, 16)
        if re.fullmatch(r"[0-9]{1,6}", text):
            return int(text)
        raise fault(
            f"{value!r} is no address",
            hint="a number, or hexadecimal as 0x1F; a bit has the key `bit`, a length the key `length`",
        )
    return value


_DataType = Annotated[
    str, BeforeValidator(_modbus_type), WithJsonSchema({"type": "string", "enum": list(MODBUS_TYPES)})
]
_ADDRESS_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^(0[xX][0-9a-fA-F]+|[0-9]+)$"}]
}
_Address = Annotated[int, BeforeValidator(_number), WithJsonSchema(_ADDRESS_SCHEMA)]


class BitField(Settings):
    """Neighbouring bits of a register (or of two or four): ``{start: 4, count: 3}``."""

    start: int = Field(ge=0, le=63)
    """The lowest bit of the field; 0 is the lowest of the value."""
    count: int = Field(ge=1, le=63)
    """How many bits."""


class SequenceCheck(Settings):
    """How to know that the machine changed values while they were read."""

    tag: str
    """A tag of this device that the machine counts on with every change of the values."""
    odd_while_writing: bool = False
    """The machine makes it odd before it writes the values and even after."""


class ModbusTag(TagSettings):
    """Registers or a bit. ``value = raw x scale + offset``; ``length`` of a string counts registers."""

    table: Register = Field("holding", alias="register")
    """Where the value is; coils and discrete inputs are booleans."""
    address: _Address = Field(ge=0, le=465_536)
    """The number in the table, counted from the device's address_base, without the Modicon digit (but see
    address_style); 0x1F is hexadecimal."""
    data_type: _DataType | None = None
    """What the registers hold; ``uint16`` when left out."""
    byte_order: ByteOrder | None = None
    """The order of the bytes; the device's when left out."""
    byte: Literal["high", "low"] | None = None
    """Which half of the register an int8 or uint8 is, byte order applied."""
    bit: int | None = Field(None, ge=0, le=15)
    """One bit of a register, 0 is the lowest; the value is a boolean."""
    bits: BitField | None = None
    """Some bits of an unsigned value; the value is their number."""
    enumeration: dict[int, str] | None = None
    """Names of numbers: the value is the name, a number without one is bad."""
    invalid: tuple[int | float, ...] = ()
    """Raw values (before bits, scale and offset) by which the machine says that it has no value: bad readings."""
    length: int | None = Field(None, ge=1, le=125)
    """How many registers a string takes."""
    scale: float = 1.0
    """The raw value times this, plus offset, is the value."""
    offset: float = 0.0
    """See scale."""
    sequence: SequenceCheck | None = None
    """Values that belong together are taken only if this did not change while they were read; the device's when
    left out."""
    read_modify_write: bool = False
    """A part of a register may be written: the register is read, changed and written back, and what the machine
    changes in between is lost."""

    @property
    def is_bit(self) -> bool:
        return self.table in ("coil", "discrete")

    @property
    def type_name(self) -> str:
        if self.is_bit or self.bit is not None:
            return "bool"
        if self.enumeration is not None:
            return "string"
        if self.scaled:
            return "float64"
        return VALUE_TYPES.get(self.raw_type, self.raw_type)

    @property
    def raw_type(self) -> str:
        """The type that the registers hold, before bits, names, scale and offset."""
        return self.data_type or ("bool" if self.is_bit else "uint16")

    @property
    def scaled(self) -> bool:
        return (self.scale, self.offset) != (1.0, 0.0)

    @property
    def partial(self) -> bool:
        """Whether the value is only a part of its registers."""
        return self.bit is not None or self.bits is not None or self.raw_type in ("int8", "uint8")

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
        if self.scaled and self.type_name in ("bool", "string"):
            what = "named value" if self.enumeration is not None else self.type_name
            raise fault(f"a {what} has no scale and no offset", at="scale")
        if self.scale == 0:
            raise fault("a scale of 0 makes every value the same", at="scale")
        if self.role == "characteristic" and self.type_name in ("bool", "string"):
            raise fault(f"a characteristic is a number, {self.type_name} is none", at="role")
        if self.mode == "subscribe":
            raise fault("Modbus has no subscriptions", at="mode", hint="use mode: poll")
        self._check_parts()
        self._check_names()
        self._check_write()
        return self

    def _check_parts(self) -> None:
        raw = self.raw_type
        if (raw in ("int8", "uint8")) != (self.byte is not None):
            hint = "byte: low or byte: high" if self.byte is None else "only int8 and uint8 are half a register"
            raise fault(f"`byte` and data_type {raw} do not fit", at="byte", hint=hint)
        if self.bit is not None and (self.is_bit or raw not in ("uint16", "int16", "bool")):
            raise fault("`bit` picks one bit of one register", at="bit", hint="use data_type uint16")
        if self.bits is None:
            return
        if self.bit is not None or raw not in _FIELDS:
            raise fault("`bits` picks some bits of an unsigned value", at="bits", hint="use data_type uint16")
        if self.bits.start + self.bits.count > INTEGERS[raw]:
            raise fault(f"a {raw} has {INTEGERS[raw]} bits", at="bits")

    def _check_names(self) -> None:
        raw = self.raw_type
        if self.invalid and (self.is_bit or raw in ("bool", "string")):
            raise fault(f"a {'bool' if self.is_bit else raw} has no `invalid` values", at="invalid")
        whole = raw in INTEGERS and not self.is_bit and self.bit is None
        limit = 1 << INTEGERS.get(raw, 0)
        for n, item in enumerate(self.invalid):
            if raw in INTEGERS and (item != int(item) or not -limit // 2 <= item < limit):
                raise fault(f"{item} is no value of {raw}", at=("invalid", n))
        if self.enumeration is None:
            return
        if not whole or not self.enumeration:
            raise fault("only whole numbers have names", at="enumeration", hint="for example {0: idle, 1: run}")
        names = list(self.enumeration.values())
        if len(set(names)) < len(names) or not all(name.strip() == name != "" for name in names):
            raise fault("each number needs a name of its own", at="enumeration")

    def _check_write(self) -> None:
        if self.access != "write":
            if self.read_modify_write:
                raise fault("nothing is written here", at="read_modify_write", hint="add access: write")
            return
        if self.table not in ("holding", "coil"):
            raise fault(f"{self.table} registers cannot be written", at="access", hint="holding or coil can")
        if self.partial and not self.read_modify_write:
            raise fault(
                "a part of a register cannot be written alone",
                at="access",
                hint="write the whole register, or add read_modify_write: true where nobody else changes it",
            )
        if self.read_modify_write and not self.partial:
            raise fault("the value is a whole register", at="read_modify_write", hint="leave it out")
