"""The page's acts without a browser: what a station that is silent or gone means for whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from edge_agent.events import Lift, Reply, RestartChart
from edge_agent.report import Parts
from edge_agent.runner import BUFFER_FULL
from edge_agent.web import acts
from edge_agent.web.acts import add_acts
from edge_agent.web.site import Site

SAID = {"station": "seal", "hold": "h-1", "by": "B000001", "reason": "tool changed"}
Asked = Lift | RestartChart


class Runner:
    """A station that answers by a rule."""

    name = "seal"

    def __init__(self, rule: Callable[[Asked], Awaitable[Reply]], prompt: str | None = None) -> None:
        self.rule = rule
        self.status = SimpleNamespace(prompt=prompt)
        self.asked: list[Asked] = []

    async def act(self, made: Callable[[int], Asked]) -> Reply:
        self.asked.append(made(7))
        return await self.rule(self.asked[-1])


def post(runner: Runner, path: str, body: dict[str, Any], *, form: bool = False) -> httpx.Response:
    loaded = SimpleNamespace(value=SimpleNamespace(agent="press-1"))
    parts = cast(Parts, SimpleNamespace(runners=lambda: [runner], loaded=lambda: loaded))

    async def page(request: Any, name: str = "", status: int = 200, **more: Any) -> Any:
        from fastapi.responses import JSONResponse

        return JSONResponse({"page": name, "refused": more["refused"], "typed": more["typed"]}, status)

    app = FastAPI()
    add_acts(app, cast(Site, SimpleNamespace(parts=parts, page=page)))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, data=body) if form else await client.post(path, json=body)

    return asyncio.run(ask())


async def never(_: Asked) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


async def done(asked: Asked) -> Reply:
    return Reply(asked.number, None, {"action": "alarm", "segment": 4, "stream": "product=A"})


async def refused(asked: Asked) -> Reply:
    return Reply(asked.number, "stream-missing", {"characteristic": "torque", "streams": "a, b"})


def test_a_station_that_is_silent_is_said_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "ACT_LIMIT_S", 0.01)
    answer = post(Runner(never), "/api/v1/lift", SAID)
    assert (answer.status_code, answer.json()["agent"]) == (504, "press-1")
    answer = post(Runner(never), "/hold?lang=zh-CN", SAID, form=True)
    assert answer.status_code == 422
    assert answer.json()["refused"].startswith("工位暂无响应")


def test_a_station_that_waits_for_a_full_buffer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "ACT_LIMIT_S", 0.01)
    answer = post(Runner(never, BUFFER_FULL), "/api/v1/lift", SAID)
    assert (answer.status_code, "can be recorded at seal now" in answer.json()["error"]) == (504, True)
    answer = post(Runner(never, BUFFER_FULL), "/hold?lang=zh-CN", SAID, form=True)
    assert (answer.status_code, "查看状态页" in answer.json()["refused"]) == (422, True)


def test_what_was_done_comes_back_with_who_and_why() -> None:
    runner = Runner(done)
    assert post(runner, "/api/v1/lift", SAID).json() == {"agent": "press-1", **SAID, "action": "alarm"} | {
        "segment": 4,
        "stream": "product=A",
    }
    chart = {"station": "seal", "characteristic": "torque", "by": "B1", "cause": "worn", "reason": "changed"}
    answer = post(runner, "/api/v1/restart", chart)
    assert answer.json() == {"agent": "press-1", **chart, "action": "alarm", "segment": 4, "stream": "product=A"}
    assert runner.asked == [
        Lift(7, "h-1", "B000001", "tool changed"),
        RestartChart(7, "torque", None, "B1", "worn", "changed"),
    ]


def test_one_unit_of_many_is_asked_for_by_programs_and_by_the_form() -> None:
    async def released(asked: Asked) -> Reply:
        return Reply(asked.number, None, {"action": "hold_unit", "unit": "S1", "left": 2})

    runner = Runner(released)
    answer = post(runner, "/api/v1/lift", SAID | {"unit": "S1"}).json()
    assert (answer["unit"], answer["left"]) == ("S1", 2)
    page = post(runner, "/hold", SAID | {"unit": "S1"}, form=True)
    assert (page.status_code, page.headers["location"]) == (303, "/?lang=en&done=unit")
    post(runner, "/hold", SAID | {"unit": ""}, form=True)
    one, all_ = Lift(7, "h-1", "B000001", "tool changed", "S1"), Lift(7, "h-1", "B000001", "tool changed")
    assert runner.asked == [one, one, all_]

    async def unknown(asked: Asked) -> Reply:
        return Reply(asked.number, "unit-not-held", {"hold": "h-1", "unit": "S9"})

    assert post(Runner(unknown), "/api/v1/lift", SAID | {"unit": "S9"}).status_code == 404
    answer = post(Runner(unknown), "/hold?lang=zh-CN", SAID | {"unit": "S9"}, form=True)
    assert answer.json()["refused"] == "h-1 未扣留产品 S9；是否已有人放行？"
    assert answer.json()["typed"]["unit"] == "S9"


def test_what_was_refused_says_why_and_what_is_not_there_is_404() -> None:
    answer = post(Runner(refused), "/api/v1/lift", SAID)
    assert (answer.status_code, answer.json()["code"]) == (422, "stream-missing")
    assert answer.json()["error"] == "The chart of torque has several streams; name one of: a, b."

    async def unknown(asked: Asked) -> Reply:
        return Reply(asked.number, "hold-unknown", {"hold": "h-1"})

    assert post(Runner(unknown), "/api/v1/lift", SAID).status_code == 404
    assert post(Runner(done), "/api/v1/lift", SAID | {"station": "weld"}).status_code == 404


def test_a_form_goes_to_the_page_that_says_so_in_the_reader_s_language() -> None:
    runner = Runner(done)
    answer = post(runner, "/hold?lang=zh-CN", SAID, form=True)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?lang=zh-CN&done=alarm")
    which = "station=seal&characteristic=torque&stream="
    answer = post(runner, "/chart", {"chart": which, "by": "B1", "cause": "worn", "reason": "x"}, form=True)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?lang=en&done=chart")
    assert runner.asked[-1] == RestartChart(7, "torque", "", "B1", "worn", "x")
    answer = post(Runner(refused), "/chart", {"chart": which, "by": "B1", "reason": "x"}, form=True)
    assert (answer.status_code, answer.json()["typed"]) == (422, {"by": "B1", "cause": "", "reason": "x"})
    answer = post(runner, "/chart", {"chart": "nonsense"}, form=True)
    assert (answer.status_code, answer.json()["refused"]) == (422, "The agent has no station .")
