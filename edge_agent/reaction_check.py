"""What the parts of a line file say wrong of each other about holding a station."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.line_view import LineView
from edge_agent.reaction_settings import holds_station
from records.errors import Problem

HINT = "give {station} hold: {{tag: DEVICE.TAG}} with access: write, or permit:"


def check_holds(line: LineView) -> Iterator[Problem]:
    """A hold that no machine would feel."""
    wrong = {path for path, _ in line.left_out}
    for name, settings in line.characteristics.items():
        place = holds_station(settings.reactions)
        if place is None:
            continue
        for station, at in line.stations.items():
            whole = wrong.isdisjoint(("stations", station, lock) for lock in ("hold", "permit"))
            measured = set(at.captured()).issuperset(settings.read())
            if measured and at.permit is None and at.hold is None and whole:
                message = f"hold_station would hold nothing: station {station} has neither hold nor permit"
                yield line.problem(
                    ("characteristics", name, "reactions", *place), message, HINT.format(station=station)
                )
