"""What is doubtful about how old a line's documents may be."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.document_ages import DEFAULTS, HOUR_S, in_words
from edge_agent.line_view import LineView
from records.errors import Problem
from records.kinds import ROUTE

LEAST_ROUTE_S = 60.0
LEAST_S = 0.5 * HOUR_S
"""A line that records nothing may hear of central no more often than every ten minutes."""


def doubtful_ages(line: LineView) -> Iterator[Problem]:
    """Ages that a connected line reaches, and refusals that no machine hears of."""
    for kind in DEFAULTS:
        max_age_s, beyond = line.ages.of(kind)
        if kind == ROUTE and max_age_s < LEAST_ROUTE_S:
            message = f"{kind} may be {in_words(max_age_s)} old: agents say how far they are every 30 s"
            yield line.problem(("documents", kind, "max_age"), message, "at least 60s")
        if kind != ROUTE and max_age_s < LEAST_S:
            message = f"{kind} may be {in_words(max_age_s)} old: a quiet line reaches that while it is connected"
            yield line.problem(("documents", kind, "max_age"), message, "at least 30min")
        deaf = [name for name, station in line.stations.items() if station.permit is None]
        if beyond == "refuse" and deaf:
            message = f"{kind} that is too old refuses, but {', '.join(deaf)} has no permit: its machine runs on"
            yield line.problem(("documents", kind, "beyond"), message, "give the station a permit, or warn")
