"""In Chromium: a lot is signed and released in both languages, nothing overflows, axe finds nothing."""

from __future__ import annotations

import pytest
from accessible import violations
from conftest import Site, dhr_of, form_token
from fixture_central import PASSWORD
from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

WIDTHS = PHONE, DESK = 390, 1280


def visit(browser: Browser, site: Site, user: str, language: str, theme: str = "light") -> BrowserContext:
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    wanted = {"lk_language": language, "lk_theme": theme}
    context.add_cookies([{"name": name, "value": value, "url": site.url} for name, value in wanted.items()])
    page = context.new_page()
    page.goto("/sign-in")
    page.locator("#user").fill(user)
    page.locator("#password").fill(PASSWORD)
    page.locator("form[action='/sign-in'] button").click()
    page.wait_for_url(f"{site.url}/")
    page.close()
    return context


def every_page(site: Site) -> list[str]:
    client = site.signed_in("mueller")
    lot = dhr_of(client, "WO-1002")
    finding = client.get("/api/v1/exceptions", params={"code": "out-of-specification"}).json()["items"][0]["id"]
    record = client.get("/api/v1/operation-records", params={"station": "weld"}).json()["items"][0]["hash"]
    file = next(one for one in client.get("/api/v1/configurations").json()["items"] if one["in_use"])
    tabs = ("units", "records", "charts", "events", "materials", "people", "equipment", "configurations")
    pages = ["/", "/orders", "/orders/WO-1002", "/findings?state=all", f"/findings/{finding}", "/dhrs"]
    pages += [f"/dhrs/{lot}?show={tab}" for tab in (*tabs, "certificate", "audit")]
    return [
        *pages,
        f"/units/{lot}/000034",
        f"/records/{record}",
        "/audit",
        "/lines",
        "/holds",
        "/people",
        "/holds/new?kind=lot&product=VS-100&held=WO-1002",
        "/configurations",
        f"/configurations/{file['agent']}/{file['hash']}",
        "/trace",
        "/trace?q=SR-2026-007",
    ]


def _sign(page: Page, lot: str, user: str, meaning: str) -> None:
    page.goto(f"/dhrs/{lot}")
    panel = page.locator("#sign")
    panel.locator(f"#meaning-{meaning}").check()
    panel.locator("#reason").fill("looked at every exception / 已查看每项异常")
    panel.locator("#user").fill(user)
    panel.locator("#password").fill(PASSWORD)
    panel.locator("button.primary").click()
    page.wait_for_url("**#signatures")


@pytest.mark.parametrize(
    ("language", "reviewed", "released"), [("en", "Reviewed", "Released"), ("zh-CN", "已审核", "已放行")]
)
def test_a_lot_is_reviewed_and_released(
    chromium: Browser, own: Site, language: str, reviewed: str, released: str
) -> None:
    lot = dhr_of(own.signed_in("chen.li"), "WO-1001")
    for user, meaning, word in (("chen.li", "reviewed", reviewed), ("mueller", "released", released)):
        context = visit(chromium, own, user, language)
        page = context.new_page()
        faults: list[str] = []
        page.on(
            "console",
            lambda message, faults=faults: faults.append(message.text) if message.type == "error" else None,
        )
        _sign(page, lot, user, meaning)
        assert page.locator("h1 + .status").inner_text().strip() == word
        assert page.locator("#signatures").inner_text().count(word) >= 1
        assert page.locator("html").get_attribute("lang") == language
        assert faults == []
        context.close()
    states = {d.lot: d.state.value for d in own.central.reviews.queue()}
    assert states["WO-1001"] == "released"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_is_read_row_by_row_fits_into_a_window(chromium: Browser, shared: Site, language: str) -> None:
    """Bug: the list of records lost its last column in English, the values of a run scrolled sideways."""
    context = visit(chromium, shared, "mueller", language)
    page = context.new_page()
    for path in every_page(shared):
        if path.startswith(("/dhrs?", "/records/", "/lines")) or path == "/dhrs":
            page.goto(path)
            wider = "[...document.querySelectorAll('.table')].filter(t => t.scrollWidth > t.clientWidth)"
            assert page.evaluate(f"{wider}.map(t => t.getAttribute('aria-label'))") == [], path
    context.close()


