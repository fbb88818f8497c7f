"""Leases: one holder at a time, by the database's clock; who lost one cannot commit under it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text, update

from central import worker_states
from central.ingest import Ingest
from central.shares import Shares
from central.store import agents, leases
from central.store.leases import Fenced, lease
from central.worker_states import WorkerState, worker_topic
from records.errors import ConfigurationError
from records.keys import SigningKey
from records.wire import Document, sign
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event

pytestmark = pytest.mark.both_stores
NAME = "partition/p0"
LEASE_S = 10.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def take(rig: Rig, holder: str, name: str = NAME, seconds: float = 60) -> int | None:
    return rig.store.write(lambda c: leases.take(c, name, holder, seconds))


def end(rig: Rig, name: str = NAME) -> None:
    """Its time is over."""
    rig.store.write(lambda c: c.execute(update(lease).where(lease.c.name == name).values(until_us=0)).rowcount)


def test_one_holds_it_until_it_ends(rig: Rig) -> None:
    assert (take(rig, "first"), take(rig, "second")) == (1, None)
    assert rig.store.write(lambda c: leases.renew(c, NAME, 1, 60))
    end(rig)
    assert take(rig, "second") == 2
    assert not rig.store.write(lambda c: leases.renew(c, NAME, 1, 60))
    rig.store.write(lambda c: leases.release(c, NAME, 1))  # no longer its own
    assert rig.store.write(leases.held) == {NAME: "second"}
    rig.store.write(lambda c: leases.release(c, NAME, 2))
    assert take(rig, "first") == 3


def test_one_that_nobody_took_is_renewed_late(rig: Rig) -> None:
    assert take(rig, "first") == 1
    end(rig)
    assert rig.store.write(lambda c: leases.renew(c, NAME, 1, 60))
    assert take(rig, "second") is None


def test_who_lost_the_lease_commits_nothing(rig: Rig) -> None:
    agent = rig.enrol(Agent())
    agent.write(*(event(order=f"WO-{n}") for n in range(4)))
    token = take(rig, "first")
    assert token == 1
    fenced = Ingest(rig.store, rig.facts, rig.clock, fence=partial(leases.assert_held, name=NAME, token=token))
    assert fenced.take(agent.topic, agent.frame(1, 2)).result == "committed"
    end(rig)
    assert take(rig, "second") == 2
    with pytest.raises(Fenced):
        fenced.take(agent.topic, agent.frame(3, 4))
    assert len(rig.store.facts(agent=agent.name)) == 2
    assert rig.ingest.take(agent.topic, agent.frame(3, 5)).result == "committed"


class Consumer:
    """``lost``: as a connection sees it whose session another one took. It ends when ``end`` is set."""

    def __init__(self, partition: str, key: SigningKey) -> None:
        self.partition = partition
        self.running = self.lost = False
        self.key = key
        self.end = threading.Event()
        self.end.set()

    def sign_with(self, key: SigningKey) -> None:
        self.key = key

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False
        self.end.wait(60)


class Process:
    """One that takes records in; ``consumers``: all that it ever had."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.consumers: list[Consumer] = []
        self.key, self.unreadable = rig.key, False
        log = structlog.get_logger()
        self.shares = Shares(rig.store, name, self._make, self._signing, 600, log, lambda _: None)

    def _signing(self) -> SigningKey:
        if self.unreadable:
            raise ConfigurationError("cannot read central's keys")
        return self.key

    def _make(self, partition: str, _token: int, key: SigningKey) -> Consumer:
        self.consumers.append(Consumer(partition, key))
        return self.consumers[-1]

    def turn(self) -> list[str]:
        """The partitions that it takes in then."""
        self.shares.turn()
        running = sorted(each.partition for each in self.consumers if each.running)
        assert running == self.shares.partitions
        return running


@pytest.fixture
def plant(rig: Rig) -> Rig:
    """Four partitions."""
    for number in range(4):
        public = Agent(f"line-{number}").key.public.hex()
        rig.store.write(
            partial(agents.enrol, name=f"line-{number}", partition=f"p{number}", public=public, now_us=number)
        )
    return rig


def test_partitions_are_shared_evenly_and_given_back(plant: Rig) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    assert first.turn() == ["p0", "p1", "p2", "p3"]
    assert second.turn() == []
    assert first.turn() == ["p0", "p1"]
    assert second.turn() == ["p2", "p3"]
    assert (first.turn(), second.turn()) == (["p0", "p1"], ["p2", "p3"])
    first.shares.stop()
    assert second.turn() == ["p0", "p1", "p2", "p3"]
    second.shares.stop()
    assert plant.store.write(leases.held) == {}
    assert not any(each.running for each in (*first.consumers, *second.consumers))


def test_of_one_that_died_the_others_take_what_it_had(plant: Rig) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    first.turn(), second.turn(), first.turn()
    assert second.turn() == ["p2", "p3"]
    for name in ("worker/first", "partition/p0", "partition/p1"):
        end(plant, name)
    assert second.turn() == ["p0", "p1", "p2", "p3"]
    assert first.turn() == []  # it was only paused: what it had is another's


