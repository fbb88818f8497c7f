"""Framing: answers in any pieces, between noise and late answers; what is no answer is never taken for one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymodbus.framer import FramerAscii, FramerRTU

from drivers.modbus.frames import Ascii, Ask, Broken, Framing, Mbap, Rtu, Unfit, exception_of, read_ask, write_ask

LINES: list[Framing] = [Rtu(), Ascii()]
lines = st.sampled_from(LINES)
asks = st.one_of(
    st.builds(
        read_ask, st.integers(1, 247), st.sampled_from((1, 2)), st.integers(0, 60_000), st.integers(1, 2000)
    ),
    st.builds(read_ask, st.integers(1, 247), st.sampled_from((3, 4)), st.integers(0, 60_000), st.integers(1, 125)),
    st.builds(write_ask, st.integers(1, 247), st.sampled_from((5, 6)), st.integers(0, 60_000), st.just(b"\xff\0")),
    st.builds(
        write_ask, st.integers(1, 247), st.just(16), st.integers(0, 60_000), st.just(b"\0\1\0\2"), st.just(2)
    ),
)
cuts = st.lists(st.integers(1, 40), max_size=400)


@st.composite
def answered(draw: st.DrawFn) -> tuple[Ask, bytes]:
    """A request and a good answer, or an exception, to it."""
    ask = draw(asks)
    if draw(st.booleans()):
        return ask, bytes([ask.function | 0x80, draw(st.integers(1, 11))])
    if ask.function > 4:
        return ask, ask.pdu[:5]
    size = ask.length - 2
    return ask, bytes([ask.function, size]) + draw(st.binary(min_size=size, max_size=size))


def on_the_line(framing: Framing, unit: int, pdu: bytes) -> bytes:
    """An answer's frame, by pymodbus' own framers."""
    if isinstance(framing, Ascii):
        content = bytes([unit]) + pdu
        return b":" + content.hex().upper().encode() + b"%02X\r\n" % FramerAscii.compute_LRC(content)
    content = bytes([unit]) + pdu
    return content + FramerRTU.compute_CRC(content).to_bytes(2, "big")


def feed(framing: Framing, ask: Ask, number: int, stream: bytes, sizes: list[int]) -> bytes | None:
    """What is found when the stream comes in pieces of these sizes."""
    buffer = bytearray()
    at = 0
    for size in [*sizes, len(stream)]:
        buffer += stream[at : at + size]
        at += size
        found = framing.take(buffer, ask, number)
        if found is not None:
            return found
    return None


@given(lines, answered(), cuts)
def test_an_answer_comes_in_any_pieces(framing: Framing, found: tuple[Ask, bytes], sizes: list[int]) -> None:
    ask, pdu = found
    assert feed(framing, ask, 0, on_the_line(framing, ask.unit, pdu), sizes) == pdu


@given(lines, answered(), answered(), cuts)
def test_an_answer_of_another_shape_is_skipped(
    framing: Framing, found: tuple[Ask, bytes], other: tuple[Ask, bytes], sizes: list[int]
) -> None:
    ask, pdu = found
    late_ask, late = other
    assume(not ask.answers(late) or late_ask.unit != ask.unit)
    assume(late_ask.unit != ask.unit or late[0] != ask.unit)
    stream = on_the_line(framing, late_ask.unit, late) + on_the_line(framing, ask.unit, pdu)
    assert feed(framing, ask, 0, stream, sizes) in (pdu, None)  # None: noise that looks like a beginning
    if late_ask.unit == ask.unit or isinstance(framing, Ascii):
        assert feed(framing, ask, 0, stream, sizes) == pdu


@given(lines, answered(), st.integers(0, 2000), st.integers(0, 7))
def test_a_flipped_bit_is_no_answer(framing: Framing, found: tuple[Ask, bytes], at: int, bit: int) -> None:
    ask, pdu = found
    frame = bytearray(on_the_line(framing, ask.unit, pdu))
    frame[at % len(frame)] ^= 1 << bit
    taken = feed(framing, ask, 0, bytes(frame), [])
    assert taken is None or (isinstance(framing, Ascii) and taken == pdu)  # a letter in the other case is the same


@given(lines, asks, st.binary(max_size=400))
def test_noise_is_no_answer(framing: Framing, ask: Ask, noise: bytes) -> None:
    assert feed(framing, ask, 0, noise, [7] * 60) is None


@given(answered(), st.integers(0, 65_535), st.integers(1, 65_535), cuts)
def test_transaction_ids_tell_late_answers(
    found: tuple[Ask, bytes], number: int, apart: int, sizes: list[int]
) -> None:
    ask, pdu = found
    other = (number + apart) % 65_536
    assume(other != number)
    mbap = Mbap()
    frames = [
        tid.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes([ask.unit]) + pdu
        for tid in (other, number)
    ]
    assert feed(mbap, ask, number, b"".join(frames), sizes) == pdu
    assert feed(mbap, ask, number, frames[0] * 3, sizes) is None


def test_what_answers_this_request_and_cannot_be_its_answer() -> None:
    mbap, ask = Mbap(), read_ask(1, 3, 0, 2)
    head = b"\0\x05\0\0"
    for rest, words in (
        (b"\0\x05\x01\x03\x02\0\1", "another length"),
        (b"\0\x07\x01\x04\x04\0\0\0\1", "another length or function"),
        (b"\0\x07\xff\x03\x04\0\0\0\1", "unit 255 answered instead of unit 1"),
    ):
        with pytest.raises(Unfit, match=words):
            mbap.take(bytearray(head + rest), ask, 5)
    for stream in (b"HTTP/1.1 400", b"\0\x05\0\0\0\0\x01\x03", b"\xff" * 12):
        with pytest.raises(Broken):
            mbap.take(bytearray(stream), ask, 5)


def test_the_published_frames() -> None:
    # Modbus Application Protocol 1.1b3, 6.3: read registers 108 to 110
    ask = read_ask(1, 3, 107, 3)
    assert ask.pdu == bytes.fromhex("03 006B 0003")
    assert ask.answers(bytes.fromhex("03 06 022B 0000 0064"))
    assert not ask.answers(bytes.fromhex("03 04 022B 0000"))
    assert exception_of(bytes.fromhex("83 02")) == 2
    # 6.12: write two registers from 2 on
    write = write_ask(1, 16, 1, bytes.fromhex("000A 0102"), 2)
    assert write.pdu == bytes.fromhex("10 0001 0002 04 000A 0102")
    assert write.answers(bytes.fromhex("10 0001 0002"))
    # Modbus over serial line 1.02, 6.2.2: the CRC of 02 07 is 0x1241, low byte first
    assert Rtu().frame(Ask(2, b"\x07", 2), 0) == bytes.fromhex("02 07 41 12")
