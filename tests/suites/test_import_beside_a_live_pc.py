"""The file of a PC that is gone is imported while its successor works: the successor's epoch stays the newest.

The real outbox, its real export and the real store of central, by hand as in ``test_outbox_to_central``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from central.access import Actor
from central.agent_certificate import certificate_of
from central.cli_keep import UNPROVEN, certificate_lines
from central.domain import Grade
from central.importing import Importer
from central.store import chains, intake, proven_head
from edge_agent.export import Export
from edge_agent.outbox import Batch, Outbox
from records.clock import FakeClock
from records.keys import Identity, IdentityFile, SigningKey
from records.wire import sign, state_topic
from tests.rigs.outboxes import AGENT, batch, open_outbox
from tests.suites.test_lost_for_central import Plant
from tests.suites.test_outbox_to_central import Central


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    clock, key = FakeClock(), SigningKey.generate()
    made = Plant(tmp_path, clock, key, Central(tmp_path / "central", clock, key))
    yield made
    made.outbox.close()
    made.central.store.close()


def exported(folder: Path, plant: Plant) -> Path:
    """What ``buffer export`` writes of a PC's folder."""
    identity = plant.folder / "identity"
    if not identity.exists():
        Identity.write(identity, IdentityFile(AGENT, "p0", ()), plant.key, None)
    out = folder.with_suffix(".lkexport")
    out.unlink(missing_ok=True)
    Export(folder, Identity.open(identity), "test", everything=True).write(out, ("records",), plant.clock)
    return out


def replaced(plant: Plant) -> Path:
    """The PC dies, and a new one that knows nothing of it takes its place; the disk of the old one."""
    plant.outbox.close()
    disk = plant.folder / "old"
    shutil.move(plant.folder / "edge", disk)
    plant.open()
    return disk


def dead_pc(plant: Plant, order: str) -> Path:
    """The disk of a PC that made one run and never had a network."""
    folder = plant.folder / "old"
    outbox = open_outbox(folder, plant.clock)
    outbox.commit(Batch((plant.run(order, 1),))).result()
    outbox.close()
    return folder


def take(plant: Plant, path: Path) -> None:
    central = plant.central
    Importer(central.store, central.facts, central.ingest, lambda _: None).take(path, by=Actor("anna", "test"))


def state_head(plant: Plant) -> None:
    plant.clock.advance(1)
    plant.central.ingest.take(state_topic(AGENT), sign(plant.outbox.head(), plant.key))

    def prove(connection: Connection) -> None:
        for head in proven_head.provable(connection):
            proven_head.prove(connection, head)

    plant.central.store.write(prove)


def hears(plant: Plant, outbox: Outbox) -> str:
    """What an agent makes of the watermark that central tells it."""
    with plant.central.store.read() as connection:
        told = intake.newest_watermark(connection, AGENT, "records")
    assert told is not None
    return str(outbox.apply(told).outcome)


def epochs(plant: Plant) -> list[str]:
    with plant.central.store.read() as connection:
        return [each.epoch for each in chains.epochs(connection, [AGENT])]


def test_an_epoch_that_was_never_heard_of_is_not_the_newest(plant: Plant) -> None:
    """Bug: the live line was told of the imported epoch, took its own for rolled back, and a finished lot, all of
    it here and proven, turned incomplete.
    """
    disk = dead_pc(plant, "WO-1")
    plant.work("WO-2", 2, 3)
    plant.work("WO-3", 4)
    state_head(plant)
    live = plant.outbox.head().epoch
    assert plant.certificate("WO-2").grade is Grade.CYCLES_NOT_PROVABLE
    file = exported(disk, plant)
    take(plant, file)
    assert sorted(filter(None, plant.cycles())) == [1, 2, 3, 4]
    assert hears(plant, plant.outbox) != "rolled_back"
    assert epochs(plant)[-1] == live
    plant.work("WO-3", 5)
    state_head(plant)
    assert plant.outbox.head().epoch == live
    assert plant.certificate("WO-2").grade is Grade.COMPLETE, "the cycle before it is known by now"
    take(plant, file)
    assert epochs(plant)[-1] == live, "and again changes nothing"


def test_an_epoch_that_follows_the_newest_is_the_newest(plant: Plant) -> None:
    """Its PC lives and lost the network alone: central must tell it of the epoch that it lives in."""
    plant.work("WO-1", 1)
    first = plant.outbox.head().epoch
    image = plant.take_image()
    plant.work("WO-1", 2)
    plant.put_back(image)
    hears(plant, plant.outbox)  # it goes on in an epoch that names the first
    plant.work("WO-1", 3, sent=False)
    second = plant.outbox.head().epoch
    assert second != first
    plant.outbox.close()
    take(plant, exported(plant.folder / "edge", plant))
    assert epochs(plant) == [first, second]
    plant.open()
    plant.outbox.commit(batch(9)).result()
    assert hears(plant, plant.outbox) == "advanced"


def grades(plant: Plant, order: str) -> tuple[Grade, str, str]:
    """Of a lot, of its agent as a whole, and what is told of why."""
    with plant.central.store.read() as connection:
        told = certificate_of(connection, AGENT, plant.clock.now_us(), 120.0)
    return plant.certificate(order).grade, str(told["grade"]), "\n".join(certificate_lines(told))


def test_what_central_told_a_new_pc_does_not_prove_what_the_dead_one_had_not_sent(plant: Plant) -> None:
    """Bug: the new PC named the last record that central has, and a lot of which two records had died with the old
    disk was COMPLETE.
    """
    plant.work("WO-1", 1)
    state_head(plant)
    for number in (7, 8):
        plant.outbox.commit(batch(number, plant.clock)).result()
    disk = replaced(plant)
    assert hears(plant, plant.outbox) == "rolled_back"
    plant.work("WO-1", 2)
    state_head(plant)
    lot, agent, told = grades(plant, "WO-1")
    assert (lot, agent) == (Grade.INCOMPLETE, "incomplete")
    assert "what its agent made before it began anew is not proven: incomplete" in told
    assert UNPROVEN in told
    take(plant, exported(disk, plant))
    state_head(plant)
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")


@pytest.mark.parametrize("known", ["before", "after"])
def test_after_a_restore_too_the_file_of_a_dead_pc_proves_what_came_before_its_successor(
    plant: Plant, known: str
) -> None:
    """Bug: the successor named the beginning of its own file as what came before, and no file, nor any head, ever
    made the lot complete. ``known``: the agent was enrolled before the backup, or after it.
    """
    if known == "before":
        plant.work("WO-1", 1)
    backup = plant.back_up()
    if known == "after":
        plant.work("WO-1", 1)
    plant.work("WO-1", 2)
    plant.work("WO-1", 3, sent=False)
    disk = replaced(plant)
    assert hears(plant, plant.outbox) == "rolled_back"
    plant.work("WO-1", 4)
    plant.central.restore(backup, 2)
    plant.work("WO-1", 5)
    state_head(plant)
    lot, agent, _ = grades(plant, "WO-1")
    assert (lot is Grade.COMPLETE, agent) == (False, "incomplete")
    take(plant, exported(disk, plant))
    state_head(plant)
    assert sorted(filter(None, plant.cycles())) == [1, 2, 3, 4, 5]
    assert grades(plant, "WO-1")[:2] == (Grade.COMPLETE, "complete")
