"""What else central does while many records come in: it lets them through, and keeps little in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from structlog.testing import capture_logs

from central import broker_connection, dossiers, mqtt
from central.assessment import Assessment, Limits
from central.committing import Outcome
from central.dossiers import Dossiers
from central.jobs import Guarded, Woken
from central.mqtt import Mqtt
from central.reviews import Reviews
from central.settings import BrokerSettings
from records.errors import StorageFailed, Unreachable
from records.keys import SigningKey
from records.wire import Document, Head, Request, Watermark, sign, up_topic
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event
from tests.unit.central.test_domain_reviews import Book

ORDERS = [f"WO-{number}" for number in range(6)]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as made:
        agent = made.enrol(Agent())
        agent.write(*(event(order=order) for order in ORDERS for _ in range(3)))
        made.ingest.take(agent.topic, agent.frame())
        yield made


def test_judging_many_orders_lets_others_work_as_long_as_it_has_worked(rig: Rig) -> None:
    rests: list[float] = []
    reviews = Reviews(rig.store, rig.facts, rig.clock, Book(), rest=rests.append)
    judged = Dossiers.assessment

    def slowly(self: Dossiers, reference: str) -> Assessment:
        rig.clock.advance(3.0 if reference == ORDERS[2] else 0.25)
        return judged(self, reference)

    with patch.object(Dossiers, "assessment", slowly):
        reviews.sweep()
    assert rests[:5] == [0.25, 0.25, 1.0, 0.25, 0.25]  # none before the first, none longer than a second


def test_a_stop_waits_for_the_order_at_hand_and_the_others_are_judged_after_the_next_start(rig: Rig) -> None:
    reviews, judged = Reviews(rig.store, rig.facts, rig.clock, Book()), list[str]()
    assessment = Dossiers.assessment

    def leaving(self: Dossiers, reference: str) -> Assessment:
        judged.append(reference)
        if len(judged) == 2:
            reviews.leave()
        return assessment(self, reference)

    with patch.object(Dossiers, "assessment", leaving):
        reviews.sweep()
        assert judged == ORDERS[:2]
        reviews.begin()
        reviews.sweep()
    assert judged[2:8] == ORDERS, "nothing counts as judged that was left"


def test_the_facts_of_many_orders_do_not_stay_in_memory(rig: Rig) -> None:
    made = Dossiers(rig.store, rig.clock, Book(), Limits())
    with patch.object(dossiers, "FACTS_KEPT", 7):
        kept = []
        for reference in ORDERS:
            assert len(made.assessment(reference).dossier.facts) == 3
            kept.append([len(held.facts) for held in made._held.values()])
    assert kept[-1] == [3, 3]
    with patch.object(dossiers, "FACTS_KEPT", 2):
        made.assessment(ORDERS[0])
    assert list(made._held) == [ORDERS[0]], "the one that is worked on stays, however large"


class Client:
    """Takes what is published; the broker has not answered yet."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, **_: Any) -> object:
        self.published.append((topic, payload))
        return SimpleNamespace(rc=0, mid=len(self.published))

    def ack(self, _mid: int, _qos: int) -> None:
        pass


@pytest.fixture
def link(rig: Rig) -> Mqtt:
    settings = BrokerSettings.model_validate({"url": "mqtt://127.0.0.1:1"})
    key, log = SigningKey.generate(), structlog.get_logger()
    made = Mqtt(settings, rig.ingest, rig.store, key, rig.clock, log, lambda error: pytest.fail(str(error)))
    client: Any = Client()
    made._client = made._retained._client = client
    return made


def published(link: Mqtt) -> list[tuple[str, bytes]]:
    client: Any = link._client
    return list(client.published)


def test_of_watermarks_that_overtake_each_other_only_what_is_said_is_signed(link: Mqtt) -> None:
    signed = list[int]()

    def counted(value: Watermark | Head | Document | Request, by: SigningKey) -> bytes:
        if isinstance(value, Watermark):
            signed.append(value.committed_through)
        return sign(value, by)

    with patch.object(broker_connection, "sign", counted):
        for through in range(1, 6):
            link._say_watermark(Watermark("press-1", "e", "records", through, "00", 1))
        assert signed == [1]
        link._retained.settle(1, None)
        link._retained.settle(2, None)
    assert signed == [1, 5]
    assert len(published(link)) == 2


