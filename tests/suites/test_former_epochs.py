"""What is said of a former epoch of an agent: by its own signed head, by copies of its disk, by its successors.

The real outbox, its real export and the real store of central, by hand as in ``test_outbox_to_central``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from central.agent_certificate import certificate_of
from central.certificate import worst
from central.cli_keep import OTHERWISE, certificate_lines
from central.domain import Grade
from central.store import awaited
from records.clock import FakeClock
from records.keys import SigningKey
from records.wire import sign, state_topic
from tests.rigs.outboxes import AGENT
from tests.suites.test_import_beside_a_live_pc import exported, grades, hears, replaced, state_head, take
from tests.suites.test_lost_for_central import Plant
from tests.suites.test_outbox_to_central import Central


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    clock, key = FakeClock(), SigningKey.generate()
    made = Plant(tmp_path, clock, key, Central(tmp_path / "central", clock, key))
    yield made
    made.outbox.close()
    made.central.store.close()


def say_head(plant: Plant) -> None:
    """The agent's signed head arrives; the records that it names may not be here."""
    plant.clock.advance(1)
    plant.central.ingest.take(state_topic(AGENT), sign(plant.outbox.head(), plant.key))


def lines_of(plant: Plant) -> list[dict[str, Any]]:
    with plant.central.store.read() as connection:
        told: Any = certificate_of(connection, AGENT, plant.clock.now_us(), 120.0)
    return list(told["chains"])


def words(plant: Plant) -> str:
    with plant.central.store.read() as connection:
        return "\n".join(certificate_lines(certificate_of(connection, AGENT, plant.clock.now_us(), 120.0)))


def test_the_line_of_a_former_epoch_says_what_its_own_head_names_and_is_not_here(plant: Plant) -> None:
    """Bug: the line read complete, with 0 missing."""
    plant.work("WO-1", 1)
    plant.work("WO-1", 2, 3, sent=False)
    say_head(plant)
    disk = replaced(plant)
    assert hears(plant, plant.outbox) == "rolled_back"
    plant.work("WO-1", 4)
    state_head(plant)
    former, newest = lines_of(plant)
    assert (former["grade"], former["missing"]) == ("incomplete", 2)
    assert former["missing_records"] == [{"first": 3, "last": 4, "signed": True}]
    assert "records 1 to 2, 2 missing (3 to 4)" in words(plant)
    assert newest["grade"] == "incomplete"
    (chain, _) = plant.certificate("WO-1").chains
    assert (chain.grade, chain.missing) == (Grade.INCOMPLETE, 2)
    take(plant, exported(disk, plant))
    state_head(plant)
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")


def test_an_older_copy_of_a_disk_proves_nothing_of_what_came_after_it(plant: Plant) -> None:
    """Bug: its export states where the copy ends, after the successor began, and the lot was COMPLETE."""
    plant.work("WO-1", 1)
    copy = plant.take_image()
    plant.work("WO-1", 2)
    plant.work("WO-1", 3, sent=False)
    disk = replaced(plant)
    assert hears(plant, plant.outbox) == "rolled_back"
    plant.work("WO-1", 4)
    state_head(plant)
    take(plant, exported(copy, plant))
    state_head(plant)
    assert worst(c.grade for c in plant.certificate("WO-1").chains) is Grade.INCOMPLETE
    take(plant, exported(disk, plant))
    state_head(plant)
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")


def put_back_and_away(plant: Plant) -> tuple[Path, Path]:
    """A disk is put back to an image that lacks what central has, while two records were never sent; the disk
    that they are on, and a backup of central from after the image and before the agent began anew.
    """
    plant.work("WO-1", 1, 2)
    image = plant.take_image()
    plant.work("WO-1", 3)
    backup = plant.back_up()
    plant.work("WO-1", 4, 5, sent=False)
    plant.outbox.close()
    disk = shutil.copytree(plant.folder / "edge", plant.folder / "old")
    plant.open()
    plant.put_back(image)
    return disk, backup


