"""How much is on its way, and when it is sent again."""

from __future__ import annotations

import pytest

from edge_agent.uplink.broker import address
from edge_agent.uplink.packets import PacketSize
from edge_agent.uplink.window import Limits, OnTheirWay, Window
from records.errors import ConfigurationError

LIMITS = Limits(messages=3, bytes=1000, first=3, short_messages=3, resend_after_s=5, resend_max_s=60)


def filled(*sizes: int) -> Window:
    window = Window(LIMITS, 0, 0.0)
    for position, size in enumerate(sizes, 1):
        window.sent(position, size, 0.0)
    return window


def test_the_window_is_bounded_by_messages_and_bytes() -> None:
    assert filled(1, 1).room()
    assert not filled(1, 1, 1).room()
    assert not filled(600, 600).room()
    assert filled(5000).room() is False
    assert filled().room(), "one frame always goes, however large"


def test_short_frames_wait_for_each_other_and_large_ones_do_not() -> None:
    limits = Limits(short_messages=2, short_bytes=500)
    window = Window(limits, 0, 0.0)
    for position, size in enumerate((1, 1), 1):
        assert window.room()
        window.sent(position, size, 0.0)
    assert not window.room(), "what is committed now goes with what comes until central has answered"
    window.moved(1, 1.0)
    assert window.room()
    window.sent(30, 600, 1.0)
    assert window.room(), "there is much behind it: a backlog fills the window"
    window.sent(31, 1, 1.0)
    assert not window.room()
    window.moved(31, 2.0)
    window.sent(131, 1, 2.0)
    window.sent(231, 1, 2.0)
    assert window.room(), "a hundred records that pack into few bytes are a backlog too"


def drained(limits: Limits, answer_s: float, frames: int) -> list[int]:
    """How many frames of a backlog are on their way before each answer, which takes so long for each."""
    window, position, now_s = Window(limits, 0, 0.0), 0, 0.0
    open_: list[int] = []
    sent: list[tuple[int, float]] = []
    while len(open_) < frames:
        while window.room():
            position += 1
            window.sent(position, 20_000, now_s)
            sent.append((position, now_s))
        open_.append(window.on_their_way)
        first, at_s = sent.pop(0)
        now_s = max(now_s, at_s + answer_s)
        window.moved(first, now_s)
    return open_


def test_the_window_opens_while_answers_come_soon_and_closes_while_they_are_late() -> None:
    limits = Limits(messages=20, first=4, soon_s=1.0)
    soon = drained(limits, 0.5, 60)
    assert (soon[0], max(soon), soon[-1]) == (4, 20, 20)
    assert soon == sorted(soon)
    late = drained(limits, 3.0, 60)
    assert (late[0], late[-1]) == (4, 1), "one frame always goes"
    window = Window(limits, 0, 0.0)
    for position in range(1, 5):
        window.sent(position, 20_000, 0.0)
    window.moved(1, 2.0)
    window.moved(2, 2.5)
    assert not window.room()
    window.moved(3, 2.6)
    assert window.room(), "halved once for all that was on its way, not once for each"


def test_who_sends_a_backlog_again_after_a_restore_of_central_lets_others_in_when_answers_are_late() -> None:
    window = Window(Limits(first=4, soon_s=1.0), 0, 0.0)
    for position in range(1000, 5000, 1000):
        window.sent(position, 20_000, 0.0)
    window.moved(1000, 2.0)
    window.moved(0, 3.0)
    for position in range(1, 3):
        window.sent(position, 20_000, 3.0)
    window.moved(1, 6.0)
    assert not window.room(), "it has halved, though the positions lie behind where it had halved before"


def test_an_answer_that_was_heard_in_time_and_acted_on_later_was_in_time() -> None:
    window = Window(Limits(first=1, soon_s=1.0), 0, 0.0)
    window.sent(1, 20_000, 0.0)
    window.moved(1, 3.0, heard_s=0.5)
    window.sent(2, 20_000, 3.0)
    assert window.room()


def test_who_has_few_records_keeps_the_window_it_began_with() -> None:
    window = Window(Limits(first=4), 0, 0.0)
    for position in range(1, 50):
        window.sent(position, 20_000, 0.0)
        window.moved(position, 0.1)
    for position in range(50, 54):
        window.sent(position, 20_000, 1.0)
    assert not window.room()


def test_where_answers_take_long_a_resend_waits_for_longer_than_they_take() -> None:
    window = filled(1, 1)
    window.moved(1, 4.0)
    assert window.until_stalled_s(4.0) == 8.0
    assert not window.stalled(11.9)
    window.moved(2, 11.9)
    window.sent(3, 1, 12.0)
    window.moved(3, 13.0)
    window.sent(4, 1, 13.0)
    assert window.until_stalled_s(13.0) == 5.0


