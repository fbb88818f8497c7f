"""Ingest: every record once, in order, or visibly refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.quarantine import Quarantine
from central.store import agents, envelopes, intake, snapshots
from central.store.engine import Connection
from central.store.intake import Conflict
from central.verify import verify
from records import chain
from records.keys import SigningKey
from records.model import EpochOpened, OperationsEvent
from records.wire import MAGIC, Watermark, state_topic, up_topic
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event

pytestmark = pytest.mark.both_stores


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def agent(rig: Rig) -> Agent:
    made = Agent()
    made.write(*(event(order=f"WO-{n}") for n in range(9)))  # with the epoch's first: ten records
    return rig.enrol(made)


def held(rig: Rig, agent: Agent) -> list[tuple[int, bytes]]:
    with rig.store.read() as connection:
        return [(e.seq, e.hash) for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def sent(agent: Agent, through: int) -> list[tuple[int, bytes]]:
    return [(e.seq, e.hash) for e in agent.envelopes[:through]]


def quarantined(rig: Rig) -> list[intake.Quarantined]:
    with rig.store.read() as connection:
        return intake.quarantined(connection)


def central_codes(rig: Rig) -> list[str]:
    return [f.fact.data.code for f in rig.store.facts(agent="central", kinds=["operations_event"])]  # type: ignore[union-attr]


def test_what_the_doctor_asks_an_open_broker_leaves_nothing_behind(rig: Rig) -> None:
    """Bug: each look of the doctor's was an entry in quarantine, and a notice of an agent that is not enrolled."""
    topics = [up_topic("p0", "doctor-1a2b", stream) for stream in ("records", "requests")]
    for topic in (*topics, state_topic("doctor-1a2b")):
        assert rig.ingest.take(topic, b"").result == "ignored"
    assert (quarantined(rig), central_codes(rig)) == ([], [])
    assert rig.ingest.take(topics[0], b"x").result == "quarantined"
    assert rig.ingest.take(up_topic("p0", "stranger", "records"), b"").result == "quarantined"


def test_a_frame_is_committed_and_answered(rig: Rig, agent: Agent) -> None:
    outcome = rig.ingest.take(agent.topic, agent.frame())
    assert outcome.result == "committed"
    assert held(rig, agent) == sent(agent, 10)
    last = agent.envelopes[-1]
    assert outcome.watermark == Watermark(agent.name, agent.epoch, "records", 10, last.hash.hex(), 1)
    assert (outcome.new, rig.committed) == (10, 1)
    (told,) = rig.store.facts(order="WO-3")
    assert (told.seq, told.hash) == (5, agent.envelopes[4].hash.hex())


def test_what_is_held_changes_nothing_and_is_answered_again(rig: Rig, agent: Agent) -> None:
    first = rig.ingest.take(agent.topic, agent.frame())
    again = rig.ingest.take(agent.topic, agent.frame(3, 7))
    assert again.result == "nothing-new"
    assert again.watermark == first.watermark
    assert (again.new, again.known, rig.committed) == (0, 5, 1)
    assert held(rig, agent) == sent(agent, 10)


def test_an_overlapping_frame_adds_only_what_is_new(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 6))
    outcome = rig.ingest.take(agent.topic, agent.frame(4, 10))
    assert outcome.result == "committed"
    assert (outcome.new, outcome.known) == (4, 3)
    assert held(rig, agent) == sent(agent, 10)


def test_nothing_is_taken_behind_a_hole(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 3))
    outcome = rig.ingest.take(agent.topic, agent.frame(5, 10))
    assert outcome.result == "hole"
    assert outcome.watermark is not None
    assert outcome.watermark.committed_through == 3
    assert held(rig, agent) == sent(agent, 3)


def test_a_new_epoch_begins_at_one(rig: Rig, agent: Agent) -> None:
    outcome = rig.ingest.take(agent.topic, agent.frame(2, 5))
    start = chain.first_hash(agent.name, agent.epoch, "records").hex()
    assert outcome.result == "hole"
    assert outcome.watermark == Watermark(agent.name, agent.epoch, "records", 0, start, 1)
    assert held(rig, agent) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), max_size=8))
