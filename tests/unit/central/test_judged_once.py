"""A sweep makes each order's assessment once, and never uses one that is no longer true."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from central import dossiers, reviews
from central.assessment import Assessment, Limits
from central.dhr import dhr_id
from central.domain import DeviceHistoryRecord
from central.dossier import Dossier
from central.dossiers import Dossiers
from central.findings import Findings
from records.model import Result
from tests.unit.central.core_rig import Agent
from tests.unit.central.factories import Line, order
from tests.unit.central.test_domain_reviews import QA, Plant, troubled

pytestmark = pytest.mark.both_stores


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


@pytest.fixture
def assessed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each order was assessed from its facts."""
    found: Counter[str] = Counter()
    assess = dossiers.assess

    def counted(dossier: Dossier, limits: Limits) -> Assessment:
        found[dossier.reference] += 1
        return assess(dossier, limits)

    monkeypatch.setattr(dossiers, "assess", counted)
    return found


def one_after_the_other(plant: Plant, orders: int) -> list[str]:
    """Lots of one order each; each order has a finding."""
    line = Line()
    references = [f"WO-{1000 + number}" for number in range(orders)]
    for reference in references:
        plant.book.orders[reference] = order(reference)
        line.reference = reference
        line.weld(1, value=0.55, result=Result.FAIL, reason="out-of-specification")
    plant.send(line)
    plant.heads(line.now_us)
    return references


def test_findings_that_an_assessment_opens_do_not_ask_for_another_one(
    plant: Plant, assessed: Counter[str]
) -> None:
    plant.all_here(troubled())
    assert plant.stated("exception-opened")
    plant.reviews.sweep()
    plant.reviews.get(plant.id)
    assert assessed == {"WO-1000": 1}


