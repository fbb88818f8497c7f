"""What travels between agents and central: envelopes in signed frames, signed documents, watermarks, heads.

A frame is one MQTT payload (format ``LKF1``, fixed for good)::

    b"LKF1"  1 byte encoding of the rest (0 = plain, 1 = zstd)  4 bytes big-endian header length  header  bodies

What is hashed and signed does not depend on the encoding. The header is JSON: agent, epoch, stream, first, last,
previous (hash before ``first``), head (hash of ``last``), key, signature, and one entry per record with schema,
kind and either the body's length or a tombstone. Bodies follow as the very bytes that were hashed. The signature
(Ed25519) covers the length-prefixed fields ``"lotkeeper/1/frame", agent, epoch, stream, first, last, previous,
head, key``; since head is recomputed from every body, it covers them all. ``heard``, which may be left out and is
not signed, is central's ``generation`` as far as the sender knew.

A signed document is JSON ``{"body": <JSON text>, "key": ..., "signature": ...}``; the signature covers the
length-prefixed fields ``"lotkeeper/1/document", purpose, body, key``, so a watermark can never pass for a head.
Agents sign what they request of central in the same way.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import zstandard
from pydantic import JsonValue, TypeAdapter, ValidationError

from records import chain
from records.errors import Damaged, Invalid
from records.fields import Int64, Writable
from records.keys import KeyRing, SigningKey
from records.kinds import PAPERS
from records.trouble import Trouble

MAGIC = b"LKF1"
FRAME_DOMAIN = "lotkeeper/1/frame"
DOCUMENT_DOMAIN = "lotkeeper/1/document"
MAX_FRAME = 8 * 1024 * 1024
MAX_RECORDS = 10_000
PLAIN, ZSTD = 0, 1
COMPRESSED_FROM = 512
"""Bytes below which a frame is not compressed."""
ZSTD_LEVEL = 1
CENTRAL = "central"
TOPIC_ROOT = "lotkeeper/v1"
REQUESTS = "requests"
"""The last level of the topic of an agent's requests; no stream has this name."""

T = TypeVar("T")

DAMAGED = "damaged"
"""Reason of a tombstone: the body lost its digest on the disk that held it alone."""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Stands where a body was: its digest (hexadecimal) stays, with why and by whom it was taken away."""

    digest: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """One chained record: identity, chain, and its body or the tombstone in its place."""

    agent: str
    epoch: str
    stream: str
    seq: int
    schema: int
    kind: str
    digest: bytes
    hash: bytes
    body: bytes | None
    tombstone: Tombstone | None = None


def seal(
    agent: str, epoch: str, stream: str, seq: int, schema: int, kind: str, body: bytes, previous: bytes
) -> Envelope:
    """Chain a body behind ``previous`` (the hash of seq - 1)."""
    body_digest = chain.digest(body)
    link = chain.next_hash(agent, epoch, stream, seq, schema, kind, previous, body_digest)
    return Envelope(agent, epoch, stream, seq, schema, kind, body_digest, link, body)


@dataclass(frozen=True, slots=True)
class Frame:
    """A contiguous run of envelopes of one agent, epoch and stream, as received and checked."""

    agent: str
    epoch: str
    stream: str
    first: int
    last: int
    previous: bytes
    head: bytes
    key: str
    signature: bytes
    envelopes: tuple[Envelope, ...]
    heard: int | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    schema: int
    kind: str
    length: int | None = None
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True)
class FrameHeader:
    agent: str
    epoch: str
    stream: str
    first: Int64
    last: Int64
    previous: str
    head: str
    key: str
    signature: str
    records: tuple[_Entry, ...]
    heard: int | None = None


_HEADER = TypeAdapter(FrameHeader)


def _frame_message(
    agent: str, epoch: str, stream: str, first: int, last: int, previous: bytes, head: bytes, key: str
) -> bytes:
    return chain.fields(FRAME_DOMAIN, agent, epoch, stream, first, last, previous, head, key)


def frame_message(frame: Frame) -> bytes:
    """The bytes that a frame's signature covers."""
    return _frame_message(
        frame.agent, frame.epoch, frame.stream, frame.first, frame.last, frame.previous, frame.head, frame.key
    )


