"""One stream on its way to central: which of its rows go next, which wait for central's word, and that word.

The uplink has one lane for each stream over one connection. A lane is used in the uplink's thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from edge_agent.outbox import Applied, Outbox, Outcome, Run
from edge_agent.uplink.broker import UplinkSettings
from edge_agent.uplink.frames import Frames
from edge_agent.uplink.incoming import OnEvent
from edge_agent.uplink.link import Link
from edge_agent.uplink.status import StreamStatus
from edge_agent.uplink.window import Limits, Window
from records.clock import MICROSECONDS, Clock
from records.errors import Damaged
from records.keys import Identity
from records.wire import ack_topic

BLOCKED_S = 10.0
"""How long sending rests after a row that cannot be sent."""


@dataclass(frozen=True, slots=True)
class _Mark:
    payload: bytes
    retained: bool


class Lane:
    """``apply_every_s``: central's watermarks are acted on at most so often, the newest of them, unless the window
    is full: each costs a commit. ``on_acknowledged`` hears how many rows central has confirmed.
    """

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        settings: UplinkSettings,
        limits: Limits,
        clock: Clock,
        on_event: OnEvent,
        publish: Callable[[Link, Run, bytes], None],
        *,
        apply_every_s: float = 0.0,
        on_acknowledged: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.outbox = outbox
        self.ack_topic = ack_topic(identity.file.agent, outbox.stream)
        self.blocked: str | None = None
        self.highest = 0
        self._publish = publish
        self._settings, self._limits, self._clock = settings, limits, clock
        self._apply_every_s, self._on_acknowledged = apply_every_s, on_acknowledged
        self._frames = Frames(outbox, identity.signing, settings.max_frame_bytes, on_event)
        self._log = structlog.get_logger().bind(agent=identity.file.agent, stream=outbox.stream)
        now_s = clock.monotonic_s()
        self._position = outbox.acknowledged()[0]
        self._window = Window(limits, self._position, now_s)
        self._send_from_s = now_s
        self._mark: _Mark | None = None
        self._apply_from_s = now_s
        self._more = True
        self._sent = self._sent_again = 0

    def wake(self) -> None:
        """There may be something to send; from any thread."""
        self._more = True

    def restart(self, now_s: float) -> None:
        """A connection stands: begin behind what central has confirmed, once its word had time to come."""
        self._window = Window(self._limits, self.outbox.acknowledged()[0], now_s)
        self._send_from_s = now_s + self._settings.settle_s
        self._more = True

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until there is something to do without an event; None when there will be nothing."""
        due = [self._send_from_s - now_s] if self._send_from_s > now_s else []
        stalled_s = self._window.until_stalled_s(now_s)
        if stalled_s is not None:
            due.append(stalled_s)
        if self._mark is not None:
            due.append(max(self._apply_from_s - now_s, 0.0))
        return min(due, default=None)

    # -- central's word ------------------------------------------------------------------------------------

    def heard(self, payload: bytes, *, retained: bool) -> None:
        """A watermark has come; a later one takes its place."""
        self._mark = _Mark(payload, retained)

    def due_mark(self, now_s: float) -> tuple[bytes, bool] | None:
        """The watermark that is to be acted on now, and whether it was retained."""
        mark = self._mark
        if mark is None or (now_s < self._apply_from_s and self._window.room()):
            return None
        self._mark = None
        self._apply_from_s = now_s + self._apply_every_s
        return mark.payload, mark.retained

    def applied(self, applied: Applied, now_s: float) -> None:
        """What the outbox made of a watermark, for what is sent next."""
        self._send_from_s = min(self._send_from_s, now_s)
        if applied.outcome is not Outcome.UNCHANGED:
            position = self.outbox.acknowledged()[0]
            self._on_acknowledged(max(position - self._position, 0))
            self._position = position
            self._window.moved(position, now_s)
            self._more = True
        if applied.outcome in (Outcome.ROLLED_BACK, Outcome.REWOUND):
            self._log.error(f"watermark-{applied.outcome}", stored_again=applied.stored_again, lost=applied.lost)

    # -- what goes out -------------------------------------------------------------------------------------

    def stalled(self, now_s: float) -> bool:
        """Whether central has been silent for too long, so that sending begins again."""
        stalled = self._window.stalled(now_s)
        self._more |= stalled
        return stalled

    @property
    def waiting(self) -> bool:
        """Whether central owes its word for a while already."""
        return self._window.probing

    def send(self, link: Link, now_s: float, failpoint: Callable[[str], None]) -> None:
        """Send what may go now."""
        if now_s < self._send_from_s:
            return
        try:
            self._send(link, now_s, failpoint)
            self.blocked = None
        except Damaged as error:
            if self.blocked is None:
                self._log.error("uplink-blocked", reason=str(error))
            self.blocked = str(error)
            self._send_from_s = now_s + BLOCKED_S
            self._more = True

    def _send(self, link: Link, now_s: float, failpoint: Callable[[str], None]) -> None:
        while self._more and self._window.room() and link.in_flight < link.receive_maximum:
            self._more = False  # before looking: what is committed from here on wakes again
            made = self._frames.next(self._window.cursor, link.packet_maximum)
            if made is None:
                return
            self._more = True
            run, frame = made
            failpoint("uplink.before_publish")
            self._publish(link, run, frame)
            self._sent += 1
            self._sent_again += run.position <= self.highest
            self.highest = max(self.highest, run.position)
            self._window.sent(run.position, len(frame), now_s)

    def status(self) -> StreamStatus:
        """How it is now."""
        pending = self.outbox.pending()
        age_s = None if pending.oldest_us is None else (self._clock.now_us() - pending.oldest_us) / MICROSECONDS
        return StreamStatus(
            pending.records,
            None if age_s is None else max(age_s, 0.0),
            self.outbox.acknowledged()[1],
            self.blocked,
            self._sent,
            self._sent_again,
        )
