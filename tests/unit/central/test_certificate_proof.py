"""What a certificate may not take as proof: clocks that were ahead, and declarations of another counting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from central.agent_certificate import certificate_of
from central.certificate import certify
from central.certificates import Certificates
from central.domain import ChainPart, Grade
from central.store import reached
from records.model import EpochOpened, Fact, encode
from tests.unit.central.core_rig import HEADER, Agent
from tests.unit.central.factories import Line, S, order
from tests.unit.central.test_domain_reviews import Plant
from tests.unit.central.test_import import BY, exported, importer

pytestmark = pytest.mark.both_stores

DAY_US = 86_400 * S


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


# -- clocks ------------------------------------------------------------------------------------------------


def send_now(plant: Plant, line: Line, *names: str) -> None:
    """What these agents have written arrives as it is written, by central's clock, too."""
    plant.rig.clock.jump((line.now_us - plant.rig.clock.now_us()) / S)
    plant.send(line, *names)


def head_now(plant: Plant, line: Line, name: str, *, ahead_us: int = 0) -> str:
    agent = plant.agents[name]
    plant.rig.clock.advance(1)
    line.now_us += S
    return plant.rig.ingest.take(agent.state_topic, agent.head(line.now_us + ahead_us)).result


def chain_of(plant: Plant, name: str) -> ChainPart:
    plant.reviews.sweep(everything=True)
    record = plant.reviews.get(plant.id)
    assert record is not None
    return next(part for part in record.certificate.chains if part.agent == name)


def of_agent(plant: Plant) -> dict[str, Any]:
    with plant.rig.store.read() as connection:
        return certificate_of(connection, "assembly-1", plant.rig.clock.now_us(), 120.0)


def cut_off(plant: Plant, line: Line, *, ahead_us: int = DAY_US) -> None:
    """assembly-1 states a head while its clock is ahead; two more records of the order, made when it was right
    again, do not arrive, while those of testing-1 do.
    """
    send_now(plant, line)
    head_now(plant, line, "assembly-1", ahead_us=ahead_us)
    line.piece(5)
    line.wash((5,))
    send_now(plant, line, "testing-1")
    head_now(plant, line, "testing-1")


def test_a_head_stated_while_a_clock_was_ahead_proves_nothing_after_it_came(plant: Plant) -> None:
    """Bug: the chain was COMPLETE while two records of the order were missing behind its last one here."""
    line = Line().clean()
    cut_off(plant, line)
    assert chain_of(plant, "testing-1").grade is Grade.COMPLETE
    assert chain_of(plant, "assembly-1").grade is Grade.TAIL_UNKNOWN
    plant.send(line, "assembly-1")
    head_now(plant, line, "assembly-1")
    assert chain_of(plant, "assembly-1").grade is Grade.COMPLETE


def test_a_head_by_two_clocks_that_were_ahead_proves_nothing_once_centrals_is_right(plant: Plant) -> None:
    line = Line().clean()
    send_now(plant, line)
    plant.rig.clock.jump(2 * 86_400)
    agent = plant.agents["assembly-1"]
    plant.rig.ingest.take(agent.state_topic, agent.head(line.now_us + DAY_US))
    plant.reviews.sweep()
    plant.rig.clock.jump(-2 * 86_400)
    plant.reviews.sweep()
    line.piece(5)
    line.wash((5,))
    send_now(plant, line, "testing-1")
    head_now(plant, line, "testing-1")
    assert chain_of(plant, "assembly-1").grade is Grade.TAIL_UNKNOWN
    plant.rig.clock.advance(600)
    line.now_us += 600 * S
    assert head_now(plant, line, "assembly-1") == "head", "the clocks are right: this one counts"
    assert chain_of(plant, "assembly-1").grade is Grade.COMPLETE, "nothing more was made until then, it says"


def test_an_agent_whose_clock_is_always_ahead_is_proven_by_its_next_head(plant: Plant) -> None:
    line = Line().clean()
    send_now(plant, line)
    head_now(plant, line, "testing-1")
    for _ in range(2):
        assert head_now(plant, line, "assembly-1", ahead_us=300 * S) == "head"
    assert chain_of(plant, "assembly-1").grade is Grade.COMPLETE


