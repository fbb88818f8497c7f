"""Makes the frame that is sent next, within what the settings and the broker allow."""

from __future__ import annotations

from pydantic import JsonValue

from edge_agent.outbox import Outbox, Run
from edge_agent.uplink.incoming import OnEvent
from records.errors import Damaged
from records.keys import SigningKey
from records.wire import encode_frame

MOST_RECORDS = 1000
HEADER_ROOM = 700
"""What a frame's header takes beside its records."""
PACKET_ROOM = 256
"""What the packet takes beside the frame: topic and fixed header."""


class Frames:
    """Frames of one outbox, signed. A record that no frame can carry is reported once."""

    def __init__(self, outbox: Outbox, key: SigningKey, max_frame_bytes: int, on_event: OnEvent) -> None:
        self._outbox, self._key, self._limit, self._on_event = outbox, key, max_frame_bytes, on_event
        self._reported: tuple[str, int] | None = None

    def next(self, cursor: int, packet_maximum: int | None) -> tuple[Run, bytes] | None:
        """The frame behind a position of the outbox; None when there is nothing to send.

        A record larger than a frame should be travels alone.

        Raises:
            Damaged: the chain is broken on disk, or the broker takes no message as large as the next record.
        """
        limit, records = self._limit, MOST_RECORDS
        if packet_maximum is not None:
            limit = min(limit, packet_maximum - PACKET_ROOM)
        while True:
            run = self._outbox.next_run(cursor, records, limit - HEADER_ROOM)
            if run is None:
                return None
            frame = encode_frame(run.envelopes, run.previous, self._key)
            if len(frame) <= limit or len(run.envelopes) == 1:
                break
            records = len(run.envelopes) // 2
        if packet_maximum is not None and len(frame) > packet_maximum - PACKET_ROOM:
            raise self._undeliverable(run, len(frame), packet_maximum)
        return run, frame

    def _undeliverable(self, run: Run, size: int, maximum: int) -> Damaged:
        row = run.envelopes[0]
        if self._reported != (row.epoch, row.seq):
            self._reported = (row.epoch, row.seq)
            params: dict[str, JsonValue] = {"epoch": row.epoch, "seq": str(row.seq)}
            self._on_event("record-undeliverable", {**params, "bytes": str(size), "limit": str(maximum)})
        return Damaged(
            f"record {row.epoch}/{row.seq} makes a message of {size} bytes, the broker takes {maximum}",
            hint="raise the broker's message_size_limit",
        )
