"""A change of central's key that is cut off anywhere: either nobody heard of it, or the next start ends it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from central.access import Actor
from central.app import Central, build
from central.keys import NEXT, CentralKeys
from central.rollover import Rollover
from central.settings import CentralSettings
from records.clock import FakeClock
from records.keys import KeyRing
from records.wire import CENTRAL, CENTRAL_KEYS, Document, unsign


class Killed(BaseException):
    pass


class Plant:
    def __init__(self, folder: Path) -> None:
        self.settings = CentralSettings(site="suzhou", time_zone="Asia/Shanghai", folder=folder)
        folder.mkdir()
        self.clock = FakeClock()
        self.former = CentralKeys.create(self.settings.keys, self.clock.now_us()).signing.id

    def start(self) -> Central:
        return build(self.settings, self.clock)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path / "central")


def roll(central: Central) -> None:
    rollover = Rollover(central.keys, central.store, central.facts, central.clock, lambda *_: None, ())
    rollover.roll("yearly", by=Actor("a", "test"))


def test_before_the_database_told_of_it_nothing_has_changed(plant: Plant) -> None:
    with closing(plant.start()) as central:
        with patch.object(central.store, "write", side_effect=Killed), pytest.raises(Killed):
            roll(central)
        assert (central.keys.folder / NEXT).exists()
    with closing(plant.start()) as central:
        assert central.keys.signing.id == plant.former
        assert not (central.keys.folder / NEXT).exists()


@pytest.mark.parametrize("step", ["announced.json", "central.json", "central.key"])
def test_once_the_database_told_of_it_the_next_start_ends_it(plant: Plant, step: str) -> None:
    replace = Path.replace

    def cut(self: Path, target: Path) -> Path:
        if target == plant.settings.keys / step:
            raise Killed
        return replace(self, target)

    with closing(plant.start()) as central:
        agents = KeyRing(central.keys.public)
        with patch.object(Path, "replace", cut), pytest.raises(Killed):
            roll(central)
    with closing(plant.start()) as central:
        fresh = central.keys.signing.id
        assert fresh != plant.former
        assert [key.id for key in central.keys.public] == [plant.former, fresh]
        assert not (central.keys.folder / NEXT).exists()
        announced = central.keys.announcement()
        assert announced is not None
        assert unsign(Document, announced, agents, CENTRAL).kind == CENTRAL_KEYS, "by the key that agents believe"
