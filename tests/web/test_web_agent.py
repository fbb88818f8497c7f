"""The page of a real agent on a line PC: what it shows and tries, whom it refuses, and in Chromium on a phone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from accessible import violations
from playwright.sync_api import Browser

from simulators.processes import command
from simulators.sockets import free_port
from tests.rigs.agent import OneAgent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

DEADLINE_S = 60.0


class LinePc:
    """The agent, one machine that runs and one that is away, and the page's address."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.agent = OneAgent(folder)
        with self.agent.line.open("a") as file:
            file.write(f"status: {{port: {self.port}}}\nschemes: {{own: 'S(?P<serial>[0-9]{{4}})'}}\n")

    def until(self, what: str, condition: str) -> None:
        """Wait until the report holds what an expression over it says."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                if eval(condition, {"r": self.get("/api/v1/status").json()}):
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"did not happen: {what}\n{self.agent.log.read_text()}")

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=30)

    def typed(self, *words: str) -> tuple[int, str, str]:
        """A command about this line."""
        done = subprocess.run(
            [command("lotkeeper-edge"), *words[:1], str(self.agent.line), *words[1:]],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def pc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LinePc]:
    made = LinePc(tmp_path_factory.mktemp("pc"))
    made.agent.start_machine("near")
    with made.agent:
        made.until("the first record", "r['devices'][0]['connected'] and r['buffer']['committed'] > 5")
        yield made


# -- for programs --------------------------------------------------------------------------------------------


def test_the_report_names_every_part(pc: LinePc) -> None:
    pc.until("values, also of tags nobody watches", "all(t['quality'] == 'good' for t in r['devices'][0]['tags'])")
    report = pc.get("/api/v1/status").json()
    assert (report["agent"], report["site"], report["line"], report["running"]) == (
        "testing-1",
        "suzhou",
        "valve-1",
        True,
    )
    near, far = report["devices"]
    assert (near["name"], near["connected"], near["error"]) == ("near", True, None)
    assert (far["connected"], near["polls"] > 0, near["values"] > 0) == (False, True, True)
    assert str(pc.agent.ports["far"]) in far["error"]
    tags = {tag["tag"]: tag for tag in near["tags"]}
    assert list(tags) == ["near.done", "near.ack", "near.count", "near.carrier", "near.leak_rate"]
    assert all(tag["age_s"] < DEADLINE_S for tag in tags.values() if tag["quality"] == "good")
    assert tags["near.leak_rate"]["unit"] == "mL/min"
    assert {tag["quality"] for tag in far["tags"]} == {None}
    assert [scanner["connected"] for scanner in report["scanners"]] == [True]
    assert [station["name"] for station in report["stations"]] == ["near", "far"]
    counts = report["counts"]
    assert counts["values_captured"] > 0
    assert counts["telemetry_lost"] == 0
    buffer = report["buffer"]
    assert buffer["pending"] == buffer["committed"]
    assert (buffer["acknowledged_records"], report["central"]["connected"]) == (0, False)
    newest = report["records"][0]
    assert int(newest["seq"]) == buffer["committed"]
    assert {record["kind"] for record in report["records"]} & {"operation_record", "operations_event"}


def test_status_asks_the_running_agent(pc: LinePc) -> None:
    code, out, err = pc.typed("status", "--json")
    assert (code, err) == (1, "")  # far is away
    assert json.loads(out)["running"] is True
    code, out, _ = pc.typed("status")
    assert code == 1
    assert "agent testing-1 runs since" in out
    assert "far                  AWAY" in out


def test_read_goes_through_the_sessions_of_the_agent(pc: LinePc) -> None:
    code, out, _ = pc.typed("read", "near.carrier", "near.leak_rate")
    carrier, leak_rate = json.loads(out)
    assert (code, carrier["tag"], leak_rate["quality"]) == (0, "near.carrier", "good")
    code, out, err = pc.typed("read")
    assert code == 3
    assert [reading["status"] for reading in json.loads(out)[-5:]] == ["BadNotConnected"] * 5
    assert err.startswith("error: far (")


def test_what_the_interface_refuses(pc: LinePc) -> None:
    post = {"headers": {}, "timeout": 30}
    read = pc.url + "/api/v1/read"
    assert httpx.post(read, json={"tags": ["near.nothing"]}, **post).status_code == 404  # type: ignore[arg-type]
    assert httpx.post(read, json={"tags": ["scanner.x"]}, **post).status_code == 404  # type: ignore[arg-type]
    other = {"tags": ["near.done"], "configuration": "sha256:another"}
    assert httpx.post(read, json=other, **post).status_code == 409  # type: ignore[arg-type]
    assert httpx.post(read, json={"tags": []}, **post).status_code == 422  # type: ignore[arg-type]
    assert httpx.post(read, json={"tags": ["x"], "more": 1}, **post).status_code == 422  # type: ignore[arg-type]
    assert pc.get("/static/none").status_code == 404
    assert pc.get("/", host="evil.example").status_code == 421
    answer = httpx.post(pc.url + "/scan", data={"text": "WO-1"}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "script-src" not in answer.headers["content-security-policy"]
    for path in ("/", "/scan", "/static/app.js"):
        assert pc.get(path).headers["cache-control"] == "no-store"


def test_a_scan_is_explained_and_nobody_is_told(pc: LinePc) -> None:
    def explained(text: str) -> dict[str, object]:
        found: dict[str, object] = httpx.post(pc.url + "/api/v1/scan", json={"text": text}, timeout=30).json()
        return found

    order = explained("WO-1")
    assert order["stations"] == [
        {
            "station": name,
            "scanner": "scanner",
            "field": "order",
            "accepted": True,
            "reason": None,
            "expected": None,
            "found": None,
        }
        for name in ("near", "far")
    ]
    unknown = explained("WO-9")["stations"]
    assert unknown[0] | {"found": "WO-9"} == unknown[0]  # type: ignore[index]
    assert unknown[0]["reason"] == "order-unknown"  # type: ignore[index]
    own = explained("S0007")
    assert (own["scheme"], own["fields"]) == ("own", {"serial": "0007"})
    assert explained("+A123BJC5D6E71X")["error"] == "check_character"
    assert pc.agent.events("scan-accepted") == []
    assert pc.agent.events("scan-refused") == []


# -- for people ----------------------------------------------------------------------------------------------


def test_the_language_is_the_browsers_or_the_one_asked_for(pc: LinePc) -> None:
    chinese = pc.get("/", **{"accept-language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh-CN">' in chinese.text
    assert "设备" in chinese.text
    assert '<html lang="en">' in pc.get("/?lang=en", **{"accept-language": "zh-CN"}).text


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
def test_axe_finds_nothing_and_nothing_overflows(chromium: Browser, pc: LinePc, language: str, theme: str) -> None:
    for width in (1280, 390):
        context = chromium.new_context(
            base_url=pc.url,
            viewport={"width": width, "height": 844},
            color_scheme=theme,  # type: ignore[arg-type]
            locale=language,
        )
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda m, faults=faults: faults.append(m.text) if m.type == "error" else None)
        page.goto("/")
        page.locator("#text").fill("WO-9")
        page.locator("#scan button").click()
        page.locator("#scan .answers li").first.wait_for()
        assert page.locator("html").get_attribute("lang") == language
        assert violations(page, theme=theme) == []
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        boxes = page.locator(".wide").evaluate_all("all => all.map(box => box.scrollWidth - box.clientWidth)")
        assert max(boxes) <= 0, boxes
        told = page.locator("section[aria-labelledby=records]").inner_text()
        assert {"en": "Value written to the PLC", "zh-CN": "已写入 PLC"}[language] in told
        page.locator("#tag").select_option("near.leak_rate")
        page.locator("#read button").click()
        page.locator("#read .big").wait_for()
        assert "mL/min" in page.locator("#read .big").inner_text()
        assert faults == []
        context.close()


def test_the_page_is_whole_without_javascript(chromium: Browser, pc: LinePc) -> None:
    context = chromium.new_context(base_url=pc.url, java_script_enabled=False, locale="en")
    page = context.new_page()
    page.goto("/")
    assert page.locator("h1").inner_text() == "testing-1"
    assert page.locator("#device-1").inner_text() == "near"
    page.locator("#tag").select_option("far.done")
    page.locator("#read button").click()
    assert "BadNotConnected" in page.locator("#read").inner_text()
    page.locator("#text").fill("WO-1")
    page.locator("#text").press("Enter")
    assert page.locator("#scan .answers").inner_text().count("takes it") == 2
    context.close()


def test_the_page_goes_on_by_itself_and_says_when_it_is_old(chromium: Browser, tmp_path: Path) -> None:
    pc = LinePc(tmp_path / "pc")
    pc.agent.start_machine("near")
    with pc.agent:
        pc.until("the page", "r['running']")
        context = chromium.new_context(base_url=pc.url, locale="en")
        page = context.new_page()
        page.goto("/")
        committed = page.locator(".figures dd").nth(4)
        before = committed.inner_text()
        page.wait_for_function(
            "text => document.querySelectorAll('.figures dd')[4].innerText !== text", arg=before
        )
        assert page.locator("[data-stale]").is_hidden()
        assert pc.agent.stop() == 0
        page.locator("[data-stale]").wait_for()
        context.close()
        code, out, _ = pc.typed("status")
        assert code == 3
        assert "is not running" in out
        assert "records committed" in out
