"""An act of retention changes nothing of a device history record that is under retention."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from central import retention as module
from central.access import Actor
from central.certificates import Certificates
from central.dhr import dhr_id
from central.domain import DeviceHistoryRecord, DhrState, DhrSummary, GivenUp, Grade
from central.holds import Held, Holds
from central.retention import Retention
from central.settings import RetentionSettings
from central.signature import SignatureRefused
from central.store import findings
from central.verify import verify
from records.clock import MICROSECONDS
from records.model import EpochOpened, OperationsEvent
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent
from tests.unit.central.factories import Line, order
from tests.unit.central.test_domain_reviews import MANAGER, QA, Plant

pytestmark = pytest.mark.both_stores

DAY_US = 86_400 * MICROSECONDS
BY = Actor("anna", "test")
SETTINGS = RetentionSettings.model_validate({"telemetry": "30d", "records": "365d"})


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


def go_on(plant: Plant, line: Line, reference: str, days: int = 0) -> None:
    """The line has made so much; after some days it goes on with another order."""
    plant.all_here(line)
    line.now_us += days * DAY_US
    plant.rig.clock.advance(days * 86_400)
    take_up(plant, line, reference)


def take_up(plant: Plant, line: Line, reference: str) -> None:
    plant.book.orders.setdefault(reference, order(reference))
    line.reference = reference


def release(plant: Plant, reference: str) -> None:
    plant.close_all()
    id_ = dhr_id("VS-100", reference)
    for meaning, user in (("reviewed", QA), ("released", MANAGER)):
        if meaning == "released":
            plant.post(reference)
        record = plant.reviews.get(id_)
        assert record is not None
        plant.reviews.sign(id_, meaning, user, "", record.content_hash)


def new_epoch(plant: Plant, name: str) -> None:
    """The agent's folder was restored: it opens another epoch that goes on where it was."""
    was = plant.agents[name]
    opened = Agent(name, key=was.key)
    opened.envelopes.clear()
    opened.write(EpochOpened("restored", was.epoch, len(was.envelopes), was.envelopes[-1].hash.hex()))
    taken = plant.rig.ingest.take(opened.topic, opened.frame())
    assert taken.result == "committed", taken
    plant.agents[name] = opened


# -- plants ------------------------------------------------------------------------------------------------
# Each: WO-1000 is released and gets past its retention, the others are kept. Gives their references.


def one_after_the_other(plant: Plant) -> list[str]:
    line = Line().clean()
    plant.all_here(line)
    release(plant, "WO-1000")
    go_on(plant, line, "WO-1001", 300)
    plant.all_here(line.clean())
    release(plant, "WO-1001")
    return ["WO-1001"]


def in_a_new_epoch(plant: Plant) -> list[str]:
    line = Line().clean()
    plant.all_here(line)
    release(plant, "WO-1000")
    new_epoch(plant, "assembly-1")
    go_on(plant, line, "WO-1001", 300)
    for index in range(1, 3):
        line.piece(index)
    plant.send(line)
    new_epoch(plant, "testing-1")
    for index in range(3, 5):
        line.piece(index)
    line.wash(range(1, 5))
    plant.all_here(line)
    release(plant, "WO-1001")
    return ["WO-1001"]


def interleaved(plant: Plant) -> list[str]:
    """The kept order begins before the other one ends; a chart of the later one names its pieces."""
    line = Line()
    for index in (1, 2):
        line.piece(index)
    go_on(plant, line, "WO-1001", 1)
    line.event("device-lost", "weld", ordered=False, device="plc")
    for index in (5, 6):
        line.piece(index)
    first = line.unit(5)
    go_on(plant, line, "WO-1000")
    line.event("spc-subgroup", "leak_test", agent="testing-1", subjects=[first], characteristic="leak_rate")
    for index in (3, 4):
        line.piece(index)
    line.wash(range(1, 5))
    plant.all_here(line)
    release(plant, "WO-1000")
    go_on(plant, line, "WO-1001", 300)
    for index in (7, 8):
        line.piece(index)
    line.wash(range(5, 9))
    plant.all_here(line)
    release(plant, "WO-1001")
    return ["WO-1001"]


