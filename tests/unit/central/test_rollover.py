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
from records.errors import Refused
from records.keys import OVERLAP_US, KeyRing
from records.wire import CENTRAL, CENTRAL_KEYS, Document, unsign

DAY_S = 86_400.0


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


def roll(central: Central, *, clock_was_ahead: bool = False) -> None:
    rollover = Rollover(central.keys, central.store, central.facts, central.clock, lambda *_: None, ())
    rollover.roll("yearly", by=Actor("a", "test"), clock_was_ahead=clock_was_ahead)


def test_a_change_by_a_clock_that_was_far_ahead_is_not_waited_for(plant: Plant) -> None:
    """Bug: the next change had to wait until that time had come, and 30 days more, and the former key was believed
    for as long.
    """
    with closing(plant.start()) as central:
        plant.clock.jump(900 * DAY_S)
        roll(central)
        plant.clock.jump(-900 * DAY_S)
        with pytest.raises(Refused) as refused:
            roll(central)
        assert "--clock-was-ahead" in str(refused.value.hint)
        roll(central, clock_was_ahead=True)
        keys = central.keys.public
        assert [key.until_us for key in keys] == [plant.clock.now_us() + OVERLAP_US] * 2 + [None]
        assert (keys[-1].id, keys[-1].since_us) == (central.keys.signing.id, plant.clock.now_us())
        for late in (False, True):  # now it is a change like any other
            with pytest.raises(Refused, match="was changed on"):
                roll(central, clock_was_ahead=late)
        plant.clock.advance(30 * DAY_S)
        roll(central)


def test_a_change_of_the_day_before_is_waited_for_whatever_is_said(plant: Plant) -> None:
    with closing(plant.start()) as central:
        roll(central)
        plant.clock.advance(DAY_S)
        with pytest.raises(Refused, match="was changed on"):
            roll(central, clock_was_ahead=True)


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
