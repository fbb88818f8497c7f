"""How a telemetry body lies in the database: compressed, and readable beside those stored as they came.

``b"LKZ1"  4 bytes big-endian CRC-32 of the rest  zstd frame`` stands for the body that it unpacks to; anything
else is the body itself, as all were before. A body that begins as a packed one does is always packed, so none is
taken for another. The record's digest covers the body as the agent sent it; the CRC is there so that a bit that
turned over is seen even where zstd would read over it.
"""

from __future__ import annotations

import zlib

import zstandard

from records.wire import MAX_FRAME

MAGIC = b"LKZ1"
LEVEL = 3
PACKED_FROM = 256
"""Bytes below which compressing is not worth it."""
_HEAD = 8


def pack(body: bytes) -> bytes:
    """As the database keeps it."""
    if len(body) < PACKED_FROM and not body.startswith(MAGIC):
        return body
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(body)
    if len(packed) + _HEAD >= len(body) and not body.startswith(MAGIC):
        return body
    return MAGIC + zlib.crc32(packed).to_bytes(4, "big") + packed


def unpack(stored: bytes) -> bytes:
    """The body that was packed.

    What cannot be unpacked is given back as it lies there: then it is not what the record's digest says, and who
    proves the record finds it.
    """
    if not stored.startswith(MAGIC):
        return stored
    packed = stored[_HEAD:]
    if zlib.crc32(packed) != int.from_bytes(stored[4:_HEAD], "big"):
        return stored
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_FRAME:
            return stored
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError:
        return stored
