"""What an agent says of a certificate that ends: whether central was asked, could be asked, or does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.authority import AGENT_YEARS, create_authority, issue_client
from edge_agent.documents import Documents
from edge_agent.renewal import ASK_EVERY_S, ENDED, LOOK_EVERY_S, NOT_ANSWERED, NOT_ASKED, Renewal
from records.certificates import DAY_US
from records.clock import FakeClock
from records.keys import SigningKey
from tests.rigs.outboxes import AGENT, make_identity, open_outbox

YEARS_S = AGENT_YEARS * 365 * 86_400.0


class Bench:
    """An agent whose certificate is ``old_s`` old; ``reached``: whether the broker is."""

    def __init__(self, folder: Path, *, tls: bool = True) -> None:
        self.clock = FakeClock()
        self.identity = make_identity(folder / "identity", SigningKey.generate())
        (folder / "authority").mkdir()
        create_authority(folder / "authority", "suzhou", self.clock.now_us() - 3650 * DAY_US // 2)
        self.folder, self.tls, self.reached, self.fenced = folder, tls, False, False
        self.outbox = open_outbox(folder / "buffer", self.clock)
        self.asked: list[str] = []
        self.warned: list[JsonValue] = []

    def start(self, old_s: float) -> Renewal:
        issued_us = self.clock.now_us() - round(old_s * 1_000_000)
        issue_client(self.folder / "authority", self.identity.folder, AGENT, issued_us)
        return Renewal(
            self.identity,
            Documents(self.outbox, self.identity.central, self.clock),
            self.clock,
            lambda code, params: self.warned.append(params["why"]) if code == "identity-warning" else None,
            self,
        )

    def request(self, kind: str, _content: JsonValue) -> None:
        self.asked.append(kind)

    def reconnect(self) -> None:
        raise AssertionError("nothing came")

    def look(self, renewal: Renewal, after_s: float) -> str | None:
        self.clock.advance(after_s)
        renewal.look()
        assert set(renewal.problems) <= {"certificate"}
        return renewal.problems.get("certificate")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


LATE_S = 0.95 * YEARS_S


def test_central_is_not_called_silent_before_it_was_asked_and_had_its_time(bench: Bench) -> None:
    """Bug: an agent that was started late said so in its first second."""
    renewal = bench.start(LATE_S)
    assert bench.look(renewal, 0) is None
    bench.reached = True
    for _ in range(10):
        assert bench.look(renewal, LOOK_EVERY_S) is None
    assert bench.asked[0] == "certificate"
    assert bench.look(renewal, LOOK_EVERY_S) == NOT_ANSWERED
    assert bench.warned == [NOT_ANSWERED.whole]


def test_a_broker_that_is_not_reached_is_named_and_no_more_once_it_is(bench: Bench) -> None:
    renewal = bench.start(LATE_S)
    assert [bench.look(renewal, after_s) for after_s in (0, ASK_EVERY_S)] == [None, NOT_ASKED]
    bench.reached = True
    assert bench.look(renewal, LOOK_EVERY_S) is None
    bench.reached = False
    assert bench.look(renewal, LOOK_EVERY_S) is None
    assert bench.warned == [NOT_ASKED.whole]


def test_one_that_has_ended_says_so_at_once_and_what_to_do(bench: Bench) -> None:
    """Bug: central was called silent, though the broker let nothing out."""
    renewal = bench.start(1.1 * YEARS_S)
    assert bench.look(renewal, 0) == ENDED
    bench.reached = True
    assert bench.look(renewal, 1) is None, "a session from before goes on, and central may answer in it"
    assert bench.look(renewal, ASK_EVERY_S) == NOT_ANSWERED
    assert bench.warned == [ENDED.whole, NOT_ANSWERED.whole], "another reason is another event"


def test_one_that_no_broker_asks_for_lets_central_be_asked_when_it_has_ended(bench: Bench) -> None:
    bench.tls = False
    renewal = bench.start(1.1 * YEARS_S)
    assert [bench.look(renewal, after_s) for after_s in (0, ASK_EVERY_S)] == [None, NOT_ASKED]


def test_early_in_the_window_nobody_is_troubled(bench: Bench) -> None:
    renewal = bench.start(0.7 * YEARS_S)
    assert [bench.look(renewal, after_s) for after_s in (0, ASK_EVERY_S)] == [None, None]
    assert bench.asked.count("certificate") == 2


def test_one_that_is_fenced_changes_no_signing_key(bench: Bench) -> None:
    """Bug: the key of the PC that central keeps to was believed for 30 days more only."""
    file = replace(bench.identity.file, signing_since_us=bench.clock.now_us() - 366 * DAY_US)
    bench.identity.file = file
    renewal = bench.start(0)
    bench.fenced = True
    for _ in range(3):
        bench.look(renewal, ASK_EVERY_S)
    assert bench.asked == []
    bench.fenced = False
    bench.look(renewal, LOOK_EVERY_S)
    assert bench.asked == ["signing-key"]
