"""Requests of agents: answered once, by whoever answers their kind, or visibly refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from central import doctor
from central.agent_requests import LONGEST
from central.store import asked as asked_rows
from central.store import intake
from records.errors import Invalid
from records.keys import SigningKey
from records.model import OperationsEvent
from records.wire import Request, request_topic, sign
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def agent(rig: Rig) -> Agent:
    return rig.enrol(Agent())


TOPIC = request_topic("p0", "assembly-1")


def asked(rig: Rig, agent: Agent, kind: str = "sync", *, later_s: float = 0, name: str = "assembly-1") -> bytes:
    at_us = rig.clock.now_us() + round(later_s * 1e6)
    return sign(Request(name, kind, at_us, {"known": {}}), agent.key)


def hello(rig: Rig, agent: Agent, key: str | None) -> bytes:
    content: JsonValue = {"instance": "one", "before": [], "key": key}
    return sign(Request(agent.name, "hello", rig.clock.now_us(), content), agent.key)


def answering(rig: Rig, kind: str = "sync") -> list[Request]:
    seen: list[Request] = []
    rig.ingest.requests[kind] = seen.append
    return seen


def refused(rig: Rig) -> list[tuple[str, str]]:
    with rig.store.read() as connection:
        return [(q.reason, q.detail) for q in intake.quarantined(connection)]


def test_a_request_reaches_who_answers_its_kind(rig: Rig, agent: Agent) -> None:
    seen = answering(rig)
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    assert [(r.agent, r.kind, r.content) for r in seen] == [("assembly-1", "sync", {"known": {}})]
    assert refused(rig) == []


def test_a_request_that_comes_twice_is_answered_once_and_an_older_one_never(rig: Rig, agent: Agent) -> None:
    seen = answering(rig)
    first = asked(rig, agent)
    rig.clock.advance(1)
    second = asked(rig, agent)
    for payload in (first, first, second, second):
        rig.ingest.take(TOPIC, payload)
    assert len(seen) == 2
    assert refused(rig) == [], "the broker's own repetition is no offence"
    assert rig.ingest.take(TOPIC, first).result == "quarantined"
    assert "played again" in refused(rig)[0][1]
    assert len(seen) == 2
    again = rig.reopen()
    try:
        seen = answering(again)
        assert again.ingest.take(TOPIC, first).result != "request", "a restart does not forget"
        assert seen == []
    finally:
        again.store.close()


AHEAD_S = 31 * 86_400.0


def test_a_request_from_when_both_clocks_were_ahead_outdates_none_that_is_right(rig: Rig, agent: Agent) -> None:
    """Bug: every request was refused until that time had come."""
    seen = answering(rig)
    old = asked(rig, agent)
    rig.clock.advance(3600)
    rig.ingest.take(TOPIC, asked(rig, agent))
    rig.clock.advance(AHEAD_S)
    far = asked(rig, agent)
    rig.ingest.take(TOPIC, far)
    rig.clock.advance(-AHEAD_S)
    assert len(seen) == 2
    assert rig.ingest.take(TOPIC, old).result == "quarantined", "of what was recorded nothing older is taken"
    assert rig.ingest.take(TOPIC, far).result == "ignored", "the broker says it again"
    right = asked(rig, agent)
    assert rig.ingest.take(TOPIC, right).result == "request"
    assert len(seen) == 3
    (told,) = [s.fact.data for s in rig.store.facts(codes=["request-time-forgotten"])]
    assert isinstance(told, OperationsEvent)
    assert (told.params["agent"], told.params["kind"]) == ("assembly-1", "sync")
    rig.clock.advance(5)
    for payload in (old, far, right):
        assert rig.ingest.take(TOPIC, payload).result != "request", "replays stay refused"
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    assert len(seen) == 4
    assert len(rig.store.facts(codes=["request-time-forgotten"])) == 1


@pytest.mark.parametrize(("later_s", "why"), [(-5, "was set back: set it right"), (7200, "set the agent's clock")])
def test_who_is_refused_for_its_clock_is_known_until_it_is_taken_again(
    rig: Rig, agent: Agent, later_s: float, why: str
) -> None:
    answering(rig)
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    for _ in range(2):
        rig.clock.advance(1)
        assert rig.ingest.take(TOPIC, asked(rig, agent, later_s=later_s)).result == "quarantined"
    with rig.store.read() as connection:
        (found,) = asked_rows.refusals(connection)
    assert (found.agent, found.kind, found.times, why in found.detail) == ("assembly-1", "sync", 2, True)
    assert (found.since_us, found.last_us) == (rig.clock.now_us() - 1_000_000, rig.clock.now_us())
    with rig.store.read() as connection:
        (told,) = doctor.requests(connection, rig.clock, {agent.name})
        assert (told.state, "2 of its requests (sync) were refused" in told.says) == ("bad", True)
        rig.clock.advance(2 * 86_400)
        assert [each.state for each in doctor.requests(connection, rig.clock, {agent.name})] == ["fine"]
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    with rig.store.read() as connection:
        assert asked_rows.refusals(connection) == []
    rig.store.write(lambda connection: asked_rows.request_refused.drop(connection))
    with rig.store.read() as connection:
        assert asked_rows.refusals(connection) == [], "a database that was last opened by a central of before"


def test_what_is_refused_in_a_loop_is_stated_when_its_count_has_doubled(rig: Rig, agent: Agent) -> None:
    """Bug: each refused request was a fact and a line in the log, and after a thousand the agent's share of
    quarantine was full, for whatever else was wrong.
    """
    answering(rig)
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    told = 0
    for _ in range(300):
        rig.clock.advance(0.001)
        told += rig.ingest.take(TOPIC, asked(rig, agent, later_s=-5)).result == "quarantined"
    assert told == len(rig.store.facts(codes=["quarantined"])) == 9
    assert any("256 times" in detail for _, detail in refused(rig))
    with rig.store.read() as connection:
        (counted,) = asked_rows.refusals(connection)
    assert counted.times == 300
    rig.clock.advance(10)
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request"
    rig.clock.advance(0.001)
    assert rig.ingest.take(TOPIC, asked(rig, agent, later_s=-5)).result == "quarantined", "it is news again"


def test_what_others_sign_in_an_agents_name_is_stated_when_its_count_has_doubled(rig: Rig, agent: Agent) -> None:
    """Bug: each was a fact and a line in the log, until a thousand had filled the agent's share of quarantine."""
    answering(rig)
    stranger = Agent(key=SigningKey.generate())

    def told(count: int, make: Callable[[int], bytes]) -> int:
        results = []
        for number in range(count):
            rig.clock.advance(0.001)
            results.append(rig.ingest.take(TOPIC, make(number)).result)
        assert set(results) <= {"quarantined", "ignored"}
        return results.count("quarantined")

    assert told(300, lambda _: asked(rig, stranger)) == len(rig.store.facts(codes=["quarantined"])) == 9
    assert ("signature", 9) in Counter(reason for reason, _ in refused(rig)).items()
    assert "256 requests" in refused(rig)[-1][1]
    assert rig.ingest.take(TOPIC, asked(rig, agent)).result == "request", "the agent itself is answered"
    assert told(200, lambda _: asked(rig, stranger)) == 0, "nothing that comes between them begins that anew"
    assert told(100, lambda number: b"garbage %d" % number) == 7, "another reason has a count of its own"
    rig.enrol(Agent("assembly-2"))
    assert rig.ingest.take(request_topic("p0", "assembly-2"), b"garbage 7").result == "quarantined", "another's"
    rig.clock.advance(86_400)
    assert told(3, lambda _: asked(rig, stranger)) == 2, "after a day without any it is news again"


