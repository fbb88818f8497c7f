"""The agent's page without an agent: its words, what it shows, whom it serves, and a port that is taken."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from structlog.testing import capture_logs

from edge_agent import acts, barriers, hold_view, reactions, requirements, runner
from edge_agent.prompts import MISSING, PROMPTS, missing_says, prompt_says
from edge_agent.run_record import NOT_APPROVED
from edge_agent.station_settings import Need
from edge_agent.web import serve, show, words
from edge_agent.web.guard import why_not
from records.codes import SCAN_REFUSALS
from simulators.sockets import free_port
from spc.series import ENGLISH

TEMPLATES = Path(words.__file__).parent / "templates"
LIMIT_S = 20.0


def _said() -> set[str]:
    """Every text of the templates."""
    found: set[str] = set()
    for path in TEMPLATES.iterdir():
        found |= set(re.findall(r'_\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
        found |= set(re.findall(r"_\(\s*'([^']+)'", path.read_text(encoding="utf-8")))
    return found


def _places(text: str) -> list[str]:
    return sorted(re.findall(r"%\((\w+)\)s", text))


def test_every_text_is_translated_with_all_its_places() -> None:
    assert len(_said()) > 50
    assert _said() - set(words.CHINESE) == set()
    for english, chinese in words.CHINESE.items():
        assert _places(english) == _places(chinese), english
        assert chinese.strip(), english
    assert {show.GONE, *show.KINDS.values()} <= set(words.CHINESE)
    rules = {text for key, text in ENGLISH.items() if key.startswith("rule-")}
    said = (show.TITLES, show.CONSEQUENCES, show.DONE, acts.REFUSALS, hold_view.OTHERS, PROMPTS, MISSING)
    assert {text for texts in said for text in texts.values()} | rules <= set(words.CHINESE)


@pytest.mark.parametrize(
    ("rule", "part", "numbers", "english", "chinese"),
    [
        ("nelson1", "location", {}, "one point beyond a control limit", "一个点超出控制限"),
        ("nelson1", "range", {}, "one point beyond a control limit, on the chart of spread", None),
        ("nelson2", "location", {"window": 7}, "7 points in a row on one side of the centre line", None),
        ("western2", None, {"window": 4, "sigmas": 2.5}, "2 of 4 points beyond 2.5 sigma on one side", None),
        ("chart-no-limits", None, {}, "no limits for what is made now", "当前生产的产品没有控制限"),
        ("nelson2", None, {"window": 99}, "9 points in a row on one side of the centre line", None),
        ("from-the-future", None, {}, "from-the-future", "from-the-future"),
    ],
)
def test_why_something_stands_is_said_in_words(
    rule: str, part: str | None, numbers: dict[str, Any], english: str, chinese: str | None
) -> None:
    assert hold_view.rule_says(rule, part, numbers) == english
    hold = {"rule": rule, "part": part, "points": None, "window": None, "sigmas": None} | numbers
    assert show.rule(hold, words.Words("en")) == english
    in_chinese = show.rule(hold, words.Words("zh-CN"))
    assert chinese in (None, in_chinese)
    assert ("离散控制图" in in_chinese) is (part == "range")


def test_every_prompt_and_what_is_missing_has_words() -> None:
    after_signals = {reactions.STATION_HELD, reactions.UNIT_HELD, reactions.ALARM, *acts.LIFTED.values()}
    written = {
        code
        for path in Path(acts.__file__).parent.glob("station*.py")
        for code in re.findall(r'Prompt\("([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert "write-failed" in written
    said = {*after_signals, *written, *SCAN_REFUSALS, *barriers.WHYS, runner.BUFFER_FULL, NOT_APPROVED}
    assert said == set(PROMPTS)
    assert {requirements.HOLD, requirements.BUFFER, *get_args(Need), *barriers.WHYS} - {"material"} == set(MISSING)
    assert (prompt_says("from-the-future"), missing_says("ORING-1")) == ("from-the-future", "ORING-1")


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        (None, "de,en;q=0.5,zh;q=0.4", "en"),
        (None, "fr", "en"),
        ("zh", "en", "zh-CN"),
        ("en", "zh", "en"),
        ("xx", "zh", "zh-CN"),
        (None, ";;q=x,,", "en"),
    ],
)
def test_the_language_is_the_readers(asked: str | None, accepted: str | None, language: str) -> None:
    assert words.preferred(asked, accepted).language == language


def test_values_as_people_read_them() -> None:
    assert [show.value(v) for v in (True, 1.23456789, 7, "007", [1.0, 2.0, 3.0, 4.0])] == [
        "true",
        "1.23457",
        "7",
        "007",
        "[1, 2, 3, …] 4",
    ]
    assert len(show.value("x" * 500)) == 48
    assert [show.age(s) for s in (None, 0.04, 119.0, 121.0, 3 * 3600.0, 5 * 86_400.0)] == [
        "–",
        "0.0 s",
        "119.0 s",
        "2 min",
        "3 h",
        "5 d",
    ]
    now, before = "2026-11-25T20:00:05.000000Z", "2026-11-25T20:00:00.000000Z"
    assert show.since(before, now) == "5.0 s"
    assert show.clock(now, "Asia/Shanghai") == "2026-11-26 04:00:05"
    assert show.zoned(now, "Asia/Shanghai") == "2026-11-26 04:00:05 Asia/Shanghai"
    assert show.moment(before, now, "UTC") == "20:00:00"
    assert show.moment("2026-11-24T20:00:00.000000Z", now, "UTC") == "2026-11-24 20:00:00"
    assert show.count(1234567) == "1\u2009234\u2009567"
    assert [show.size(n) for n in (12, 2048, 5 << 20, 3 << 30)] == ["12 B", "2.0 KiB", "5.0 MiB", "3.0 GiB"]
    assert show.with_separators(r"a<GS>b\x1dc<gs>") == "a\x1db\x1dc\x1d"


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:9000", "[::1]:8765", "127.0.0.1"])
def test_this_machine_is_served(host: str) -> None:
    assert why_not("GET", {"host": host}) is None
    form = {"host": host, "origin": f"http://{host}", "content-length": "10"}
    assert why_not("POST", form) is None
    assert why_not("POST", {"host": host, "content-length": "10"}) is None  # a program


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1.evil.example", "", "10.0.0.5:8765", "[bad"])
def test_a_name_that_was_made_to_point_here_is_not(host: str) -> None:
    assert why_not("GET", {"host": host, "origin": f"http://{host}"}) == (
        421,
        "this page is only for this machine: ask for 127.0.0.1",
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),  # another program of this machine
        ({"origin": "https://127.0.0.1:8765"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-length": ""}, 411),
        ({"content-length": "70000"}, 413),
    ],
)
def test_a_form_of_somebody_else_is_refused(headers: dict[str, str], status: int) -> None:
    found = why_not("POST", {"host": "127.0.0.1:8765", "content-length": "10"} | headers)
    assert found is not None
    assert found[0] == status


def test_a_port_that_is_taken_is_said_once_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "AGAIN_S", 0.01)
    port = free_port()

    async def hello(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    monkeypatch.setattr(serve, "create_page", lambda _parts: hello)
    tried: list[int] = []
    listen = serve._listen
    monkeypatch.setattr(serve, "_listen", lambda port: (tried.append(port), listen(port))[1])

    async def job() -> bytes:
        taken = socket.socket()
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with capture_logs() as said:
            serving = asyncio.create_task(serve.serve_page(None, port))  # type: ignore[arg-type]
            async with asyncio.timeout(LIMIT_S):
                while len(tried) < 5:
                    await asyncio.sleep(0.005)
                assert [(line["event"], line["port"]) for line in said] == [("status-page-not-served", port)]
                taken.close()
                while len(said) < 2:
                    await asyncio.sleep(0.005)
                async with httpx.AsyncClient() as client:
                    answer = await client.get(f"http://127.0.0.1:{port}/")
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))
        return answer.content

    assert asyncio.run(job()) == b"hello"