def encode_frame(
    envelopes: Sequence[Envelope],
    previous: bytes,
    key: SigningKey,
    *,
    compress: bool = True,
    compressor: zstandard.ZstdCompressor | None = None,
    heard: int | None = None,
) -> bytes:
    """One signed payload of a contiguous, non-empty run; ``previous`` is the hash before its first.

    With ``compress`` it is compressed where that makes it smaller. ``compressor``: one of ``frame_compressor`` to
    use again, in one thread; making one costs more than packing a frame.
    """
    first, last = envelopes[0], envelopes[-1]
    message = _frame_message(
        first.agent, first.epoch, first.stream, first.seq, last.seq, previous, last.hash, key.id
    )
    header = FrameHeader(
        first.agent,
        first.epoch,
        first.stream,
        first.seq,
        last.seq,
        previous.hex(),
        last.hash.hex(),
        key.id,
        base64.b64encode(key.sign(message)).decode(),
        tuple(_Entry(e.schema, e.kind, None if e.body is None else len(e.body), e.tombstone) for e in envelopes),
        heard,
    )
    head = _HEADER.dump_json(header, exclude={"heard"} if heard is None else None)
    bodies = b"".join(e.body for e in envelopes if e.body is not None)
    rest = len(head).to_bytes(4, "big") + head + bodies
    if compress and len(rest) >= COMPRESSED_FROM:
        packed = (compressor or frame_compressor()).compress(rest)
        if len(packed) < len(rest):
            return MAGIC + bytes((ZSTD,)) + packed
    return MAGIC + bytes((PLAIN,)) + rest


def frame_compressor() -> zstandard.ZstdCompressor:
    """For many frames made one after the other."""
    return zstandard.ZstdCompressor(ZSTD_LEVEL)


def decode_frame(payload: bytes, ring: KeyRing, *, at_us: int | None = None) -> Frame:
    """Check format, chain and signature of one payload.

    Raises:
        Invalid: not a frame (garbage, cut short, too large, unknown encoding).
        Damaged: a frame whose chain or signature does not verify.
    """
    header, bodies = _split(payload)
    previous, head = _hash(header.previous), _hash(header.head)
    envelopes: list[Envelope] = []
    link, offset, seq = previous, 0, header.first
    for entry in header.records:
        body: bytes | None = None
        if entry.length is not None:
            body = bodies[offset : offset + entry.length]
            offset += entry.length
            body_digest = chain.digest(body)
        elif entry.tombstone is not None:
            body_digest = _hash(entry.tombstone.digest)
        else:
            raise Invalid.of(Trouble.of("frame-entry-empty"))
        link = chain.next_hash(
            header.agent, header.epoch, header.stream, seq, entry.schema, entry.kind, link, body_digest
        )
        envelopes.append(
            Envelope(
                header.agent,
                header.epoch,
                header.stream,
                seq,
                entry.schema,
                entry.kind,
                body_digest,
                link,
                body,
                entry.tombstone,
            )
        )
        seq += 1
    if offset != len(bodies):
        raise Invalid.of(Trouble.of("frame-lengths-wrong"))
    if link != head:
        raise Damaged.of(Trouble.of("frame-other-head", frame=f"{header.agent} {header.first}-{header.last}"))
    try:
        signature = base64.b64decode(header.signature, validate=True)
    except ValueError:
        raise Invalid.of(Trouble.of("frame-signature-unreadable")) from None
    frame = Frame(
        header.agent,
        header.epoch,
        header.stream,
        header.first,
        header.last,
        previous,
        head,
        header.key,
        signature,
        tuple(envelopes),
        header.heard,
    )
    ring.verify(frame.agent, frame.key, signature, frame_message(frame), at_us=at_us)
    return frame


def unverified(payload: bytes) -> FrameHeader:
    """What a frame says of itself; nothing is verified. Raises Invalid when it is no frame."""
    return _split(payload)[0]