def test_what_another_took_is_left_and_a_lost_session_is_asked_again(plant: Rig) -> None:
    first = Process(plant, "first")
    assert len(first.turn()) == 4
    end(plant, "partition/p1")
    assert take(plant, "somebody", "partition/p1") == 2
    assert first.turn() == ["p0", "p2", "p3"]
    first.consumers[0].lost = True
    assert first.turn() == ["p2", "p3"]
    assert first.turn() == ["p0", "p2", "p3"]
    assert [each.partition for each in first.consumers].count("p0") == 2


def test_a_second_process_of_one_name_waits(plant: Rig) -> None:
    first, second = Process(plant, "same"), Process(plant, "same")
    assert (len(first.turn()), second.turn()) == (4, [])
    first.shares.stop()
    assert len(second.turn()) == 4


def test_a_new_key_is_signed_with_a_turn_later_by_all_that_is_taken_in(plant: Rig) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    first.turn(), second.turn()
    first.key = second.key = SigningKey.generate()
    first.turn()
    assert {each.key for each in first.consumers} == {plant.key}, "its announcement goes first"
    second.turn(), first.turn(), second.turn()
    running = [each for each in (*first.consumers, *second.consumers) if each.running]
    assert len(running) == 4
    assert {each.key for each in running} == {first.key}


def test_the_others_are_kept_while_one_takes_long_to_end(plant: Rig) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    first.turn(), second.turn()
    slow = first.consumers[-1]
    slow.end = threading.Event()
    assert first.turn() == ["p0", "p1"], "it goes on while p3 still ends"
    assert second.turn() == ["p2"]
    for name in ("worker/first", "partition/p0", "partition/p1", "partition/p3"):
        end(plant, name)
    assert first.turn() == ["p0", "p1"], "renewed, and not taken again"
    assert second.turn() == ["p2"]
    slow.end.set()
    assert first.turn() == ["p0", "p1"]
    assert second.turn() == ["p2", "p3"]


def test_who_were_all_late_take_nothing_from_each_other(plant: Rig) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    first.turn(), second.turn(), first.turn()
    assert second.turn() == ["p2", "p3"]
    end_now(plant)
    assert (first.turn(), second.turn()) == (["p0", "p1"], ["p2", "p3"]), "the server stood still"
    end_now(plant)
    assert first.turn() == ["p0", "p1"], "second may only be late"
    assert first.turn() == ["p0", "p1", "p2", "p3"], "it is gone"
    assert second.turn() == []


def test_who_cannot_read_its_keys_keeps_what_it_has(plant: Rig) -> None:
    first = Process(plant, "first")
    first.turn()
    end_now(plant)
    first.unreadable = True
    with pytest.raises(ConfigurationError):
        first.turn()
    assert len(first.shares.partitions) == 4
    assert set(plant.store.write(leases.held)) == {"worker/first", *(f"partition/p{n}" for n in range(4))}


def end_now(rig: Rig) -> None:
    """The time of every lease ends at this moment."""
    rig.store.write(lambda c: c.execute(update(lease).values(until_us=leases.now_us(c))).rowcount)


def test_a_database_clock_that_is_set_back_ends_no_process(plant: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Process(plant, "first"), Process(plant, "second")
    for process in (first, second, first, second):
        process.turn()
    hour_earlier = {name: text(f"SELECT ({now.text}) - 3600000000") for name, now in leases._NOW.items()}
    monkeypatch.setattr(leases, "_NOW", hour_earlier)
    for _ in range(2):
        assert (first.turn(), second.turn()) == (["p0", "p1"], ["p2", "p3"])


def states(rig: Rig) -> dict[str, str]:
    with rig.store.read() as connection:
        return {one.name: one.state for one in worker_states.look(connection, LEASE_S)}


def test_one_that_is_not_heard_of_is_told_of_for_a_day_and_while_others_are(plant: Rig) -> None:
    hour_s = 3600.0
    take(plant, "gone", "worker/gone", -hour_s)
    assert states(plant) == {}, "nobody is heard of: the database stood still"
    take(plant, "serve", "worker/serve", LEASE_S)
    assert states(plant) == {"gone": "silent", "serve": "taking"}
    take(plant, "gone", "worker/gone", LEASE_S)
    assert states(plant)["gone"] == "taking"
    take(plant, "gone", "worker/gone", -25 * hour_s)
    take(plant, "over", "worker/over", LEASE_S)
    end(plant, "worker/over")
    assert states(plant) == {"serve": "taking"}, "a day is over; the other one gave its lease back"


def test_what_a_worker_says_of_itself_is_believed_where_centrals_key_signed_it(rig: Rig) -> None:
    topic = worker_topic("one / two")
    assert topic == "lotkeeper/v1/state/central/one%20%2F%20two"
    word = Document("worker", "one / two", 7, 5, {"kind": "no-room", "why": "full"})
    assert rig.ingest.take(topic, sign(word, SigningKey.generate())).result == "quarantined"
    assert rig.ingest.take(topic, sign(replace(word, kind="hold"), rig.key)).result == "quarantined"
    assert rig.ingest.workers.refused() == []
    assert rig.ingest.take(topic, sign(word, rig.key)).result == "ignored"
    assert rig.ingest.workers.refused() == [WorkerState("one / two", "refused", 5, "no-room", "full")]
    assert rig.ingest.take(topic, b"").result == "ignored", "it ended, or is not refused any more"
    assert rig.ingest.workers.refused() == []
