"""What must be there before a run may start: one list that the interlock and the operator's prompts evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_agent.barriers import Barrier
from edge_agent.holds import Hold, station_is_held
from edge_agent.papers import Papers
from edge_agent.recording import MountedLot
from edge_agent.station_settings import StationSettings
from records.model import Requirement

HOLD = "hold"
BARRIER = "barrier"
BUFFER = "buffer"
"""Room for what a run leaves to be recorded."""


class Present(Protocol):
    """What a station has right now."""

    @property
    def order(self) -> str | None: ...
    @property
    def operator(self) -> str | None: ...
    @property
    def lots(self) -> Sequence[MountedLot]: ...
    @property
    def loaded(self) -> Sequence[object]: ...
    @property
    def holds(self) -> Sequence[Hold]: ...


def start_requirements(settings: StationSettings) -> tuple[Requirement, ...]:
    """The requirements of the start gate, in the order in which an operator meets them.

    That nothing holds the station, and that its runs can be recorded, are needed at every station; with a permit
    or a hold's tag the machine is told.
    """
    needs = settings.permit.needs if settings.permit else ()
    listed = [Requirement("start", HOLD), Requirement("start", BUFFER)]
    for need in ("operator", "order", "route", "material", "subject"):
        if need not in needs:
            continue
        if need == "material":
            listed += [
                Requirement("start", "material", "run", m.item, str(m.per_unit)) for m in settings.materials
            ]
        elif need == "route":
            listed.append(Requirement("start", "route", needs=settings.operation))
        else:
            listed.append(Requirement("start", need))
    return tuple(listed)


def missing(
    requirements: Sequence[Requirement],
    present: Present,
    papers: Papers,
    barriers: Sequence[Barrier] = (),
    *,
    full: bool = False,
) -> tuple[Requirement, ...]:
    """Those that are not met, and each barrier that refuses. An order whose routing is not known leads nowhere.

    ``full``: the buffer has no room.
    """
    mounted = {lot.item for lot in present.lots}
    order = papers.order(present.order)

    def met(one: Requirement) -> bool:
        match one.kind:
            case "hold":
                return not station_is_held(present.holds)
            case "buffer":
                return not full
            case "material":
                return one.needs in mounted
            case "route":
                return order is not None and one.needs is not None and order.leads_to(one.needs)
            case "order":
                return present.order is not None
            case "operator":
                return present.operator is not None
            case _:
                return bool(present.loaded)

    refused = dict.fromkeys(one.why for one in barriers if one.refuses)
    unmet = tuple(one for one in requirements if not met(one))
    return (*unmet, *(Requirement("start", BARRIER, needs=why) for why in refused))
