"""Machines that speak Modbus: over TCP, TLS or a serial line, alone or many units behind one address."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from drivers.tags.common import DeviceSettings, Host, names_once
from drivers.tags.modbus import ByteOrder, ModbusTag, SequenceCheck
from records.yaml import Duration, Settings, fault

_DIGITS = {0: "coil", 1: "discrete", 3: "input", 4: "holding"}
_TABLE_SIZE = 65_536


class ModbusDevice(DeviceSettings):
    """What every Modbus device has, whatever carries the bytes."""

    unit_id: int = Field(1, ge=0, le=255)
    """The unit behind a gateway or on a serial line; 1 or 255 for most devices alone at their address."""
    address_style: Literal["plain", "modicon"] = "plain"
    """modicon: 40001 (or 400001) is the first holding register, 30001 input, 10001 discrete, 1 coil."""
    address_base: Literal[0, 1] = 0
    """Whether the manual counts addresses from 0 or from 1."""
    byte_order: ByteOrder = "ABCD"
    """The order of the bytes of values of several registers, most significant first in ABCD."""
    max_registers_per_request: int = Field(125, ge=1, le=125)
    """For devices that cannot answer the 125 that Modbus allows."""
    max_gap: int = Field(16, ge=0, le=124)
    """Holes up to this many registers are read along to save a request."""
    one_request_per_tag: bool = False
    """For weak devices: never more than one value in a request."""
    timeout: Duration = 2.0
    """How long an answer may take; see retries."""
    retries: int = Field(2, ge=0, le=10)
    """How often a read without an answer is asked again before the device counts as lost; writes never are."""
    pause_between_requests: Duration = 0.0
    """For slow devices: how long the line rests after each answer."""
    pause_after_connect: Duration = 0.0
    """For slow devices: how long the line rests before the first request."""
    write_multiple: bool = False
    """For devices that know only the functions 15 and 16: they write single values too."""
    sequence: SequenceCheck | None = None
    """For all tags that name none themselves; see there."""
    atomic_requests: bool = False
    """The device answers each request from one state of its memory, so what came in one request is never torn."""
    tags: tuple[ModbusTag, ...] = ()
    """The values."""

    @property
    def first_address(self) -> int:
        """The number that this device's manual gives to the first place of a table."""
        return 1 if self.address_style == "modicon" else self.address_base

    @property
    def bus(self) -> str:
        """What names the line that requests travel on, for people."""
        raise NotImplementedError

    @property
    def line(self) -> tuple[object, ...]:
        """Devices of which this is the same share one connection."""
        return self.driver, self.bus  # type: ignore[attr-defined]  # each kind of device has a driver

    @property
    def has_transaction_ids(self) -> bool:
        """Whether each answer names its request."""
        return False

    @property
    def address_text(self) -> str:
        return f"{self.bus} unit {self.unit_id}"

    @field_validator("pause_between_requests", "pause_after_connect")
    @classmethod
    def _short(cls, seconds: float) -> float:
        if seconds > 60:
            raise fault(f"{seconds:g} s is out of range", hint="from 0ms to 1min")
        return seconds

    @model_validator(mode="before")
    @classmethod
    def _modicon(cls, data: Any) -> Any:
        """Give every tag of a device of style modicon its table and its number in it."""
        if not isinstance(data, Mapping) or data.get("address_style") != "modicon":
            return data
        if "address_base" in data:
            raise fault("Modicon numbers always begin with 1", at="address_base", hint="leave address_base out")
        tags = data.get("tags")
        if not isinstance(tags, list | tuple):
            return data
        return {**data, "tags": [_from_modicon(tag, n) for n, tag in enumerate(tags)]}

    @model_validator(mode="after")
    def _tags_fit(self) -> ModbusDevice:
        names_once(self.tags, "tags")
        by_name = {tag.name: tag for tag in self.tags}
        for n, tag in enumerate(self.tags):
            first = tag.address - self.first_address
            if first < 0 or first + tag.count > _TABLE_SIZE:
                raise fault(f"address {tag.address} is outside of the table", at=("tags", n, "address"))
            if tag.count > self.max_registers_per_request:
                raise fault("longer than max_registers_per_request", at=("tags", n, "length"))
            if tag.sequence is not None:
                _check_sequence(tag.sequence, by_name, ("tags", n, "sequence", "tag"))
        if self.sequence is not None:
            _check_sequence(self.sequence, by_name, ("sequence", "tag"))
        return self

    def sequence_of(self, tag: ModbusTag) -> SequenceCheck | None:
        """What guards this tag's value, None for what is read without a guard (the guard itself too)."""
        found = tag.sequence or self.sequence
        return None if found is None or found.tag == tag.name else found


def _check_sequence(check: SequenceCheck, tags: Mapping[str, ModbusTag], at: tuple[str | int, ...]) -> None:
    guard = tags.get(check.tag)
    if guard is None:
        raise fault(f"this device has no tag {check.tag!r}", at=at)
    if guard.type_name.startswith(("bool", "string", "float")):
        raise fault(f"{check.tag} is no whole number, the machine cannot count on it", at=at)


