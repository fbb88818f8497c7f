"""Anchors: central's signed heads of every chain: in a file that only grows, in a copy elsewhere, at the agents.

A chain shows what was changed inside it, not that its end was cut off or that all of it was made anew. An anchor
does: ``{agent, epoch, stream, last, hash, at_us}``, signed, one line each. Lines of one moment carry one ``at_us``
and name the chains that moved, central's own last; all lines until then together are the state of all chains,
whose digest (``root``) the agents keep in their own signed records.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from records.clock import iso_z
from records.errors import Damaged, LotkeeperError, StorageFailed, Unreachable
from records.files import make_folder, sync_folder
from records.keys import KeyRing
from records.wire import CENTRAL, Head, canonical_json, unsign

TAIL_BYTES = 64 * 1024
"""How much of the file is read at a start, and compared with its copy."""

KIND = "anchor"
"""Kind of the document that tells agents of an anchor; its id is ``central``."""

KEPT = "anchor-kept"
"""Code of the event by which an agent keeps one in its own chain; its params are the document's content."""


def append(path: Path, lines: Iterable[bytes]) -> None:
    """Append whole lines and wait until they are on disk; a torn last line is taken away first.

    Raises:
        StorageFailed: the file could not be written.
    """
    try:
        fresh = not path.exists()
        with path.open("ab+") as file:
            _drop_torn_line(file)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        if fresh:  # central does not start without the anchors that it made
            sync_folder(path.parent)
    except OSError as error:
        raise StorageFailed(f"{path}: cannot write anchors: {error}") from error


def mirror(path: Path, also: Path) -> None:
    """Bring the copy up to the file, whatever it missed.

    Raises:
        Unreachable: the copy cannot be written now; the next time it catches up. Damaged: it is no beginning of
            the file: one of the two was changed.
    """
    try:
        make_folder(also.parent)
        fresh = not also.exists()
        with path.open("rb") as source, also.open("ab+") as copy:
            _drop_torn_line(copy)
            held = copy.seek(0, os.SEEK_END)
            start = max(0, held - TAIL_BYTES)
            copy.seek(start)
            source.seek(start)
            if copy.read() != source.read(held - start):
                raise Damaged(
                    f"{also} is not the beginning of {path}",
                    hint="somebody changed one of them: keep both, and run lotkeeper-central verify with each",
                )
            while chunk := source.read(TAIL_BYTES):
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        if fresh:
            sync_folder(also.parent)
    except OSError as error:
        raise Unreachable(
            f"{also}: the second anchors file cannot be written: {error.strerror}",
            hint="it catches up when its disk is back",
        ) from error


def read_anchors(path: Path, ring: KeyRing, *, tail_only: bool = False) -> list[Head]:
    """The signed heads of an anchors file, oldest first; a last line cut short by a power cut is left out.

    ``tail_only`` reads no more than the end of the file, where every batch of anchors names central's own chains.

    Raises:
        Damaged: a line that central did not sign. StorageFailed: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            skipped = max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES) if tail_only else 0
            file.seek(skipped)
            lines = file.read().splitlines(keepends=True)[1 if skipped else 0 :]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageFailed(f"{path}: cannot read anchors: {error}") from error
    heads: list[Head] = []
    for number, line in enumerate(lines, start=1):
        if not line.endswith(b"\n") and number == len(lines):
            break
        try:
            heads.append(unsign(Head, line, ring, CENTRAL))
        except LotkeeperError as error:
            raise Damaged(
                f"{path}, line {number}: {error.message}", hint="somebody changed the anchors file"
            ) from error
    return heads


# -- what agents keep --------------------------------------------------------------------------------------


def told(heads: Iterable[Head], at_us: int) -> JsonValue:
    """What agents are told of one moment: central's own heads, and the root over the heads of all chains."""
    newest = _newest(heads)
    own: list[JsonValue] = [
        {"epoch": head.epoch, "stream": head.stream, "last": str(head.last), "hash": head.hash}
        for key, head in sorted(newest.items())
        if key[0] == CENTRAL
    ]
    return {"at": iso_z(at_us), "heads": own, "root": root_of(newest.values())}


def root_of(heads: Iterable[Head]) -> str:
    """SHA-256 (hexadecimal) over the heads of all chains, whatever their order."""
    rows = sorted([h.agent, h.epoch, h.stream, str(h.last), h.hash] for h in heads)
    return hashlib.sha256(canonical_json([list[JsonValue](row) for row in rows])).hexdigest()


def batches(heads: Iterable[Head]) -> Iterator[list[Head]]:
    """What was anchored together, in the order of the file."""
    for _, together in groupby(heads, lambda head: head.at_us):
        yield list(together)


def roots(heads: Iterable[Head], restored: Collection[int] = ()) -> Iterator[tuple[str, str]]:
    """The moment (ISO 8601) and root of every batch of anchors, the oldest first.

    ``restored``: places of batches with which a restore began; the chains known before do not count from there on.
    """
    newest: dict[tuple[str, str, str], Head] = {}
    for place, batch in enumerate(batches(heads)):
        if place in restored:
            newest.clear()
        newest |= _newest(batch)
        yield str(iso_z(batch[0].at_us)), root_of(newest.values())


def _newest(heads: Iterable[Head]) -> dict[tuple[str, str, str], Head]:
    return {(head.agent, head.epoch, head.stream): head for head in heads}


def _drop_torn_line(file: BinaryIO) -> None:
    """Take away a last line that a power cut left without its end."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - TAIL_BYTES)
    file.seek(start)
    tail = file.read()
    if tail and not tail.endswith(b"\n"):
        file.truncate(start + tail.rfind(b"\n") + 1)
