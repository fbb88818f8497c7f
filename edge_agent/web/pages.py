"""The page and its JSON twin, over the parts of a running agent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from edge_agent.read_once import reading_json
from edge_agent.report import Parts, trouble_json
from edge_agent.web import show
from edge_agent.web.acts import add_acts
from edge_agent.web.guard import Guard
from edge_agent.web.metrics import metrics
from edge_agent.web.site import Site
from records.errors import Invalid

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LONGEST_SCAN = 4096
MOST_TAGS = 5000


class ScanAsked(BaseModel):
    """A barcode to try, as the scanner would send it."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=LONGEST_SCAN)


class ReadAsked(BaseModel):
    """Tags to read now. With a ``configuration`` only the agent that runs by that very file answers."""

    model_config = ConfigDict(extra="forbid")
    tags: list[str] = Field(min_length=1, max_length=MOST_TAGS)
    configuration: str | None = None


def create_page(parts: Parts) -> Any:
    """The application."""
    app = FastAPI(title="Lotkeeper agent", openapi_url=None, docs_url=None, redoc_url=None)
    site = Site(parts)
    _people(app, site)
    _programs(app, site)
    add_acts(app, site)

    @app.exception_handler(RequestValidationError)
    def _wrong(_request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(str(each["msg"]) for each in error.errors())
        return JSONResponse({"agent": site.parts.loaded().value.agent, "error": said}, 422)

    return Guard(app)


def _people(app: FastAPI, site: Site) -> None:
    @app.get("/")
    async def page(request: Request, done: str = "") -> Response:
        return await site.page(request, done=done)

    @app.get("/live")
    async def live(request: Request) -> Response:
        """The part that is fetched again and again."""
        return await site.page(request, "live.html")

    @app.post("/scan")
    async def scan(request: Request, text: Annotated[str, Form(max_length=LONGEST_SCAN)] = "") -> Response:
        answer = site.try_scan(show.with_separators(text)) if text else None
        return await site.page(request, scan=answer, typed=text)

    @app.post("/read")
    async def read(request: Request, tag: Annotated[str, Form(max_length=200)] = "") -> Response:
        try:
            readings, errors = await site.read([tag])
        except Invalid as error:
            return await site.page(request, read={"reading": None, "error": str(error)})
        answer: dict[str, JsonValue] = {"reading": reading_json(readings[0]), "error": None}
        for away in errors.values():
            answer |= {"error": str(away), "trouble": trouble_json(away.trouble)}
        return await site.page(request, read=answer, chosen=(tag,))

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in site.files:
            return Response(status_code=404)
        return Response(site.files[name], media_type=TYPES[Path(name).suffix])


def _programs(app: FastAPI, site: Site) -> None:
    @app.get("/api/v1/status")
    async def status() -> Response:
        return JSONResponse(await site.report())

    @app.get("/metrics")
    async def numbers() -> Response:
        way = await asyncio.to_thread(site.parts.uplink.status)
        return Response(metrics(site.parts, way), media_type=CONTENT_TYPE_LATEST)

    @app.post("/api/v1/scan")
    async def scan(asked: ScanAsked) -> Response:
        return JSONResponse(site.try_scan(asked.text))

    @app.post("/api/v1/read")
    async def read(asked: ReadAsked) -> Response:
        loaded = site.parts.loaded()
        if asked.configuration not in (None, loaded.hash):
            return JSONResponse({"error": "the agent runs by another configuration"}, 409)
        try:
            readings, errors = await site.read(asked.tags)
        except Invalid as error:
            return JSONResponse({"error": str(error)}, 404)
        answer: Mapping[str, JsonValue] = {
            "agent": loaded.value.agent,
            "readings": [reading_json(reading) for reading in readings],
            "errors": {device: str(error) for device, error in errors.items()},
        }
        return JSONResponse(answer)