@pytest.mark.parametrize("most", ["ORDERS_KEPT", "FACTS_KEPT"])
def test_of_many_orders_each_is_assessed_once_though_few_are_kept_in_memory(
    plant: Plant, assessed: Counter[str], monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    """Bug: all orders were judged, then all rows were written, when the first assessments were forgotten."""
    monkeypatch.setattr(dossiers, most, 2)
    monkeypatch.setattr(reviews, "FACTS_KEPT", 2)
    references = one_after_the_other(plant, 5)
    plant.reviews.sweep()
    assert assessed == dict.fromkeys(references, 1)
    assert sorted(row.lot for row in plant.reviews.queue()) == references
    assessed.clear()
    plant.reviews.sweep(everything=True)
    assert max(assessed.values()) == 1
    assert len(plant.reviews._dossiers._held) <= 2


def as_a_new_central(plant: Plant, reference: str) -> Assessment:
    return Dossiers(plant.rig.store, plant.rig.clock, plant.book, Limits()).assessment(reference)


def seen(part: Assessment) -> Assessment:
    return replace(part, dossier=replace(part.dossier, now_us=0))


def test_an_assessment_that_was_kept_is_the_one_that_a_new_central_makes(plant: Plant) -> None:
    line = troubled()
    for _ in range(3):
        plant.all_here(line)
        kept = plant.reviews._dossiers.assessment("WO-1000")
        assert all(finding.opened_us is not None for finding in kept.findings)
        assert seen(kept) == seen(as_a_new_central(plant, "WO-1000"))
        assert plant.reviews.get(plant.id) == plant.make().get(plant.id)
        (finding, *_) = [each for each in kept.findings if each.open]
        plant.reviews.close(finding.id, finding.content_hash, QA, "close", "known")
        kept = plant.reviews._dossiers.assessment("WO-1000")
        assert seen(kept) == seen(as_a_new_central(plant, "WO-1000"))
        line.weld(3, value=0.55, result=Result.FAIL, reason="out-of-specification")


def rows_are_true(plant: Plant) -> bool:
    def of(id_: str) -> DeviceHistoryRecord:
        record = plant.make().get(id_)
        assert record is not None
        return record

    return all(of(row.id).summary() == row for row in plant.reviews.queue())


@pytest.mark.parametrize("made", [troubled, lambda: Line().clean()])
def test_what_comes_while_a_sweep_judges_is_in_the_row_after_the_next_one(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    line = made()
    settle, left = Findings.settle, [1]

    def meanwhile(self: Findings, part: Assessment) -> int:
        changed = settle(self, part)
        if left:
            left.pop()
            line.weld(2, value=0.55, result=Result.FAIL, reason="out-of-specification")
            plant.send(line)
        return changed

    monkeypatch.setattr(Findings, "settle", meanwhile)
    plant.all_here(line)
    assert not left
    plant.heads(line.now_us)
    plant.reviews.sweep()
    assert rows_are_true(plant)
    assert "out-of-specification" in [finding.code for finding in plant.reviews.findings()]


def test_a_tail_that_stays_unknown_is_told_of_an_order_that_lacks_something_else_too(plant: Plant) -> None:
    """Bug: only an order of which nothing worse was known was judged again when its heads had stayed away."""
    line = Line()
    line.piece(1)
    line.cycles["OP20"] += 1
    for index in (2, 3, 4):
        line.piece(index)
    line.wash((1, 2, 3, 4))
    plant.send(line)
    plant.rig.clock.jump(max(0.0, (line.now_us - plant.rig.clock.now_us()) / 1e6 + 1))
    plant.reviews.sweep()
    codes = {finding.code for finding in plant.reviews.findings()}
    assert "certificate-incomplete" in codes
    assert "certificate-tail-unknown" not in codes
    plant.rig.clock.advance(1000)
    plant.reviews.sweep(everything=True)
    assert "certificate-tail-unknown" in {finding.code for finding in plant.reviews.findings()}


def test_an_unknown_tail_is_judged_again_only_when_time_changes_it(plant: Plant, assessed: Counter[str]) -> None:
    line = Line().clean()
    plant.send(line)
    for _ in range(3):
        plant.reviews.sweep(everything=True)
    plant.rig.clock.advance(1000)
    for _ in range(3):
        plant.reviews.sweep(everything=True)
    assert assessed == {"WO-1000": 2}
    assert [finding.code for finding in plant.reviews.findings() if finding.open] == ["certificate-tail-unknown"]


def statements(plant: Plant) -> int:
    """How many a sweep asks when everything is judged."""
    plant.reviews.sweep()
    asked: list[str] = []

    def ask(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", ask)
    try:
        plant.reviews.sweep()
    finally:
        event.remove(Engine, "before_cursor_execute", ask)
    return len(asked)


def test_a_sweep_asks_the_database_as_often_however_many_agents_there_are(plant: Plant) -> None:
    """Bug: each commit of any line made three statements for every agent of the plant."""
    plant.all_here(Line().clean())
    few = statements(plant)
    for number in range(20):
        agent = plant.agents[f"other-{number}"] = plant.rig.enrol(Agent(f"other-{number}"))
        plant.rig.ingest.take(agent.topic, agent.frame())
    plant.heads(plant.rig.clock.now_us())
    assert statements(plant) == few


def test_a_record_that_cannot_be_put_together_keeps_no_other_from_its_row(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = one_after_the_other(plant, 3)
    broken, *others = sorted(dhr_id("VS-100", reference) for reference in references)
    assemble = reviews.assemble

    def failing(parts: Any, decisions: Any, *, id_: str) -> DeviceHistoryRecord:
        if id_ == broken:
            raise ZeroDivisionError
        return assemble(parts, decisions, id_=id_)

    monkeypatch.setattr(reviews, "assemble", failing)
    with pytest.raises(ZeroDivisionError):
        plant.reviews.sweep()
    assert sorted(row.id for row in plant.reviews.queue()) == others


def test_of_orders_that_cannot_be_judged_no_more_than_one_stays_in_memory(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: each one's error kept its facts until the sweep had ended, thousands of them after a faulty update."""
    one_after_the_other(plant, 6)
    monkeypatch.setattr(dossiers, "ORDERS_KEPT", 1)
    judged: list[weakref.ref[Assessment]] = []
    alive: list[int] = []

    def failing(_findings: Findings, part: Assessment) -> int:
        judged.append(weakref.ref(part))
        gc.collect()
        alive.append(sum(each() is not None for each in judged))
        raise ZeroDivisionError

    monkeypatch.setattr(Findings, "settle", failing)
    with pytest.raises(ZeroDivisionError):
        plant.reviews.sweep()
    assert len(alive) == 6
    assert max(alive) <= 3, "the first one's, the one before, and this one"
