"""An order with very many findings: only what differs is written, in pieces, and nobody waits for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from central import findings
from central.facts import Facts
from central.findings import Findings
from central.store import findings as rows
from central.stored import StoredFact
from records.model import Act, Person, Purpose
from records.reasons import Told
from tests.unit.central.core_rig import event
from tests.unit.central.factories import Line
from tests.unit.central.test_domain_reviews import QA, Plant

pytestmark = pytest.mark.both_stores

CARRIERS = 100
FINDINGS = 2000


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


def repeated(line: Line, times: int) -> None:
    """Pieces whose carriers come back: each run but the first of each is an exception."""
    for number in range(times):
        line.weld(number % CARRIERS)


class Written:
    """Codes of the findings whose rows were written, by how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put: list[str] = []
        self.told: list[str] = []
        self._spy(monkeypatch, "put", lambda items: self.put.extend(item.code for item, _, _ in items))
        self._spy(monkeypatch, "tell", lambda items: self.told.extend(item.code for item in items))

    def _spy(self, monkeypatch: pytest.MonkeyPatch, name: str, note: Callable[[Any], None]) -> None:
        write = getattr(rows, name)

        def spy(connection: Any, items: Sequence[Any], *more: Any) -> None:
            note(items)
            write(connection, items, *more)

        monkeypatch.setattr(rows, name, spy)


def test_only_what_differs_is_written(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    repeated(line, CARRIERS + FINDINGS)
    plant.send(line)
    plant.reviews.sweep()
    stated = plant.stated("exception-opened")
    assert [each.params["code"] for each in stated].count("operation-repeated") == FINDINGS
    written = Written(monkeypatch)
    plant.reviews.sweep(["WO-1000"])
    assert (written.put, written.told) == ([], [])
    repeated(line, 1)
    plant.send(line, "assembly-1")
    plant.reviews.sweep()
    assert written.put == ["operation-repeated"]
    assert "operation-repeated" not in written.told, "none of the others has come to say more"
    assert len(written.told) <= 1
    assert len(plant.stated("exception-opened")) == len(stated) + 1


def between(plant: Plant, monkeypatch: pytest.MonkeyPatch, at_first: Callable[[], None]) -> list[int]:
    """Do something within the first piece's commit; gives how many facts each piece has stated."""
    stated: list[int] = []
    state_all = Facts.state_all

    def spy(self: Facts, connection: Any, said: Sequence[Any], **how: Any) -> list[StoredFact]:
        if said and not stated:
            stated.append(0)
            at_first()
        stated.append(len(said))
        return state_all(self, connection, said, **how)

    monkeypatch.setattr(Facts, "state_all", spy)
    return stated


def test_what_comes_from_the_lines_is_committed_between_the_pieces(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line()
    repeated(line, CARRIERS + FINDINGS)
    plant.send(line)
    agent = plant.agents["testing-1"]

    def arrives() -> None:
        agent.write(event("order-started"))
        plant.rig.ingest.begin(agent.topic, agent.frame())
        plant.rig.ingest.send()

    stated = between(plant, monkeypatch, arrives)
    plant.reviews.sweep()
    assert max(stated) <= findings.PIECE_ROWS
    order = [f.agent for f in plant.rig.store.facts(codes=["exception-opened", "order-started"])]
    place = order.index("testing-1")
    assert place <= findings.PIECE_ROWS
    assert len(order) == FINDINGS + 1


def disagreeing(line: Line, cycles: int) -> None:
    """Machine cycles that nobody recorded, and material that the bill of material does not ask for."""
    line.cycles["OP20"] += cycles
    line.totals["OP20"] += cycles
    line.weld(4, purpose=Purpose.REWORK)
    line.assemble(4, purpose=Purpose.REWORK)
    line.leak(4, purpose=Purpose.REWORK)


CLOSING = (Act.CLOSE, Person(QA.id, QA.role.value), Told("looked at"))
GROWN = ("certificate-incomplete", "consumption-disagrees")


def state(plant: Plant) -> dict[str, bool]:
    """Of the findings that grow: whether they are open."""
    return {f.code + str(f.params.get("item", "")): f.open for f in plant.reviews.findings() if f.code in GROWN}


def test_what_a_judgement_states_itself_does_not_make_its_later_pieces_stale(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "PIECE_ROWS", 1)
    line = Line().clean()
    disagreeing(line, 1)
    plant.all_here(line)
    plant.close_all()
    assert len(state(plant)) == 3
    assert not any(state(plant).values())
    disagreeing(line, 2)
    plant.send(line)
    plant.heads(line.now_us)
    part = plant.reviews._dossiers.assessment("WO-1000")
    Findings(plant.rig.store, plant.rig.facts).settle(part)
    assert all(state(plant).values())


def test_what_a_person_decides_between_the_pieces_is_not_undone_before_it_is_judged(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "PIECE_ROWS", 1)
    line = Line().clean()
    disagreeing(line, 1)
    plant.all_here(line)
    disagreeing(line, 2)
    plant.send(line)
    plant.heads(line.now_us)
    part = plant.reviews._dossiers.assessment("WO-1000")
    open_ = [f for f in plant.reviews.findings() if f.code == "consumption-disagrees"]

    def decides() -> None:
        own = Findings(plant.rig.store, plant.rig.facts)
        plant.rig.store.submit(lambda c: own._close(c, [rows.by_ids(c, [open_[0].id])[open_[0].id]], *CLOSING))

    between(plant, monkeypatch, decides)
    Findings(plant.rig.store, plant.rig.facts).settle(part)
    monkeypatch.undo()
    held = plant.reviews.finding(open_[0].id)
    assert held is not None
    assert held.settled
    plant.reviews.sweep(["WO-1000"])
    held = plant.reviews.finding(open_[0].id)
    assert held is not None
    assert held.open, "it has come to say more than what the person saw"
