"""What holds for each characteristic of a run: its key, its specification, its chart's plan and limits.

From the configuration, the order's recipe and central's limit sets, by ``spc.selection``. Pure; what was found is
remembered as long as the papers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from edge_agent.chart_parts import FromTag
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.papers import LIMIT_SETS, NO_PAPERS, RECIPE, Papers
from edge_agent.recording import UNKNOWN, text_value
from records.model import Reading, Subject
from spc.selection import ChartKey, Chosen, choose, parts_in_use

REMEMBERED = 2000


@dataclass(frozen=True, slots=True)
class Occasion:
    """A run that charts are asked about: when, what was read, of whom, and what the station was set up for."""

    at_us: int
    readings: Mapping[str, Reading]
    subjects: tuple[Subject, ...]
    order: str | None
    lot: str | None = None
    product: str | None = None
    revision: str | None = None
    tool: str | None = None


class Chooser:
    """Finds what holds, by the configuration of a station's characteristics on this line."""

    def __init__(self, characteristics: Mapping[str, CharacteristicSettings], line: str | None = None) -> None:
        self._settings, self._line = characteristics, line
        self._json: dict[str, Mapping[str, JsonValue]] = {
            name: settings.model_dump(mode="json", by_alias=True) for name, settings in characteristics.items()
        }
        self._papers = NO_PAPERS
        self._found: dict[tuple[str, ChartKey], Chosen] = {}

    def of_run(self, occasion: Occasion, papers: Papers) -> dict[str, Chosen]:
        """For every characteristic whose tags were all captured."""
        found = {}
        for name, settings in self._settings.items():
            if all(tag in occasion.readings for tag in settings.read()):
                key = ChartKey(
                    occasion.product, occasion.revision, occasion.tool, _position(settings, occasion.readings)
                )
                found[name] = self.choose(name, key, papers, occasion.at_us)
        return found

    def choose(self, name: str, key: ChartKey, papers: Papers, at_us: int) -> Chosen:
        """What holds for one characteristic and this complete key at that time."""
        if papers is not self._papers or len(self._found) > REMEMBERED:
            self._papers, self._found = papers, {}
        known = self._found.get((name, key))
        if known is not None and (known.until_us is None or at_us < known.until_us):
            return known
        recipe = papers.recipes.get((key.product or "", key.revision or ""))
        chosen = choose(name, self._json[name], key, recipe, papers.limits.get(name), at_us, self._line)
        self._found[name, key] = chosen
        return chosen

    def has_chart(self, name: str, key: ChartKey) -> bool:
        """Whether a run may belong to the chart of this key: another ``by`` or ``position`` leaves some behind."""
        settings = self._settings.get(name)
        if settings is None or settings.chart is None:
            return False
        parts = parts_in_use(self._json[name])
        there = (
            "position" not in parts or isinstance(settings.position, FromTag) or settings.position == key.position
        )
        return there and key == key.only(parts)

    def documents(
        self, occasion: Occasion, choices: Mapping[str, Chosen], papers: Papers
    ) -> tuple[tuple[str, str], ...]:
        """The documents (kind, id) of recipe and limits that a run relied on."""
        found = []
        if any(_by_recipe(chosen) for chosen in choices.values()):
            found.append((RECIPE, recipe_id(occasion)))
        found += [
            (LIMIT_SETS, name)
            for name, chosen in choices.items()
            if chosen.plan is not None and name in papers.limits
        ]
        return tuple(found)


def _by_recipe(chosen: Chosen) -> bool:
    """Whether a recipe gave the specification, or the sigma of a part, which nothing else does."""
    nominal = None if chosen.plan is None else chosen.plan.nominal
    return chosen.specification_source == "recipe" or (nominal is not None and nominal.sigma is not None)


def recipe_id(occasion: Occasion) -> str:
    return f"{occasion.product}/{occasion.revision}"


def _position(settings: CharacteristicSettings, readings: Mapping[str, Reading]) -> str | None:
    """The cavity or head; one that cannot be read is a position of its own, ``unknown``."""
    if isinstance(settings.position, FromTag):
        return text_value(readings, settings.position.tag) or UNKNOWN
    return settings.position