def test_a_head_that_comes_again_says_what_it_said_when_it_came_first(plant: Plant) -> None:
    """The broker keeps an agent's last head and repeats it to every central that starts."""
    line = Line().clean()
    send_now(plant, line)
    agent = plant.agents["assembly-1"]
    ahead = agent.head(line.now_us + DAY_US)
    results = []
    for _ in range(2):
        results.append(plant.rig.ingest.take(agent.state_topic, ahead).result)
        line.piece(5 + len(results))
        send_now(plant, line, "testing-1")
    assert results == ["head", "ignored"]
    assert chain_of(plant, "assembly-1").grade is Grade.TAIL_UNKNOWN


def replaced(plant: Plant, opened_us: int) -> Agent:
    """assembly-1 lives on a new PC, which knows nothing of the old one; its clock said this when it began."""
    new = Agent("assembly-1", plant.agents["assembly-1"].key)
    new.envelopes.clear()
    new.write_body("epoch_opened", encode(Fact(replace(HEADER, at_us=opened_us), EpochOpened("created"))))
    assert plant.rig.ingest.take(new.topic, new.frame()).result == "committed"
    return new


@pytest.mark.parametrize("wrong", [True, False])
def test_a_new_pc_whose_clock_is_wrong_proves_nothing_of_the_old_one(plant: Plant, wrong: bool) -> None:
    """Bug: it began in 1970, so any head of the old PC was later, and a lot without its tail was COMPLETE."""
    line = Line().clean()
    send_now(plant, line)
    head_now(plant, line, "assembly-1")
    line.piece(5)
    line.wash((5,))
    send_now(plant, line, "testing-1")
    head_now(plant, line, "testing-1")
    old = plant.agents["assembly-1"]
    new = plant.agents["assembly-1"] = replaced(plant, 0 if wrong else line.now_us)
    head_now(plant, line, "assembly-1")
    assert chain_of(plant, "assembly-1").grade is Grade.INCOMPLETE
    plant.agents["assembly-1"] = old  # its disk is read after all, and its file imported
    plant.send(line, "assembly-1")
    head_now(plant, line, "assembly-1")
    plant.agents["assembly-1"] = new
    assert chain_of(plant, "assembly-1").grade is Grade.COMPLETE


def test_a_certificate_that_is_asked_for_after_an_import_knows_what_its_head_proves(
    plant: Plant, tmp_path: Path
) -> None:
    """Bug: it was incomplete for up to a minute, and for ever where central did not serve."""
    line = Line().clean()
    plant.all_here(line)
    old = plant.agents["assembly-1"]
    plant.agents["assembly-1"] = replaced(plant, line.now_us)
    certificates = Certificates(plant.rig.store, plant.reviews, plant.rig.clock, 120.0)

    def joined() -> list[bool]:
        told: Any = certificates.of_agent("assembly-1")
        return [chain["joined"] for chain in told["chains"]]

    woken: list[None] = []
    plant.rig.ingest.on_committed = lambda: woken.append(None)
    assert joined() == [True, False]
    plant.rig.clock.advance(5)
    file = exported(tmp_path, old, old.frame(), head_us=plant.rig.clock.now_us())
    assert importer(plant.rig).take(file, by=BY).new == 0
    assert joined() == [True, True]
    assert woken, "lots are judged again, though no record came"


@pytest.mark.parametrize("said", ["head", "record"])
def test_nothing_is_known_of_a_time_that_has_not_come(plant: Plant, said: str) -> None:
    """Bug: an agent was known through 300 days from now, and lines were told to look for pieces till then."""
    line = Line()
    line.piece(1)
    if said == "record":
        line.now_us += 300 * DAY_US
        line.piece(2)
    plant.send(line)
    agent = plant.agents["assembly-1"]
    plant.rig.ingest.take(agent.state_topic, agent.head(line.now_us + 300 * DAY_US))
    with plant.rig.store.read() as connection:
        through_us = reached.through_us(connection, plant.rig.clock.now_us())["assembly-1"]
    assert 0 < through_us <= plant.rig.clock.now_us()