def test_any_order_of_frames_gives_the_same_chain(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, int]]
) -> None:
    with core_rig.rig(tmp_path_factory.mktemp("central")) as rig:
        agent = rig.enrol(Agent())
        agent.write(*(event(order=f"WO-{n}") for n in range(9)))
        through = 0
        for a, b in runs:
            first, last = min(a, b), max(a, b)
            rig.ingest.take(agent.topic, agent.frame(first, last))
            through = max(through, last) if first <= through + 1 else through
            assert held(rig, agent) == sent(agent, through)
        rig.ingest.take(agent.topic, agent.frame())
        assert held(rig, agent) == sent(agent, 10)
        assert [f.seq for f in rig.store.facts(agent=agent.name)] == list(range(1, 11))


def test_the_same_key_with_another_hash_is_a_conflict_and_never_an_overwrite(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame())
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(12)))
    outcome = rig.ingest.take(agent.topic, twin.frame())
    assert outcome.result == "conflict"
    assert outcome.watermark is not None
    assert outcome.watermark.hash == agent.envelopes[9].hash.hex()
    assert held(rig, agent) == sent(agent, 10)
    with rig.store.read() as connection:
        (conflict,) = intake.conflicts(connection)
    assert (conflict.seq, conflict.held, conflict.offered) == (
        2,
        agent.envelopes[1].hash.hex(),
        twin.envelopes[1].hash.hex(),
    )
    assert central_codes(rig) == ["conflict"]
    rig.ingest.take(agent.topic, twin.frame())
    assert central_codes(rig) == ["conflict"], "the same conflict is stated once"


def test_a_frame_that_does_not_chain_on_is_a_conflict(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 5))
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(9)))
    outcome = rig.ingest.take(agent.topic, twin.frame(6, 10))
    assert outcome.result == "conflict"
    assert held(rig, agent) == sent(agent, 5)


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", MAGIC, MAGIC + b"\x00\x00\x00\x00\x02{}", MAGIC + b"\x01" + b"\x00" * 20]
)
def test_garbage_goes_to_quarantine(rig: Rig, agent: Agent, payload: bytes) -> None:
    outcome = rig.ingest.take(agent.topic, payload)
    assert outcome.result == "quarantined"
    (row,) = quarantined(rig)
    assert (row.reason, row.payload, row.agent) == ("not-a-frame", payload, agent.name)
    assert central_codes(rig) == ["quarantined"]
    rig.ingest.take(agent.topic, payload)
    assert len(quarantined(rig)) == 1, "the same payload is kept once"
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 400), bit=st.integers(0, 7), cut=st.integers(0, 40))
def test_a_damaged_frame_is_never_taken_for_anything_else(
    rig: Rig, agent: Agent, at: int, bit: int, cut: int
) -> None:
    payload = bytearray(agent.frame())
    payload[at % len(payload)] ^= 1 << bit
    outcome = rig.ingest.take(agent.topic, bytes(payload[: len(payload) - cut]))
    if outcome.result != "quarantined":  # the flip made a capital of a hexadecimal digit: the same frame
        assert held(rig, agent) == sent(agent, 10)


@pytest.mark.parametrize("number", [10**30, -(10**30), 2**64, -1])
def test_numbers_that_no_chain_can_hold_are_garbage(rig: Rig, agent: Agent, number: int) -> None:
    good = agent.frame(1, 1, compress=False)
    payload = good.replace(b'"schema":1', b'"schema":%d' % number)
    size = int.from_bytes(good[5:9], "big") + len(payload) - len(good)
    payload = payload[:5] + size.to_bytes(4, "big") + payload[9:]
    assert rig.ingest.take(agent.topic, payload).result == "quarantined"


def test_strangers_and_wrong_keys_are_refused(rig: Rig, agent: Agent) -> None:
    stranger = Agent("nobody-1")
    assert rig.ingest.take(stranger.topic, stranger.frame()).detail.startswith("unknown-agent")
    forger = Agent(agent.name, SigningKey.generate())
    assert rig.ingest.take(agent.topic, forger.frame()).detail.startswith("signature")
    forger = Agent("central")
    assert rig.ingest.take(forger.topic, forger.frame()).detail.startswith("unknown-agent")
    assert {row.reason for row in quarantined(rig)} == {"unknown-agent", "signature"}


def test_an_agent_speaks_for_itself_only(rig: Rig, agent: Agent) -> None:
    other = rig.enrol(Agent("testing-1"))
    outcome = rig.ingest.take(agent.topic, other.frame())
    assert outcome.detail.startswith("topic")
    assert rig.ingest.take("lotkeeper/v1/elsewhere", b"x").detail.startswith("topic")
    assert rig.ingest.take(up_topic("p0", agent.name, "secrets"), agent.frame()).detail.startswith("topic")
    assert held(rig, agent) == []


