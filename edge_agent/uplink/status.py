"""What the uplink says about itself."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.outbox import Place


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How one stream is on its way. ``blocked``: the row that cannot be sent, and why."""

    pending: int
    oldest_pending_age_s: float | None
    watermark: Place
    blocked: str | None
    frames_sent: int
    frames_sent_again: int


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """How the way to central is. ``dropped`` counts records given up: it is 0, since there is no such path.

    ``connected``: subscribed at the broker. ``watermark``: the last row that central has committed.
    ``last_error``: what stands in the way now, None when nothing does. The counts are of records; ``telemetry`` is
    the other stream, None where the agent has none.
    """

    connected: bool
    broker: str
    pending: int
    oldest_pending_age_s: float | None
    watermark: Place
    last_error: str | None
    frames_sent: int
    frames_sent_again: int
    payloads_refused: int
    telemetry: StreamStatus | None = None
    dropped: int = 0