def test_only_a_watermark_makes_room() -> None:
    window = filled(1, 1, 1)
    window.moved(2, 1.0)
    assert window.room()
    assert (window.on_their_way, window.cursor) == (1, 3)


def test_two_streams_share_one_window_and_one_of_them_has_only_its_part() -> None:
    together = OnTheirWay()
    records = Window(LIMITS, 0, 0.0, together)
    telemetry = Window(LIMITS, 0, 0.0, together, share=0.4)
    telemetry.sent(1, 10, 0.0)
    assert not telemetry.room(), "1 of 3 messages"
    records.sent(1, 10, 0.0)
    assert records.room()
    records.sent(2, 990, 0.0)
    assert not records.room(), "3 messages and 1010 bytes of both"
    telemetry.moved(1, 1.0)
    assert (together.frames, together.bytes) == (2, 1000)
    assert not records.room(), "bytes"
    records.restart(0, 1.0, probing=False)
    assert (together.frames, together.bytes, records.cursor) == (0, 0, 0)


def test_a_refused_frame_is_tried_alone_ever_more_seldom_until_central_has_it() -> None:
    window = filled(1, 1)
    assert [window.refused(0.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    window.sent(1, 1, 0.0)
    assert not window.room()
    window.moved(1, 1.0)
    window.sent(2, 1, 1.0)
    assert window.room()
    assert window.refused(1.0) == 1


def test_a_limit_that_was_learnt_is_believed_less_with_time() -> None:
    sizes = PacketSize()
    assert sizes.limit(0.0) is None
    sizes.too_large(60_000, 0.0)
    assert sizes.limit(59.0) == 30_000
    assert sizes.limit(60.0) == 60_000
    sizes.too_large(60_000, 60.0)
    sizes.too_large(60_000, 60.0)
    assert sizes.limit(60.0) == 15_000
    for _ in range(10):
        sizes.too_large(60_000, 60.0)
    assert sizes.limit(60.0) == 1024, "a record alone goes all the same"
    assert sizes.limit(3600.0) is None


def test_when_nothing_moves_one_frame_is_sent_again_ever_more_seldom() -> None:
    window = filled(1, 1, 1)
    now, waits = 0.0, []
    for _ in range(6):
        began = now
        while not window.stalled(now):
            assert window.until_stalled_s(now) is not None
            now += 1.0
        waits.append(now - began)
        assert (window.cursor, window.room()) == (0, True)
        window.sent(1, 1, now)
        assert not window.room(), "only one while nobody answers"
    assert waits == [5, 10, 20, 40, 60, 60]
    window.moved(1, now)
    assert window.room()
    window.sent(2, 1, now)
    assert window.room(), "it is open again"
    assert not window.stalled(now + 4.9)
    assert window.stalled(now + 5)


def test_a_watermark_that_moves_puts_the_next_resend_off() -> None:
    window = filled(1, 1, 1)
    window.moved(1, 2.0)
    assert not window.stalled(6.9)
    assert window.stalled(7.0)
    assert window.cursor == 1


def test_a_watermark_ahead_of_what_was_sent_is_passed_over() -> None:
    window = filled(1)
    window.moved(9, 1.0)
    assert (window.cursor, window.on_their_way) == (9, 0)
    assert window.until_stalled_s(1.0) is None


def test_a_watermark_that_went_back_sends_everything_behind_it_again() -> None:
    window = filled(1, 1, 1)
    window.moved(2, 1.0)
    window.moved(0, 2.0)
    assert (window.cursor, window.on_their_way, window.room()) == (0, 0, True)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mqtt://127.0.0.1:1884", "mqtt://127.0.0.1:1884"),
        ("mqtt://localhost", "mqtt://localhost:1883"),
        ("mqtt://[::1]:1884", "mqtt://[::1]:1884"),
        ("mqtt://127.8.9.10", "mqtt://127.8.9.10:1883"),
    ],
)
def test_brokers_on_this_machine_may_be_plain(url: str, text: str) -> None:
    found = address(url)
    assert (str(found), found.tls) == (text, False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mqtt://10.0.0.5:1883", "without TLS"),
        ("mqtt://central.plant", "without TLS"),
        ("mqtt://0.0.0.0", "without TLS"),
        ("tcp://127.0.0.1", "no address"),
        ("127.0.0.1:1883", "no address"),
        ("mqtt://", "no address"),
        ("mqtt://127.0.0.1:99999", "no address"),
        ("mqtt://user:pw@127.0.0.1", "no address"),
        ("mqtt://127.0.0.1/topic", "no address"),
    ],
)
def test_a_broker_that_cannot_be_used_is_a_configuration_error(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        address(url)
