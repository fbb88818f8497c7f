"""Who else knows what central's chains were: the anchors file, the agents that keep anchors, stated restores.

Each names records by their hash, from outside of the chain that is proven. A restore loses what came after its
backup; the fact that states it, which central has anchored, says which. What came after is told by where it stands
in the anchors file, not by its time: central's clock may have been ahead, and set right since. Everything here
reads what may have been tampered with: what cannot be understood is left to the walk over the chains, which finds
it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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

DOCUMENTS_FROM = "documents_from"
"""Its parameter: the version from which on documents for the lines are issued since."""

HOLDS_AFTER = "holds_after"
"""Its parameter where nobody knows what was held since the backup: the version of the lines' document in that."""

ANCHORS_LOST = "anchors_lost_after"
"""Its parameter where anchors are lost: the moment of the newest one that was left (microseconds; 0: none)."""

Key = tuple[str, str, str]
"""Agent, epoch, stream."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was anchored: which batch of the anchors file it was (None: none of those that are left)."""

    at_us: int
    place: int | None


@dataclass(frozen=True, slots=True)
class Named:
    """Record ``last`` of a chain had this hash, says ``by``, at ``moment``."""

    last: int
    hash: str
    by: str
    moment: Moment


@dataclass(frozen=True, slots=True)
class Restore:
    """What was anchored by batches ``first`` to before ``end`` may be lost behind ``through`` of a chain. Where
    the batch is not known: after ``held_until_us``, through ``at_us``.

    ``unanchored_us``: the anchors themselves after this moment, through ``at_us``, are lost; None: none are.
    """

    at_us: int
    held_until_us: int
    through: dict[Key, int]
    first: int
    end: int
    unanchored_us: int | None = None

    def explains(self, key: Key, moment: Moment, last: int) -> bool:
        """Whether it explains that a chain ends at ``last`` although an anchor of that moment names more."""
        if moment.place is None:
            after = self.held_until_us < moment.at_us <= self.at_us
        else:
            after = self.first <= moment.place < self.end
        return after and last >= self.through.get(key, 0)

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

    def explain(self, key: Key, moment: Moment, last: int) -> bool:
        return any(restore.explains(key, moment, last) for restore in self.restores)


def witnesses(connection: Connection, anchored: list[Head], source: str) -> Witnesses:
    """What the anchors and the agents' own records name. ``source``: what a reason calls the anchors file."""
    named: dict[Key, list[Named]] = defaultdict(list)
    batches = list(anchors.batches(anchored))
    for place, batch in enumerate(batches):
        for head in batch:
            moment = Moment(head.at_us, place)
            named[head.agent, head.epoch, head.stream].append(Named(head.last, head.hash, source, moment))
    seen: set[tuple[str, str, str, str]] = set()
    places = _places(batches)
    for item, content, at_us in _kept(connection):
        for told in content.get("heads", ()):
            record = (str(told["epoch"]), str(told["stream"]), str(told["last"]), str(told["hash"]))
            if record not in seen:
                seen.add(record)
                by = f"the anchor of {iso_z(at_us)} that {item.agent} keeps"
                moment = Moment(at_us, places.get(at_us))
                named[CENTRAL, record[0], record[1]].append(Named(int(record[2]), record[3], by, moment))
    return Witnesses(dict(named), tuple(_restores(connection, batches)))


def disagreement(
    connection: Connection, anchored: list[Head], found: Witnesses, *, complete: bool
) -> Disagreement | None:
    """The first anchor kept by an agent that the anchors file does not give; ``complete``: the file is whole.

    The root is over the heads of all chains: so the agents bear witness of each other's chains, too.
    """
    given = dict(anchors.roots(anchored, [restore.end for restore in found.restores]))
    places = _places(list(anchors.batches(anchored)))
    newest_us = max((head.at_us for head in anchored), default=0)
    for item, content, at_us in _kept(connection):
        root, moment = given.get(str(content.get("at"))), Moment(at_us, places.get(at_us))
        if root == content.get("root") or found.explain((item.agent, "", ""), moment, 0):
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
        if (said := snapshots.said_by(item)) is None:
            continue
        params = said.params
        try:
            heads = params["heads"]
            if all(int(told["last"]) > 0 and bytes.fromhex(told["hash"]) for told in heads):
                yield item, params, to_us(datetime.fromisoformat(params["at"]))
        except (KeyError, TypeError, ValueError):
            continue


def _restores(connection: Connection, batches: Sequence[Sequence[Head]]) -> Iterator[Restore]:
    """Stated restores, each anchored since with its own record: nobody without central's key can state one."""
    own = [{(h.epoch, h.stream): h.last for h in batch if h.agent == CENTRAL} for batch in batches]
    for item in snapshots.coded(connection, RESTORED, "audit"):
        named = [place for place, heads in enumerate(own) if (item.epoch, item.stream) in heads]
        reach = max((own[place][item.epoch, item.stream] for place in named), default=0)
        if item.agent != CENTRAL or reach < item.seq:
            continue
        if (said := snapshots.said_by(item)) is None:
            continue
        try:
            params = said.params
            through = {(str(a), str(e), str(s)): int(n) for a, e, s, n in params["through"]}
            after = params.get(ANCHORS_LOST)
            unanchored_us = None if after is None else int(after)
            held_until_us = int(params["held_until"])
            first = _first_after(own, through)
            yield Restore(said.at_us, held_until_us, through, first, named[0], unanchored_us)
        except (KeyError, TypeError, ValueError):
            continue


def _first_after(own: Sequence[Mapping[tuple[str, str], int]], through: Mapping[Key, int]) -> int:
    """The first batch that was made when central's own chains were as far as the backup holds them."""
    held = {(epoch, stream): last for (agent, epoch, stream), last in through.items() if agent == CENTRAL}
    of_these = [place for place, heads in enumerate(own) if heads.keys() & held.keys()]
    reached = (p for p in of_these if all(own[p].get(chain, last) >= last for chain, last in held.items()))
    return next(reached, of_these[-1] + 1 if of_these else 0)


def _places(batches: Sequence[Sequence[Head]]) -> dict[int, int]:
    """Moment (microseconds) -> which batch was made then."""
    return {batch[0].at_us: place for place, batch in enumerate(batches)}
