"""The start gate: one list, in the order in which an operator meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_agent.holds import Cause, Hold
from edge_agent.papers import Papers, Step
from edge_agent.recording import MountedLot
from edge_agent.requirements import missing as missing_of
from edge_agent.requirements import start_requirements
from edge_agent.station_settings import StationSettings
from records.model import Requirement
from tests.unit.edge.stations import ASSEMBLE, LABEL, papers


@dataclass
class Here:
    order: str | None = None
    operator: str | None = None
    lots: tuple[MountedLot, ...] = ()
    loaded: tuple[object, ...] = ()
    holds: tuple[Hold, ...] = ()


def of(settings: Any, **changes: object) -> tuple[Requirement, ...]:
    """What a start needs beside what always comes first: nothing holds the station, and it can be recorded."""
    first, second, *others = start_requirements(StationSettings.model_validate(settings | changes))
    assert (first, second) == (Requirement("start", "hold"), Requirement("start", "buffer"))
    return tuple(others)


def missing(needed: tuple[Requirement, ...], here: Here, known: Papers | None = None) -> tuple[Requirement, ...]:
    return missing_of(needed, here, known or papers())


def test_a_component_is_a_requirement_each() -> None:
    assert of(ASSEMBLE) == (
        Requirement("start", "operator"),
        Requirement("start", "order"),
        Requirement("start", "material", "run", "VB-10", "1"),
        Requirement("start", "material", "run", "SR-20", "2"),
    )


def test_without_a_permit_nothing_is_required() -> None:
    assert of(ASSEMBLE, permit=None) == ()


def test_only_what_the_permit_needs() -> None:
    assert of(ASSEMBLE, permit={"tag": "plc.permit", "needs": ["order"]}) == (Requirement("start", "order"),)


def test_each_is_met_by_itself() -> None:
    needed = of(ASSEMBLE)
    here = Here()
    assert missing(needed, here) == needed
    here.lots = (MountedLot("SR-20", "SR-1"),)
    assert [r.needs or r.kind for r in missing(needed, here)] == ["operator", "order", "VB-10"]
    here.operator = "B000001"
    assert [r.needs or r.kind for r in missing(needed, here)] == ["order", "VB-10"]
    here.order, here.lots = "WO-1", (MountedLot("SR-20", "SR-1"), MountedLot("VB-10", "VB-1"))
    assert missing(needed, here) == ()


def test_a_subject_is_there_once_a_unit_is_loaded() -> None:
    needed = of(LABEL)
    assert [r.kind for r in missing(needed, Here(operator="B000001"))] == ["subject"]
    assert missing(needed, Here(operator="B000001", loaded=(object(),))) == ()


def test_a_lot_of_another_item_meets_nothing() -> None:
    here = Here("WO-1", "B000001", (MountedLot("XX-1", "VB-1"),))
    assert [r.needs for r in missing(of(ASSEMBLE), here)] == ["VB-10", "SR-20"]


def test_only_a_hold_of_the_station_itself_keeps_it() -> None:
    needed = start_requirements(StationSettings.model_validate(ASSEMBLE | {"permit": None}))
    cause = Cause("torque", None, "nelson1")
    for kind, unmet in (("alarm", []), ("hold_unit", []), ("hold_station", ["hold"])):
        here = Here(holds=(Hold("h-1", kind, cause, 1, 0),))  # type: ignore[arg-type]
        assert [r.kind for r in missing(needed, here)] == unmet


def routed(state: str, *operations: str) -> Papers:
    known = papers(state=state)
    steps = tuple(Step(operation=operation) for operation in operations)
    order = known.orders["WO-1"].model_copy(update={"operations": steps})
    return Papers({"WO-1": order}, known.lots)


def test_a_route_is_an_open_order_that_leads_to_this_operation() -> None:
    needed = of(ASSEMBLE, permit={"tag": "plc.permit", "needs": ["order", "route"]})
    assert needed == (Requirement("start", "order"), Requirement("start", "route", needs="OP10"))
    here = Here("WO-1")
    assert missing(needed, here, routed("running", "OP10", "OP20")) == ()
    for papers_ in (routed("running", "OP20"), routed("held", "OP10"), routed("running"), Papers()):
        assert [r.kind for r in missing(needed, here, papers_)] == ["route"]
    assert [r.kind for r in missing(needed, Here(), routed("running", "OP10"))] == ["order", "route"]