def _hash(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise Invalid.of(Trouble.of("frame-hash-wrong"))
    return raw


def _split(payload: bytes) -> tuple[FrameHeader, bytes]:
    if len(payload) > MAX_FRAME:
        raise Invalid.of(Trouble.of("frame-too-large", size=len(payload), most=MAX_FRAME))
    if payload[:4] != MAGIC or len(payload) < 9:
        raise Invalid.of(Trouble.of("no-frame"))
    rest = _unpacked(payload)
    size = int.from_bytes(rest[:4], "big")
    try:
        header = _HEADER.validate_json(rest[4 : 4 + size])
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid.of(Trouble.of("frame-header-wrong", place=str(first["loc"]), said=first["msg"])) from error
    if (
        header.first < 1
        or not header.records
        or len(header.records) > MAX_RECORDS
        or header.last - header.first + 1 != len(header.records)
    ):
        raise Invalid.of(Trouble.of("frame-numbers-wrong"))
    if any(not 0 <= entry.schema < 2**32 or (entry.length or 0) < 0 for entry in header.records):
        raise Invalid.of(Trouble.of("frame-schema-wrong"))
    return header, rest[4 + size :]


def _unpacked(payload: bytes) -> bytes:
    """What follows the encoding. A small payload cannot unpack to more than a frame may hold."""
    if payload[4] == PLAIN:
        return payload[5:]
    if payload[4] != ZSTD:
        raise Invalid.of(Trouble.of("frame-encoding-unknown", encoding=payload[4]))
    packed = payload[5:]
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_FRAME:
            raise Invalid.of(Trouble.of("frame-unpacks-too-large", most=MAX_FRAME, size=size))
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Invalid.of(Trouble.of("frame-not-unpacked", said=str(error))) from error


# -- signed documents --------------------------------------------------------------------------------------

Purpose = Literal["watermark", "head", "document", "request"]


@dataclass(frozen=True, slots=True)
class _Signed:
    body: str
    key: str
    signature: str


_SIGNED = TypeAdapter(_Signed)


@dataclass(frozen=True, slots=True)
class Watermark:
    """Central has committed (agent, epoch, stream) through this seq, whose hash is this (hexadecimal)."""

    agent: str
    epoch: str
    stream: str
    committed_through: Int64
    hash: str
    generation: int


@dataclass(frozen=True, slots=True)
class Head:
    """An agent's last record and its hash (hexadecimal), stated by the agent at ``at_us``."""

    agent: str
    epoch: str
    stream: str
    last: Int64
    hash: str
    at_us: Int64


@dataclass(frozen=True, slots=True)
class Document:
    """Something that central tells the lines: a work order, the lots of an item, ...

    A higher version replaces a lower one of the same kind and id; ``content`` None withdraws it.
    """

    kind: str
    id: str
    version: Int64
    issued_us: Int64
    content: Writable


@dataclass(frozen=True, slots=True)
class Request:
    """Something that an agent asks of central, outside of its records; nothing is lost when it is.

    ``at_us`` is the agent's clock; of one kind a later one stands for all before it.
    """

    agent: str
    kind: str
    at_us: Int64
    content: Writable


_BODIES: dict[type, tuple[Purpose, TypeAdapter[object]]] = {
    Watermark: ("watermark", TypeAdapter(Watermark)),
    Head: ("head", TypeAdapter(Head)),
    Document: ("document", TypeAdapter(Document)),
    Request: ("request", TypeAdapter(Request)),
}


def sign(value: Watermark | Head | Document | Request, key: SigningKey) -> bytes:
    """A signed JSON payload."""
    purpose, adapter = _BODIES[type(value)]
    body = adapter.dump_json(value).decode()
    signature = key.sign(chain.fields(DOCUMENT_DOMAIN, purpose, body, key.id))
    return _SIGNED.dump_json(_Signed(body, key.id, base64.b64encode(signature).decode()))


def unsign(cls: type[T], payload: bytes, ring: KeyRing, owner: str, *, at_us: int | None = None) -> T:
    """The value inside a signed payload.

    Raises:
        Invalid: no such payload. Damaged: the signature does not verify for ``owner``.
    """
    purpose, adapter = _BODIES[cls]
    try:
        signed = _SIGNED.validate_json(payload)
        signature = base64.b64decode(signed.signature, validate=True)
    except ValueError as error:
        raise Invalid.of(Trouble.of("not-signed-so", purpose=purpose)) from error
    ring.verify(
        owner,
        signed.key,
        signature,
        chain.fields(DOCUMENT_DOMAIN, purpose, signed.body, signed.key),
        at_us=at_us,
    )
    try:
        value = adapter.validate_json(signed.body)
    except ValidationError as error:
        raise Invalid(f"the signed {purpose} has wrong fields: {error.errors()[0]['loc']}") from error
    if not isinstance(value, cls):  # an adapter gives what it was made for
        raise Invalid(f"the signed payload is no {purpose}")
    return value


def signed_by(payload: bytes) -> str:
    """The id of the key that a signed payload names, not verified.

    Raises:
        Invalid: no such payload.
    """
    try:
        return _SIGNED.validate_json(payload).key
    except ValidationError as error:
        raise Invalid("the payload is not signed") from error


def canonical_json(value: JsonValue) -> bytes:
    """One byte string per JSON value: sorted keys, no spaces, UTF-8. For content that people sign."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_digest(content: JsonValue) -> str:
    """16 hexadecimal digits that tell one content from another."""
    return hashlib.sha256(canonical_json(content)).hexdigest()[:16]


AGENT_MODE = "agent-mode"
"""Kind of a document, id is an agent: ``{"mode": "production"}`` binds it to approved configurations."""
CONFIGURATION = "configuration"
"""Kind of a document, id is an agent: ``{"approved": [hash, ...]}``, the configurations that it may work by."""
HELLO = "hello"
"""Kind of a request: an agent says which start of it speaks."""
FENCE = "fence"
"""Kind of a document, id is an agent: ``{"instances": [...], "kept", "why"}``, starts that must not send."""
SYNC = "sync"
"""Kind of a request, and of the document that answers it: which versions an agent holds; they are the newest."""
SYNC_REFUSED = "sync-refused"
"""Kind of a document, id is an agent: ``{"round"}``, whose time was wrong when it was issued. It is not kept."""
SHOW = "show"
"""Kind of a request: ``{"kind", "id", "signed"}``, asked for by ``{"round", "show": [[kind, id], ...]}``."""
CERTIFICATE = "certificate"
"""Kind of a document, id is an agent: ``{"certificate": PEM, "ca": PEM, "not_after": ISO}``, what it asked for."""
SIGNING_KEY = "signing-key"
"""Kind of a document, id is an agent: ``{"public": hex}``, the new key of the agent that central believes."""
CENTRAL_KEYS = "central-keys"
"""Kind of a document for all, id is ``central``: ``{"keys": [...]}`` (``records.keys.PublicKey``), signed by the
key before the newest of them."""
OF_ONE_AGENT = (AGENT_MODE, CONFIGURATION, FENCE, SYNC, SYNC_REFUSED, CERTIFICATE, SIGNING_KEY)
"""Kinds whose id is the agent that they are for; no other agent is told."""
HOLDS = "holds"
"""Kind of the document that tells what quality holds in the plant; its id is ``PLANT``."""
PEOPLE, EQUIPMENT = "people", "equipment"
"""Kinds of the documents that tell who may work where, and which machines are fit to; their id is ``PLANT``."""
PLANT = "plant"
"""Id of a document that is for the whole plant."""
SYNCED = (AGENT_MODE, CONFIGURATION, HOLDS, PEOPLE, EQUIPMENT, *PAPERS)
"""Kinds of documents of which central keeps the newest version, so that it knows which of them there are."""

# -- topics ------------------------------------------------------------------------------------------------


def up_topic(partition: str, agent: str, stream: str) -> str:
    return f"{TOPIC_ROOT}/up/{partition}/{agent}/{stream}"


def request_topic(partition: str, agent: str) -> str:
    """Where an agent's signed requests go: beside its streams, so that one access rule covers them."""
    return f"{TOPIC_ROOT}/up/{partition}/{agent}/{REQUESTS}"


def ack_topic(agent: str, stream: str) -> str:
    return f"{TOPIC_ROOT}/ack/{agent}/{stream}"


def down_topic(agent: str, kind: str, document: str) -> str:
    """``document`` may hold any text: what MQTT forbids in a topic level is percent-encoded."""
    safe = "".join(c if c.isalnum() or c in "-_." else "".join(f"%{b:02X}" for b in c.encode()) for c in document)
    return f"{TOPIC_ROOT}/down/{agent}/{kind}/{safe}"


def state_topic(agent: str) -> str:
    return f"{TOPIC_ROOT}/state/{agent}"
