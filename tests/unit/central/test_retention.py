"""Content past its retention is given up under an act; what a younger record needs never is."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select

from central.access import Actor
from central.domain import DhrState, DhrSummary, Grade
from central.retention import Retention
from central.settings import RetentionSettings
from central.store import findings, intake, partitions
from central.store.engine import reading
from central.store.rows import whole
from central.store.schema import envelope
from central.verify import Verification, verify
from records.clock import MICROSECONDS
from records.errors import ConfigurationError
from records.model import OperationsEvent
from records.wire import CENTRAL
from tests.rigs import stores
from tests.rigs.trends import TrendAgent, polled
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig, event

pytestmark = pytest.mark.both_stores

DAY_US = 86_400 * MICROSECONDS
BY = Actor("anna", "test")
SETTINGS = RetentionSettings.model_validate({"telemetry": "30d", "records": "365d"})


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def summary(state: DhrState, order: str, began_us: int, ended_us: int) -> DhrSummary:
    return DhrSummary(
        id=f"dhr-{order}", lot=order, product="VS-100", revision=None, udi_di=None, orders=(order,), state=state,
        ordered=Decimal(1), started=1, good=1, pending=0, scrap=0, requirements_met=0, requirements=0,
        exceptions_open=0, exceptions=0, discrepancies_open=0, discrepancies=0, certificate=Grade.COMPLETE,
        blockers=0, began_us=began_us, ended_us=ended_us, signature_outdated=False, content_hash="0" * 64,
    )  # fmt: skip


def send(rig: Rig, agent: Agent, *orders: str | None) -> None:
    first = len(agent.envelopes) + 1
    agent.write(*(event(order=order) if order else event("device-lost", device="plc") for order in orders))
    assert rig.ingest.take(agent.topic, agent.frame(first)).result == "committed"


def put(rig: Rig, told: DhrSummary) -> None:
    def job(connection: findings.Connection) -> None:
        findings.put_summary(connection, told)
        findings.assign(connection, told.orders[0], told.id)

    rig.store.write(job)


def kept(rig: Rig, agent: Agent) -> list[int]:
    """The seqs that still have a body."""
    with rig.store.read() as connection:
        rows = connection.execute(whole().order_by(envelope.c.id)).all()
    return [row.seq for row in rows if row.agent == agent.name and row.body is not None]


def proven(rig: Rig) -> Verification:
    return verify(rig.store.database, rig.folder / "anchors.jsonl", rig.ring.keys())


def test_only_what_no_record_under_retention_needs_is_given_up(rig: Rig) -> None:
    retention = Retention(rig.store, rig.facts, rig.clock, SETTINGS)
    agent = rig.enrol(Agent())
    old_us = core_rig.HEADER.at_us
    rig.ingest.take(agent.topic, agent.frame())
    # 1 opens the epoch, which stays for ever; 4 has no device history record at all
    send(rig, agent, "OLD", None, "OPEN-ORDER")  # 2, 3, 4
    put(rig, summary(DhrState.RELEASED, "OLD", old_us, old_us + DAY_US))
    rig.clock.advance(400 * 86_400)
    send(rig, agent, "NEW", None)  # 5, 6
    now_us = rig.clock.now_us()
    put(rig, summary(DhrState.RELEASED, "NEW", now_us - DAY_US, now_us))

    seen = retention.look()
    assert (seen.applied, seen.records, seen.telemetry, seen.held_by) == (False, 2, 0, None)
    assert kept(rig, agent) == [1, 2, 3, 4, 5, 6], "looking changes nothing"
    with pytest.raises(ConfigurationError):
        retention.apply(by=BY, reason=" ")

    done = retention.apply(by=BY, reason="as SOP-17 says")
    assert (done.applied, done.records) == (True, 2)
    assert kept(rig, agent) == [1, 4, 5, 6]
    found = proven(rig)
    assert (found.ok, found.tombstones) == (True, 2), found
    (act,) = rig.store.facts(codes=["retention-applied"], stream="audit")
    assert isinstance(act.fact.data, OperationsEvent)
    told = act.fact.data.params
    assert (told["records"], told["by"], told["reason"]) == (2, "anna", "as SOP-17 says")
    with rig.store.read() as connection:
        gone = [row for row in connection.execute(whole().order_by(envelope.c.id)) if row.tombstone_reason]
    assert [(row.seq, row.tombstone_reason, row.tombstone_by) for row in gone] == [
        (seq, "retention", "anna") for seq in (2, 3)
    ]
    assert stores.by_hand(rig.folder, "SELECT DISTINCT act FROM tombstone") == [(act.hash,)]
    assert [f.seq for f in rig.store.facts(agent=agent.name)] == [1, 4, 5, 6]
    assert retention.apply(by=BY, reason="again").records == 0
    assert len(rig.store.facts(codes=["retention-applied"], stream="audit")) == 1, "no act without effect"


def test_what_explains_a_tombstone_is_never_given_up_itself(rig: Rig) -> None:
    agent = rig.enrol(Agent())
    agent.write(event("telemetry-thinned"), event("record-damaged"), event("device-lost"))
    rig.ingest.take(agent.topic, agent.frame())
    rig.clock.advance(4000 * 86_400)
    Retention(rig.store, rig.facts, rig.clock, SETTINGS).apply(by=BY, reason="yearly")
    assert {2, 3} <= set(kept(rig, agent))
    assert 4 not in kept(rig, agent)


@pytest.mark.parametrize("seq", [4, 5])
def test_a_tombstone_that_is_put_under_a_real_act_shows(rig: Rig, seq: int) -> None:
    """Whether what it takes away was received before or after what the act gave up."""
    agent = rig.enrol(Agent())
    rig.ingest.take(agent.topic, agent.frame())
    send(rig, agent, None, None, "OPEN-ORDER")
    rig.clock.advance(400 * 86_400)
    send(rig, agent, "NEW")
    Retention(rig.store, rig.facts, rig.clock, SETTINGS).apply(by=BY, reason="yearly")
    assert kept(rig, agent)[-2:] == [4, 5]
    assert proven(rig).awaited == 3 - kept(rig, agent).count(1), "no anchor names the act yet"
    with rig.store.read() as connection:
        rig.facts.anchor(intake.watermarks(connection))
    assert (proven(rig).ok, proven(rig).awaited) == (True, 0)
    where = f"SELECT id FROM envelope WHERE agent = '{agent.name}' AND seq = {seq}"
    forged = f"""INSERT INTO tombstone (envelope_id, reason, "by", act)
        SELECT id, 'retention', 'anna', (SELECT max(act) FROM tombstone) FROM envelope WHERE id = ({where})"""
    gone = f"DELETE FROM body WHERE envelope_id = ({where})"
    index = f"UPDATE fact_index SET readable = false WHERE envelope_id = ({where})"
    for statement in (forged, index, gone):
        stores.by_hand(rig.folder, statement)
    found = proven(rig)
    assert (found.ok, found.first_bad is not None) == (False, True)
    assert "says that it gave up" in (found.reason or "")


@pytest.mark.parametrize("state", [DhrState.COLLECTING, DhrState.REVIEWED])
def test_a_record_that_was_never_settled_keeps_what_came_since_it_began(rig: Rig, state: DhrState) -> None:
    retention = Retention(rig.store, rig.facts, rig.clock, SETTINGS)
    agent = rig.enrol(Agent())
    rig.ingest.take(agent.topic, agent.frame())
    send(rig, agent, None)
    rig.clock.advance(86_400)
    began_us = rig.clock.now_us()
    rig.clock.advance(3600)
    send(rig, agent, "STUCK", None)
    rig.clock.advance(4000 * 86_400)
    put(rig, summary(state, "STUCK", began_us, began_us + DAY_US))
    done = retention.apply(by=BY, reason="yearly")
    assert (done.records, done.held_by) == (1, "dhr-STUCK")
    assert kept(rig, agent) == [1, 3, 4]
    put(rig, replace(summary(state, "STUCK", began_us, began_us + DAY_US), state=DhrState.REJECTED))
    assert retention.apply(by=BY, reason="yearly").records == 2


def test_what_central_stated_stays_for_ever(rig: Rig) -> None:
    rig.store.write(lambda c: rig.facts.state(c, event(order="WO-1")))
    rig.clock.advance(9000 * 86_400)
    assert Retention(rig.store, rig.facts, rig.clock, SETTINGS).apply(by=BY, reason="all").records == 0
    assert rig.store.facts(agent=CENTRAL)[0].seq == 1


def test_telemetry_goes_by_itself_and_in_whole_parts_where_there_are_parts(rig: Rig) -> None:
    now_us = rig.clock.now_us()
    rig.store.write(lambda c: partitions.make_ahead(c, now_us))
    trend = rig.enrol(Agent("trend-1", stream="telemetry"))
    trend.write(*(event(order=f"T-{n}") for n in range(4)))
    rig.ingest.take(trend.topic, trend.frame())
    agent = rig.enrol(Agent())
    rig.ingest.take(agent.topic, agent.frame())
    rig.clock.advance(75 * 86_400)
    retention = Retention(rig.store, rig.facts, rig.clock, SETTINGS)
    assert retention.look().telemetry == 5
    done = retention.apply(by=BY, reason="disk")
    assert (done.records, done.telemetry) == (0, 5)
    assert done.parts >= 1 if stores.is_server() else done.parts == 0
    assert (kept(rig, trend), kept(rig, agent)) == ([], [1])
    found = proven(rig)
    assert (found.ok, found.tombstones) == (True, 5), found


@pytest.mark.parametrize("behind_days", [0, 3 * 365])
def test_telemetry_that_came_while_centrals_clock_was_behind_is_as_old_as_it_is(
    rig: Rig, behind_days: int
) -> None:
    """Bug: central's clock was put right, and chunks of a minute before were given up."""
    began_us = rig.clock.now_us()
    rig.clock.jump(-behind_days * 86_400)
    behind_us = rig.clock.now_us()
    rig.store.write(lambda c: partitions.make_ahead(c, behind_us))
    sender = TrendAgent().enrol(rig.store, behind_us)
    chunk = functools.partial(sender.body, polled(began_us, 5, float))
    sender.send(rig.ingest, chunk(), chunk())
    rig.clock.jump(behind_days * 86_400)
    retention = Retention(rig.store, rig.facts, rig.clock, SETTINGS)
    for days, gone in ((0, 0), (25, 0), (50, 2)):
        rig.clock.advance(days * 86_400)
        assert retention.look().telemetry == gone
        assert retention.apply(by=BY, reason="disk").telemetry == gone, "in whole parts, too"
    assert proven(rig).ok


