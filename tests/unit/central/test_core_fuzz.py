"""Whatever arrives in place of a real frame: no crash, no silence, nothing held but what was really sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.quarantine import Quarantine
from central.store import envelopes, intake
from records.wire import state_topic, up_topic
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event

LIMIT = 20


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder: Path = tmp_path_factory.mktemp("central")
    with core_rig.rig(folder) as opened:
        opened.ingest.quarantine = Quarantine(opened.store, opened.facts, opened.clock, limit=LIMIT)
        yield opened


@pytest.fixture(scope="module")
def agent(rig: Rig) -> Agent:
    made = Agent()
    made.write(*(event(order=f"WO-{n}") for n in range(40)))
    return rig.enrol(made)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    compress=st.booleans(),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 60),
    more=st.binary(max_size=20),
    span=st.tuples(st.integers(1, 41), st.integers(1, 41)),
    stream=st.sampled_from(["records", "telemetry", "requests", "state"]),
)
def test_altered_frames_of_every_kind(
    rig: Rig,
    agent: Agent,
    compress: bool,
    edits: list[tuple[int, int]],
    cut: int,
    more: bytes,
    span: tuple[int, int],
    stream: str,
) -> None:
    payload = bytearray(agent.frame(min(span), max(span), compress=compress))
    for at, byte in edits:
        payload[at % len(payload)] = byte
    topic = state_topic(agent.name) if stream == "state" else up_topic("p0", agent.name, stream)
    outcome = rig.ingest.take(topic, bytes(payload[: len(payload) - cut]) + more)
    allowed = {"committed", "nothing-new", "hole", "quarantined"}
    assert outcome.result in allowed | ({"ignored"} if stream == "requests" else set())  # one of many of its kind
    with rig.store.read() as connection:
        held = [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]
        chains = {(w.agent, w.epoch) for w in intake.watermarks(connection)}
        rows = intake.quarantine_rows(connection)
    assert held == [e.hash for e in agent.envelopes[: len(held)]]
    assert {epoch for name, epoch in chains if name == agent.name} <= {agent.epoch}
    assert rows <= LIMIT
    if outcome.result == "quarantined":
        assert rows > 0
        assert rig.store.facts(codes=["quarantined"]), "never in silence"