def test_records_that_others_sign_are_kept_each(rig: Rig, agent: Agent) -> None:
    for _ in range(20):
        assert rig.ingest.take(agent.topic, Agent(key=SigningKey.generate()).frame()).result == "quarantined"
    assert [reason for reason, _ in refused(rig)] == ["signature"] * 20


def test_a_hello_names_the_key_that_signed_it(rig: Rig, agent: Agent) -> None:
    seen = answering(rig, "hello")
    assert rig.ingest.take(TOPIC, hello(rig, agent, agent.key.id)).result == "request"
    assert len(seen) == 1


def test_kinds_have_their_own_order(rig: Rig, agent: Agent) -> None:
    sync, renewal = answering(rig), answering(rig, "certificate")
    late, early = asked(rig, agent, later_s=5), asked(rig, agent, "certificate")
    for payload in (late, early):
        assert rig.ingest.take(TOPIC, payload).result == "request"
    assert (len(sync), len(renewal)) == (1, 1)


@pytest.mark.parametrize(
    ("topic", "payload", "reason", "detail"),
    [
        (TOPIC, lambda rig, agent: b"garbage", "not-a-frame", "no signed request"),
        (TOPIC, lambda rig, agent: b"", "not-a-frame", "no signed request"),
        (TOPIC, lambda rig, agent: b"[" * 100_000, "not-a-frame", "no signed request"),
        (TOPIC, lambda rig, agent: agent.head(rig.clock.now_us()), "signature", "wrong"),
        (TOPIC, lambda rig, agent: asked(rig, Agent(key=SigningKey.generate())), "signature", "not a known key"),
        (TOPIC, lambda rig, agent: asked(rig, agent, name="testing-1"), "topic", "testing-1"),
        (TOPIC, lambda rig, agent: asked(rig, agent, "make-coffee"), "request", "make-coffee"),
        (TOPIC, lambda rig, agent: asked(rig, agent, later_s=7200), "request", "clock"),
        (TOPIC, lambda rig, agent: asked(rig, agent) + b" " * LONGEST, "request", "more than a request may have"),
        (TOPIC, lambda rig, agent: hello(rig, agent, "0123456789abcdef"), "signature", "names 0123456789abcdef"),
        (TOPIC, lambda rig, agent: hello(rig, agent, None), "signature", "names None"),
        (request_topic("p7", "assembly-1"), asked, "topic", "partition p0"),
        (request_topic("p0", "nobody-1"), asked, "unknown-agent", "nobody-1"),
    ],
)
def test_what_is_no_request_is_kept_and_stated(
    rig: Rig, agent: Agent, topic: str, payload: object, reason: str, detail: str
) -> None:
    seen = answering(rig)
    assert rig.ingest.take(topic, payload(rig, agent)).result == "quarantined"  # type: ignore[operator]
    ((why, said),) = refused(rig)
    assert (why, detail in said) == (reason, True), said
    assert len(rig.store.facts(codes=["quarantined"])) == 1
    assert seen == []


def test_what_the_answerer_refuses_is_kept_too(rig: Rig, agent: Agent) -> None:
    def refuse(_request: Request) -> None:
        raise Invalid("no certificate request")

    rig.ingest.requests["certificate"] = refuse
    assert rig.ingest.take(TOPIC, asked(rig, agent, "certificate")).result == "quarantined"
    assert refused(rig) == [("request", "certificate: no certificate request")]