def test_a_replaced_key_counts_for_thirty_days_more(rig: Rig, agent: Agent) -> None:
    old = agent.key
    rig.clock.advance(10)
    rig.enrol(Agent(agent.name, SigningKey.generate()))
    rig.clock.advance(29 * 86_400)
    assert rig.ingest.take(agent.topic, agent.frame(1, 2)).result == "committed"
    rig.clock.advance(2 * 86_400)
    outcome = rig.ingest.take(agent.topic, agent.frame(3, 4))
    assert outcome.detail.startswith("signature")
    with rig.store.read() as connection:
        assert old.public.hex() in {key.public for key in agents.keys(connection)}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("operations_event", b"not json"),
        ("operations_event", b"\xff\xfe"),
        ("from_the_future", b'{"header":{}}'),
        ("operation_record", b'{"header":null,"data":' + b"[" * 5000 + b"}"),
    ],
)
def test_an_unreadable_record_is_committed_and_shown(rig: Rig, agent: Agent, kind: str, body: bytes) -> None:
    agent.write_body(kind, body)
    agent.write(event(order="WO-last"))
    outcome = rig.ingest.take(agent.topic, agent.frame())
    assert outcome.result == "committed"
    assert held(rig, agent) == sent(agent, 12)
    (row,) = quarantined(rig)
    assert (row.reason, row.payload) == ("body", body[: len(row.payload)])
    assert row.envelope is not None
    assert len(rig.store.facts(agent=agent.name)) == 11
    (said,) = rig.store.facts(codes=["quarantined"])
    assert said.fact.data.params["seq"] == "11"  # type: ignore[union-attr]


def test_a_number_that_no_column_can_hold_does_not_stop_the_chain(rig: Rig, agent: Agent) -> None:
    body = agent.envelopes[1].body or b""
    agent.write_body("operations_event", body.replace(b"1795000000000000", b"9" * 40))
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    assert len(held(rig, agent)) == 11
    assert [row.reason for row in quarantined(rig)] == ["body"]


def test_a_later_epoch_is_the_one_that_is_answered(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 5))
    second = Agent(agent.name, agent.key)
    assert second.envelopes[0].kind == "epoch_opened"
    rig.ingest.take(agent.topic, second.frame())
    late = rig.ingest.take(agent.topic, agent.frame(6, 8))
    assert late.result == "committed", "late records of the former epoch are kept"
    assert late.watermark is not None
    assert late.watermark.epoch == second.epoch


def test_heads_are_kept_and_the_highest_stays(rig: Rig, agent: Agent) -> None:
    now_us = rig.clock.now_us()
    assert rig.ingest.take(agent.state_topic, agent.head(now_us)).result == "head"
    assert rig.ingest.take(agent.state_topic, agent.head(now_us - 5, 4)).result == "ignored"
    assert rig.ingest.take(agent.state_topic, agent.head(now_us + 5)).result == "head"
    with rig.store.read() as connection:
        head = intake.head_of(connection, agent.name, agent.epoch, "records")
    assert head is not None
    assert (head.last, head.at_us) == (10, now_us + 5)
    assert rig.ingest.presence()[agent.name].online
    rig.ingest.take(agent.state_topic, b"offline")
    assert not rig.ingest.presence()[agent.name].online


def test_an_agent_hears_where_its_newest_epoch_stands_and_position_0_only_where_none_has_begun(
    rig: Rig, agent: Agent
) -> None:
    """Position 0 of an epoch, heard of a restored central, means that central has nothing of those before it."""
    second = Agent(agent.name, agent.key)
    second.write(event(), event())
    start = chain.first_hash(agent.name, agent.epoch, "records").hex()
    nothing = Watermark(agent.name, agent.epoch, "records", 0, start, 1)
    assert rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us())).watermark == nothing
    assert rig.ingest.take(agent.topic, agent.frame(3, 5)).watermark == nothing
    known = rig.ingest.take(agent.topic, agent.frame()).watermark
    assert known is not None
    assert (known.epoch, known.committed_through) == (agent.epoch, 10)
    assert rig.ingest.take(second.state_topic, second.head(rig.clock.now_us())).watermark == known
    hole = rig.ingest.take(second.topic, second.frame(2))
    assert (hole.result, hole.watermark) == ("hole", known)


