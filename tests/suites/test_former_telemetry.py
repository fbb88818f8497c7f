"""What is said of the telemetry of a former epoch, whose signed head names more than is here.

The real outbox of the stream and the real store of central, by hand as in ``test_former_epochs``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from central.agent_certificate import certificate_of
from central.store import intake, retention
from central.store.schema import telemetry_body
from edge_agent.outbox import Outbox
from records.clock import FakeClock
from records.keys import SigningKey
from records.wire import encode_frame, sign, state_topic, up_topic
from tests.rigs.outboxes import AGENT, header
from tests.suites.test_outbox_to_central import Central
from tests.suites.test_telemetry_to_central import chunk


@dataclass
class Trend:
    """One agent's telemetry and central."""

    folder: Path
    clock: FakeClock
    key: SigningKey
    central: Central

    def open(self) -> None:
        self.outbox = Outbox(
            self.folder / "edge", AGENT, self.clock, context=lambda: header(self.clock), stream="telemetry"
        )

    def keep(self, *numbers: int, sent: bool = True) -> None:
        for number in numbers:
            self.clock.advance(1)
            self.outbox.keep([chunk(self.clock.now_us(), [float(number)])]).result()
        if sent:
            self.send()

    def send(self) -> None:
        while (run := self.outbox.next_run(self.outbox.acknowledged()[0], 3, 1 << 20)) is not None:
            frame = encode_frame(run.envelopes, run.previous, self.key)
            outcome = self.central.ingest.take(up_topic("p0", AGENT, "telemetry"), frame)
            assert outcome.watermark is not None
            self.outbox.apply(outcome.watermark)
        self.say_head()

    def say_head(self) -> None:
        self.clock.advance(1)
        self.central.ingest.take(state_topic(AGENT), sign(self.outbox.head(), self.key))

    def hear(self) -> str:
        with self.central.store.read() as connection:
            told = intake.newest_watermark(connection, AGENT, "telemetry")
        assert told is not None
        return str(self.outbox.apply(told).outcome)

    def lines(self) -> list[dict[str, Any]]:
        with self.central.store.read() as connection:
            told: Any = certificate_of(connection, AGENT, self.clock.now_us(), 120.0)
        return [chain for chain in told["chains"] if chain["stream"] == "telemetry"]


@pytest.fixture
def trend(tmp_path: Path) -> Iterator[Trend]:
    clock, key = FakeClock(), SigningKey.generate()
    made = Trend(tmp_path, clock, key, Central(tmp_path / "central", clock, key))
    made.open()
    yield made
    made.outbox.close()
    made.central.store.close()


def test_chunks_that_died_with_their_disk_are_missing(trend: Trend) -> None:
    """Bug: the line of the former epoch read complete, 0 missing."""
    trend.keep(1)
    trend.keep(2, 3, sent=False)
    trend.say_head()
    trend.outbox.close()
    shutil.rmtree(trend.folder / "edge")
    trend.open()
    assert trend.hear() == "rolled_back"
    trend.keep(4)
    former, newest = trend.lines()
    assert (former["grade"], former["missing"]) == ("incomplete", 2)
    assert former["missing_records"] == [{"first": 3, "last": 4, "signed": True}]
    assert newest["grade"] == "complete"


def put_back(trend: Trend) -> None:
    """An image lacks what central has; what it made offline since is stored again under later numbers."""
    trend.keep(1)
    trend.outbox.close()
    image = shutil.copytree(trend.folder / "edge", trend.folder / "image")
    trend.open()
    trend.keep(2)
    trend.outbox.close()
    shutil.rmtree(trend.folder / "edge")
    shutil.copytree(image, trend.folder / "edge")
    trend.open()
    trend.keep(3, 4, 5, sent=False)
    trend.say_head()
    assert trend.hear() == "rolled_back"
    trend.keep(6)


def test_chunks_that_stand_again_are_not(trend: Trend) -> None:
    put_back(trend)
    former, newest = trend.lines()
    assert former["head_last"] > former["last"]
    assert (former["grade"], former["missing"], newest["grade"]) == ("complete", 0, "complete")


def test_it_is_not_told_where_the_chunks_that_would_tell_are_past_their_retention(trend: Trend) -> None:
    put_back(trend)

    def forget(connection: Connection) -> None:
        rows = list(connection.execute(select(telemetry_body.c.envelope_id)).scalars())
        retention.bury(connection, rows, "retention", "0" * 64)

    trend.central.store.write(forget)
    former, newest = trend.lines()
    assert (former["grade"], former["missing"]) == ("tail-unknown", 0)
    assert newest["grade"] == "complete"