def never_decided(plant: Plant) -> list[str]:
    """Two orders that nobody released stand between; one has a carrier's chart closed in a later run."""
    line = Line().clean()
    plant.all_here(line)
    release(plant, "WO-1000")
    go_on(plant, line, "WO-1001", 1)
    plant.all_here(line.clean())
    first = line.unit(1)
    go_on(plant, line, "WO-1002")
    line.event("reaction", "wash", agent="testing-1", subjects=[first], reaction="hold")
    plant.all_here(line.clean(3))
    plant.rig.clock.advance(300 * 86_400)
    return ["WO-1001", "WO-1002"]


def begun_before_its_first_run(plant: Plant) -> list[str]:
    """The kept order was started on the line while the other one still ran, long before its own first run."""
    line = Line()
    line.piece(1)
    take_up(plant, line, "WO-1001")
    line.event("order-started", "weld")
    line.event("device-lost", "weld", ordered=False, device="plc")
    take_up(plant, line, "WO-1000")
    for index in range(2, 5):
        line.piece(index)
    line.wash(range(1, 5))
    plant.all_here(line)
    release(plant, "WO-1000")
    go_on(plant, line, "WO-1001", 300)
    plant.all_here(line.clean())
    release(plant, "WO-1001")
    return ["WO-1001"]


def by_a_clock_that_is_ahead(plant: Plant) -> list[str]:
    """The kept order's records came long before the time that they tell."""
    line = Line().clean()
    plant.all_here(line)
    release(plant, "WO-1000")
    take_up(plant, line, "WO-1001")
    line.now_us += 60 * DAY_US
    plant.send(line.clean())
    plant.heads(line.now_us)
    plant.reviews.sweep()
    release(plant, "WO-1001")
    plant.rig.clock.advance(300 * 86_400)
    return ["WO-1001"]


_PLANTS = [
    one_after_the_other,
    in_a_new_epoch,
    interleaved,
    never_decided,
    begun_before_its_first_run,
    by_a_clock_that_is_ahead,
]

# -- the property ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    content_hash: str
    state: DhrState
    grade: Grade
    certificate: object
    blockers: tuple[str, ...]
    findings: tuple[object, ...]
    current: tuple[bool, ...]
    records: int


def judged(plant: Plant, reference: str) -> Judged:
    """As a central that was started just now judges it."""
    record: DeviceHistoryRecord | None = plant.make().get(dhr_id("VS-100", reference))
    assert record is not None
    return Judged(
        record.content_hash,
        record.state,
        record.certificate.grade,
        record.certificate,
        tuple(blocker.code for blocker in record.blockers),
        record.findings,
        tuple(line.current for line in record.signatures),
        len(record.evidence.records),
    )


@pytest.mark.parametrize("made", _PLANTS)
def test_what_is_under_retention_is_judged_the_same_after_an_act(
    plant: Plant, made: Callable[[Plant], list[str]]
) -> None:
    """Bug: the last record of each machine before a kept lot was given up, and the lot lost its signatures."""
    kept = made(plant)
    plant.book.orders["WO-1003"] = order("WO-1003")
    plant.rig.clock.advance(100 * 86_400)
    before = {reference: judged(plant, reference) for reference in kept}
    retention = Retention(plant.rig.store, plant.rig.facts, plant.rig.clock, SETTINGS)
    said = retention.look().records
    assert retention.apply(by=BY, reason="as SOP-17 says").records == said
    assert {reference: judged(plant, reference) for reference in kept} == before
    plant.make().sweep(everything=True)
    assert {reference: judged(plant, reference) for reference in kept} == before
    assert retention.apply(by=BY, reason="again").records == 0
    found = verify(plant.rig.store.database, plant.rig.folder / "anchors.jsonl", plant.rig.ring.keys())
    assert (found.ok, found.tombstones) == (True, said), found
    assert bool(said) == (made is not interleaved), made


