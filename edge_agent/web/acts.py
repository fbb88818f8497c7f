"""What people do at a station from the page or by a command: end what stands there, begin a chart anew.

A form works without scripts: it is sent, the act is committed, and the browser is sent to the page that says so;
what is refused comes back with what was typed. Other pages cannot send one: ``edge_agent.web.guard``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated
from urllib.parse import parse_qs, urlencode

from fastapi import FastAPI, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from edge_agent.acts import REFUSALS
from edge_agent.events import Lift, Reply, RestartChart
from edge_agent.report import Parts
from edge_agent.runner import BUFFER_FULL
from edge_agent.web.site import Site, words_of
from records.errors import Invalid, Refused, Unknown

ACT_LIMIT_S = 30.0
"""How long a station may take: it first finishes what it is at, such as a write to a machine that is away."""
NOT_THERE = ("hold-unknown", "unit-not-held", "chart-unknown", "stream-unknown")

Text = Annotated[str, Field(max_length=2000)]
Typed = Annotated[str, Form(max_length=2000)]
Act = Callable[[int], Lift | RestartChart]


class LiftAsked(BaseModel):
    """What is to be ended, by whom and why. ``unit``: only this one of the held units."""

    model_config = ConfigDict(extra="forbid")
    station: Text
    hold: Text
    unit: Text | None = None
    by: Text
    reason: Text


class RestartAsked(BaseModel):
    """Which chart is to begin anew, by whom, after which cause and why."""

    model_config = ConfigDict(extra="forbid")
    station: Text
    characteristic: Text
    stream: Text | None = None
    by: Text
    cause: Text
    reason: Text


async def act(parts: Parts, station: str, made: Act) -> Reply:
    """Have a station do it.

    Raises:
        Unknown: there is no such station. TimeoutError: it has not come to it; it may yet happen. Refused: the
            same, and it waits because nothing can be recorded now.
    """
    runner = next((runner for runner in parts.runners() if runner.name == station), None)
    if runner is None:
        raise Unknown(f"the agent has no station {station!r}")
    try:
        async with asyncio.timeout(ACT_LIMIT_S):
            return await runner.act(made)
    except TimeoutError:
        if runner.status.prompt == BUFFER_FULL:
            raise Refused(f"nothing can be recorded at {station} now; see status") from None
        raise


def add_acts(app: FastAPI, site: Site) -> None:
    """The forms, and the same for programs."""
    _forms(app, site)
    _programs(app, site)


def _forms(app: FastAPI, site: Site) -> None:
    @app.get("/hold")
    async def hold(request: Request, station: str = "", hold: str = "") -> Response:
        return await site.page(request, "hold.html", station=station, hold=hold, typed={}, refused=None)

    @app.post("/hold")
    async def lift(
        request: Request,
        station: Typed = "",
        hold: Typed = "",
        unit: Typed = "",
        by: Typed = "",
        code: Typed = "",
        reason: Typed = "",
    ) -> Response:
        typed = {"by": by, "reason": reason, "unit": unit, "code": code}
        told = f"{code}: {reason}" if code and reason else code or reason
        made = _lifting(hold, by, told, unit or None)
        refused, done = await _from_a_form(site, request, station, made)
        if refused is None:
            return _done(request, "unit" if done.get("left") else str(done.get("action")))
        return await site.page(request, "hold.html", 422, station=station, hold=hold, typed=typed, refused=refused)

    @app.get("/chart")
    async def chart(request: Request, chart: str = "") -> Response:
        return await site.page(request, "chart.html", which=chart, chart=_chart(chart), typed={}, refused=None)

    @app.post("/chart")
    async def restart(
        request: Request, chart: Typed = "", by: Typed = "", cause: Typed = "", reason: Typed = ""
    ) -> Response:
        named, typed = _chart(chart), {"by": by, "cause": cause, "reason": reason}
        made = _restarting(named["characteristic"], named["stream"], by, cause, reason)
        refused, _ = await _from_a_form(site, request, named["station"], made)
        if refused is None:
            return _done(request, "chart")
        return await site.page(request, "chart.html", 422, which=chart, chart=named, typed=typed, refused=refused)


def _lifting(hold: str, by: str, reason: str, unit: str | None) -> Act:
    return lambda number: Lift(number, hold, by, reason, unit)


def _restarting(characteristic: str, stream: str | None, by: str, cause: str, reason: str) -> Act:
    return lambda number: RestartChart(number, characteristic, stream, by, cause, reason)


def _chart(which: str) -> dict[str, str]:
    """The chart that a choice of the form names."""
    told = parse_qs(which, keep_blank_values=True)
    return {name: told.get(name, [""])[0] for name in ("station", "characteristic", "stream")}


async def _from_a_form(
    site: Site, request: Request, station: str, made: Act
) -> tuple[str | None, Mapping[str, str | int]]:
    """Why it was refused, in the reader's language, and what was done."""
    words = words_of(request)
    try:
        reply = await act(site.parts, station, made)
    except Invalid:
        return words("The agent has no station %(station)s.", station=station), {}
    except Refused:
        return words("Nothing can be recorded at %(station)s now; see the status page.", station=station), {}
    except TimeoutError:
        return words("The station does not answer now. Look at the status page whether it has happened."), {}
    if reply.refused is not None:
        return words(REFUSALS[reply.refused], **reply.params), {}
    return None, reply.params


def _done(request: Request, what: str) -> Response:
    """To the page that says that it is done; loading that again does nothing again."""
    return RedirectResponse("/?" + urlencode({"lang": words_of(request).language, "done": what}), 303)


def _programs(app: FastAPI, site: Site) -> None:
    @app.post("/api/v1/lift")
    async def lift(asked: LiftAsked) -> Response:
        return await _answer(site, asked, _lifting(asked.hold, asked.by, asked.reason, asked.unit), ("hold",))

    @app.post("/api/v1/restart")
    async def restart(asked: RestartAsked) -> Response:
        made = _restarting(asked.characteristic, asked.stream, asked.by, asked.cause, asked.reason)
        return await _answer(site, asked, made, ("characteristic", "cause"))


async def _answer(site: Site, asked: LiftAsked | RestartAsked, made: Act, names: tuple[str, ...]) -> JSONResponse:
    """What was done, or 404 for what is not there, 422 for what is missing, 504 when the station is silent."""
    agent = {"agent": site.parts.loaded().value.agent}
    try:
        reply = await act(site.parts, asked.station, made)
    except Invalid as error:
        return JSONResponse(agent | {"error": str(error)}, 404)
    except Refused as error:
        return JSONResponse(agent | {"error": str(error)}, 504)
    except TimeoutError:
        return JSONResponse(agent | {"error": f"{asked.station} does not answer in {ACT_LIMIT_S:g} s"}, 504)
    if reply.refused is not None:
        status = 404 if reply.refused in NOT_THERE else 422
        said = REFUSALS[reply.refused] % reply.params
        return JSONResponse(agent | {"code": reply.refused, "error": said}, status)
    told = {name: getattr(asked, name) for name in ("station", *names, "by", "reason")}
    return JSONResponse(agent | told | dict(reply.params))
