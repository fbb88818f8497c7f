"""What a line had to give up of its backlog, since its disk had altered it: no certificate is complete without it.

The real outbox and the real store of central, as in ``test_lost_for_central``.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from central.agent_certificate import certificate_of
from central.domain import Grade
from central.store import proven_head
from edge_agent.outbox import Batch
from records.wire import sign, state_topic
from tests.rigs.outboxes import AGENT, open_outbox, unguarded
from tests.suites.test_former_telemetry import Trend
from tests.suites.test_former_telemetry import trend as trend
from tests.suites.test_lost_for_central import Plant
from tests.suites.test_lost_for_central import plant as plant
from tests.suites.test_outbox_to_central import exchange

ALTER_BODY = "UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = (SELECT max(position) FROM records)"
FORGET_HEAD = "UPDATE epochs SET head = zeroblob(32)"


def altered(path: Path, statement: str = ALTER_BODY) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        unguarded(connection, statement)


def of_agent(plant: Plant) -> Any:
    with plant.central.store.read() as connection:
        return certificate_of(connection, AGENT, plant.clock.now_us(), 120.0)


def make(plant: Plant, order: str, *cycles: int) -> None:
    for cycle in cycles:
        plant.outbox.commit(Batch((plant.run(order, cycle),))).result()


def say_head(plant: Plant) -> None:
    """As every 30 s; what heads prove is looked at before a judgement."""
    plant.clock.advance(1)
    plant.central.ingest.take(state_topic(AGENT), sign(plant.outbox.head(), plant.key))
    with plant.central.store.read() as connection:
        heads = proven_head.provable(connection)
    plant.central.store.write(lambda connection: [proven_head.prove(connection, head) for head in heads])


def on_two_disks(plant: Plant, where: str) -> tuple[str, int, int]:
    """A copy of the disk works offline, its disk alters one record, and central's word has it store all of that
    again. The disk of before says by its head that all it had made is here. The record's former identity.
    """
    plant.work("WO-1", 1, 2)
    image = plant.take_image()
    plant.work("WO-1", 3)
    plant.outbox.close()
    former = shutil.copytree(plant.folder / "edge", plant.folder / "former")
    plant.put_back(image)
    make(plant, "WO-2", 4)
    make(plant, "WO-3", 5, 6)
    if where == "between two orders":
        altered(plant.outbox.path)
        lost = plant.outbox.head()
    make(plant, "WO-4", 7, 8)
    if where == "within an order":
        altered(plant.outbox.path)
        lost = plant.outbox.head()
    make(plant, "WO-4", 9)
    make(plant, "WO-5", 10, 11)
    exchange(plant.outbox, plant.central, plant.key)
    with closing(open_outbox(former, plant.clock)) as before:
        plant.clock.advance(1)
        plant.central.ingest.take(state_topic(AGENT), sign(before.head(), plant.key))
    say_head(plant)
    return lost.epoch, lost.last, lost.last


def lost_of(plant: Plant, *orders: str) -> dict[str, list[tuple[str, int, int]]]:
    parts = {order: plant.certificate(order).chains[-1] for order in orders}
    return {order: [(gap.epoch, gap.first, gap.last) for gap in part.lost] for order, part in parts.items()}


@pytest.mark.parametrize(
    ("where", "near"), [("within an order", ["WO-4"]), ("between two orders", ["WO-3", "WO-4"])]
)
def test_a_record_that_could_not_be_stored_again_is_missing_where_it_stood(
    plant: Plant, where: str, near: list[str]
) -> None:
    """Bug: central held under its number what the disk of before had made there, and all was COMPLETE.

    The first order of the epoch has it named, too: nobody knows what was between it and the one before.
    """
    lost = on_two_disks(plant, where)
    told = lost_of(plant, "WO-2", "WO-3", "WO-4", "WO-5")
    assert told == {order: [lost] if order in ("WO-2", *near) else [] for order in told}
    grades = {order: plant.certificate(order).chains[-1].grade for order in told}
    assert grades["WO-5"] is Grade.COMPLETE
    assert {grades[order] for order in near} == {Grade.INCOMPLETE}
    newest = of_agent(plant)["chains"][-1]
    assert (newest["grade"], newest["joined"]) == ("incomplete", False)
    assert newest["lost"] == [{"epoch": lost[0], "first": lost[1], "last": lost[2]}]


def test_what_a_damaged_file_could_not_hand_over_is_missing_though_what_came_behind_it_stands_again(
    plant: Plant,
) -> None:
    """Bug: the last record vouched for those before it, and a lot without one of them was COMPLETE."""
    plant.work("WO-1", 1, 2)
    make(plant, "WO-2", 3, 4)
    altered(plant.outbox.path)
    lost = plant.outbox.head()
    make(plant, "WO-2", 5)
    make(plant, "WO-3", 6)
    plant.outbox.close()
    altered(plant.outbox.path, FORGET_HEAD)
    plant.open()
    assert plant.outbox.finding.why == "damaged"
    make(plant, "WO-4", 7, 8)
    exchange(plant.outbox, plant.central, plant.key)
    say_head(plant)
    told = lost_of(plant, "WO-2", "WO-4")
    assert told == {"WO-2": [(lost.epoch, lost.last, lost.last)], "WO-4": []}
    assert [plant.certificate(order).chains[-1].grade for order in told] == [Grade.INCOMPLETE, Grade.COMPLETE]
    newest = of_agent(plant)["chains"][-1]
    assert newest["lost"] == [{"epoch": lost.epoch, "first": lost.last, "last": lost.last}]


def test_chunks_of_telemetry_that_could_not_be_stored_again_are_missing(trend: Trend) -> None:
    """Bug: the last one vouched for those before it, and the line of the former series was complete."""
    trend.keep(1)
    trend.keep(2, 3, sent=False)
    altered(trend.outbox.path)
    lost = trend.outbox.head()
    trend.keep(4, sent=False)
    trend.say_head()
    trend.outbox.close()
    altered(trend.folder / "edge" / "telemetry.db", FORGET_HEAD)
    trend.open()
    trend.keep(5)
    former, newest = trend.lines()
    assert (former["epoch"], newest["grade"]) == (lost.epoch, "incomplete")
    assert newest["lost"] == [{"epoch": lost.epoch, "first": lost.last, "last": lost.last}]
