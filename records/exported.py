"""An agent's records as a file, for when its network is gone for good (format ``lotkeeper-export``, version 1).

``lotkeeper-edge buffer export`` writes it, ``lotkeeper-central import`` takes it::

    {"format":"lotkeeper-export","version":1,"agent":...,"made_at":...,"software":...,"heads":[...]}
    a line feed
    4 bytes big-endian length, a frame (LKF1, as in MQTT)        once per frame
    4 zero bytes                                                 the end: a file without it was cut off

Nobody needs to trust the file or its header: each frame is signed by the agent and carries its chain. ``heads``
are the agent's signed heads at that moment (one JSON text per stream), which say how far its chains go. Both
sides stream: what they hold at once is one frame, however long the file is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from pydantic import TypeAdapter, ValidationError

from records.errors import Damaged, Invalid
from records.wire import MAGIC, MAX_FRAME

FORMAT: Literal["lotkeeper-export"] = "lotkeeper-export"
VERSION: Literal[1] = 1
MAX_HEADER = 64 * 1024
"""Longest first line."""
_END = bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHeader:
    """The first line. ``made_at`` is ISO 8601 with Z, by the clock of the PC that wrote the file."""

    format: Literal["lotkeeper-export"] = FORMAT
    version: Literal[1] = VERSION
    agent: str
    made_at: str
    software: str = ""
    heads: tuple[str, ...] = ()


_HEADER = TypeAdapter(ExportHeader)


@dataclass(frozen=True, slots=True)
class Exported:
    """An opened export. ``frames`` yields (offset in the file, payload), once and in order."""

    header: ExportHeader
    frames: Iterator[tuple[int, bytes]]


def write_export(file: IO[bytes], header: ExportHeader, frames: Iterable[bytes]) -> int:
    """Write a whole export; how many bytes. The caller makes it durable.

    Raises:
        OSError: the disk refuses.
    """
    size = file.write(_HEADER.dump_json(header) + b"\n")
    for frame in frames:
        size += file.write(len(frame).to_bytes(4, "big") + frame)
    return size + file.write(_END)


def read_export(file: IO[bytes]) -> Exported:
    """Read the first line and hand out the frames, which are not verified here (``wire.decode_frame`` does).

    Raises:
        Invalid: it is no export, or of a version that this software does not know. ``frames`` raises Invalid where
            something else stands than a frame, and Damaged where the file was cut off; both name the offset, and
            every frame before it was handed out.
    """
    line = file.readline(MAX_HEADER)
    if not line.endswith(b"\n"):
        raise Invalid(
            "this is no export of an agent: it has no first line of JSON",
            hint="make it with: lotkeeper-edge buffer export LINE.yaml",
        )
    try:
        header = _HEADER.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "first line"
        raise Invalid(
            f"this is no export that this software knows: {where}: {first['msg']}",
            hint=f"known is {FORMAT} version {VERSION}; a newer one needs a newer central",
        ) from error
    return Exported(header, _frames(file, len(line)))


def _frames(file: IO[bytes], offset: int) -> Iterator[tuple[int, bytes]]:
    while True:
        size = _read(file, 4, offset)
        if size == _END:
            break
        length = int.from_bytes(size, "big")
        if length > MAX_FRAME:
            raise Invalid(
                f"at byte {offset} of the export: a frame of {length} bytes cannot be (most {MAX_FRAME})"
            )
        frame = _read(file, length, offset)
        if not frame.startswith(MAGIC):
            raise Invalid(f"at byte {offset} of the export: no frame stands here", hint="copy the file again")
        yield offset, frame
        offset += 4 + length
    if file.read(1):
        raise Invalid(f"at byte {offset + 4} of the export: it goes on behind its end", hint="copy the file again")


def _read(file: IO[bytes], count: int, offset: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := file.read(count)):  # a pipe gives what it has
        parts.append(part)
        count -= len(part)
    if count:
        raise Damaged(
            f"the export was cut off in what begins at byte {offset}",
            hint="copy the file again; what stands before is whole and can be taken",
        )
    return b"".join(parts)
