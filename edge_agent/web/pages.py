"""The page and its JSON twin, over the parts of a running agent."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from edge_agent.read_once import away, by_device, reading_json
from edge_agent.report import Json, Parts, Unwatched, live_report, stored_report
from edge_agent.scan_test import try_scan
from edge_agent.web import show
from edge_agent.web.guard import Guard
from edge_agent.web.metrics import metrics
from edge_agent.web.words import LANGUAGES, Words, preferred
from records.errors import Invalid, LotkeeperError, Unreachable
from records.model import Reading

STATIC = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LONGEST_SCAN = 4096
MOST_TAGS = 5000
READ_LIMIT_S = 30.0


class ScanAsked(BaseModel):
    """A barcode to try, as the scanner would send it."""

    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=LONGEST_SCAN)


class ReadAsked(BaseModel):
    """Tags to read now. With a ``configuration`` only the agent that runs by that very file answers."""

    model_config = ConfigDict(extra="forbid")
    tags: list[str] = Field(min_length=1, max_length=MOST_TAGS)
    configuration: str | None = None


class Site:
    """What the handlers share."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._unwatched = Unwatched(parts)
        files = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir())}
        self.files = files
        stamp = hashlib.sha256(b"".join(files.values())).hexdigest()[:12]
        self._templates = Environment(
            loader=PackageLoader("edge_agent.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.filters["translated"] = lambda text, words: words(text)
        self._templates.globals |= {"stamp": stamp, "languages": LANGUAGES, "show": show}

    async def report(self) -> Json:
        """Everything; what needs the disk in a thread, so that no station waits for it."""
        await self._unwatched.look()
        stored = await asyncio.to_thread(stored_report, self.parts)
        return live_report(self.parts, self._unwatched.readings) | stored

    async def page(self, request: Request, name: str = "page.html", **more: object) -> HTMLResponse:
        words = _words(request)
        try:
            report, fault = await self.report(), None
        except LotkeeperError as error:  # a damaged buffer: the page is what tells
            nothing: Json = {"buffer": None, "records": [], "central": None}
            report, fault = live_report(self.parts) | nothing, str(error)
        values: dict[str, object] = {"scan": None, "read": None, "typed": "", "chosen": ()} | more
        template = self._templates.get_template(name)
        html = await asyncio.to_thread(template.render, r=report, fault=fault, _=words, **values)
        return HTMLResponse(html, headers={"vary": "accept-language", "content-language": words.language})

    async def read(self, names: Sequence[str]) -> tuple[list[Reading], dict[str, str]]:
        """Read through the running sessions; why which devices were not reached.

        Raises:
            Invalid: there is no such tag.
        """
        line, supervisors = self.parts.loaded().value, self.parts.supervisors()
        for name in names:
            if line.tag(name) is None or name.partition(".")[0] not in supervisors:
                raise Invalid(f"the line has no tag {name!r}")
        found: dict[str, Reading] = {}
        errors: dict[str, str] = {}
        for device, tags in by_device(names).items():
            try:
                asked = asyncio.ensure_future(
                    supervisors[device].read(tags)
                )  # never cut off: it may cost the session
                readings: Sequence[Reading] = (
                    await asyncio.wait_for(asyncio.shield(asked), READ_LIMIT_S)
                ).readings()
            except (Unreachable, TimeoutError) as error:
                errors[device] = str(error) or f"{device}: no answer in {READ_LIMIT_S:g} s"
                readings = away(line, [f"{device}.{tag}" for tag in tags], self.parts.clock.now_us())
            found |= {reading.tag: reading for reading in readings}
        return [found[name] for name in names], errors

    def try_scan(self, text: str) -> Json:
        """What every station would make of it."""
        parts = self.parts
        return try_scan(parts.loaded().value, parts.runners(), parts.papers(), text, parts.clock.now_us())


def create_page(parts: Parts) -> Any:
    """The application."""
    app = FastAPI(title="Lotkeeper agent", openapi_url=None, docs_url=None, redoc_url=None)
    site = Site(parts)
    _people(app, site)
    _programs(app, site)

    @app.exception_handler(RequestValidationError)
    def _wrong(_request: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": "; ".join(str(each["msg"]) for each in error.errors())}, 422)

    return Guard(app)


def _people(app: FastAPI, site: Site) -> None:
    @app.get("/")
    async def page(request: Request) -> Response:
        return await site.page(request)

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
        answer = {"reading": reading_json(readings[0]), "error": next(iter(errors.values()), None)}
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
            "errors": {**errors},
        }
        return JSONResponse(answer)


def _words(request: Request) -> Words:
    return preferred(request.query_params.get("lang"), request.headers.get("accept-language"))
