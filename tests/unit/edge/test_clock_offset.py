"""The agent's clock against central's: half the round trip is the doubt, a set clock moves it, too far is told."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.clock_offset import OLDEST_S, ClockOffset
from records.clock import FakeClock

SECOND_US = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def measure(offset: ClockOffset, clock: FakeClock, behind_s: float, took_s: float = 0.2) -> None:
    """Central's clock is so far behind, and answers half-way."""
    offset.asked()
    clock.advance(took_s / 2)
    central_us = clock.now_us() - round(behind_s * SECOND_US)
    clock.advance(took_s / 2)
    offset.answered(central_us)


def test_it_is_right_within_half_of_the_round_trip(clock: FakeClock) -> None:
    offset = ClockOffset(clock, lambda *_: None)
    assert (offset.now(), offset.milliseconds()) == (None, None)
    measure(offset, clock, 1.25, took_s=0.4)
    found = offset.now()
    assert found is not None
    assert (found.seconds, found.within_s) == (pytest.approx(1.25, abs=1e-5), pytest.approx(0.2))
    assert offset.milliseconds() == 1250
    measure(offset, clock, 9.0, took_s=11.0)
    assert offset.milliseconds() == 1250, "what took so long measures nothing"
    offset.answered(clock.now_us() + 10**9)
    assert offset.milliseconds() == 1250, "an answer that nobody asked for"
    clock.advance(OLDEST_S)
    assert offset.milliseconds() is None, "measured too long ago for a record"
    assert offset.now() is not None, "but for a person"


def test_a_clock_that_is_set_moves_it_and_too_far_is_told_once(clock: FakeClock) -> None:
    told: list[tuple[str, Any]] = []
    offset = ClockOffset(clock, lambda *event: told.append(event))
    measure(offset, clock, -0.5)
    offset.look()
    assert not told
    clock.jump(7200)
    assert offset.milliseconds() == 7_199_500
    offset.look()
    offset.look()
    assert told == [("clock-offset", {"seconds": 7199.5, "within_s": 0.1, "limit_s": 5.0})]
    measure(offset, clock, 4.0)
    assert len(told) == 1, "nearly"
    measure(offset, clock, 0.01)
    assert [code for code, _ in told] == ["clock-offset", "clock-agrees"]


def test_what_the_round_trip_may_explain_is_no_alarm(clock: FakeClock) -> None:
    told: list[Any] = []
    offset = ClockOffset(clock, lambda *event: told.append(event))
    measure(offset, clock, 6.0, took_s=4.0)
    assert not told
    measure(offset, clock, 6.0, took_s=1.0)
    assert len(told) == 1