def test_a_lot_that_was_given_up_stays_as_it_was_judged_last(plant: Plant) -> None:
    """Bug: its page told of gaps and of consumption that disagreed, and asked people to decide about them."""
    one_after_the_other(plant)
    plant.rig.clock.advance(100 * 86_400)
    id_ = dhr_id("VS-100", "WO-1000")
    before = {row.id: row for row in plant.reviews.queue()}
    was = plant.make().get(id_)
    assert was is not None
    Retention(plant.rig.store, plant.rig.facts, plant.rig.clock, SETTINGS).apply(by=BY, reason="as SOP-17 says")
    (act,) = plant.rig.store.facts(codes=["retention-applied"], stream="audit")
    assert isinstance(act.fact.data, OperationsEvent)
    assert act.fact.data.params["orders"] == ["WO-1000"]
    gone = GivenUp(act.hash, "anna", act.fact.header.at_us)

    reviews = plant.make()
    reviews.sweep(["WO-1000", "WO-1001"])
    assert {row.id: row for row in reviews.queue()} == before | {id_: replace(before[id_], given_up=gone)}
    record = reviews.get(id_)
    assert record is not None
    assert record.given_up == gone
    assert record.summary() == replace(before[id_], given_up=gone, requirements=0, requirements_met=0)
    assert (record.signatures, record.orders) == (was.signatures, was.orders)
    assert not [finding for finding in reviews.findings() if finding.open]
    assert reviews.confirmation_for("WO-1000") is None
    told = Certificates(plant.rig.store, reviews, plant.rig.clock, 120.0).of_lot("WO-1000", "VS-100")
    assert isinstance(told, dict)
    assert (told["grade"], told["given_up"]) == ("complete", gone.to_json())
    with pytest.raises(SignatureRefused):
        reviews.sign(id_, "released", MANAGER, "", record.content_hash)


# -- what keeps a lot that is past its retention -------------------------------------------------------------


def retained(plant: Plant) -> Retention:
    return Retention(plant.rig.store, plant.rig.facts, plant.rig.clock, SETTINGS)


def past_its_retention(plant: Plant) -> Line:
    """WO-1000 is, and a line that goes on with another order."""
    line = Line().clean()
    plant.all_here(line)
    release(plant, "WO-1000")
    go_on(plant, line, "WO-1001", 300)
    plant.all_here(line.clean())
    release(plant, "WO-1001")
    go_on(plant, line, "WO-1002", 100)
    plant.all_here(line.clean())
    return line


def row_of(plant: Plant, reference: str) -> DhrSummary:
    (row,) = [row for row in plant.reviews.queue() if reference in row.orders]
    return row