def test_a_chunk_of_a_time_that_has_not_come_goes_by_when_it_came(rig: Rig) -> None:
    """Else a line whose clock is ahead for years would fill the disk."""
    sender = TrendAgent().enrol(rig.store, rig.clock.now_us())
    sender.send(rig.ingest, sender.body(polled(rig.clock.now_us() + 4000 * DAY_US, 5, float)))
    rig.clock.advance(75 * 86_400)
    assert Retention(rig.store, rig.facts, rig.clock, SETTINGS).apply(by=BY, reason="disk").telemetry == 1


def test_who_reads_one_moment_finds_a_body_or_a_tombstone_beside_an_act(rig: Rig) -> None:
    now_us = rig.clock.now_us()
    rig.store.write(lambda c: partitions.make_ahead(c, now_us))
    trend = rig.enrol(Agent("trend-1", stream="telemetry"))
    trend.write(*(event(order=f"T-{n}") for n in range(4)))
    rig.ingest.take(trend.topic, trend.frame())
    rig.clock.advance(75 * 86_400)
    retention = Retention(rig.store, rig.facts, rig.clock, SETTINGS)
    with reading(rig.store.database) as moment:  # as a backup and verify do
        moment.execute(select(envelope.c.id)).all()
        done = retention.apply(by=BY, reason="disk")
        rows = moment.execute(whole().where(envelope.c.agent == trend.name)).all()
    assert [(row.body is None) == (row.tombstone_reason is None) for row in rows] == [False] * 5
    assert (done.telemetry, done.parts) == (5, 0)
    assert proven(rig).ok
    again = retention.apply(by=BY, reason="disk")
    assert again.telemetry == 0
    assert again.parts >= 1 if stores.is_server() else again.parts == 0
    found = proven(rig)
    assert (found.ok, found.tombstones) == (True, 5), found
