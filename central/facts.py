"""What central itself states: its own chain, written with the same envelopes as an agent's.

Central's agent name is ``central``. Decisions, document issues, exceptions, discrepancies and the like go to the
stream ``records``, everything that people do with accounts and signatures to the stream ``audit``. A fact is
stated inside the write job that it belongs to: both are committed, or neither.

Its epochs are like an agent's: a new database opens one; a database that was put back (``central.restore``) opens
another that names what was lost, so that no key is ever used twice; one that is behind its own anchors without
that is refused before (``central.footing``). Anchors are signed heads of every chain in the append-only file
``anchors.jsonl`` beside the database (``central.anchors``).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from central import anchors
from central.store import documents, envelopes, intake, snapshots
from central.store.engine import Connection
from central.store.index import NOTHING, About
from central.stored import StoredFact
from records import chain
from records.clock import Clock, new_id, utc_offset_min
from records.errors import LotkeeperError
from records.keys import KeyRing, SigningKey
from records.kinds import DERIVED
from records.model import SCHEMA, Data, EpochOpened, Fact, Header, OperationsEvent, encode, kind_of
from records.wire import CENTRAL, Document, Envelope, Head, Watermark, seal, sign

STREAMS = ("records", "audit")


def software() -> str:
    """Name and version of this build, as every record names it."""
    return f"lotkeeper-central/{importlib.metadata.version('lotkeeper')}"


@dataclass(frozen=True, slots=True)
class Origin:
    """What every fact of this central carries in its header."""

    site: str
    time_zone: str
    software: str
    configuration: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """One fact of central's before it is stated. ``about``: for the index, what the data does not name itself."""

    data: Data
    about: About = NOTHING
    line: str | None = None
    station: str | None = None