def _from_modicon(tag: object, n: int) -> object:
    if not isinstance(tag, Mapping) or "address" not in tag:
        return tag
    written = tag["address"]
    text = str(written)
    at = ("tags", n, "address")
    if isinstance(written, bool) or not text.isascii() or not text.isdigit() or len(text) > 6:
        raise fault(f"{written!r} is no Modicon number", at=at, hint="for example 40001 or 400001")
    if isinstance(written, int) or len(text) < 5:
        text = text.zfill(5)  # YAML drops the digit 0 of a coil
    table, number = _DIGITS.get(int(text[0])), int(text[1:])
    if table is None or not 1 <= number <= _TABLE_SIZE:
        hint = "0 coil, 1 discrete, 3 input, 4 holding, then the number from 1 on"
        raise fault(f"{text} is no Modicon number", at=at, hint=hint)
    said = tag.get("register", table)
    if said != table and said in _DIGITS.values():
        digit = next(d for d, name in _DIGITS.items() if name == said)
        raise fault(
            f"{text} is {table} {number}, but `register` says {said}",
            at=at,
            hint=f"{said} {number} is {digit}{text[1:]} (PDU address {number - 1}); "
            f"leave `register` out where the number names the table",
        )
    return {**tag, "register": said, "address": number}


class ModbusTcpDevice(ModbusDevice):
    """A machine that speaks Modbus TCP."""

    driver: Literal["modbus_tcp"]
    host: Host
    """Name or address."""
    port: int = Field(502, ge=1, le=65_535)
    """TCP port."""

    @property
    def bus(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def has_transaction_ids(self) -> bool:
        return True


class ModbusTlsSettings(Settings):
    """Who the machine must be and who we are (MODBUS/TCP Security)."""

    ca: Path | None = None
    """File with the certificates that may have signed the machine's; the system's when left out."""
    certificate: Path | None = None
    """File with our certificate, where the machine asks for one."""
    private_key: Path | None = None
    """File with the key of our certificate, in PEM; readable for the agent alone."""
    server_name: str | None = None
    """The name in the machine's certificate; the host when left out."""

    @field_validator("ca", "certificate", "private_key")
    @classmethod
    def _beside_the_file(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        folder = info.context.get("folder") if isinstance(info.context, dict) else None
        return path if path is None or folder is None else folder / path

    @model_validator(mode="after")
    def _pair(self) -> ModbusTlsSettings:
        if (self.certificate is None) != (self.private_key is None):
            missing = "private_key" if self.private_key is None else "certificate"
            raise fault("a certificate is used with its key", at=missing, hint=f"add `{missing}`")
        return self


class ModbusTlsDevice(ModbusDevice):
    """A machine that speaks Modbus over TLS; its certificate is always verified."""

    driver: Literal["modbus_tls"]
    host: Host
    """Name or address."""
    port: int = Field(802, ge=1, le=65_535)
    """TCP port."""
    tls: ModbusTlsSettings = ModbusTlsSettings()
    """Certificates."""

    @property
    def bus(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def line(self) -> tuple[object, ...]:
        return self.driver, self.bus, self.tls

    @property
    def has_transaction_ids(self) -> bool:
        return True


class ModbusLineDevice(ModbusDevice):
    """What devices on a serial line have, near or far."""

    late_answer_wait: Duration = 0.5
    """How long the line rests after a request without an answer, and what comes in this time is thrown away."""

    @field_validator("unit_id")
    @classmethod
    def _no_broadcast(cls, unit_id: int) -> int:
        if not 1 <= unit_id <= 247:
            raise fault(f"no unit on a serial line has the number {unit_id}", hint="from 1 to 247")
        return unit_id

    @field_validator("late_answer_wait")
    @classmethod
    def _rest(cls, seconds: float) -> float:
        if not 0.005 <= seconds <= 60:
            raise fault(f"{seconds:g} s is out of range", hint="from 5ms to 1min")
        return seconds


class ModbusRtuOverTcpDevice(ModbusLineDevice):
    """A machine on a serial line behind a device server that carries RTU frames over TCP as they are."""

    driver: Literal["modbus_rtu_over_tcp"]
    host: Host
    """Name or address."""
    port: int = Field(ge=1, le=65_535)
    """TCP port."""

    @property
    def bus(self) -> str:
        return f"{self.host}:{self.port}"


class ModbusSerialDevice(ModbusLineDevice):
    """A machine on a serial line of this computer."""

    driver: Literal["modbus_rtu", "modbus_ascii"]
    port: str = Field(min_length=1)
    """``/dev/ttyUSB0``, ``COM3``; a name from udev survives replugging."""
    baudrate: int = Field(19_200, ge=50, le=4_000_000)
    """Bits per second."""
    bytesize: Literal[7, 8] = 8
    """Data bits; RTU has 8, ASCII often 7."""
    parity: Literal["none", "even", "odd"] = "even"
    """Parity bit; the standard says even."""
    stopbits: Literal[1, 2] = 1
    """Stop bits; the standard says 2 where there is no parity bit."""
    local_echo: bool = False
    """The adapter hears what it sends (two-wire RS-485 without echo suppression)."""

    @property
    def bus(self) -> str:
        return self.port

    @property
    def line(self) -> tuple[object, ...]:
        return self.driver, self.port, self.baudrate, self.bytesize, self.parity, self.stopbits, self.local_echo

    @model_validator(mode="after")
    def _eight(self) -> ModbusSerialDevice:
        if self.driver == "modbus_rtu" and self.bytesize == 7:
            raise fault("RTU frames need 8 data bits", at="bytesize")
        return self


AnyModbusDevice = ModbusTcpDevice | ModbusTlsDevice | ModbusRtuOverTcpDevice | ModbusSerialDevice
