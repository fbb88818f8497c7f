"""Chained bytes can't be migrated: a byte that changes here is a record that no longer proves itself."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
from make import (
    AGENT,
    EPOCH,
    HEARD,
    KEY,
    PACKED,
    STREAM,
    TELEMETRY,
    envelopes,
    facts,
    later_facts,
    payloads,
    telemetry,
)

from records import chain
from records.keys import KeyRing, PublicKey
from records.model import decode, encode, kind_of
from records.telemetry import Thinned, decode_chunk
from records.wire import Document, Head, Request, Watermark, decode_frame, unsign

HERE = Path(__file__).parent
RING = KeyRing([PublicKey(owner, KEY.public.hex()) for owner in (AGENT,)])
CENTRAL_RING = KeyRing([PublicKey("central", KEY.public.hex())])


def test_every_golden_file_has_its_sample() -> None:
    files = {path.name for path in HERE.iterdir() if path.suffix in (".json", ".bin")}
    assert files == {*payloads(), PACKED}


@pytest.mark.parametrize("name", sorted(payloads()))
def test_the_bytes_are_the_ones_that_were_fixed(name: str) -> None:
    assert payloads()[name] == (HERE / name).read_bytes()


def test_golden_bodies_are_read_and_written_again_to_the_byte() -> None:
    samples = [(f"body_*_{kind_of(fact.data)}.json", fact) for fact in facts()]
    samples += [(f"later_{n}_{kind_of(fact.data)}.json", fact) for n, fact in enumerate(later_facts(), 1)]
    for name, fact in samples:
        [path] = HERE.glob(name)
        again = decode(kind_of(fact.data), path.read_bytes())
        assert again == fact
        assert encode(again) == path.read_bytes()


@pytest.mark.parametrize(("name", "heard"), [("frame.bin", None), (PACKED, None), ("later_frame.bin", HEARD)])
def test_the_golden_frame_is_read_with_chain_and_signature(name: str, heard: int | None) -> None:
    frame = decode_frame((HERE / name).read_bytes(), RING)
    assert list(frame.envelopes) == envelopes()
    assert frame.heard == heard
    assert frame.previous == chain.first_hash(AGENT, EPOCH, STREAM)


@pytest.mark.parametrize(
    ("cls", "name", "owner"),
    [
        (Watermark, "watermark.json", "central"),
        (Head, "head.json", AGENT),
        (Document, "document.json", "central"),
        (Request, "request.json", AGENT),
    ],
)
def test_golden_signed_payloads_are_believed(cls: type, name: str, owner: str) -> None:
    ring = RING if owner == AGENT else CENTRAL_RING
    assert isinstance(unsign(cls, (HERE / name).read_bytes(), ring, owner), cls)


def test_golden_telemetry_is_read_by_its_reference_alone() -> None:
    """As docs/reference/telemetry-chunk.md says, with nothing of ours."""
    body = (HERE / TELEMETRY[0]).read_bytes()
    assert body[:4] == b"LKT1"
    at = 8 + int.from_bytes(body[4:8], "little")
    header = json.loads(zlib.decompress(body[8:at]))
    sections = {}
    while at < len(body):
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        sections[body[at : at + 4].decode()] = body[at + 8 : at + 8 + size]
        at += 8 + size
    assert (header["device"], header["interval_s"]) == ("welder", 0.1)
    assert [(c["type"], [t["name"] for t in c["tags"]]) for c in header["columns"]] == [
        ("float64", ["force", "温度"]),
        ("bool", ["running"]),
        ("string", ["carrier"]),
    ]
    assert struct.unpack("<2q", sections["EDGE"]) == (1_795_000_000_000_000, 1_795_000_000_100_000)
    assert struct.unpack("<8i", sections["SRCD"]) == (-1500, -1500, -1500, -(2**31), -1500, -1500, -1500, -1500)
    assert struct.unpack("<4I", sections["STAT"]) == (5, 7, 0x8F060000, 0x40000000)
    assert struct.unpack("<4d", sections["V000"]) == (1.5, 20.25, 1.75, 0.0)
    assert sections["V001"] == b"\x01\x00"
    assert json.loads(sections["V002"]) == ["C-07", "C-08/é"]


def test_golden_telemetry_says_for_ever_what_it_said() -> None:
    for name, made in zip(TELEMETRY, telemetry(), strict=True):
        kept, again = decode_chunk((HERE / name).read_bytes()), decode_chunk(made)
        assert (kept.series, kept.former, kept.thinned) == (again.series, again.former, again.thinned)
        assert [kept.readings(tag.name) for tag in kept.series.tags] == [
            again.readings(tag.name) for tag in again.series.tags
        ]
    told = decode_chunk((HERE / TELEMETRY[1]).read_bytes())
    assert told.readings("level") == [
        (1_795_000_000_000_000, 946_684_800_000_000, 0, -7),
        (1_795_000_000_100_000, 1_795_000_000_099_000, 0, 8),
    ]
    assert told.readings("mean") == [(1_795_000_000_000_000, None, 0, 0.1)]
    left = decode_chunk((HERE / TELEMETRY[2]).read_bytes())
    assert (told.thinned, left.thinned) == (None, Thinned(60.0, EPOCH, ((12, 3, 20), (80, 1, 1)), 500))
    assert (left.skipped("level"), left.skipped("mean")) == ([0, 497], [0])


def test_the_chain_is_what_its_definition_says() -> None:
    """The formula once more, by hand, from hashlib alone."""
    from hashlib import sha256

    def field(value: bytes) -> bytes:
        return len(value).to_bytes(4, "big") + value

    def number(value: int) -> bytes:
        return field(value.to_bytes(8, "big"))

    link = sha256(b"".join(field(t.encode()) for t in ("lotkeeper/1/epoch", AGENT, EPOCH, STREAM))).digest()
    for row in envelopes():
        digest = row.digest if row.body is None else sha256(row.body).digest()
        link = sha256(
            b"".join(field(t.encode()) for t in ("lotkeeper/1/record", AGENT, EPOCH, STREAM))
            + number(row.seq)
            + number(row.schema)
            + field(row.kind.encode())
            + field(link)
            + field(digest)
        ).digest()
        assert link == row.hash
