"""What the uplink says about itself."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.outbox import Place
from records.trouble import Trouble


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How one stream is on its way. ``blocked``: why nothing of it can be sent."""

    pending: int
    oldest_pending_age_s: float | None
    watermark: Place
    blocked: Trouble | None
    frames_sent: int
    frames_sent_again: int


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """How the way to central is. ``dropped`` counts records given up: it is 0, since there is no such path.

    ``connected``: subscribed at the broker. ``watermark``: the last row that central has committed.
    ``trouble``: what stands in the way now, None when nothing does. The counts are of records; ``telemetry`` is
    the other stream, None where the agent has none.
    """

    connected: bool
    broker: str
    pending: int
    oldest_pending_age_s: float | None
    watermark: Place
    trouble: Trouble | None
    frames_sent: int
    frames_sent_again: int
    payloads_refused: int
    telemetry: StreamStatus | None = None
    dropped: int = 0

    @property
    def last_error(self) -> str | None:
        """What stands in the way, in English."""
        return None if self.trouble is None else self.trouble.whole
