"""Requests to bytes, bytes to their answers: pure, for MBAP (TCP, TLS), RTU and ASCII.

pymodbus' framers take a frame for the answer when its unit fits; here it must also have the function and the
length that this request asked for, and MBAP its transaction id. What else comes is skipped: answers that come
late, other units' frames, noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pymodbus.framer import FramerAscii, FramerRTU

from records.trouble import Trouble

READS_BITS = (1, 2)
READS = (1, 2, 3, 4)
_ECHOES = (5, 6, 15, 16)
_MBAP = 7
_LONGEST_PDU = 253


class Failure(Exception):
    """Why a request has no answer."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


class Broken(Failure):
    """What came cannot be an answer, and what comes after it cannot be trusted either."""


class Unfit(Failure):
    """It answers this request by its transaction id, and yet it cannot be the answer."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: its PDU, and how long the PDU of its good answer is."""

    unit: int
    pdu: bytes
    length: int

    @property
    def function(self) -> int:
        return self.pdu[0]

    @property
    def shape(self) -> tuple[int, int]:
        """By this, answers without a transaction id can be told apart: function and length."""
        return self.pdu[0], self.length

    def answers(self, pdu: bytes | bytearray) -> bool:
        """Whether this PDU is an answer to the request, good or an exception."""
        if not pdu:
            return False
        function = self.pdu[0]
        if pdu[0] == function | 0x80:
            return len(pdu) == 2
        if pdu[0] != function or len(pdu) != self.length:
            return False
        if function in READS:
            return pdu[1] == self.length - 2
        return pdu[:5] == self.pdu[:5]


def read_ask(unit: int, function: int, start: int, count: int) -> Ask:
    """Read ``count`` registers or bits from the PDU address ``start`` on."""
    pdu = bytes([function]) + start.to_bytes(2, "big") + count.to_bytes(2, "big")
    content = (count + 7) // 8 if function in READS_BITS else 2 * count
    return Ask(unit, pdu, 2 + content)


def write_ask(unit: int, function: int, start: int, content: bytes, count: int = 1) -> Ask:
    """Write with function 5, 6, 15 or 16; ``content`` as it travels, ``count`` registers or bits."""
    pdu = bytes([function]) + start.to_bytes(2, "big")
    if function in (15, 16):
        pdu += count.to_bytes(2, "big") + bytes([len(content)])
    return Ask(unit, pdu + content, 5)


def exception_of(pdu: bytes) -> int:
    """The exception code of an answer, 0 for a good one."""
    return pdu[1] if pdu[0] & 0x80 else 0


class Framing(Protocol):
    """How PDUs travel."""

    def frame(self, ask: Ask, number: int) -> bytes:
        """The bytes of a request; ``number`` is its transaction id where there are any."""

    def take(self, buffer: bytearray, ask: Ask, number: int) -> bytes | None:
        """The PDU that answers the request, None while it has not come; what is not needed leaves the buffer.

        Raises:
            Broken: no answer can come on this stream any more. Unfit: an answer came that is none.
        """


class Mbap:
    """Modbus TCP and TLS: a header with transaction id, protocol 0, length and unit."""

    def frame(self, ask: Ask, number: int) -> bytes:
        head = number.to_bytes(2, "big") + b"\0\0" + (len(ask.pdu) + 1).to_bytes(2, "big")
        return head + bytes([ask.unit]) + ask.pdu

    def take(self, buffer: bytearray, ask: Ask, number: int) -> bytes | None:
        while len(buffer) >= _MBAP:
            size = int.from_bytes(buffer[4:6], "big")
            if buffer[2] or buffer[3] or not 2 <= size <= _LONGEST_PDU + 1:
                raise Broken(Trouble.of("not-modbus"))
            if len(buffer) < 6 + size:
                return None
            found, unit, pdu = int.from_bytes(buffer[:2], "big"), buffer[6], bytes(buffer[_MBAP : 6 + size])
            del buffer[: 6 + size]
            if found != number:
                continue  # late
            if unit != ask.unit:
                raise Unfit(Trouble.of("other-unit", found=unit, unit=ask.unit))
            if not ask.answers(pdu):
                raise Unfit(Trouble.of("other-shape"))
            return pdu
        return None


class Rtu:
    """Modbus RTU: unit, PDU, CRC-16; nothing marks where a frame begins."""

    def frame(self, ask: Ask, number: int) -> bytes:
        return _with_crc(bytes([ask.unit]) + ask.pdu)

    def take(self, buffer: bytearray, ask: Ask, number: int) -> bytes | None:
        """Seeks a frame of this unit with a good CRC; what stands before it is noise."""
        at = 0
        while len(buffer) - at >= 4:
            if buffer[at] == ask.unit:
                size = _rtu_size(buffer[at + 1], buffer[at + 2])
                if size and len(buffer) - at < size:
                    break
                if size and bytes(buffer[at : at + size]) == _with_crc(bytes(buffer[at : at + size - 2])):
                    pdu = bytes(buffer[at + 1 : at + size - 2])
                    at += size
                    if ask.answers(pdu):
                        return pdu
                    continue  # late, of another shape
            at += 1
        del buffer[:at]
        return None


def _rtu_size(function: int, following: int) -> int:
    """How long a whole answer frame is, 0 when none begins so."""
    if function in READS:
        return 5 + following
    if function in _ECHOES:
        return 8
    return 5 if function & 0x80 and function & 0x7F in (*READS, *_ECHOES) else 0


def _with_crc(frame: bytes) -> bytes:
    return frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big")


class Ascii:
    """Modbus ASCII: a colon, two hexadecimal digits a byte, LRC, CR LF."""

    def frame(self, ask: Ask, number: int) -> bytes:
        content = bytes([ask.unit]) + ask.pdu
        lrc = FramerAscii.compute_LRC(content)
        return b":" + (content + bytes([lrc])).hex().upper().encode("ascii") + b"\r\n"

    def take(self, buffer: bytearray, ask: Ask, number: int) -> bytes | None:
        while (end := buffer.find(b"\r\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            content = _unhexed(line[line.rfind(b":") + 1 :]) if b":" in line else b""
            if len(content) < 4 or not FramerAscii.check_LRC(content[:-1], content[-1]):
                continue  # noise
            if content[0] == ask.unit and ask.answers(content[1:-1]):
                return content[1:-1]
        return None


def _unhexed(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return b""
