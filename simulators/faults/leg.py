"""One leg of a scenario, and what a scenario is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.faults.dice import Dice
from simulators.faults.outcome import Outcome
from simulators.faults.plant import NOTHING, REST_S, Plant, Workshop


@dataclass(frozen=True, slots=True)
class Leg:
    """A new folder, some cycles to do in it, the seed's dice, and where the figures go."""

    folder: Path
    workshop: Workshop
    cycles: int
    dice: Dice
    outcome: Outcome

    def plant(
        self,
        *,
        machines: int = 3,
        buffer: Path | None = None,
        central: Path | None = None,
        workshop: Workshop | None = None,
        rest_s: float = REST_S,
        line: Mapping[str, Any] = NOTHING,
    ) -> Plant:
        """A plant of this leg, not yet open; its processes from another workshop where one is named."""
        return Plant(
            self.folder / "plant",
            workshop or self.workshop,
            self.outcome.seed,
            machines=machines,
            buffer=buffer,
            central_folder=central,
            rest_s=rest_s,
            line=line,
        )

    def count(self, what: str, more: int = 1) -> None:
        self.outcome.counts[what] += more

    def cycle_done(self) -> None:
        self.outcome.cycles += 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """``run`` does one leg and judges it.

    ``leg`` is how many cycles one plant takes; ``wanted`` how many cycles make the published figure. ``why_not``:
    why else it cannot run on this machine.
    """

    name: str
    tells: str
    run: Callable[[Leg], None]
    leg: int
    wanted: int
    root: bool = False
    programs: tuple[str, ...] = ("mosquitto",)
    why_not: Callable[[], str | None] = lambda: None