def test_a_restored_central_begins_no_epoch_before_its_agent_has_heard_of_it(rig: Rig, agent: Agent) -> None:
    second, third = Agent(agent.name, agent.key), Agent(agent.name, agent.key)
    known = rig.ingest.take(agent.topic, agent.frame(1, 5, heard=1)).watermark
    assert known is not None
    rig.store.write(lambda connection: snapshots.set_generation(connection, 7))
    known = replace(known, generation=7)
    early = rig.ingest.take(second.topic, second.frame(heard=1))
    assert (early.result, early.watermark) == ("hole", known)
    assert held(rig, second) == []
    assert rig.ingest.take(agent.topic, agent.frame(6, 10, heard=1)).result == "committed", "what goes on goes on"
    assert rig.ingest.take(second.topic, second.frame(heard=7)).result == "committed"
    assert rig.ingest.take(third.topic, third.frame()).result == "committed", "an agent that does not say"


def test_a_head_that_disagrees_with_what_is_held_is_a_conflict(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame())
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(9)))
    outcome = rig.ingest.take(agent.state_topic, twin.head(rig.clock.now_us()))
    assert outcome.result == "conflict"
    assert central_codes(rig) == ["conflict"]


def test_records_that_contradict_a_head_are_committed_and_the_head_is_a_conflict(rig: Rig, agent: Agent) -> None:
    """As after an older image of a disk: both histories are the agent's, and central must go on proving itself."""
    twin = Agent(agent.name, agent.key, agent.epoch)
    twin.write(*(event(order=f"XX-{n}") for n in range(9)))
    assert rig.ingest.take(agent.state_topic, twin.head(rig.clock.now_us())).result == "head"
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    assert held(rig, agent) == sent(agent, 10)
    assert central_codes(rig) == ["conflict"]
    with rig.store.read() as connection:
        assert intake.head_of(connection, agent.name, agent.epoch, "records") is None
    found = verify(rig.store.database, rig.folder / "anchors.jsonl", rig.ring.keys())
    assert found.ok, found.reason


def test_a_clock_that_was_set_back_makes_no_agent_a_stranger(rig: Rig, agent: Agent) -> None:
    """An agent enrolled while central's clock was ahead: its records waited until that moment came again."""
    rig.clock.jump(-7200)
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"


@pytest.mark.parametrize("payload", [b"{}", b"online", b"\x00\xff", b'{"body":"{}","key":"","signature":""}'])
def test_a_state_that_is_no_head_is_refused(rig: Rig, agent: Agent, payload: bytes) -> None:
    assert rig.ingest.take(agent.state_topic, payload).detail.startswith("head")


def test_a_full_quarantine_counts_and_says_so_once(rig: Rig, agent: Agent) -> None:
    rig.ingest.quarantine = rig.ingest._committing._quarantine = Quarantine(
        rig.store, rig.facts, rig.clock, limit=3
    )
    for n in range(8):
        rig.ingest.take(agent.topic, b"garbage %d" % n)
    assert len(quarantined(rig)) == 3
    assert rig.ingest.quarantine.dropped == 5
    said = [f.fact.data.params["reason"] for f in rig.store.facts(codes=["quarantined"])]  # type: ignore[union-attr]
    assert said == ["not-a-frame"] * 3 + ["quarantine-full"]


