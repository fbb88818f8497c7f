"""Lines and agents: whether records arrive, up to where, and what could not be read."""

from __future__ import annotations

from fastapi import APIRouter, Response

from central.web.visit import Enter

router = APIRouter(include_in_schema=False)


@router.get("/lines")
def lines(visit: Enter) -> Response:
    return visit.page(
        "lines.html",
        agents=visit.desk.agents(),
        erp=visit.desk.erp(),
        quarantine=visit.desk.quarantine(),
        trended=visit.desk.telemetry_agents(),
    )
