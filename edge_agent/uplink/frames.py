"""Makes the frame that is sent next, within what the settings and the broker allow."""

from __future__ import annotations

from pydantic import JsonValue

from edge_agent.outbox import Outbox, Run
from edge_agent.uplink.incoming import OnEvent
from records.errors import Damaged
from records.keys import Identity
from records.trouble import Trouble
from records.wire import encode_frame, frame_compressor

MOST_RECORDS = 1000
HEADER_ROOM = 700
"""What a frame's header takes beside its records."""
PACKET_ROOM = 256
"""What the packet takes beside the frame: topic and fixed header."""
UNPACKED_MOST = 256 * 1024
"""Of a frame's rows, however well they pack: bounds memory here, and at central the work that others wait for."""
CAUTION = 0.8
"""How much of what the last frame teaches is believed of the next."""


class Frames:
    """Frames of one outbox, signed, made in one thread. A record that no frame can carry is reported once."""

    def __init__(self, outbox: Outbox, identity: Identity, max_frame_bytes: int, on_event: OnEvent) -> None:
        self._outbox, self._identity, self._limit = outbox, identity, max_frame_bytes
        self._on_event = on_event
        self._compressor = frame_compressor()
        self._packing = 1.0  # bytes of rows that a byte of frame is thought to hold
        self._reported: tuple[str, int] | None = None

    def next(self, cursor: int, packet_maximum: int | None, learnt: int | None = None) -> tuple[Run, bytes] | None:
        """The frame behind a position of the outbox; None when there is nothing to send.

        ``packet_maximum`` is what the broker told, ``learnt`` what its behaviour showed of frames. A record larger
        than a frame should be travels alone.

        Raises:
            Damaged: the chain is broken on disk, or the broker takes no message as large as the next record.
        """
        limit, records = self._limit, MOST_RECORDS
        if packet_maximum is not None:
            limit = min(limit, packet_maximum - PACKET_ROOM)
        if learnt is not None:
            limit = min(limit, learnt)
        while True:
            room = limit - HEADER_ROOM
            run = self._outbox.next_run(cursor, records, max(room, min(int(room * self._packing), UNPACKED_MOST)))
            if run is None:
                return None
            frame = encode_frame(
                run.envelopes,
                run.previous,
                self._identity.signing,
                compressor=self._compressor,
                heard=run.heard,
            )
            self._packing = max(CAUTION * run.size / len(frame), 1.0)
            if len(frame) <= limit or len(run.envelopes) == 1:
                break
            records = len(run.envelopes) // 2
        if packet_maximum is not None and len(frame) > packet_maximum - PACKET_ROOM:
            first = run.envelopes[0]
            self.report(first.epoch, first.seq, len(frame), packet_maximum)
            place = f"{first.epoch}/{first.seq}"
            told = Trouble.of("record-over-maximum", record=place, size=len(frame), most=packet_maximum)
            raise Damaged.of(told.hinted(Trouble.of("raise-brokers-packet-size")))
        return run, frame

    def report(self, epoch: str, seq: int, size: int, maximum: int | None) -> None:
        """A record that the broker does not take, as an event: once. ``maximum`` None: the broker does not say."""
        if self._reported == (epoch, seq):
            return
        self._reported = (epoch, seq)
        params: dict[str, JsonValue] = {"epoch": epoch, "seq": str(seq), "bytes": str(size)}
        self._on_event("record-undeliverable", {**params, "limit": "" if maximum is None else str(maximum)})
