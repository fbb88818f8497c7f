"""What signals left standing, on the page of a real agent: seen and ended by a person, without scripts too."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from accessible import violations
from playwright.sync_api import Browser, Page

from tests.rigs.press import PressLine
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.browser, pytest.mark.libmodbus, pytest.mark.timeout(240)]
OUTSIDE = 11.1


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PressLine]:
    with PressLine(tmp_path_factory.mktemp("press")) as made:
        made.start()
        until(lambda: made.agent.events("device-connected"))
        made.ready()
        made.cycle(1, OUTSIDE, "C-7")
        yield made


def faults_of(page: Page, theme: str) -> list[object]:
    """What axe finds, and how much wider the page is than its window."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [*violations(page, theme=theme), *([wider] if wider else [])]


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh-CN", "dark")])
def test_axe_finds_nothing_and_nothing_overflows(
    chromium: Browser, press: PressLine, language: str, theme: str
) -> None:
    for width in (1280, 390):
        context = chromium.new_context(
            base_url=press.url,
            viewport={"width": width, "height": 844},
            color_scheme=theme,  # type: ignore[arg-type]
            locale=language,
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda m, said=said: said.append(m.text) if m.type == "error" else None)
        page.goto("/")
        assert page.locator(".standing tbody tr").count() == 3
        hidden = "box => box.parentElement.scrollWidth - box.parentElement.clientWidth"
        assert page.locator(".standing").evaluate(hidden) == 0  # nothing of why and since when is out of sight
        assert faults_of(page, theme) == []
        page.locator(".standing a").first.click()
        page.locator("#by").wait_for()
        assert page.locator("html").get_attribute("lang") == language
        assert faults_of(page, theme) == []
        page.goto("/")
        page.locator("#charts button").click()
        page.locator("#cause").wait_for()
        assert page.locator("html").get_attribute("lang") == language
        assert faults_of(page, theme) == []
        other = page.locator("nav a:not([aria-current])")
        other.click()
        assert page.locator("html").get_attribute("lang") != language
        assert page.locator("#cause").count() == 1  # the same page in the other language
        assert said == []
        context.close()


def test_a_form_of_another_page_and_one_without_a_name_change_nothing(press: PressLine) -> None:
    hold = httpx.get(press.url + "/api/v1/status", timeout=30).json()["stations"][0]["holds"][0]["hold"]
    said = {"station": "press", "hold": hold, "by": "B000001", "reason": "tool changed"}
    for path in ("/hold", "/api/v1/lift"):
        forged = httpx.post(press.url + path, data=said, headers={"origin": "http://evil.example"}, timeout=30)
        assert forged.status_code == 403
    for missing in ("by", "reason", "hold", "station"):
        refused = httpx.post(press.url + "/hold", data=said | {missing: ""}, timeout=30)
        assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
    asked = httpx.post(press.url + "/api/v1/lift", json=said | {"more": 1}, timeout=30)
    assert (asked.status_code, asked.json()["agent"]) == (422, "pressing-1")
    assert press.agent.events("station-hold-lifted") == []
    assert press.locks == (0, 1)
    gone = httpx.get(press.url + "/hold?station=press&hold=h-0", timeout=30)
    assert "Nothing of that name stands here" in gone.text


def test_a_person_lifts_and_begins_anew_without_scripts(chromium: Browser, press: PressLine) -> None:
    context = chromium.new_context(base_url=press.url, java_script_enabled=False, locale="en")
    page = context.new_page()
    page.goto("/")
    row = page.locator(".standing tbody tr").first
    assert "Station held" in row.inner_text()
    assert "one point beyond a control limit" in row.inner_text()
    row.get_by_role("link").click()
    assert "The machine may run again at once" in page.locator(".consequence").inner_text()
    page.locator("#by").fill("Chen Wei")
    page.locator("#reason").fill("tool 7 changed")
    page.locator("form button").click()
    assert "Chen Wei is no badge of this station" in page.locator("[role=alert]").inner_text()
    assert page.locator("#reason").input_value() == "tool 7 changed"
    page.locator("#by").fill("B000001")
    page.locator("form button").click()
    assert page.locator(".note.ok").inner_text().strip() == "The hold is lifted and recorded."
    assert page.locator(".standing tbody tr").count() == 2
    until(lambda: press.locks == (1, 0))
    (lifted,) = press.agent.events("station-hold-lifted")
    assert (lifted.params["by"], lifted.params["reason"]) == ("B000001", "tool 7 changed")
    page.locator("#charts button").click()
    page.locator("#cause").fill("tool worn")
    page.locator("#by").fill("B000001")
    page.locator("#reason").fill("tool 7 changed")
    page.locator("form button").click()
    assert page.locator(".note.ok").inner_text().strip() == "The chart begins anew, and that is recorded."
    (anew,) = press.agent.events("chart-restarted")
    assert (anew.params["characteristic"], anew.params["cause"]) == ("force", "tool worn")
    page.goto("/?done=nonsense")
    assert page.locator(".note.ok").count() == 0
    context.close()
