"""The hash chain that makes a record stream tamper-evident (fixed for good: ``lotkeeper/1``).

For each (agent, epoch, stream)::

    digest_n = SHA-256(body_n)
    hash_0   = SHA-256(fields("lotkeeper/1/epoch", agent, epoch, stream))
    hash_n   = SHA-256(fields("lotkeeper/1/record", agent, epoch, stream, seq, schema, kind, hash_{n-1}, digest_n))

``fields`` writes each field as a 4-byte big-endian length and its bytes: text as UTF-8, integers as 8-byte
big-endian, hashes as their 32 raw bytes. A body may be replaced by a tombstone; digest and hash stay, so the
chain still verifies and the loss is counted. A chain alone does not show that its tail was cut or that all
of it was rewritten by whoever owns it: for that, heads are signed and kept elsewhere.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

RECORD_DOMAIN = "lotkeeper/1/record"
EPOCH_DOMAIN = "lotkeeper/1/epoch"

Field = str | int | bytes


def fields(*values: Field) -> bytes:
    """Length-prefixed concatenation: no two different field lists give the same bytes."""
    parts: list[bytes] = []
    for value in values:
        if isinstance(value, str):
            raw = value.encode()
        elif isinstance(value, int):
            raw = value.to_bytes(8, "big")
        else:
            raw = value
        parts.append(len(raw).to_bytes(4, "big"))
        parts.append(raw)
    return b"".join(parts)


def digest(body: bytes) -> bytes:
    """SHA-256 of the body's exact bytes (32 bytes)."""
    return hashlib.sha256(body).digest()


def first_hash(agent: str, epoch: str, stream: str) -> bytes:
    """hash_0: what the first record of an epoch is chained to."""
    return hashlib.sha256(fields(EPOCH_DOMAIN, agent, epoch, stream)).digest()


def next_hash(
    agent: str, epoch: str, stream: str, seq: int, schema: int, kind: str, previous: bytes, body_digest: bytes
) -> bytes:
    """hash_n of one record, given hash_{n-1}."""
    message = b"".join(
        (
            _fields_of_chain(agent, epoch, stream),
            seq.to_bytes(8, "big"),
            _fields_of_kind(schema, kind),
            len(previous).to_bytes(4, "big"),
            previous,
            len(body_digest).to_bytes(4, "big"),
            body_digest,
        )
    )
    return hashlib.sha256(message).digest()


# What is the same for many records: hashes are computed for each record, on each of its ways.
_EIGHT = (8).to_bytes(4, "big")


@lru_cache(maxsize=256)
def _fields_of_chain(agent: str, epoch: str, stream: str) -> bytes:
    """All before the number of a record."""
    return fields(RECORD_DOMAIN, agent, epoch, stream) + _EIGHT


@lru_cache(maxsize=256)
def _fields_of_kind(schema: int, kind: str) -> bytes:
    return fields(schema, kind)
