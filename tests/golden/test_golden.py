"""Chained bytes can't be migrated: a byte that changes here is a record that no longer proves itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from make import AGENT, EPOCH, KEY, STREAM, envelopes, facts, later_facts, payloads

from records import chain
from records.keys import KeyRing, PublicKey
from records.model import decode, encode, kind_of
from records.wire import Document, Head, Watermark, decode_frame, unsign

HERE = Path(__file__).parent
RING = KeyRing([PublicKey(owner, KEY.public.hex()) for owner in (AGENT,)])
CENTRAL_RING = KeyRing([PublicKey("central", KEY.public.hex())])


def test_every_golden_file_has_its_sample() -> None:
    files = {path.name for path in HERE.iterdir() if path.suffix in (".json", ".bin")}
    assert files == set(payloads())


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


def test_the_golden_frame_is_read_with_chain_and_signature() -> None:
    frame = decode_frame((HERE / "frame.bin").read_bytes(), RING)
    assert list(frame.envelopes) == envelopes()
    assert frame.previous == chain.first_hash(AGENT, EPOCH, STREAM)


@pytest.mark.parametrize(
    ("cls", "name", "owner"),
    [
        (Watermark, "watermark.json", "central"),
        (Head, "head.json", AGENT),
        (Document, "document.json", "central"),
    ],
)
def test_golden_signed_payloads_are_believed(cls: type, name: str, owner: str) -> None:
    ring = RING if owner == AGENT else CENTRAL_RING
    assert isinstance(unsign(cls, (HERE / name).read_bytes(), ring, owner), cls)


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
