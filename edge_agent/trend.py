"""The telemetry of one agent as a whole: its buffer beside that of records, its collector, its counters."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import JsonValue

from edge_agent.counters import Counters
from edge_agent.outbox import Batch, GivenUp, Outbox
from edge_agent.settings import Buffer
from edge_agent.telemetry import Context, Telemetry
from records.clock import Clock, iso_z
from records.errors import StorageFailed
from records.model import Fact, Header, OperationsEvent

STREAM = "telemetry"
NOTE_EVERY_S = 1.0
"""An older copy of the file is known by its note; of telemetry a second more or less does not matter."""


class Trend:
    """``max_bytes``: the cap. ``records``: the buffer of records, which hears of a gap before there is one.
    ``header`` and ``context``: of a record and a chunk made now. ``tell`` is for what is to be recorded.
    """

    def __init__(
        self,
        buffer: Buffer,
        max_bytes: int,
        records: Outbox,
        clock: Clock,
        header: Callable[[], Header],
        context: Callable[[], Context],
        tell: Callable[[str, dict[str, JsonValue]], None],
        *,
        live: Callable[[], bool],
        failpoint: Callable[[str], None] = lambda _: None,
        on_failure: Callable[[StorageFailed], None] | None = None,
    ) -> None:
        self.counters = Counters()
        self._records, self._header = records, header
        self.outbox = Outbox(
            buffer.path,
            records.agent,
            clock,
            context=header,
            stream=STREAM,
            keep_acknowledged_s=buffer.keep_acknowledged,
            max_bytes=max_bytes,
            on_thin=self._give_up,
            bucket_s=buffer.telemetry_bucket,
            note_every_s=NOTE_EVERY_S,
            on_failure=on_failure,
            failpoint=lambda name: failpoint(f"{STREAM}.{name}"),
        )
        self.collector = Telemetry(
            self.outbox, clock, self.counters, context, tell, live=live, interval_s=buffer.telemetry_interval
        )

    def _give_up(self, given: GivenUp) -> None:
        """In the writer's thread: the gap is a record before it is one."""
        params: dict[str, JsonValue] = {
            "epoch": given.epoch,
            "first": str(given.first),
            "last": str(given.last),
            "chunks": given.chunks,
        }
        if given.bucket_s is not None:
            params |= {"bucket_s": given.bucket_s, "readings": given.readings}
            params |= {"began": iso_z(given.began_us), "ended": iso_z(given.ended_us)}
        event = OperationsEvent("telemetry-thinned", params)
        self._records.commit(Batch((Fact(self._header(), event),))).result()
        counts = "chunks_given_up" if given.bucket_s is None else "chunks_thinned"
        self.counters.add(**{counts: given.chunks})

    def acknowledged(self, chunks: int) -> None:
        """Central has committed so many more."""
        self.counters.add(chunks_acknowledged=chunks)

    async def close(self) -> None:
        """Commit what has gathered."""
        await self.collector.close()
