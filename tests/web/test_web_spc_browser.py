"""In Chromium: the pages of control charts in both themes and languages, on a phone, on a wall, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from accessible import violations
from conftest import Site, dhr_of, site
from fixture_central import chart_story
from playwright.sync_api import Browser
from test_web_browser import visit

from central.limit_sets import Window
from central.phase_one import Method

SMALL = (
    "[...document.querySelectorAll('main .button, main .segments > a, main select, main input')]"
    ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).length"
)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A press with charts in every state, a cause on a point, and limits that wait for approval."""
    with site(tmp_path_factory.mktemp("press"), chart_story(4)) as made:
        central = made.central
        jansen = next(user for user in central.access.users() if user.id == "jansen")
        head = central.charts.heads(characteristic="burst_pressure")[0]
        central.charts.annotate(head.ref, 71, jansen, cause="tool-wear", text="seal leaks")
        central.limit_sets.propose(head.ref, Window(first=1, last=40), Method(), jansen, "as it should be")
        entry = {"tool": None, "position": None, "specification": {"lsl": 1.0, "usl": 2.0, "target": None}}
        content = {"product": "PT-20", "revision": "C", "characteristics": {"width": [{**entry, "sigma": None}]}}
        central.recipes.propose("PT-20/C", lambda _version: content, jansen, "drawing")  # type: ignore[arg-type]
        yield made


def pages(press: Site) -> list[str]:
    central = press.central
    ids = {h.ref.characteristic: h.id for h in central.charts.heads()}
    chart = f"/spc/{ids['burst_pressure']}"
    limits = central.limit_sets.listed()[0].id
    return [
        "/spc",
        f"{chart}?point=71",
        f"/spc/{ids['rejects']}",
        f"{chart}/limits?first=1&last=40&preview=1",
        f"{chart}/limits/{limits}",
        "/recipes",
        f"/recipes/{central.recipes.listed()[0].id}",
        f"/units/{dhr_of(press.signed_in('mueller'), 'WO-1002')}/C-006",
    ]


@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "zh-CN")])
def test_pages_of_charts_are_accessible_and_fit_their_screens(
    chromium: Browser,
    press: Site,
    theme: str,
    language: str,
) -> None:
    """Axe finds nothing, nothing is wider than the screen, nothing to be pressed is smaller than 24 px."""
    context = visit(chromium, press, "mueller", language, theme)
    page = context.new_page()
    wrong: list[tuple[object, ...]] = []
    for path in pages(press):
        page.goto(path)
        wrong += [(path, *broken) for broken in violations(page, theme=theme)]
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            small = page.evaluate(SMALL)
            if over > 0 or small:
                wrong.append((path, width, over, small))
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.goto("/spc?wall=1")
    wrong += [("wall", *broken) for broken in violations(page, theme=theme)]
    assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    words = page.locator(".wall .tile-head .status")
    sizes = words.evaluate_all("all => all.map(e => parseFloat(getComputedStyle(e).fontSize))")
    assert min(sizes) >= 24  # read from five metres
    context.close()
    assert wrong == []


def test_the_wall_turns_its_pages_by_itself(chromium: Browser, press: Site) -> None:
    context = visit(chromium, press, "op", "en")
    page = context.new_page()
    page.clock.install()
    page.goto("/spc?wall=1")
    assert page.get_by_text("Page 1 of 3").is_visible()
    page.clock.run_for(21_000)
    page.get_by_text("Page 2 of 3").wait_for()
    context.set_offline(True)
    page.clock.run_for(21_000)
    page.get_by_text("Central does not answer").wait_for()
    context.close()


def test_a_signal_is_explained_with_the_keyboard_alone(chromium: Browser, press: Site) -> None:
    chart = f"/spc/{press.central.charts.heads(characteristic='burst_pressure')[0].id}"
    context = visit(chromium, press, "jansen", "en")
    page = context.new_page()
    page.goto(chart)
    page.keyboard.press("j")  # the newest flagged point
    page.get_by_role("heading", name="Point 71").wait_for()
    page.keyboard.press("k")
    page.get_by_role("heading", name="Point 61").wait_for()
    page.keyboard.press("c")
    page.keyboard.type("jk: the clamp was changed")
    page.locator("#cause").select_option("setup")
    page.locator("#comment").press("Tab")
    page.keyboard.press("Enter")
    page.locator(".thread").get_by_text("jk: the clamp was changed").wait_for()
    page.locator("[data-keys] input").uncheck()
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    assert page.get_by_role("heading", name="Point 61").is_visible()
    context.close()


def test_a_chart_is_worked_on_without_javascript(chromium: Browser, press: Site) -> None:
    chart = f"/spc/{press.central.charts.heads(characteristic='burst_pressure')[0].id}"
    context = visit(chromium, press, "jansen", "en")
    state = context.storage_state()
    context.close()
    plain = chromium.new_context(base_url=press.url, java_script_enabled=False, storage_state=state)
    page = plain.new_page()
    page.goto(f"{chart}?show=50")
    page.locator(".chart svg a").first.click()  # a flagged point in the drawing leads to its panel
    assert "point=" in page.url
    page.locator("#cause").select_option("material")
    page.get_by_role("button", name="Save cause and comment").click()
    page.locator(".thread").get_by_text("Material").wait_for(timeout=10_000)
    page.get_by_role("link", name="Held here").click()
    assert page.locator("[data-live]").count() == 0
    plain.close()


def test_a_chart_prints_as_it_is_shown(chromium: Browser, press: Site) -> None:
    context = visit(chromium, press, "mueller", "en", "dark")
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(f"/spc/{press.central.charts.heads(characteristic='burst_pressure')[0].id}?point=71")
    boxes = page.locator(".table").evaluate_all("all => all.map(box => [box.scrollHeight, box.clientHeight])")
    assert [pair for pair in boxes if pair[0] > pair[1] + 1] == []
    assert page.locator("svg.lk-chart").is_visible()
    assert page.get_by_text("seal leaks").first.is_visible()
    assert page.locator("#comment").is_hidden()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    context.close()
