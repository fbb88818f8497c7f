"""Who else knows what central's chains were: the anchors file, the agents that keep anchors, stated restores.

Each names records by their hash, from outside of the chain that is proven. A restore loses what came after its
backup; the fact that states it, which central has anchored, says which. Everything here reads what may have been
tampered with: what cannot be understood is left to the walk over the chains, which finds it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from central import anchors
from central.store import snapshots
from central.store.engine import Connection
from records.clock import iso_z, to_us
from records.wire import CENTRAL, Envelope, Head

RESTORED = "backup-restored"
"""Code of the fact that states a restore, in the audit stream."""

ANCHORS_LOST = "anchors_lost_after"
"""Its parameter where anchors are lost: the moment of the newest one that was left (microseconds; 0: none)."""

Key = tuple[str, str, str]
"""Agent, epoch, stream."""


@dataclass(frozen=True, slots=True)
class Named:
    """Record ``last`` of a chain had this hash, says ``by``, at ``at_us``."""

    last: int
    hash: str
    by: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Restore:
    """What was anchored after ``held_until_us``, through ``at_us``, may be lost behind ``through`` of a chain.

    ``unanchored_us``: the anchors themselves after this moment, through ``at_us``, are lost; None: none are.
    """

    at_us: int
    held_until_us: int
    through: dict[Key, int]
    unanchored_us: int | None = None

    def explains(self, key: Key, at_us: int, last: int) -> bool:
        """Whether it explains that a chain ends at ``last`` although an anchor of that time names more."""
        return self.held_until_us < at_us <= self.at_us and last >= self.through.get(key, 0)

    def lost_anchor(self, at_us: int) -> bool:
        """Whether it explains that the file has no anchor of that time."""
        return self.unanchored_us is not None and self.unanchored_us < at_us <= self.at_us


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An agent keeps another root of all chains than the anchors file gives."""

    key: Key
    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Witnesses:
    named: dict[Key, list[Named]]
    restores: tuple[Restore, ...]

    @property
    def unanchored(self) -> tuple[tuple[int, int], ...]:
        """From when to when the anchors themselves are lost, as restores have stated."""
        return tuple((each.unanchored_us, each.at_us) for each in self.restores if each.unanchored_us is not None)

    def explain(self, key: Key, at_us: int, last: int) -> bool:
        return any(restore.explains(key, at_us, last) for restore in self.restores)


def witnesses(connection: Connection, anchored: list[Head], source: str) -> Witnesses:
    """What the anchors and the agents' own records name. ``source``: what a reason calls the anchors file."""
    named: dict[Key, list[Named]] = defaultdict(list)
    for head in anchored:
        named[head.agent, head.epoch, head.stream].append(Named(head.last, head.hash, source, head.at_us))
    seen: set[tuple[str, str, str, str]] = set()
    for item, content, at_us in _kept(connection):
        for told in content.get("heads", ()):
            place = (str(told["epoch"]), str(told["stream"]), str(told["last"]), str(told["hash"]))
            if place not in seen:
                seen.add(place)
                by = f"the anchor of {iso_z(at_us)} that {item.agent} keeps"
                named[CENTRAL, place[0], place[1]].append(Named(int(place[2]), place[3], by, at_us))
    return Witnesses(dict(named), tuple(_restores(connection, anchored)))


def disagreement(
    connection: Connection, anchored: list[Head], found: Witnesses, *, complete: bool
) -> Disagreement | None:
    """The first anchor kept by an agent that the anchors file does not give; ``complete``: the file is whole.

    The root is over the heads of all chains: so the agents bear witness of each other's chains, too.
    """
    given = dict(anchors.roots(anchored, [restore.at_us for restore in found.restores]))
    newest_us = max((head.at_us for head in anchored), default=0)
    for item, content, at_us in _kept(connection):
        root = given.get(str(content.get("at")))
        if root == content.get("root") or found.explain((item.agent, "", ""), at_us, 0):
            continue
        if root is None and not complete and at_us > newest_us:
            continue  # an earlier copy of the file
        if root is None and any(restore.lost_anchor(at_us) for restore in found.restores):
            continue
        what = "no anchor of that time" if root is None else "other chains"
        reason = f"the anchors file has {what}: {item.agent} keeps one of {content.get('at')}"
        return Disagreement((item.agent, item.epoch, item.stream), item.seq, reason)
    return None


def _kept(connection: Connection) -> Iterator[tuple[Envelope, dict[str, Any], int]]:
    """Anchors that agents keep: the record, what it says, and of when it is."""
    for item in snapshots.coded(connection, anchors.KEPT, "records"):
        params = _params(item)
        try:
            heads = params["heads"]
            if all(int(told["last"]) > 0 and bytes.fromhex(told["hash"]) for told in heads):
                yield item, params, to_us(datetime.fromisoformat(params["at"]))
        except (KeyError, TypeError, ValueError):
            continue


def _restores(connection: Connection, anchored: list[Head]) -> Iterator[Restore]:
    """Stated restores, each anchored since with its own record: nobody without central's key can state one."""
    reach: dict[Key, int] = {}
    for head in anchored:
        key = (head.agent, head.epoch, head.stream)
        reach[key] = max(reach.get(key, 0), head.last)
    for item in snapshots.coded(connection, RESTORED, "audit"):
        if item.agent != CENTRAL or reach.get((CENTRAL, item.epoch, item.stream), 0) < item.seq:
            continue
        try:
            fact = json.loads(item.body or b"")
            params = fact["data"]["params"]
            through = {(str(a), str(e), str(s)): int(n) for a, e, s, n in params["through"]}
            after = params.get(ANCHORS_LOST)
            unanchored_us = None if after is None else int(after)
            yield Restore(int(fact["header"]["at_us"]), int(params["held_until"]), through, unanchored_us)
        except (KeyError, TypeError, ValueError):
            continue


def _params(item: Envelope) -> dict[str, Any]:
    try:
        params = json.loads(item.body or b"")["data"]["params"]
    except (KeyError, TypeError, ValueError):
        return {}
    return params if isinstance(params, dict) else {}
