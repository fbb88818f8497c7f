"""One write: the request for a value, and how to see afterwards that the device holds it."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.convert import RegisterFormat, Value, decode, encode
from drivers.modbus.frames import Ask, write_ask
from drivers.modbus.plan import Place
from drivers.tags import ModbusDevice, ModbusTag

_ON = b"\xff\x00"
_OFF = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class Writing:
    """A write and what its registers hold then; of a coil one byte."""

    ask: Ask
    _wanted: bytes
    _part: RegisterFormat | None

    @classmethod
    def of(
        cls, tag: ModbusTag, form: RegisterFormat, value: Value, device: ModbusDevice, now: bytes | None
    ) -> Writing:
        """Functions 5 and 6 for single values, 15 and 16 for longer ones and where the device knows no others.

        Raises:
            Invalid: the value does not fit the tag.
        """
        unit, start = device.unit_id, Place.of(tag, device.first_address).start
        raw = encode(value, form, now)
        if tag.is_bit:
            on = bool(value)
            if device.write_multiple:
                ask = write_ask(unit, 15, start, bytes([on]))
            else:
                ask = write_ask(unit, 5, start, _ON if on else _OFF)
            return cls(ask, bytes([on]), None)
        if len(raw) == 2 and not device.write_multiple:
            ask = write_ask(unit, 6, start, raw)
        else:
            ask = write_ask(unit, 16, start, raw, len(raw) // 2)
        return cls(ask, raw, form if tag.partial else None)

    def is_held(self, held: bytes | None) -> bool:
        """Whether this is what was written; of a part of a register, whether the part is."""
        if held is None or self._part is None:
            return held == self._wanted
        return decode(held, self._part) == decode(self._wanted, self._part)