def test_a_finding_is_decided_with_the_keyboard_alone(chromium: Browser, own: Site) -> None:
    client = own.signed_in("chen.li")
    finding = client.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]["id"]
    context = visit(chromium, own, "chen.li", "en")
    page = context.new_page()
    page.goto(f"/findings/{finding}")
    page.locator("#act-close").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("taken off the line")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("taken off the line").wait_for()
    assert page.locator("h1 + .status").inner_text().strip() == "Closed"
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, shared: Site, theme: str) -> None:
    stranger = chromium.new_context(base_url=shared.url, color_scheme=theme)  # type: ignore[arg-type]
    door = stranger.new_page()
    door.goto("/sign-in")
    found = [("/sign-in", *broken) for broken in violations(door, theme=theme)]
    stranger.close()
    context = visit(chromium, shared, "mueller", "en" if theme == "light" else "zh-CN", theme)
    page = context.new_page()
    for path in every_page(shared):
        page.goto(path)
        repeated = "?show=" in path and not path.endswith("?show=units")
        within = "section[aria-labelledby=evidence]" if repeated else None
        found += [(path, *broken) for broken in violations(page, theme=theme, within=within)]
    context.close()
    assert found == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_overflows(chromium: Browser, shared: Site, language: str) -> None:
    context = visit(chromium, shared, "mueller", language)
    page = context.new_page()
    wide = []
    pages = every_page(shared)
    for path in pages if language == "en" else pages[:8]:
        page.set_viewport_size({"width": PHONE, "height": 900})
        page.goto(path)
        current = page.locator(".nav [aria-current]")
        if current.count():
            place = current.bounding_box()
            assert place is not None
            assert 0 <= place["x"] <= PHONE - place["width"], path
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if over > 0:
                wide.append((width, path, over))
    context.close()
    assert wide == []


def test_the_audit_trail_is_read_without_scrolling_sideways(chromium: Browser, own: Site) -> None:
    client = own.signed_in("mueller")
    finding = client.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]
    path, seen = f"/findings/{finding['id']}", {"content_hash": finding["content_hash"]}
    form = {"csrf": form_token(client, path), "act": "concession", **seen}
    assert client.post(path, data=form | {"reason": "taken off the line"}).status_code == 303
    for language in ("en", "zh-CN"):
        context = visit(chromium, own, "mueller", language)
        page = context.new_page()
        over = {}
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto("/audit")
            over[width] = page.locator(".table").first.evaluate("box => box.scrollWidth - box.clientWidth")
        context.close()
        assert max(over.values()) <= 0, (language, over)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_record_and_its_lines_are_read_without_scrolling_sideways(
    chromium: Browser, shared: Site, language: str
) -> None:
    """Beside the column in which it is signed, and on a telephone; findings of many pieces, and of other days."""
    dhr = dhr_of(shared.signed_in("mueller"), "WO-1002")
    context = visit(chromium, shared, "mueller", language)
    page = context.new_page()
    over = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"/dhrs/{dhr}")
        page.locator(".found .time time").first.evaluate("time => time.textContent = '12-31 ' + time.textContent")
        for panel in ("findings", "operations"):
            box = page.locator(f"section[aria-labelledby={panel}] .table")
            over[width, panel] = box.evaluate("box => box.scrollWidth - box.clientWidth")
        for path in ("/lines", f"/dhrs/{dhr}?show=certificate", f"/dhrs/{dhr}?show=events"):
            page.goto(path)
            boxes = page.locator(".table:is(.phone)")
            assert boxes.count(), path
            over[width, path] = max(boxes.evaluate_all("all => all.map(box => box.scrollWidth - box.clientWidth)"))
    context.close()
    assert max(over.values()) <= 0, over


def test_pages_are_whole_without_javascript(chromium: Browser, shared: Site) -> None:
    context = visit(chromium, shared, "mueller", "en")
    state = context.storage_state()
    context.close()
    plain = chromium.new_context(base_url=shared.url, java_script_enabled=False, storage_state=state)
    page = plain.new_page()
    lot = dhr_of(shared.signed_in("mueller"), "WO-1002")
    page.goto(f"/dhrs/{lot}?show=charts")
    assert page.locator(".chart svg").count() == 3
    page.goto("/findings")
    page.locator("#filter-code").select_option("out-of-specification")
    page.locator(".filters button").click()
    assert "code=out-of-specification" in page.url
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody tr .rowlink").click()
    assert "/findings/" in page.url
    plain.close()


def test_print_shows_every_row(chromium: Browser, shared: Site) -> None:
    context = visit(chromium, shared, "mueller", "en", "dark")
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto(f"/dhrs/{dhr_of(shared.signed_in('mueller'), 'WO-1002')}?show=all")
    boxes = page.locator(".table").evaluate_all("all => all.map(box => [box.scrollHeight, box.clientHeight])")
    assert len(boxes) > 12
    assert [pair for pair in boxes if pair[0] > pair[1] + 1] == []
    assert page.locator("#sign").is_hidden()
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    context.close()


def test_live_parts_say_when_they_are_old(chromium: Browser, shared: Site) -> None:
    context = visit(chromium, shared, "mueller", "en")
    page = context.new_page()
    page.clock.install()
    page.goto("/lines")
    stale = page.get_by_text("Central does not answer")
    assert stale.is_hidden()
    context.set_offline(True)
    page.clock.run_for(6000)
    stale.wait_for()
    context.set_offline(False)
    page.clock.run_for(6000)
    stale.wait_for(state="hidden")
    assert page.locator("[data-live] tbody tr").count() == 2
    context.close()