class Facts:
    """Central's own chain. ``ring`` holds central's present and former public keys."""

    def __init__(self, key: SigningKey, ring: KeyRing, clock: Clock, origin: Origin, anchors: Path) -> None:
        self._key = key
        self._ring = ring
        self._clock = clock
        self._origin = origin
        self._anchors = anchors

    @property
    def ring(self) -> KeyRing:
        return self._ring

    def sign_with(self, key: SigningKey) -> None:
        """Sign anchors with another key from now on."""
        self._key = key

    def open(self, connection: Connection) -> None:
        """Begin or continue both streams; run once, as the first write job after the store is open."""
        for stream in STREAMS:
            if intake.newest_watermark(connection, CENTRAL, stream) is None:
                self._begin(connection, stream, EpochOpened("created"))

    def reopen(self, connection: Connection) -> None:
        """Begin both streams anew after a restore: no key of what is lost is ever used again, the new epochs name
        the furthest record that is known of the old ones.

        Raises:
            Damaged: the anchors file holds lines that central did not sign.
        """
        tail = anchors.read_anchors(self._anchors, self._ring, tail_only=True)
        anchored = {(head.agent, head.stream): head for head in tail}
        for stream in STREAMS:
            last = intake.newest_watermark(connection, CENTRAL, stream)
            anchor = anchored.get((CENTRAL, stream))
            if anchor is not None and snapshots.held_through(connection, anchor) is not None:
                opened = EpochOpened("restored", anchor.epoch, anchor.last, anchor.hash)
            elif last is not None:
                opened = EpochOpened("restored", last.epoch, last.committed_through, last.hash)
            else:
                opened = EpochOpened("created")
            self._begin(connection, stream, opened)

    def state(
        self,
        connection: Connection,
        data: Data,
        *,
        stream: str = "records",
        order: str | None = None,
        product: str | None = None,
        lot: str | None = None,
        line: str | None = None,
        station: str | None = None,
    ) -> StoredFact:
        """Append one fact to central's chain, inside a write job.

        ``order``, ``product`` and ``lot`` are for the index, where the data does not name them itself.
        """
        said = Said(data, About(order, product, lot), line, station)
        return self.state_all(connection, [said], stream=stream)[0]

    def state_all(
        self, connection: Connection, said: Sequence[Said], *, stream: str = "records"
    ) -> list[StoredFact]:
        """Append facts to central's chain in their order, inside a write job: a few statements for all."""
        if not said:
            return []
        last = intake.newest_watermark(connection, CENTRAL, stream)
        if last is None:
            raise LotkeeperError(f"central's stream {stream} is not open")
        facts = [Fact(self._header(each.line, each.station), each.data) for each in said]
        return self._append(connection, last, facts, [each.about for each in said])

    def issue(
        self,
        connection: Connection,
        kind: str,
        name: str,
        content: JsonValue,
        *,
        order: str | None = None,
        version: int | None = None,
    ) -> Document:
        """State the next version of a document for the lines, inside a write job; content None withdraws it.

        ``version``: it is no lower than this one, where lines hold versions that central has lost. What follows
        from other facts (``DERIVED``) is kept and not stated.
        """
        version = max(version or 0, documents.next_version(connection, kind, name))
        if kind in DERIVED:
            now_us = self._clock.now_us()
            documents.take(connection, kind, name, version, now_us, content)
            return Document(kind, name, version, now_us, content)
        params: dict[str, JsonValue] = {"kind": kind, "id": name, "version": str(version), "content": content}
        stated = self.state(connection, OperationsEvent("document-issued", params, order=order), order=order)
        return Document(kind, name, version, stated.received_us, content)

    def refused(
        self, connection: Connection, user: str, target: str, code: str, *, lot: str | None = None
    ) -> None:
        """State in the audit stream that a signature was refused, inside a write job."""
        params: dict[str, JsonValue] = {"user": user, "target": target, "reason": code}
        self.state(connection, OperationsEvent("signature-refused", params), stream="audit", lot=lot)

    def anchor(self, moved: list[Watermark]) -> list[Head]:
        """Append signed heads of chains to the anchors file and wait until they are on disk; those heads.

        Raises:
            StorageFailed: the file could not be written.
        """
        now_us = self._clock.now_us()
        heads = [Head(w.agent, w.epoch, w.stream, w.committed_through, w.hash, now_us) for w in moved]
        anchors.append(self._anchors, [sign(head, self._key) + b"\n" for head in heads])
        return heads

    def _header(self, line: str | None = None, station: str | None = None) -> Header:
        now_us = self._clock.now_us()
        return Header(
            now_us,
            utc_offset_min(self._origin.time_zone, now_us),
            self._origin.site,
            line,
            station,
            self._origin.software,
            self._origin.configuration,
        )

    def _begin(self, connection: Connection, stream: str, opened: EpochOpened) -> None:
        epoch = new_id()
        start = Watermark(CENTRAL, epoch, stream, 0, chain.first_hash(CENTRAL, epoch, stream).hex(), 0)
        self._append(connection, start, [Fact(self._header(), opened)], [NOTHING])

    def _append(
        self, connection: Connection, last: Watermark, facts: Sequence[Fact], about: Sequence[About]
    ) -> list[StoredFact]:
        received_us = self._clock.now_us()
        items: list[tuple[Envelope, Fact]] = []
        link = bytes.fromhex(last.hash)
        for seq, fact in enumerate(facts, last.committed_through + 1):
            body = encode(fact)
            item = seal(CENTRAL, last.epoch, last.stream, seq, SCHEMA, kind_of(fact.data), body, link)
            items.append((item, fact))
            link = item.hash
        cursors = envelopes.add(connection, items, received_us, about)
        for fact in facts:
            if isinstance(fact.data, OperationsEvent) and fact.data.code == "document-issued":
                params = fact.data.params
                kind, name, version = str(params["kind"]), str(params["id"]), int(str(params["version"]))
                documents.take(connection, kind, name, version, received_us, params.get("content"))
        newest = items[-1][0]
        place = (CENTRAL, last.epoch, last.stream, newest.seq, newest.hash, received_us)
        intake.move_watermark(connection, *place)
        return [
            StoredFact(CENTRAL, e.epoch, e.stream, e.seq, e.hash.hex(), e.kind, fact, received_us, cursor)
            for cursor, (e, fact) in zip(cursors, items, strict=True)
        ]
