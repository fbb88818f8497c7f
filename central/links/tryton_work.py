"""Machine time and the quality inspection of one Tryton production; reads before it writes, like all of it."""

from __future__ import annotations

from datetime import timedelta

from central.links.base import Confirmation, ErpRefused, StepOutcome
from central.links.tryton_rows import (
    CONTROL_FIELDS,
    CONTROLS,
    INSPECTION_FIELDS,
    INSPECTIONS,
    WORK_FIELDS,
    WORKS,
    Cycle,
    Inspection,
    Point,
    Work,
    operation_code,
)
from central.links.tryton_rpc import TrytonRpc

FINISHED = ("finished", "done")


class TrytonWorks:
    """The works of one production: one for each operation of its routing."""

    def __init__(self, rpc: TrytonRpc, production: int) -> None:
        self._rpc = rpc
        self._production = production

    def operations(self) -> set[str]:
        """Our names of the operations in the ERP's routing."""
        return {operation_code(work.operation.name) for work in self._read()}

    def book(self, operation: str, duration: timedelta) -> StepOutcome:
        """One cycle per work; where the routing has the operation more than once the time goes to the first."""
        outcome: StepOutcome = "found"
        works = [work for work in self._read() if operation_code(work.operation.name) == operation]
        for place, work in enumerate(works):
            if work.state not in FINISHED:
                self._finish(work, duration if place == 0 else timedelta())
                outcome = "written"
        return outcome

    def _read(self) -> list[Work]:
        return self._rpc.read(WORKS, "production.work", [["production", "=", self._production]], WORK_FIELDS)

    def _finish(self, work: Work, duration: timedelta) -> None:
        cycles = _active(work)
        if not cycles:
            self._rpc.call("production.work.cycle.create", [{"work": work.id}])
            cycles = _active(next(row for row in self._read() if row.id == work.id))
        if len(cycles) > 1:
            raise ErpRefused(f"somebody else has booked time on {work.operation.name} in the ERP")
        ids = [cycles[0].id]
        if cycles[0].state == "draft":
            self._rpc.call("production.work.cycle.run", ids)
        self._rpc.call("production.work.cycle.write", ids, {"duration": duration})
        self._rpc.call("production.work.cycle.do", ids)
        state = next(row.state for row in self._read() if row.id == work.id)
        if state not in FINISHED:
            raise ErpRefused(f"{work.operation.name} stays {state} in the ERP")


class TrytonInspection:
    """The inspection that Tryton's quality control asks for: one per order, with our key as its reference."""

    def __init__(self, rpc: TrytonRpc, control: str, confirmation: Confirmation) -> None:
        self._rpc = rpc
        self._control = control
        self._confirmation = confirmation
        self._origin = f"production,{confirmation.erp_id}"

    def ensure(self) -> StepOutcome:
        """Make and process it where that has not been done; it must have passed, and exist once."""
        rows = self._read()
        if [row.state for row in rows] == ["passed"]:
            return "found"
        if not rows:
            self._create()
            rows = self._read()
        pending = [row.id for row in rows if row.state == "pending"]
        if pending:
            self._rpc.call("quality.inspection.process", pending)
            rows = self._read()
        if [row.state for row in rows] != ["passed"]:
            states = ", ".join(row.state for row in rows)
            raise ErpRefused(f"inspection {self._confirmation.key} is {states} in the ERP, not passed once")
        return "written"

    def _read(self) -> list[Inspection]:
        domain: list[object] = [["origin", "=", self._origin], ["reference", "=", self._confirmation.key]]
        return self._rpc.read(INSPECTIONS, "quality.inspection", domain, INSPECTION_FIELDS)

    def _create(self) -> None:
        named: list[object] = [["name", "=", self._control]]
        controls = self._rpc.read(CONTROLS, "quality.control", named, CONTROL_FIELDS)
        if len(controls) != 1:
            raise ErpRefused(f"the ERP has {len(controls)} quality controls named {self._control!r}, not one")
        row = {
            "origin": self._origin,
            "control": controls[0].id,
            "reference": self._confirmation.key,
            "points": {point.name: self._worst(point) for point in controls[0].points},
        }
        self._rpc.call("quality.inspection.create", [row])

    def _worst(self, point: Point) -> float | bool:
        """The value of the unit that is nearest to (or farthest beyond) the control's tolerances."""
        values = [
            value for unit in self._confirmation.inspections for name, value in unit.values if name == point.name
        ]
        if not values:
            raise ErpRefused(f"the ERP's inspection asks for {point.name}, which no record has")
        if point.type_ == "boolean":
            return all(values)

        def margin(value: float) -> float:
            lower = float("-inf") if point.tolerance_lower is None else point.tolerance_lower
            upper = float("inf") if point.tolerance_upper is None else point.tolerance_upper
            return min(value - lower, upper - value)

        return min(values, key=margin)


def _active(work: Work) -> list[Cycle]:
    return [cycle for cycle in work.cycles if cycle.state != "cancelled"]
