"""Rules of the promise, broken on purpose: with each of them the simulation must find a seed that loses something.

A fault test that never went red proves nothing. What is broken is the rule itself, in the real code, for the time
of a ``with`` block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import UniqueConstraint

from central import committing, ingest
from central.store import chart_intake
from central.store.schema import envelope
from edge_agent.outbox import watermark
from edge_agent.outbox.ledger import acknowledged, epoch_named
from edge_agent.outbox.types import Outcome
from edge_agent.uplink import Uplink
from edge_agent.uplink.link import Delivered
from records import chain, durable, wire
from records.keys import KeyRing
from records.wire import Frame, Watermark, decode_frame
from tests.sim import centre


@contextmanager
def puback_is_proof() -> Iterator[None]:
    """The agent takes the broker's answer for central's, and lets go of what was sent until then."""
    delivered = Uplink._delivered

    def mistaken(self: Uplink, event: Delivered) -> None:
        delivered(self, event)
        cursor = self._records._window.cursor
        outbox = self._outbox
        if cursor > outbox.acknowledged()[0]:
            outbox._writer.submit(lambda c: watermark._move(c, cursor, 0.0)).result()

    with patch.object(Uplink, "_delivered", mistaken):
        yield


@contextmanager
def key_is_not_unique() -> Iterator[None]:
    """Central inserts whatever comes, and no key of the database keeps a record from being there twice."""
    unique = [each for each in envelope.constraints if isinstance(each, UniqueConstraint)]

    def take(self: committing._Run, checked: committing.Checked) -> committing.Outcome:
        frame, held = checked.frame, self.held[checked.chain]
        if frame.first > held.through + 1:
            return committing.Outcome("hole", frame.agent, held.answer)
        self.added += checked.items
        last = frame.envelopes[-1]
        moved = held.moved(last.seq, last.hash)
        if held.mark is None:
            self._begin(moved)
        else:
            self.moved[checked.chain] = self.held[checked.chain] = moved
        return committing.Outcome("committed", frame.agent, self.held[checked.chain].answer)

    for each in unique:
        envelope.constraints.remove(each)
    centre.empty.cache_clear()
    try:
        with patch.object(committing._Run, "take", take), patch.object(chart_intake, "take", lambda *_: None):
            yield
    finally:
        envelope.constraints.update(unique)
        centre.empty.cache_clear()


@contextmanager
def commits_are_not_synced() -> Iterator[None]:
    """synchronous=NORMAL: SQLite says committed before the log is on disk."""
    with patch.dict(durable._PRAGMAS, {"synchronous": 1}):
        yield


@contextmanager
def chain_is_not_checked() -> Iterator[None]:
    """Central believes a frame's header about bodies that do not give it."""

    def believing(payload: bytes, ring: KeyRing, *, at_us: int | None = None) -> Frame:
        with patch("records.wire.chain.next_hash", _of_header(payload)):
            return decode_frame(payload, ring, at_us=at_us)

    with patch.object(ingest, "decode_frame", believing):
        yield


def _of_header(payload: bytes) -> Callable[..., bytes]:
    """Gives, for the last record of a frame, the hash that its header claims."""
    real = chain.next_hash
    header, _ = wire._split(payload)

    def claimed(agent: str, epoch: str, stream: str, seq: int, *rest: Any) -> bytes:
        return bytes.fromhex(header.head) if seq == header.last else real(agent, epoch, stream, seq, *rest)

    return claimed


@contextmanager
def watermark_is_a_number() -> Iterator[None]:
    """The agent compares the watermark's number with its own, and not the hash."""

    def numbers_only(connection: Any, mark: Watermark) -> watermark.Verdict:
        epoch = epoch_named(connection, mark.epoch)
        if epoch is None:
            return watermark.Verdict(Outcome.UNCHANGED)
        position = epoch.position(min(mark.committed_through, epoch.last))
        if position > acknowledged(connection):
            return watermark.Verdict(Outcome.ADVANCED, position)
        return watermark.Verdict(Outcome.UNCHANGED)

    with patch.object(watermark, "judge", numbers_only):
        yield


MUTATIONS: dict[str, tuple[Callable[[], Any], str, int]] = {
    "puback-is-proof": (puback_is_proof, "missing", 0),
    "key-is-not-unique": (key_is_not_unique, "doubled", 0),
    "commits-are-not-synced": (commits_are_not_synced, "missing", 25),
    "chain-is-not-checked": (chain_is_not_checked, "altered", 4),
    "watermark-is-a-number": (watermark_is_a_number, "missing", 18),
}
"""Name -> the broken rule, the word that a verdict must hold for it, and a seed that is known to notice it."""
