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
from edge_agent.uplink.link import NOT_AUTHORIZED, QUOTA_EXCEEDED, TOO_LARGE, Delivered, Link, Sent
from edge_agent.uplink.packets import PacketSize
from edge_agent.uplink.status import StreamStatus
from edge_agent.uplink.window import OnTheirWay, Window
from records.clock import MICROSECONDS, Clock
from records.errors import Damaged, Refused, trouble_of
from records.keys import Identity
from records.trouble import Trouble
from records.wire import Watermark, ack_topic

BLOCKED_S = 10.0
"""How long sending rests after a row that cannot be sent."""
NO_ROOM_S = 1.0
"""A watermark that could not be noted for want of room is tried again so much later."""
CUT_TIMES = 2
"""When the connection ended so often in a row at the same frame (the second time it went alone), it is taken to be
too large. One record must end it once more before a person is told. This is how a limit shows that the broker does
not tell: MQTT 3.1.1 cannot; mosquitto's ``message_size_limit`` is answered by a PUBACK that paho cannot read."""
SUSPECT_FROM = 4096
"""Smaller frames are not suspected: every broker takes them."""
REFUSED_FROM = 0x80
NOT_TAKEN = ("message-not-taken", "message-not-taken-do")
REFUSALS = {
    NOT_AUTHORIZED: "correct-access-list",
    QUOTA_EXCEEDED: "raise-quota",
    TOO_LARGE: "raise-packet-size",
}
"""What to do about a broker that does not take a message, by its reason."""


def refusal(reason: str, code: int) -> Trouble:
    """What a person is told of a PUBACK that is no delivery."""
    plain, with_todo = NOT_TAKEN
    if code not in REFUSALS:
        return Trouble.of(plain, said=reason)
    return Trouble.of(with_todo, said=reason, do=Trouble.of(REFUSALS[code]))


@dataclass(frozen=True, slots=True)
class Mark:
    """A watermark of central's that is still to be acted on."""

    said: Watermark
    retained: bool
    heard_s: float


