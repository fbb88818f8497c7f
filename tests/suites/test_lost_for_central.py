"""A line that went through several epochs meets a central that was restored: whatever is lost has a name.

The real outbox and the real store of central, by hand as in ``test_outbox_to_central``.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from central.agent_certificate import certificate_of
from central.assessment import Limits
from central.domain import Certificate, Grade
from central.dossiers import Dossiers
from central.store import chains, intake, proven_head
from central.verify import verify as verify_central
from edge_agent.outbox import Batch, Outbox, export, verify
from records.clock import FakeClock
from records.keys import PublicKey, SigningKey
from records.model import (
    EpochOpened,
    Fact,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Result,
    Subject,
    SubjectKind,
    SubjectResult,
    decode,
)
from records.wire import CENTRAL, Envelope, sign, state_topic
from tests.rigs.outboxes import AGENT, header, open_outbox, unguarded
from tests.suites.test_outbox_to_central import Central, exchange
from tests.unit.central.test_domain_reviews import Book

KEEP_S = 1000.0


Identity = tuple[str, int]
"""Epoch and seq."""


def identities(rows: Iterable[Envelope]) -> dict[Identity, Identity]:
    """The identity of records -> the one under which each was first made; what says only that an epoch was opened
    is left out.
    """
    found = {}
    for row in rows:
        fact = decode(row.kind, row.body or b"")
        if not isinstance(fact.data, EpochOpened):
            old = fact.header.stored_as
            found[row.epoch, row.seq] = (old.epoch, old.seq) if old else (row.epoch, row.seq)
    return found


@dataclass
class Plant:
    """One line and one central. ``made``: every record that the line ever had on its disk."""

    folder: Path
    clock: FakeClock
    key: SigningKey
    central: Central
    outbox: Outbox = field(init=False)
    made: dict[Identity, Identity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.outbox = open_outbox(self.folder / "edge", self.clock, keep_acknowledged_s=KEEP_S)

    def work(self, order: str, *cycles: int, sent: bool = True) -> None:
        """Machine cycles of an order, until central has them."""
        for cycle in cycles:
            self.outbox.commit(Batch((self.run(order, cycle),))).result()
        if sent:
            self.send()
        self.note()

    def send(self) -> None:
        exchange(self.outbox, self.central, self.key)
        self.note()

    def note(self) -> None:
        self.made |= identities(export(self.outbox.path))

    def run(self, order: str, cycle: int) -> Fact:
        self.clock.advance(1.0)
        at_us = self.clock.now_us()
        part = SubjectResult(Subject(SubjectKind.CARRIER, f"C{cycle}"), Result.PASS, 1)
        record = OperationRecord(
            *(f"run-{cycle}", "weld", "WELD-01", "OP20", order, "VS-100", order, Purpose.PRODUCTION, 1, cycle),
            *(at_us, at_us, Outcome.COMPLETED, (part,)),
        )
        return Fact(replace(header(self.clock), station="weld"), record)

    def take_image(self) -> Path:
        """A copy of the disk."""
        image = self.folder / "image"
        shutil.rmtree(image, ignore_errors=True)
        self.outbox.close()
        shutil.copytree(self.folder / "edge", image)
        self.open()
        return image

    def put_back(self, image: Path) -> None:
        self.outbox.close()
        shutil.rmtree(self.folder / "edge")
        shutil.copytree(image, self.folder / "edge")
        self.open()

    def damage(self) -> None:
        """A row loses its hash: the file is set aside, and a new one begins."""
        self.outbox.close()
        with closing(sqlite3.connect(self.folder / "edge" / "records.db")) as connection, connection:
            unguarded(
                connection,
                "UPDATE records SET hash = zeroblob(32) WHERE position = (SELECT max(position) FROM records)",
            )
        self.open()
        assert self.outbox.finding.why == "damaged"

    def back_up(self) -> Path:
        self.central.store.close()
        backup = shutil.copytree(self.folder / "central", self.folder / "backup")
        self.central.open()
        return backup

    def restore(self, backup: Path, generation: int) -> None:
        """Central says where it stands as at every start, and the line sends again."""
        self.central.restore(backup, generation)
        with self.central.store.read() as connection:
            stands = intake.newest_watermark(connection, AGENT, "records")
        assert stands is not None
        self.outbox.apply(stands)
        self.send()

    def cycles(self) -> list[int | None]:
        facts = sorted(self.central.store.facts(agent=AGENT), key=lambda each: each.cursor)
        return [each.fact.data.cycle for each in facts if isinstance(each.fact.data, OperationRecord)]

    def nameless(self) -> set[Identity]:
        """What the line once made and that central neither holds nor names, under any of its numbers."""
        held = {(each.epoch, each.seq) for each in self.central.store.facts(agent=AGENT)}
        with self.central.store.read() as connection:
            told = chains.epochs(connection, [AGENT])
        gaps = [gap for each in told for gap in each.gaps]
        named = {(gap.epoch, seq) for gap in gaps for seq in range(gap.first, gap.last + 1)}
        assert not held & named
        return set(self.made.values()) - {self.made.get(each, each) for each in held | named}

    def certificate(self, order: str) -> Certificate:
        return Dossiers(self.central.store, self.clock, Book(), Limits()).assessment(order).certificate


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    clock, key = FakeClock(), SigningKey.generate()
    central = Central(tmp_path / "central", clock, key)
    made = Plant(tmp_path, clock, key, central)
    yield made
    made.outbox.close()
    central.store.close()


def test_what_is_lost_of_several_epochs_has_a_name_for_each(plant: Plant) -> None:
    """A rolled-back disk, a damaged file, another rolled-back disk; what was acknowledged of all is freed."""
    plant.work("WO-1", 1, 2)
    plant.work("WO-2", 3, 4)
    first = plant.outbox.head()
    plant.central.ingest.take(state_topic(AGENT), sign(first, plant.key))
    backup = plant.back_up()
    image = plant.take_image()
    plant.work("WO-2", 5, 6)
    plant.put_back(image)
    plant.work("WO-3", 7, 8)
    second = plant.outbox.head()
    plant.damage()
    plant.work("WO-4", 9, 10)
    third = plant.outbox.head()
    image = plant.take_image()
    plant.work("WO-4", 11, 12)
    plant.put_back(image)
    plant.work("WO-5", 13, 14)
    plant.clock.advance(2 * KEEP_S)
    plant.outbox.prune()
    fourth = plant.outbox.head()
    plant.work("WO-5", 15, 16)
    plant.work("WO-6", 17, 18, sent=False)
    assert len({first.epoch, second.epoch, third.epoch, fourth.epoch}) == 4
    assert len(plant.nameless()) == 2, "what waits"

    plant.restore(backup, 2)
    assert plant.cycles() == [1, 2, 3, 4, 15, 16, 17, 18]
    assert plant.nameless() == set()

    with plant.central.store.read() as connection:
        told: Any = certificate_of(connection, AGENT, plant.clock.now_us(), 120.0)
    before, behind = told["chains"]
    gaps = tuple(tuple(gap.values()) for gap in behind["lost"])
    assert gaps == (
        (first.epoch, first.last + 1, first.last + 2),
        (second.epoch, 1, second.last),
        (third.epoch, 1, third.last + 2),
        (fourth.epoch, 1, fourth.last),
    )
    assert (told["grade"], before["grade"], before["lost"]) == ("incomplete", "incomplete", [])
    rows = [decode(row.kind, row.body or b"").data for row in export(plant.outbox.path)]
    (said,) = (
        each.params for each in rows if isinstance(each, OperationsEvent) and each.code == "central-restored"
    )
    assert said["lost"] == [{"epoch": e, "first": str(first_), "last": str(last)} for e, first_, last in gaps]
    with plant.central.store.read() as connection:
        (head,) = proven_head.provable(connection)
    plant.central.store.write(lambda connection: proven_head.prove(connection, head))
    lost = {
        order: [tuple((g.epoch, g.first, g.last) for g in chain.lost) for chain in plant.certificate(order).chains]
        for order in ("WO-2", "WO-5", "WO-6")
    }
    assert lost == {"WO-2": [gaps], "WO-5": [gaps], "WO-6": [()]}, "begun before, ended behind, all of it behind"
    assert plant.certificate("WO-2").grade is plant.certificate("WO-5").grade is Grade.INCOMPLETE
    assert plant.certificate("WO-2").chains[0].missing == sum(last - first_ + 1 for _, first_, last in gaps)
    assert verify(plant.outbox.path).ok


def test_a_second_restore_names_again_what_is_lost_for_ever(plant: Plant) -> None:
    plant.work("WO-1", 1, 2)
    backup = plant.back_up()
    image = plant.take_image()
    plant.work("WO-1", 3, 4)
    plant.put_back(image)
    plant.work("WO-2", 5, 6)
    plant.clock.advance(2 * KEEP_S)
    plant.outbox.prune()
    plant.work("WO-3", 7, 8)
    for generation in (2, 3):
        plant.restore(backup, generation)
        assert plant.nameless() == set()
        assert plant.cycles() == [1, 2, 7, 8]
        plant.clock.advance(2 * KEEP_S)
    plant.outbox.prune()
    plant.restore(backup, 4)
    plant.work("WO-4", 9)
    assert plant.cycles() == [1, 2, 9]
    assert plant.nameless() == set()


def test_a_file_that_was_lost_with_all_that_it_knew_is_named_as_far_as_the_note_beside_it_goes(
    plant: Plant,
) -> None:
    plant.work("WO-1", 1, 2)
    backup = plant.back_up()
    plant.work("WO-1", 3, 4)
    first = plant.outbox.head()
    plant.outbox.close()
    (plant.folder / "edge" / "records.db").unlink()
    plant.open()
    plant.work("WO-2", 5, 6)
    plant.clock.advance(2 * KEEP_S)
    plant.outbox.prune()
    plant.work("WO-3", 7, 8)
    plant.restore(backup, 2)
    assert plant.cycles() == [1, 2, 7, 8]
    assert plant.nameless() == set()
    with plant.central.store.read() as connection:
        gap = chains.epochs(connection, [AGENT])[1].gaps[0]
    assert (gap.epoch, gap.first, gap.last) == (first.epoch, 4, first.last)
    ring = [PublicKey(CENTRAL, plant.central.key.public.hex())]
    found = verify_central(plant.central.store.database, plant.folder / "central" / "anchors.jsonl", ring)
    assert len(found.gaps) == 2