def test_a_withdrawal_is_kept_by_the_broker_then_forgotten_and_then_never_said_again(rig: Rig, link: Mqtt) -> None:
    for content in ({"n": 1}, None):
        rig.store.write(lambda c, told=content: rig.facts.issue(c, "work-orders", "WO-1", told))  # type: ignore[misc]
    said = list[list[bool]]()
    for days in (0, 31, 31):
        rig.clock.advance(days * 86_400.0)
        before = len(published(link))
        link._retained._wanted.clear()
        link._retained._busy.clear()
        link._say_everything(mqtt.EVERYBODY)
        said.append([bool(payload) for topic, payload in published(link)[before:] if topic.endswith("WO-1")])
    assert said == [[True], [False], []], "in words, then empty so that the broker forgets, then nothing"


class Disk:
    """An ingest whose commits end when they are told to; what comes meanwhile gathers for the next one."""

    def __init__(self, link: Mqtt) -> None:
        self._link = link
        self._sent: list[SimpleNamespace] = []
        self._gathered: list[SimpleNamespace] = []
        self.began = list[str]()
        self.records = dict[str, int]()

    def begin(self, topic: str, _payload: bytes) -> object:
        outcome, agent = Outcome("committed"), topic.split("/")[-2]
        taking = SimpleNamespace(done=False, records=self.records.get(agent, 1), result=lambda: outcome)
        self.began.append(agent)
        (self._gathered if self._sent else self._sent).append(taking)
        return taking

    def send(self) -> None:
        self._sent, self._gathered = self._gathered, []

    def commit(self) -> None:
        for taking in self._sent:
            taking.done = True
        self._link._work.urgent(mqtt._Done())


class Waits(Exception):
    """There is nothing that may be taken now."""


def work(link: Mqtt) -> None:
    """What the worker does until it waits."""
    with patch.object(link._work._changed, "wait", side_effect=Waits), suppress(Waits):
        while True:
            link._do(link._work.get(link._dearest_next))


def comes(link: Mqtt, agent: str, size: int) -> None:
    message: Any = SimpleNamespace(topic=up_topic("p0", agent, "records"), payload=bytes(size), mid=1, qos=1)
    link._received(link._client, None, message)


def test_a_large_frame_has_its_turn_however_many_short_ones_come_during_each_commit(link: Mqtt) -> None:
    disk: Any = Disk(link)
    link._ingest = disk
    for turn in range(20):
        if turn == 3:
            comes(link, "large", 50_000)
        for agent in range(20):
            comes(link, f"short-{agent}", 500)
        work(link)
        disk.commit()
    assert "large" in disk.began
    assert disk.began.index("large") < 7 * 20, "not only when the short ones cease"


def test_many_records_in_few_bytes_are_no_short_frame_and_others_do_not_wait_for_many_of_them(link: Mqtt) -> None:
    """Those of a machine that does the same again and again pack to some 30 bytes each."""
    disk: Any = Disk(link)
    link._ingest = disk
    disk.records = {"drain": 100}
    for agent in ("live", "drain"):
        comes(link, agent, 3000)
    work(link)
    disk.commit()
    for _ in range(6):
        comes(link, "drain", 3000)
    work(link)
    assert disk.began == ["live", "drain"], "who comes next waits behind no more"
    comes(link, "live", 1500)
    work(link)
    assert disk.began[-1] == "live"
    for _ in range(10):
        disk.commit()
        work(link)
    assert disk.began.count("drain") == 7


def test_a_database_that_is_away_fills_no_log_however_many_messages_meet_it(link: Mqtt) -> None:
    """Bug: a line for each message that came meanwhile."""
    disk = Disk(link)
    left = 20

    def begin(topic: str, payload: bytes) -> object:
        nonlocal left
        left -= 1
        if left >= 0:
            raise Unreachable("the database does not let central in")
        taking: Any = disk.begin(topic, payload)
        taking.done = True
        link._work.urgent(mqtt._End())
        return taking

    ingest: Any = SimpleNamespace(begin=begin, send=disk.send)
    link._ingest = ingest
    for _ in range(21):
        comes(link, "press-1", 500)
    with capture_logs() as said:
        link._run()
    told = [(line["event"], line.get("times")) for line in said if line["event"].startswith("ingest")]
    assert told == [("ingest-failed", None), ("ingest-works-again", 20)]


def test_who_works_for_long_by_itself_rests_longer(rig: Rig) -> None:
    rests: list[float] = []
    took = iter((0.01, 2.0, 60.0))

    def job() -> None:
        rig.clock.advance(next(took))

    def failed(error: StorageFailed) -> None:
        pytest.fail(str(error))

    woken = Woken(Guarded("sweep", job, structlog.get_logger(), failed), rig.clock)

    def rest(rest_s: float) -> None:
        rests.append(rest_s)
        if len(rests) == 3:
            woken._ending.set()
        woken.wake()

    with patch.object(woken._ending, "wait", rest):
        woken.start()
        woken._thread.join()
    assert rests == pytest.approx([0.5, 6.0, 30.0])
