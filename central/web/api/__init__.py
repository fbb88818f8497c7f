"""The HTTP interface for programs, under ``/api/v1``."""

from __future__ import annotations

from fastapi import Depends, FastAPI

from central.web.api import (
    acts,
    charts,
    configurations,
    ground,
    health,
    holds,
    proposals,
    recompute,
    resources,
    telemetry,
)
from central.web.api.calls import Idempotency, call


def install(app: FastAPI) -> None:
    """Add the interface's routes; everything else under its prefix is a problem document."""
    app.state.idempotency = Idempotency()
    app.include_router(health.router)
    app.include_router(resources.router, prefix="/api/v1")
    app.include_router(telemetry.router, prefix="/api/v1")
    app.include_router(acts.router, prefix="/api/v1")
    app.include_router(configurations.router, prefix="/api/v1")
    app.include_router(holds.router, prefix="/api/v1")
    app.include_router(ground.router, prefix="/api/v1")
    app.include_router(charts.router, prefix="/api/v1")
    app.include_router(proposals.router, prefix="/api/v1")
    app.include_router(recompute.router, prefix="/api/v1")
    app.add_api_route(
        "/api/{path:path}",
        resources.unknown,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
        dependencies=[Depends(call)],
    )
