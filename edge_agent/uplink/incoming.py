"""What arrives on an agent's topics: watermarks and documents of central, and garbage.

Only what central signed is acted on. The rest is counted, logged and reported, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from pydantic import JsonValue

from edge_agent.documents import Documents
from edge_agent.outbox import Applied, Outbox, Outcome
from records.clock import Clock
from records.errors import Damaged, Invalid, LotkeeperError, StorageFailed
from records.keys import Identity
from records.wire import CENTRAL, CENTRAL_KEYS, Watermark, ack_topic, down_topic, unsign

OnEvent = Callable[[str, dict[str, JsonValue]], None]

REPORT_EVERY_S = 60.0
"""Payloads that are refused make at most one event of each kind in this time, with their count."""
MISTAKE = "this agent makes a mistake with it, which its log tells"


@dataclass(slots=True)
class _Report:
    made_s: float
    count: int = 0


class Incoming:
    """``refused`` counts the payloads and watermarks that changed nothing because they were not believed."""

    def __init__(
        self,
        identity: Identity,
        clock: Clock,
        documents: Documents | None,
        on_event: OnEvent,
        on_central_keys: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._on_central_keys = on_central_keys
        self._clock, self._documents, self._on_event = clock, documents, on_event
        self._agent, self._ring = identity.file.agent, identity.central
        self._log = structlog.get_logger().bind(agent=self._agent)
        self._reports: dict[str, _Report] = {}
        self.refused = 0

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Act on one message that is no watermark. ``retained``: the broker kept it, central may be dead.

        Raises:
            StorageFailed: the disk failed.
        """
        try:
            if payload and topic == down_topic(self._agent, CENTRAL_KEYS, CENTRAL):
                self._on_central_keys(payload)
            elif self._documents is not None and payload:
                self._documents.take(topic, self._agent, payload, retained=retained)
        except (Invalid, Damaged) as error:
            self._refuse("payload-refused", {"topic": topic, "reason": error.message})
        except StorageFailed:
            raise
        except Exception as error:
            # A mistake of ours with one payload: the broker repeats it at each connect, and records must go on.
            self._log.exception("payload-mistaken", topic=topic)
            self._refuse("payload-refused", {"topic": topic, "reason": f"{MISTAKE}: {error!r}"})

    def watermark(self, stream: str, payload: bytes) -> Watermark | None:
        """What central says of a stream; None when it did not say it."""
        try:
            return unsign(Watermark, payload, self._ring, CENTRAL, at_us=self._clock.now_us())
        except (Invalid, Damaged) as error:
            self._refuse_payload(stream, error)
            return None

    def apply(self, outbox: Outbox, mark: Watermark, *, retained: bool) -> Applied | None:
        """Act on a watermark of this outbox's stream; what became of it, None when it was refused.

        Raises:
            Refused: there is no room to note it.
        """
        try:
            applied = outbox.apply(mark)
        except (Invalid, Damaged) as error:
            self._refuse_payload(outbox.stream, error)
            return None
        if applied.outcome is Outcome.REFUSED:
            watermark: dict[str, JsonValue] = {
                "epoch": mark.epoch,
                "seq": str(mark.committed_through),
                "hash": mark.hash,
                "generation": mark.generation,
            }
            self._refuse("watermark-refused", {"reason": applied.reason, "watermark": watermark})
            return None
        if self._documents is not None and not retained:
            self._documents.heard()
        return applied

    def _refuse_payload(self, stream: str, error: LotkeeperError) -> None:
        topic = ack_topic(self._agent, stream)
        self._refuse("payload-refused", {"topic": topic, "reason": error.message})

    def _refuse(self, code: str, params: dict[str, JsonValue]) -> None:
        self.refused += 1
        self._log.warning(code, **params)
        now_s = self._clock.monotonic_s()
        report = self._reports.setdefault(code, _Report(now_s - REPORT_EVERY_S))
        report.count += 1
        if now_s - report.made_s >= REPORT_EVERY_S:
            self._on_event(code, {**params, "count": report.count})
            report.made_s, report.count = now_s, 0
