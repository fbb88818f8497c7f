"""What the doctor says of lots that wait for what is on a former disk of a line PC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from central import former_disks
from central.doctor_told import Told
from records.model import Fact, encode, kind_of
from tests.unit.central.core_rig import Agent
from tests.unit.central.factories import Line, order
from tests.unit.central.test_certificate_proof import head_now, replaced, send_now
from tests.unit.central.test_domain_reviews import QA, Plant
from tests.unit.central.test_import import BY, exported, importer

pytestmark = pytest.mark.both_stores

NAME = "assembly-1"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.rig.store.close()


def told(plant: Plant) -> list[Told]:
    plant.reviews.sweep(everything=True)
    with plant.rig.store.read() as connection:
        return list(former_disks.waited_for(connection))


def over(plant: Plant) -> None:
    plant.book.orders["WO-1000"] = replace(order(), state="closed")


def two_pcs(plant: Plant, *, signed: bool) -> tuple[Agent, Agent]:
    """A PC dies with records of the order that never came, perhaps ``signed``, and another takes its place."""
    line = Line().clean()
    send_now(plant, line)
    head_now(plant, line, NAME)
    line.piece(5)
    line.wash((5,))
    send_now(plant, line, "testing-1")
    head_now(plant, line, "testing-1")
    old = plant.agents[NAME]
    came = len(old.envelopes)
    plant.agents[NAME] = new = replaced(plant, line.now_us)
    head_now(plant, line, NAME)
    plant.agents[NAME] = old
    for header, data in line.tapes[NAME].entries[plant.sent[NAME] :]:
        old.write_body(kind_of(data), encode(Fact(header, data)))
    assert len(old.envelopes) > came
    if signed:
        plant.rig.ingest.take(old.state_topic, old.head(line.now_us))
    plant.agents[NAME] = new
    return old, new


@pytest.mark.parametrize("signed", [False, True])
def test_it_names_agent_series_and_lot_until_the_disk_was_imported(
    plant: Plant, tmp_path: Path, signed: bool
) -> None:
    """Bug: nobody said so but the certificate of each lot."""
    old, new = two_pcs(plant, signed=signed)
    (one,) = told(plant)
    assert (one.check, one.state) == ("former disks", "warning")
    assert one.do is not None
    for name in (NAME, old.epoch, new.epoch, "lot WO-1000 of VS-100"):
        assert name in one.says
    assert ("it signed that it had made records" in one.says) is signed
    plant.rig.clock.advance(5)
    file = exported(tmp_path, old, old.frame(), head_us=plant.rig.clock.now_us())
    assert importer(plant.rig).take(file, by=BY).new > 0
    (one,) = told(plant)
    assert (one.state, one.do) == ("fine", None)


def test_it_says_no_more_of_a_lot_that_a_person_has_explained(plant: Plant) -> None:
    two_pcs(plant, signed=False)
    over(plant)
    (one,) = told(plant)
    assert one.state == "warning"
    (gap,) = [each for each in plant.reviews.findings() if each.code == "certificate-incomplete"]
    plant.reviews.close(gap.id, gap.content_hash, QA, "close", "the disk is gone; parts and counter agree")
    (one,) = told(plant)
    assert one.state == "fine"


def test_a_lot_that_is_incomplete_for_its_cycles_alone_waits_for_no_disk(plant: Plant) -> None:
    line = Line()
    line.piece(1)
    line.cycles["OP10"] += 3
    line.piece(2)
    line.wash((1, 2))
    plant.all_here(line)
    over(plant)
    (one,) = told(plant)
    assert one.state == "fine"
