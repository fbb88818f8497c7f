"""One read, many who want of it: gives each its own tags of every block, all of them or what changed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.base import Group, OnBlock, ReadingBlock

_KNOWN = 8192
"""Most groups that a share remembers; drivers make a group once, so that is never reached by rights."""


@dataclass(slots=True)
class _Cut:
    """Which part of one group's blocks is ours; ``at`` None: all of it, ``part`` None: nothing of it."""

    whole: Group
    part: Group | None
    at: NDArray[np.intp] | None
    types: tuple[str, ...] = ()
    part_types: tuple[str, ...] = ()
    previous: ReadingBlock | None = None

    def of(self, block: ReadingBlock, group: Group) -> ReadingBlock:
        if self.at is None:
            return block
        if block.types is not self.types:
            self.types, self.part_types = block.types, tuple(block.types[n] for n in self.at)
        return ReadingBlock(
            group,
            block.values[self.at],
            block.status[self.at],
            block.source_us[self.at],
            block.server_us[self.at],
            block.edge_us,
            self.part_types,
            block.raw.part(self.at),
        )


@dataclass(slots=True)
class Share:
    """What one consumer wants: these tags, told when one of them is another, or with ``every`` always."""

    tags: tuple[str, ...]
    on_block: OnBlock
    every: bool
    _cuts: dict[int, _Cut] = field(default_factory=dict)

    def take(self, block: ReadingBlock) -> None:
        """Tell the consumer its part of a block."""
        cut = self._cuts.get(id(block.group))
        if cut is None:
            if len(self._cuts) >= _KNOWN:
                self._cuts.clear()
            cut = self._cuts[id(block.group)] = _cut(block.group, self.tags)  # holds the group: the id stays its
        if cut.part is None:
            return
        part = cut.of(block, cut.part)
        if self.every or not part.same_as(cut.previous):
            cut.previous = part
            self.on_block(part)

    def retell(self, tags: Collection[str]) -> None:
        """Tell these anew, whatever they are: another reading of them came between."""
        for cut in self._cuts.values():
            if cut.previous is not None and not cut.previous.group.index.keys().isdisjoint(tags):
                cut.previous = None

    def forget(self) -> None:
        """Tell everything anew, as after a new connection."""
        self._cuts.clear()


def _cut(group: Group, wanted: Sequence[str]) -> _Cut:
    own = set(wanted)
    at = [n for n, name in enumerate(group.tags) if name in own]
    if len(at) == len(group.tags):
        return _Cut(group, group, None)
    if not at:
        return _Cut(group, None, None)
    part = Group.of(group.device, [group.settings[n] for n in at], group.word)
    if part.dtype != group.dtype:  # values keep the column that they came in
        part = Group(part.device, part.tags, part.settings, part.index, part.types, group.dtype, part.word)
    return _Cut(group, part, np.array(at, np.intp))
