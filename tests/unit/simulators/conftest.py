"""Settings that the tests of the simulators share."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from simulators.jobs import Job, StationName
from simulators.plan import plan_line
from simulators.settings import LotOnShelf, OrderToMake, PlantSettings
from simulators.troubles import default_script, place

TODAY = dt.date(2026, 11, 20)
MakePlan = Callable[[PlantSettings], dict[StationName, tuple[Job, ...]]]
MakeSettings = Callable[..., PlantSettings]


def _lots(units: int) -> tuple[LotOnShelf, ...]:
    later = dt.date(2028, 6, 30)
    return (
        LotOnShelf(item="VB-10", lot="VB-0001", quantity=units + 1),
        LotOnShelf(item="SR-20", lot="SR-OLD", expiry=dt.date(2026, 1, 31), quantity=1000),
        LotOnShelf(item="SR-20", lot="SR/0001", expiry=later, quantity=units + 3),
        LotOnShelf(item="SR-20", lot="SR/0002", expiry=later, quantity=2 * units),
    )


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """PlantSettings of so many orders: odd ones clean, even ones with the default troubles."""

    def make(units: int, orders: int = 2, seed: int = 1, **more: object) -> PlantSettings:
        made = tuple(
            OrderToMake(
                reference=f"WO-{1000 + number}",
                units=units,
                lots=_lots(units),
                serial_prefix=f"26{number:02d}",
                troubles="none" if number % 2 else "default",
            )
            for number in range(1, orders + 1)
        )
        return PlantSettings(folder=tmp_path, seed=seed, orders=made, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_plan() -> MakePlan:
    def make(settings: PlantSettings) -> dict[StationName, tuple[Job, ...]]:
        script = default_script()
        placed = [
            place(script, order.units, number) if order.troubles == "default" else ()
            for number, order in enumerate(settings.orders, start=1)
        ]
        return plan_line(settings, placed, TODAY)

    return make
