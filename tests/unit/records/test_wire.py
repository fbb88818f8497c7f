"""Frames and signed payloads: what is made is believed, anything else is told apart and refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from records import chain, wire
from records.errors import Damaged, Invalid
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import (
    Document,
    Envelope,
    Head,
    Tombstone,
    Watermark,
    decode_frame,
    down_topic,
    encode_frame,
    seal,
    sign,
    unsign,
)
from tests.rigs.examples import FULL

KEY = SigningKey.generate()
OTHER = SigningKey.generate()
RING = KeyRing([PublicKey("a-1", KEY.public.hex()), PublicKey("b-1", OTHER.public.hex())])
ROOT = chain.first_hash("a-1", "e", "records")


def rows(*bodies: bytes) -> list[Envelope]:
    made: list[Envelope] = []
    for seq, body in enumerate(bodies, 1):
        made.append(seal("a-1", "e", "records", seq, 1, "decision", body, made[-1].hash if made else ROOT))
    return made


FRAME = encode_frame(rows(b"one", b"", "三".encode()), ROOT, KEY, compress=False)
LONG = [b"torque 4.1 N m " * 40, "三".encode() * 100]
PACKED = encode_frame(rows(*LONG), ROOT, KEY)


def resigned(change: dict[str, object], key: SigningKey = KEY) -> bytes:
    """The frame with another header, as it would be without a new signature."""
    size = int.from_bytes(FRAME[5:9], "big")
    header = json.loads(FRAME[9 : 9 + size]) | change
    head = json.dumps(header).encode()
    return FRAME[:5] + len(head).to_bytes(4, "big") + head + FRAME[9 + size :]


def test_a_frame_comes_back_as_it_was() -> None:
    frame = decode_frame(FRAME, RING)
    assert list(frame.envelopes) == rows(b"one", b"", "三".encode())
    assert (frame.first, frame.last, frame.previous, frame.head) == (1, 3, ROOT, frame.envelopes[-1].hash)


def test_a_tombstone_keeps_the_chain() -> None:
    made = rows(b"one", b"two", b"three")
    made[1] = replace(made[1], body=None, tombstone=Tombstone(made[1].digest.hex(), "damaged", "a-1"))
    assert list(decode_frame(encode_frame(made, ROOT, KEY), RING).envelopes) == made


@pytest.mark.parametrize("whole", [FRAME, PACKED], ids=["plain", "packed"])
@settings(max_examples=300)
@given(st.data())
def test_no_flipped_bit_is_believed(whole: bytes, data: st.DataObject) -> None:
    broken = bytearray(whole)
    broken[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        frame = decode_frame(bytes(broken), RING)
    except (Invalid, Damaged):
        return
    assert frame == decode_frame(whole, RING)  # a letter's case in a hexadecimal field means the same


def test_a_long_frame_is_compressed_and_comes_back() -> None:
    plain = encode_frame(rows(*LONG), ROOT, KEY, compress=False)
    assert (PACKED[4], plain[4]) == (wire.ZSTD, wire.PLAIN)
    assert len(PACKED) < len(plain)
    assert decode_frame(PACKED, RING) == decode_frame(plain, RING)


def test_a_frame_that_compression_makes_longer_stays_plain() -> None:
    noise = rows(b"".join(chain.digest(bytes((n,))) for n in range(100)))
    frame = encode_frame(noise, ROOT, KEY)
    assert decode_frame(frame, RING).envelopes == tuple(noise)
    assert len(frame) <= len(encode_frame(noise, ROOT, KEY, compress=False))


def test_a_small_payload_cannot_unpack_to_more_than_a_frame_may_hold() -> None:
    bomb = wire.MAGIC + b"\x01" + zstandard.compress(bytes(wire.MAX_FRAME + 1))
    assert len(bomb) < 10_000
    with pytest.raises(Invalid, match="at most"):
        decode_frame(bomb, RING)
    stream = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(wire.MAX_FRAME + 1))
    with pytest.raises(Invalid, match="at most"):
        decode_frame(wire.MAGIC + b"\x01" + stream, RING)


@settings(max_examples=FULL)
@given(st.integers(0, len(FRAME) - 1))
def test_no_frame_that_was_cut_short_is_believed(length: int) -> None:
    with pytest.raises((Invalid, Damaged)):
        decode_frame(FRAME[:length], RING)


@settings(max_examples=FULL)
@given(st.binary(max_size=200))
def test_garbage_is_refused_in_words(garbage: bytes) -> None:
    for payload in (garbage, wire.MAGIC + b"\0" + garbage, wire.MAGIC + b"\1" + garbage, FRAME[:40] + garbage):
        with pytest.raises((Invalid, Damaged)):
            decode_frame(payload, RING)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "b-1"},
        {"epoch": "f"},
        {"stream": "telemetry"},
        {"first": "2", "last": "4"},
        {"first": "0", "last": "2"},
        {"first": str(2**70), "last": str(2**70 + 2)},
        {"previous": "00" * 32},
        {"previous": "00"},
        {"head": "00" * 32},
        {"key": OTHER.id},
        {"key": "unknown"},
        {"signature": "AAAA"},
        {"signature": "not base64!"},
        {"records": []},
        {"records": [{"schema": 1, "kind": "decision"}] * 3},
        {"records": [{"schema": -1, "kind": "decision", "length": 0}] * 3},
        {"records": [{"schema": 2**40, "kind": "decision", "length": 0}] * 3},
    ],
)
def test_a_header_that_was_changed_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((Invalid, Damaged)):
        decode_frame(resigned(change), RING)


def test_a_frame_of_one_agent_signed_by_another_is_damaged() -> None:
    with pytest.raises(Damaged, match="not a known key of a-1"):
        decode_frame(encode_frame(rows(b"x"), ROOT, OTHER), RING)


def test_a_frame_over_the_limit_is_refused() -> None:
    with pytest.raises(Invalid, match="over the limit"):
        decode_frame(b"LKF1" + bytes(wire.MAX_FRAME), RING)


MARK = Watermark("a-1", "e", "records", 7, "ab" * 32, 1)


def test_a_signed_payload_comes_back() -> None:
    for value in (
        MARK,
        Head("a-1", "e", "records", 7, "ab" * 32, 5),
        Document("lots", "SR-20", 2, 5, {"数": ["1", None, 2.5]}),
    ):
        assert unsign(type(value), sign(value, KEY), RING, "a-1") == value


def test_what_was_signed_as_one_thing_passes_for_no_other() -> None:
    with pytest.raises(Damaged):
        unsign(Head, sign(MARK, KEY), RING, "a-1")


def test_a_payload_of_another_owner_is_not_believed() -> None:
    with pytest.raises(Damaged):
        unsign(Watermark, sign(MARK, OTHER), RING, "a-1")


def test_a_body_that_was_changed_is_not_believed() -> None:
    payload = json.loads(sign(MARK, KEY))
    payload["body"] = payload["body"].replace('"7"', '"8"')
    with pytest.raises(Damaged, match="is wrong"):
        unsign(Watermark, json.dumps(payload).encode(), RING, "a-1")


@settings(max_examples=FULL)
@given(st.binary(max_size=60))
def test_garbage_is_no_signed_payload(garbage: bytes) -> None:
    with pytest.raises(Invalid):
        unsign(Watermark, garbage, RING, "a-1")


def test_canonical_json_is_one_byte_string_per_value() -> None:
    assert wire.canonical_json({"b": [1.5, None], "a": "é"}) == '{"a":"é","b":[1.5,null]}'.encode()
    with pytest.raises(ValueError, match="Out of range"):
        wire.canonical_json(float("nan"))


@settings(max_examples=FULL)
@given(st.text(min_size=1), st.text(min_size=1))
def test_down_topics_tell_documents_apart_and_are_legal(left: str, right: str) -> None:
    try:
        topics = [down_topic("a-1", "lots", text) for text in (left, right)]
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    for topic in topics:
        assert topic.count("/") == 5
        assert not set("+#\0") & set(topic)
    assert (topics[0] == topics[1]) == (left == right)
