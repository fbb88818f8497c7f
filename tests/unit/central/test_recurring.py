"""A trouble that meets everything is told of at growing intervals, with its count, and once when it is over."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from central.recurring import Recurring
from records.clock import FakeClock


def test_it_is_told_at_its_beginning_ever_more_seldom_and_at_its_end() -> None:
    clock = FakeClock()
    with capture_logs() as said:
        trouble = Recurring("ingest", structlog.get_logger(), clock)
        trouble.over()
        for _ in range(4 * 3600):  # four times a second, an hour
            trouble.met("the database is away")
            clock.advance(0.25)
        trouble.over()
        trouble.over()
        trouble.met("again")
    told = [(line["event"], line.get("times")) for line in said]
    assert told == [
        ("ingest-failed", None),
        *(("ingest-failed", 4 * after_s + 1) for after_s in (10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030)),
        ("ingest-works-again", 4 * 3600),
        ("ingest-failed", None),
    ]
    assert said[1]["since"] is not None