class Lane:
    """``together`` and ``share``: see ``Window``. ``one_at_a_time``: the next frame waits until the broker has the
    one before, so that what is more urgent never stands behind more than one.

    ``apply_every_s``: central's watermarks are acted on at most so often, the newest of them, unless the window is
    full: each costs a commit. With ``eager`` also at once when nothing else is to be sent, so that only a backlog
    waits. ``on_acknowledged`` hears how many rows central has confirmed.

    ``blocked``: why nothing of it can be sent. ``no_room``: why central's word on it is not noted, which keeps
    nothing from being sent.
    """

    def __init__(
        self,
        outbox: Outbox,
        identity: Identity,
        settings: UplinkSettings,
        clock: Clock,
        on_event: OnEvent,
        publish: Callable[[Link, Run, bytes], bool],
        together: OnTheirWay,
        sizes: PacketSize,
        *,
        share: float = 1.0,
        one_at_a_time: bool = False,
        apply_every_s: float = 0.0,
        eager: bool = False,
        on_acknowledged: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.outbox = outbox
        self.ack_topic = ack_topic(identity.file.agent, outbox.stream)
        self.blocked: Trouble | None = None
        self.no_room: Trouble | None = None
        self.highest = 0
        self._publish = publish
        self._settings, self._clock, self._sizes = settings, clock, sizes
        self._one_at_a_time = one_at_a_time
        self._apply_every_s, self._eager, self._on_acknowledged = apply_every_s, eager, on_acknowledged
        self._frames = Frames(outbox, identity, settings.max_frame_bytes, on_event)
        self._log = structlog.get_logger().bind(agent=identity.file.agent, stream=outbox.stream)
        now_s = clock.monotonic_s()
        self._position = outbox.acknowledged()[0]
        self._window = Window(settings.limits, self._position, now_s, together, share)
        self._cut: tuple[int, int] | None = None
        self._refused: Trouble | None = None
        self._send_from_s = self._rest_until_s = now_s
        self._mark: Mark | None = None
        self._apply_from_s = self._room_from_s = now_s
        self._more = True
        self._sent = self._sent_again = 0

    def wake(self) -> None:
        """There may be something to send; from any thread."""
        self._more = True

    def restart(self, now_s: float) -> None:
        """A connection stands: begin behind what central has confirmed, once its word had time to come."""
        self._window.restart(self.outbox.acknowledged()[0], now_s, probing=self._cut is not None)
        self._send_from_s = max(now_s + self._settings.settle_s, self._rest_until_s)
        self._more = True

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until there is something to do without an event; None when there will be nothing."""
        due = [self._send_from_s - now_s] if self._send_from_s > now_s else []
        stalled_s = self._window.until_stalled_s(now_s)
        if stalled_s is not None:
            due.append(stalled_s)
        if self._mark is not None:
            due.append(max(self._apply_from_s - now_s, self._room_from_s - now_s, 0.0))
        return min(due, default=None)

    # -- central's word ------------------------------------------------------------------------------------

    def heard(self, mark: Watermark, *, retained: bool) -> None:
        """Central has said a watermark; a later one takes its place."""
        now_s = self._clock.monotonic_s()
        self._mark = Mark(mark, retained, now_s)
        if now_s < self._room_from_s:
            self._reach(self._mark, now_s)

    def due_mark(self, now_s: float) -> Mark | None:
        """What is to be acted on now."""
        mark = self._mark
        if mark is None or now_s < self._room_from_s:
            return None
        at_once = (self._eager and not self._more) or not self._window.room()
        if now_s < self._apply_from_s and not at_once:
            return None
        self._mark = None
        return mark

    def put_off(self, mark: Mark, why: Trouble, now_s: float) -> bool:
        """There is no room to note a watermark, which is tried again soon; whether central has confirmed more."""
        self._mark, self.no_room = self._mark or mark, why
        self._room_from_s = now_s + NO_ROOM_S
        self._send_from_s = min(self._send_from_s, max(now_s, self._rest_until_s))
        return self._reach(mark, now_s)

    def _reach(self, mark: Mark, now_s: float) -> bool:
        """Let a watermark that is not noted make way for what is sent next."""
        try:
            reached = self.outbox.reached(mark.said)
        except Damaged:  # who acts on it says so
            return False
        if reached is not None and reached > self._window.acknowledged:
            self._window.moved(reached, now_s, mark.heard_s)
            self._more = True
        return reached is not None

    def applied(self, mark: Mark, applied: Applied, now_s: float) -> None:
        """What the outbox made of a watermark, for what is sent next."""
        self._apply_from_s = now_s + self._apply_every_s
        self._send_from_s = min(self._send_from_s, max(now_s, self._rest_until_s))
        if applied.outcome is not Outcome.UNCHANGED:
            position = self.outbox.acknowledged()[0]
            self._on_acknowledged(max(position - self._position, 0))
            self._position = position
            self._cut = self._refused = None
            self._window.moved(position, now_s, mark.heard_s)
            self._more = True
        if applied.outcome in (Outcome.ROLLED_BACK, Outcome.REWOUND):
            lost = [gap.to_json() for gap in applied.lost]
            self._log.error(f"watermark-{applied.outcome}", stored_again=applied.stored_again, lost=lost)

    # -- what goes out -------------------------------------------------------------------------------------

    def stalled(self, link: Link, now_s: float) -> bool:
        """Whether central has been silent for too long, so that sending begins again.

        What the broker has not answered yet is on the same connection: sent again it would only stand behind it.
        """
        if link.waits_for(self.outbox.stream):
            self._window.taken(now_s)
            return False
        stalled = self._window.stalled(now_s)
        self._more |= stalled
        return stalled

    # -- the broker's word, which frees nothing ------------------------------------------------------------

    def delivered(self, answer: Delivered, now_s: float) -> None:
        """The broker has answered one of this lane's frames."""
        if answer.code < REFUSED_FROM:
            self._window.taken(now_s)
            self._refused = None
            return
        if self._refused is not None and now_s < self._send_from_s:
            return  # sent before the first of them was refused
        self._refused = refusal(answer.reason, answer.code)
        self._log.warning("uplink-refused", reason=self._refused.whole)
        self._send_from_s = self._rest_until_s = now_s + self._window.refused(now_s)
        self._more = True

    def ended(self, sent: Sent, code: int, now_s: float) -> None:
        """The other side ended the connection while this frame was the first that the broker had not answered."""
        times = 1 + (self._cut[1] if self._cut is not None and self._cut[0] == sent.position else 0)
        self._cut = sent.position, times
        enough = CUT_TIMES if sent.records > 1 else CUT_TIMES + 1
        if code == TOO_LARGE or (times >= enough and sent.size >= SUSPECT_FROM):
            self._rest_until_s = now_s + self._too_large(sent, now_s)

    def _too_large(self, sent: Sent, now_s: float) -> float:
        """Smaller frames from now on; how long to rest, which one record that is too large itself must."""
        if sent.records > 1:
            self._sizes.too_large(sent.size, now_s)
            return 0.0
        self._frames.report(sent.epoch, sent.seq, sent.size, None)
        place, todo = f"{sent.epoch}/{sent.seq}", Trouble.of(REFUSALS[TOO_LARGE])
        self._refused = Trouble.of("record-too-large", record=place, size=sent.size, do=todo)
        return self._settings.limits.resend_max_s

    def hungry(self, link: Link, now_s: float) -> bool:
        """Whether it has more to send now and only the connection has no room for it."""
        return self._more and now_s >= self._send_from_s and self._window.room() and not link.room

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
        except (Damaged, Refused) as error:  # Refused: no room for the tombstone of a body that is damaged
            if self.blocked is None:
                self._log.error("uplink-blocked", reason=str(error))
            self.blocked = trouble_of(error)
            self._send_from_s = now_s + BLOCKED_S
            self._more = True

    def _send(self, link: Link, now_s: float, failpoint: Callable[[str], None]) -> None:
        stream = self.outbox.stream
        while self._more and self._window.room() and link.room:
            if self._one_at_a_time and link.waits_for(stream):
                return
            self._more = False  # before looking: what is committed from here on wakes again
            made = self._frames.next(self._window.cursor, link.packet_maximum, self._sizes.limit(now_s))
            if made is None:
                return
            self._more = True
            run, frame = made
            failpoint("uplink.before_publish")
            if not self._publish(link, run, frame):
                return  # the connection is ending
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
            self.blocked or self._refused,
            self._sent,
            self._sent_again,
        )