def test_an_image_and_then_a_restore_prove_nothing_of_the_disk_before(plant: Plant) -> None:
    """Bug: after the restore the agent named the last record that its image held, central had more than that, and
    the lot was COMPLETE without the two records that had never been sent.
    """
    disk, backup = put_back_and_away(plant)
    plant.work("WO-1", 6)
    assert hears(plant, plant.outbox) == "unchanged"
    state_head(plant)
    plant.restore(backup, 2)
    plant.work("WO-1", 7)
    state_head(plant)
    assert sorted(filter(None, plant.cycles())) == [1, 2, 3, 6, 7]
    assert grades(plant, "WO-1")[1] == "incomplete"
    assert worst(c.grade for c in plant.certificate("WO-1").chains) is Grade.INCOMPLETE
    take(plant, exported(disk, plant))
    state_head(plant)
    assert sorted(filter(None, plant.cycles())) == [*range(1, 8)]
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")


@pytest.mark.parametrize("restored", [False, True])
def test_what_a_copy_signed_before_it_was_told_better_hides_no_disk(plant: Plant, restored: bool) -> None:
    """Bug: the copy's head was higher than that of the disk, which nobody took any more: for ever INCOMPLETE."""
    disk, backup = put_back_and_away(plant)
    plant.work("WO-1", 6, 7, 8, 9, sent=False)
    say_head(plant)
    if restored:
        shutil.rmtree(backup)
        backup = plant.back_up()
    plant.send()
    plant.work("WO-1", 10)
    state_head(plant)
    if restored:
        plant.restore(backup, 2)
        plant.work("WO-1", 11)
        state_head(plant)
    assert grades(plant, "WO-1")[:2] == (Grade.INCOMPLETE, "incomplete")
    former, *_ = lines_of(plant)
    assert former["missing"] == 0, "what the copy made is here under its later numbers"
    take(plant, exported(disk, plant))
    state_head(plant)
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")


@pytest.mark.parametrize("outdone", [False, True])
def test_a_disk_that_went_on_in_two_ways_within_one_epoch_is_not_complete(plant: Plant, outdone: bool) -> None:
    """Bug: central had a signed head of records that never came; others came under their numbers, and the chain
    was COMPLETE. ``outdone``: the copy signed a higher head before its records came, and nothing told of it.
    """
    plant.work("WO-1", 1)
    image = plant.take_image()
    plant.work("WO-1", 2, 3, sent=False)
    say_head(plant)
    plant.put_back(image)
    plant.work("WO-1", 4, 5, 6, sent=not outdone)
    if outdone:
        say_head(plant)
        plant.send()
    state_head(plant)
    (line,) = lines_of(plant)
    assert (line["grade"], line["otherwise"]) == ("incomplete", [4])
    assert "another record 4 was signed and is not here" in words(plant)
    assert OTHERWISE in words(plant)
    (chain,) = plant.certificate("WO-1").chains
    assert (chain.grade, chain.otherwise, chain.unproven) == (Grade.INCOMPLETE, (4,), False)


def test_heads_whose_records_came_take_no_room_from_one_whose_records_never_do(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: after so many times behind, no head that gave way was kept any more, and two ways were COMPLETE."""
    monkeypatch.setattr(awaited, "MOST", 3)
    for cycle in range(1, 11, 2):  # the line is behind, again and again
        plant.work("WO-1", cycle, sent=False)
        say_head(plant)
        plant.work("WO-1", cycle + 1, sent=False)
        say_head(plant)
        plant.send()
    (line,) = lines_of(plant)
    assert (line["grade"], line["otherwise"]) == ("complete", [])
    image = plant.take_image()
    plant.work("WO-1", 11, sent=False)
    say_head(plant)
    plant.put_back(image)
    plant.work("WO-1", 12, 13, sent=False)
    say_head(plant)
    plant.send()
    state_head(plant)
    (line,) = lines_of(plant)
    assert (line["grade"], line["otherwise"]) == ("incomplete", [12])
