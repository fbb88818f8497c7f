"""The anchors file beside the copy that central keeps of it elsewhere: which goes further, whether they differ.

The copy is written after the file, so it is the beginning of it. Where it is not, one of the two was changed, or
the file was cut: the copy lies where whoever did that could not write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from central.anchors import read_anchors
from records.clock import iso_z
from records.errors import StorageFailed
from records.keys import KeyRing
from records.wire import Head


@dataclass(frozen=True, slots=True)
class Pair:
    """``furthest``: the heads of whichever goes further, ``source`` names it. ``differ``: how the copy is not the
    beginning of the file, None where it is. ``unread``: why there was no copy to read.
    """

    furthest: list[Head]
    source: str
    differ: str | None = None
    unread: str | None = None


def read(path: Path, also: Path | None, ring: KeyRing) -> Pair:
    """Read both, the copy first: central may append meanwhile.

    Raises:
        Damaged: a line of one of them that central did not sign. StorageFailed: the file cannot be read.
    """
    copy: list[Head] = []
    unread: str | None = None
    if also is not None:
        try:
            copy = read_anchors(also, ring)
            unread = None if also.is_file() else f"there is no file {also}, or its disk is not there"
        except StorageFailed as error:
            unread = error.message
    own = read_anchors(path, ring)
    differ = _differ(path, own, also, copy)
    if len(copy) > len(own):
        return Pair(copy, f"the copy of the anchors {also}", differ, unread)
    return Pair(own, "the anchors file", differ, unread)


def _differ(path: Path, own: Sequence[Head], also: Path | None, copy: Sequence[Head]) -> str | None:
    for number, (one, other) in enumerate(zip(own, copy, strict=False), start=1):
        if one != other:
            at = iso_z(other.at_us)
            return (
                f"{path} and its copy {also} differ from line {number} on (in the copy of {at}): one was changed"
            )
    if len(copy) > len(own):
        until = iso_z(copy[-1].at_us)
        return (
            f"{path} has {len(own)} anchors and its copy {also} has {len(copy)}, until {until}: the file was cut"
        )
    return None