# -- countings ---------------------------------------------------------------------------------------------


def missed_twice(line: Line, *, declared: tuple[bool, bool]) -> None:
    """Cycles 2 to 4 of the welder are missed, its counter is reset, and they are missed again."""
    line.piece(1)
    for counting, said in enumerate(declared):
        if counting:
            line.assemble(2 + counting)
            line.weld(2 + counting, cycle=1)
            line.leak(2 + counting)
        if said:
            line.event("cycles-missed", "weld", ordered=False, first="2", last="4")
        index = 5 + counting
        line.assemble(index)
        line.weld(index, cycle=5)
        line.leak(index)
    line.wash((1, 3, 5, 6))


@pytest.mark.parametrize("declared", [(True, False), (False, True), (True, True), (False, False)])
def test_cycles_declared_in_one_counting_explain_nothing_in_another(
    plant: Plant, declared: tuple[bool, bool]
) -> None:
    """Bug: cycles 2 to 4 that were missed after a counter's reset were explained by those missed before it."""
    line = Line()
    missed_twice(line, declared=declared)
    expected = [() if said else (2, 3, 4) for said in declared]

    pure = certify(line.dossier(order()), over=True)
    assert [part.unaccounted for part in pure.cycles if part.station == "weld"] == expected
    plant.all_here(line)
    record = plant.reviews.get(plant.id)
    assert record is not None
    assert [part.unaccounted for part in record.certificate.cycles if part.station == "weld"] == expected
    whole = of_agent(plant)
    assert [tuple(part["unaccounted"]) for part in whole["cycles"] if part["station"] == "weld"] == expected


def test_a_stated_number_that_is_none_breaks_no_certificate(plant: Plant) -> None:
    """Bug: one event with first="many" made ``certificate --agent`` fail for ever."""
    line = Line()
    line.event("cycles-missed", "weld", first="many", last=None)
    line.event("cycles-missed", "weld", first="2")
    line.clean()
    plant.all_here(line)
    whole = of_agent(plant)
    assert whole["grade"] == "complete"


@pytest.mark.parametrize(
    ("away", "grade"),
    [
        ("agent-started", Grade.CYCLES_NOT_PROVABLE),
        ("device-lost", Grade.CYCLES_NOT_PROVABLE),
        ("device-changed", Grade.CYCLES_NOT_PROVABLE),
        (None, Grade.COMPLETE),
    ],
)
def test_a_count_that_began_anew_between_two_orders_while_nobody_watched_is_not_proven(
    plant: Plant, away: str | None, grade: Grade
) -> None:
    """Bug: what was stated before the order's first fact was not looked at, and its lot was COMPLETE."""
    line = Line().clean()
    plant.all_here(line)
    if away is not None:
        line.event(away, ordered=False)
    line.reference = "WO-1001"
    plant.book.orders["WO-1001"] = order("WO-1001")
    line.cycles["OP10"] = line.cycles["OP20"] = 0
    line.clean()
    plant.all_here(line)
    found = plant.reviews._dossiers.assessment("WO-1001").certificate
    assert {part.grade for part in found.cycles if part.agent == "assembly-1"} == {grade}
    whole = of_agent(plant)
    assert (whole["grade"], found.grade) == (grade.value, grade)


def test_cycles_declared_between_two_orders_are_accounted_for(plant: Plant) -> None:
    """Bug: the order's own first record was said to follow cycles that nobody explained, though its agent had."""
    line = Line().clean()
    plant.all_here(line)
    line.event("cycles-missed", "assemble", ordered=False, first="5", last="7")
    line.reference = "WO-1001"
    plant.book.orders["WO-1001"] = order("WO-1001")
    line.cycles["OP10"] += 3
    line.clean()
    plant.all_here(line)
    found = plant.reviews._dossiers.assessment("WO-1001").certificate
    (part,) = [part for part in found.cycles if part.station == "assemble"]
    assert (part.missed, part.unaccounted, part.grade) == ((5, 6, 7), (), Grade.COMPLETE)
