"""What the handlers of the page share: the report, the templates, the tests of scans and tags."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from edge_agent.prompts import missing_says, prompt_says
from edge_agent.read_once import away, by_device
from edge_agent.report import Json, Parts, Unwatched, live_report, stored_report
from edge_agent.scan_test import try_scan
from edge_agent.web import show
from edge_agent.web.words import LANGUAGES, Words, preferred
from records.errors import LotkeeperError, Unknown, Unreachable
from records.model import Reading
from records.trouble import Trouble

STATIC = Path(__file__).parent / "static"
READ_LIMIT_S = 30.0


def words_of(request: Request) -> Words:
    """The reader's language."""
    return preferred(request.query_params.get("lang"), request.headers.get("accept-language"))


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
        self._templates.filters |= {
            "translated": lambda text, words: words(text),
            "prompt": prompt_says,
            "missing": missing_says,
        }
        self._templates.globals |= {"stamp": stamp, "languages": LANGUAGES, "show": show}

    async def report(self) -> Json:
        """Everything; what needs the disk in a thread, so that no station waits for it."""
        await self._unwatched.look()
        stored = await asyncio.to_thread(stored_report, self.parts)
        return live_report(self.parts, self._unwatched.readings) | stored

    async def page(
        self, request: Request, name: str = "page.html", status: int = 200, **more: object
    ) -> HTMLResponse:
        words = words_of(request)
        try:
            report, fault = await self.report(), None
        except LotkeeperError as error:  # a damaged buffer: the page is what tells
            nothing: Json = {"buffer": None, "records": [], "central": None}
            report, fault = live_report(self.parts) | nothing, str(error)
        values: dict[str, object] = {"scan": None, "read": None, "typed": "", "chosen": (), "done": None} | more
        template = self._templates.get_template(name)
        html = await asyncio.to_thread(template.render, r=report, fault=fault, _=words, **values)
        return HTMLResponse(html, status, headers={"vary": "accept-language", "content-language": words.language})

    async def read(self, names: Sequence[str]) -> tuple[list[Reading], dict[str, Unreachable]]:
        """Read through the running sessions; why which devices were not reached.

        Raises:
            Unknown: there is no such tag.
        """
        line, supervisors = self.parts.loaded().value, self.parts.supervisors()
        for name in names:
            if line.tag(name) is None or name.partition(".")[0] not in supervisors:
                raise Unknown(f"the line has no tag {name!r}")
        found: dict[str, Reading] = {}
        errors: dict[str, Unreachable] = {}
        for device, tags in by_device(names).items():
            try:
                asked = asyncio.ensure_future(
                    supervisors[device].read(tags)
                )  # never cut off: it may cost the session
                readings: Sequence[Reading] = (
                    await asyncio.wait_for(asyncio.shield(asked), READ_LIMIT_S)
                ).readings()
            except (Unreachable, TimeoutError) as error:
                late = Trouble.of("no-answer-within", limit=f"{READ_LIMIT_S:g}")
                silent = Unreachable.of(Trouble.of("away", where=device, why=late))
                errors[device] = error if isinstance(error, Unreachable) else silent
                readings = away(line, [f"{device}.{tag}" for tag in tags], self.parts.clock.now_us())
            found |= {reading.tag: reading for reading in readings}
        return [found[name] for name in names], errors

    def try_scan(self, text: str) -> Json:
        """What every station would make of it."""
        parts = self.parts
        return try_scan(parts.loaded().value, parts.runners(), parts.papers(), text, parts.clock.now_us())
