"""How old what central told may be at this line, and what a station does with what is older.

An age counts from when a document was last known to be the newest (``edge_agent.documents``), so it grows only
while central is out of reach. Out of the box nothing refuses: a plant without its network goes on, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from edge_agent.papers import Papers
from edge_agent.station_settings import Policy
from records.yaml import Duration, Settings

HOUR_S, DAY_S = 3600.0, 86_400.0

DEFAULTS: dict[str, tuple[float, Policy]] = {
    "work-order": (7 * DAY_S, "warn"),
    "lots": (3 * DAY_S, "warn"),  # a lot may have been blocked meanwhile
    "recipe": (30 * DAY_S, "go_on"),  # versions change by an approval, seldom
    "limit-sets": (30 * DAY_S, "go_on"),
    "people": (7 * DAY_S, "warn"),
    "equipment": (7 * DAY_S, "warn"),
    "lot-quantities": (DAY_S, "go_on"),  # a count of central, which no line waits for
    "route-status": (120.0, "warn"),  # since central may lack what others ran on a piece
    "holds": (8 * HOUR_S, "warn"),  # a shift: something may have been held meanwhile
    "configuration": (30 * DAY_S, "go_on"),  # what was approved once is seldom taken back
    "reasons": (30 * DAY_S, "go_on"),  # a list to choose from
}
"""By kind: the longest age, and what happens beyond it."""


class AgePolicy(Settings):
    """Of one kind of document; what is left out is the kind's default."""

    max_age: Annotated[Duration, Field(gt=0)] | None = None
    """The longest age that is plain."""
    beyond: Policy | None = None
    """``warn``: the station goes on and says so; ``refuse``: neither scan nor start; ``go_on``: it is noted."""


class DocumentAges(Settings):
    """How old documents of central may be; the age of each is in the record of every run that relied on it."""

    work_order: AgePolicy = Field(default_factory=AgePolicy, alias="work-order")
    """Work orders; 7d, warn."""
    lots: AgePolicy = Field(default_factory=AgePolicy)
    """The lots of components, their status and expiry; 3d, warn."""
    recipe: AgePolicy = Field(default_factory=AgePolicy)
    """Specifications of products; 30d, go_on."""
    limit_sets: AgePolicy = Field(default_factory=AgePolicy, alias="limit-sets")
    """Control limits; 30d, go_on."""
    people: AgePolicy = Field(default_factory=AgePolicy)
    """Who may work where; 7d, warn."""
    equipment: AgePolicy = Field(default_factory=AgePolicy)
    """Which machines are blocked, and their calibration; 7d, warn."""
    lot_quantities: AgePolicy = Field(default_factory=AgePolicy, alias="lot-quantities")
    """What is left of components' lots; 1d, go_on."""
    route_status: AgePolicy = Field(default_factory=AgePolicy, alias="route-status")
    """Where pieces stand in their routing, counted from when central last knew all of it; 2min, warn."""
    holds: AgePolicy = Field(default_factory=AgePolicy)
    """What quality holds; 8h, warn."""
    configuration: AgePolicy = Field(default_factory=AgePolicy)
    """Quality's approval of line files; 30d, go_on."""
    reasons: AgePolicy = Field(default_factory=AgePolicy)
    """The plant's reasons to choose from; 30d, go_on."""

    def of(self, kind: str) -> tuple[float, Policy]:
        """The longest age in seconds, and what happens beyond it."""
        max_age_s, beyond = DEFAULTS[kind]
        policy: AgePolicy = getattr(self, kind.replace("-", "_"))
        return policy.max_age or max_age_s, policy.beyond or beyond

    @property
    def refusing(self) -> bool:
        """Whether the age of any kind may keep a station from starting."""
        return any(self.of(kind)[1] == "refuse" for kind in DEFAULTS)


@dataclass(frozen=True, slots=True)
class TooOld:
    """A document that is held, and older than it may be."""

    kind: str
    id: str
    version: int
    age_s: float
    max_age_s: float
    beyond: Policy

    @property
    def key(self) -> str:
        """Names the document among all."""
        return f"{self.kind}/{self.id}"


def too_old(ages: DocumentAges, papers: Papers, keys: Iterable[tuple[str, str]]) -> tuple[TooOld, ...]:
    """Those of these documents (kind, id) that are older than they may be; what is not held has no age."""
    found = []
    for kind, name in dict.fromkeys(keys):
        document = papers.documents.get((kind, name))
        age_s = None if document is None else papers.age_s(kind, name)
        if document is None or age_s is None or kind not in DEFAULTS:
            continue
        max_age_s, beyond = ages.of(kind)
        if age_s > max_age_s:
            found.append(TooOld(kind, name, document.version, age_s, max_age_s, beyond))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class KindAge:
    """The documents of one kind that are held. ``age_s``: of the oldest; None: none has an age yet."""

    kind: str
    count: int
    age_s: float | None
    max_age_s: float
    beyond: Policy

    @property
    def too_old(self) -> bool:
        return self.age_s is not None and self.age_s > self.max_age_s


def by_kind(ages: DocumentAges, papers: Papers) -> tuple[KindAge, ...]:
    """How old what central told is, by kind, in the order of ``DEFAULTS``; only kinds of which any is held.

    Where pieces stand is not among them: its age is that of what an order's earlier operations rest on.
    """
    held: dict[str, list[float | None]] = {}
    for kind, name in papers.documents:
        held.setdefault(kind, []).append(papers.age_s(kind, name))
    return tuple(
        KindAge(kind, len(held[kind]), max((a for a in held[kind] if a is not None), default=None), *ages.of(kind))
        for kind in DEFAULTS
        if kind in held
    )


def in_words(age_s: float) -> str:
    """An age as people say it: ``3.2 d``, ``5 h``, ``12 min``."""
    if age_s >= 2 * DAY_S:
        return f"{age_s / DAY_S:.1f} d"
    if age_s >= 2 * HOUR_S:
        return f"{age_s / HOUR_S:.0f} h"
    return f"{age_s / 60:.0f} min" if age_s >= 120 else f"{age_s:.0f} s"
