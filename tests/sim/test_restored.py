"""Central restored to a time before its agent's present epoch began, of which the broker holds the head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.outbox import Gap
from edge_agent.outbox.lost import told
from records.keys import SigningKey
from tests.rigs.outboxes import make_identity, numbers
from tests.sim.bus import Bus
from tests.sim.centre import Centre
from tests.sim.edge import KEEP_S, Edge


class Plant:
    """One agent at one central; nothing goes wrong by itself."""

    def __init__(self, root: Path) -> None:
        key = SigningKey.generate()
        self.bus = Bus()
        identity = make_identity(root / "identity", key)
        self.centre = Centre(root, key, [identity], self.bus)
        self.edge = Edge(root, identity, self.bus)

    def rest(self, rounds: int = 12) -> None:
        """Until nothing is on its way; an agent that is offline stays so."""
        if not self.centre.connected:
            self.centre.connect()
        for _ in range(rounds):
            for clock in (self.centre.clock, self.edge.clock):
                clock.advance(1.0)
            self.step()

    def step(self) -> None:
        for name in tuple(self.bus.up):
            while self.bus.up[name]:
                self.bus.arrive(name)
        while self.centre.connected and self.bus.kept:
            self.centre.receive(self.bus.for_central())
        while self.centre.connected and self.bus.up["central"]:
            self.bus.arrive("central")
        if self.edge.link is not None:
            while self.bus.down[self.edge.name]:
                self.edge.receive(self.bus.down[self.edge.name].popleft())
            self.edge.turn()

    def run(self, cycles: int) -> None:
        """Cycles that central has afterwards."""
        for _ in range(cycles):
            self.edge.run_cycle()
        if self.edge.link is None:
            self.edge.connect()
        self.rest()
        assert self.edge.drained

    def roll_back(self) -> None:
        """The disk as it was two cycles ago: the agent begins another epoch, which central has."""
        image = self.edge.snapshot()
        self.run(2)
        before = self.edge.outbox.head().epoch
        self.edge.put_back(image, set())
        self.run(0)
        assert self.edge.outbox.head().epoch != before


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    assert made.edge.close() == []
    assert made.centre.close() == []


def again(plant: Plant) -> list[int]:
    """The cycles that the agent has stored anew for central after the restore."""
    return numbers(plant.edge.outbox, plant.edge.outbox.acknowledged()[0])


def restored_behind(plant: Plant, backup: Path) -> list[int]:
    """Central is restored while the agent is away; what the agent then is about to send again."""
    plant.edge.disconnect()
    plant.centre.restore(backup)
    plant.rest(3)
    plant.edge.connect()
    while plant.bus.down[plant.edge.name]:
        plant.edge.receive(plant.bus.down[plant.edge.name].popleft())
    plant.edge.uplink._apply_marks()
    return again(plant)


def test_a_retained_head_does_not_make_central_forget_what_it_has(plant: Plant) -> None:
    plant.run(10)
    backup = plant.centre.backup()
    plant.run(6)
    plant.roll_back()
    assert restored_behind(plant, backup) == [*range(11, 17)], "and not what central has"
    plant.rest()
    assert plant.edge.drained
    assert set(plant.centre.held(plant.edge.name)) == {*range(1, 17)}


def test_lost_is_what_was_freed_behind_the_backup(plant: Plant) -> None:
    plant.run(10)
    backup = plant.centre.backup()
    first = plant.edge.outbox.head().epoch
    plant.run(3)
    freed = plant.edge.outbox.head().last
    plant.edge.clock.advance(KEEP_S)
    plant.run(4)
    plant.roll_back()
    assert restored_behind(plant, backup) == [*range(14, 18)]
    (restored,) = plant.edge.outbox._writer.submit(told).result()
    assert restored.gaps == (Gap(first, 12, freed), Gap(first, 19, 20)), "and what went with the disk"


@pytest.mark.parametrize("moment", ["before all", "within", "at its end"])
def test_frames_that_the_broker_held_do_not_hide_what_central_lacks_before_them(plant: Plant, moment: str) -> None:
    """The first ones of an epoch, which reach the restored central before their agent has heard of the restore.

    Bug: central began the epoch, told the agent so, and what it lacked of the one before never came. ``moment``:
    when of that one it was backed up.
    """
    backups = {"before all": plant.centre.backup()}
    plant.run(10)
    backups["within"] = plant.centre.backup()
    plant.run(6)
    backups["at its end"] = plant.centre.backup()
    backup = backups[moment]
    image = plant.edge.snapshot()
    plant.run(2)
    plant.centre.disconnect()
    plant.edge.put_back(image, set())
    first = plant.edge.outbox.head().epoch
    plant.edge.run_cycle()
    plant.edge.connect()
    for _ in range(4):
        plant.edge.clock.advance(1.0)
        plant.step()
    assert plant.edge.outbox.head().epoch != first
    assert plant.bus.kept
    restored_behind(plant, backup)
    plant.rest()
    assert plant.edge.drained
    assert set(plant.centre.held(plant.edge.name)) == {*range(1, 17), 19}