@pytest.mark.parametrize("when", ["before", "between"])
def test_a_late_record_keeps_its_order_also_in_the_moment_of_giving_up(
    plant: Plant, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: one committed after the look and before the act left the bodies of its order destroyed."""
    line = past_its_retention(plant)
    take_up(plant, line, "WO-1000")
    line.piece(9)
    real = module.sql.past

    def racing(*args: object) -> object:
        found = real(*args)  # type: ignore[arg-type]
        plant.send(line)
        return found

    if when == "before":
        plant.send(line)
    else:
        monkeypatch.setattr(module.sql, "past", racing)
    assert retained(plant).apply(by=BY, reason="yearly").records == 0
    assert row_of(plant, "WO-1000").given_up is None


@pytest.mark.parametrize("when", ["before", "between", "in one group"])
def test_a_lot_that_quality_holds_is_not_given_up(
    plant: Plant, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bugs: retention never asked for holds, and a lot under a complaint lost its records; then it saw none whose
    job was in its own transaction.
    """
    past_its_retention(plant)
    for held in (
        Held("lot", "WO-1000", "VS-100"),
        Held("unit", "WO-1000-002", "VS-100"),
        Held("component", "VB-1", "VB-10"),
        Held("order", "WO-1000"),
    ):
        with monkeypatch.context() as patch:
            _keeps_it(plant, held, when, patch)
    assert retained(plant).apply(by=BY, reason="yearly").records > 0, "nothing holds it any more"


def _keeps_it(plant: Plant, held: Held, when: str, patch: pytest.MonkeyPatch) -> None:
    """Retention meets this hold, which is lifted then."""
    holds = Holds(plant.rig.store, plant.rig.facts, plant.rig.clock, lambda *_: None)
    hold = functools.partial(holds.hold, held, QA, "complaint under investigation", held.content_hash)
    real = module.sql.past

    def racing(*args: object) -> object:
        found = real(*args)  # type: ignore[arg-type]
        if when == "between":
            hold()
        else:
            core_rig.in_one_group(plant.rig.store, hold, patch)
        patch.setattr(module.sql, "past", real)
        return found

    if when == "before":
        hold()
    else:
        patch.setattr(module.sql, "past", racing)
    done = retained(plant).apply(by=BY, reason="yearly")
    assert (done.records, done.held_by) == (0, dhr_id("VS-100", "WO-1000")), held
    assert row_of(plant, "WO-1000").given_up is None
    patch.undo()
    (standing,) = holds.standing()
    holds.release(standing.id, MANAGER, "judged good", standing.content_hash)


def test_a_hold_of_another_lot_or_of_a_machine_keeps_nothing(plant: Plant) -> None:
    past_its_retention(plant)
    holds = Holds(plant.rig.store, plant.rig.facts, plant.rig.clock, lambda *_: None)
    for held in (Held("lot", "WO-1000", "VS-200"), Held("unit", "WO-1002-001", "VS-100"), Held("equipment", "W")):
        holds.hold(held, QA, "complaint", held.content_hash)
    assert retained(plant).apply(by=BY, reason="yearly").records > 0
    assert row_of(plant, "WO-1000").given_up is not None


def test_a_new_order_of_a_lot_number_that_was_given_up_is_judged(plant: Plant) -> None:
    """Bug: the lot that was given up swallowed it: it stood in no row, was never reported and never released."""
    line = past_its_retention(plant)
    retained(plant).apply(by=BY, reason="yearly")
    gone = row_of(plant, "WO-1000")
    assert gone.given_up is not None
    plant.book.orders["WO-1003"] = order("WO-1003", lot="WO-1000")
    go_on(plant, line, "WO-1003")
    plant.all_here(line.clean())
    new = row_of(plant, "WO-1003")
    assert (new.lot, new.orders, new.state, new.given_up) == ("WO-1000", ("WO-1003",), DhrState.COMPLETE, None)
    assert row_of(plant, "WO-1000") == gone, "it stays as it was judged last"
    assert plant.reviews.find("WO-1000") == [new.id]
    assert new.id == dhr_id("VS-100", "WO-1000", after=gone.given_up.act)
    plant.post("WO-1003")
    for meaning, user in (("reviewed", QA), ("released", MANAGER)):
        record = plant.reviews.get(new.id)
        assert record is not None
        plant.reviews.sign(new.id, meaning, user, "", record.content_hash)
    assert (row_of(plant, "WO-1003").state, row_of(plant, "WO-1000")) == (DhrState.RELEASED, gone)


def test_a_lot_that_an_order_has_just_come_to_is_not_given_up(plant: Plant) -> None:
    """The order's place is known before its row in the queue is: retention may come in between."""
    past_its_retention(plant)
    lot = dhr_id("VS-100", "WO-1000")
    plant.rig.store.write(lambda connection: findings.assign(connection, "WO-1003", lot))
    assert retained(plant).apply(by=BY, reason="yearly").records == 0