@pytest.mark.parametrize("full", ["quarantine-full", "conflicts-full"])
def test_that_it_is_full_is_said_again_where_the_first_word_was_taken_back(
    rig: Rig, agent: Agent, full: str
) -> None:
    """Bug: a transaction that was taken back left central believing that it had said so, and nobody was told."""
    quarantine = Quarantine(rig.store, rig.facts, rig.clock, limit=0, limit_each=0)
    held = Conflict(0, agent.name, agent.epoch, "records", 1, "0" * 64, "1" * 64, 1)

    def refuse(connection: Connection) -> None:
        if full == "conflicts-full":
            quarantine.conflict(connection, held, None)
        else:
            quarantine.poison(connection, "up", agent.envelopes[0], b"{}", "nobody reads it", 1)

    def taken_back(connection: Connection) -> None:
        refuse(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rig.store.write(taken_back)
    for _ in range(3):
        rig.store.write(refuse)
    said = [f.fact.data.params["reason"] for f in rig.store.facts(codes=["quarantined"])]  # type: ignore[union-attr]
    assert said == [full]


def offered_again(rig: Rig, agent: Agent, seq: int, contents: int) -> None:
    """Offer a held record with other contents, correctly chained and signed."""
    for n in range(contents):
        other = Agent(agent.name, agent.key, agent.epoch)
        other.envelopes[:] = agent.envelopes[: seq - 1]
        other.write_body("from_the_future", b'{"n":%d}' % n)
        assert rig.ingest.take(agent.topic, other.frame(seq, seq)).result == "conflict"


def test_conflicts_beyond_what_is_kept_are_counted_and_the_first_stay(rig: Rig, agent: Agent) -> None:
    rig.ingest.quarantine = rig.ingest._committing._quarantine = Quarantine(
        rig.store, rig.facts, rig.clock, limit_each=12
    )
    rig.ingest.take(agent.topic, agent.frame())
    offered_again(rig, agent, 3, 14)
    assert rig.ingest.quarantine.conflicts_dropped == 4, "one record takes no more than its part"
    for seq in (4, 5, 6, 7):
        offered_again(rig, agent, seq, 1)
    with rig.store.read() as connection:
        kept = [found.seq for found in intake.conflicts(connection)]
    assert kept == [3] * 10 + [4, 5]
    assert rig.ingest.quarantine.conflicts_dropped == 6
    assert central_codes(rig) == ["conflict"] * 12 + ["quarantined"]
    (said,) = (f.fact.data for f in rig.store.facts(codes=["quarantined"]))
    assert isinstance(said, OperationsEvent)
    assert (said.params["reason"], said.params["seq"]) == ("conflicts-full", "6")
    other = rig.enrol(Agent("testing-1"))
    other.write(event(order="WO-1"))
    rig.ingest.take(other.topic, other.frame())
    offered_again(rig, other, 2, 1)
    with rig.store.read() as connection:
        assert intake.conflicts(connection)[-1].agent == other.name, "each agent has a part of its own"


def test_a_restart_goes_on_where_it_stood(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 6))
    second = rig.reopen()
    try:
        assert second.ingest.take(agent.topic, agent.frame(1, 6)).result == "nothing-new"
        assert second.ingest.take(agent.topic, agent.frame(7, 10)).result == "committed"
        assert held(second, agent) == sent(agent, 10)
        assert [f.fact.data for f in second.store.facts(agent=agent.name, limit=1)] == [EpochOpened("created")]
    finally:
        second.store.close()


def test_a_broken_agent_fills_its_own_share_of_quarantine_only(rig: Rig, agent: Agent) -> None:
    rig.ingest.quarantine = rig.ingest._committing._quarantine = Quarantine(
        rig.store, rig.facts, rig.clock, limit_each=2
    )
    for n in range(4):
        rig.ingest.take(agent.topic, b"garbage %d" % n)
        rig.ingest.take(up_topic("p0", f"nobody-{n}", "records"), b"garbage")
    for n in range(3):
        agent.write_body("from_the_future", b'{"n":%d}' % n)
    assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    other = rig.enrol(Agent("testing-1"))
    rig.ingest.take(other.topic, b"garbage of another")
    kept = [(row.agent, row.reason) for row in quarantined(rig)]
    assert kept.count((agent.name, "not-a-frame")) == 2
    assert kept.count((other.name, "not-a-frame")) == 1
    assert len(kept) == 5, "two of the agent, two of strangers, one of the other"
    said = [f.fact.data.params["reason"] for f in rig.store.facts(codes=["quarantined"])]  # type: ignore[union-attr]
    assert said.count("quarantine-full") == 2, "one for the agent, one for strangers"


def test_keys_that_changed_since_the_last_frame_count_at_once(rig: Rig, agent: Agent) -> None:
    assert rig.ingest.take(agent.topic, agent.frame(1, 4)).result == "committed"
    other = rig.enrol(Agent("assembly-2"))
    assert rig.ingest.take(other.topic, other.frame()).result == "committed"
    now_us = rig.clock.now_us()
    replaced_by = SigningKey.generate().public.hex()
    rig.store.write(lambda c: agents.enrol(c, agent.name, "p0", replaced_by, now_us))
    rig.clock.advance(31 * 86_400)
    refused = rig.ingest.take(agent.topic, agent.frame(5, 9))
    assert (refused.result, refused.detail.split(":")[0]) == ("quarantined", "signature")
    assert held(rig, agent) == sent(agent, 4)
