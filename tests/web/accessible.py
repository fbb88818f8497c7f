"""What axe finds on a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

ONLY_VIOLATIONS = {"resultTypes": ["violations"]}
"""Without it axe also makes a selector for everything that is in order: a third of its time, for nobody."""
OF_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules that look at colours."""


def violations(page: Page, *, theme: str = "light", within: str | None = None) -> list[tuple[str, list[object]]]:
    """Each rule that is broken, with the first three elements that break it.

    In another theme than the light one only colours are looked at: all else of the page is what it was there.
    ``within``: a selector, where the rest of the page was looked at already.
    """
    options = ONLY_VIOLATIONS if theme == "light" else ONLY_VIOLATIONS | OF_COLOURS
    found = Axe().run(page, context=within, options=options).response["violations"]
    return [(broken["id"], [node["target"] for node in broken["nodes"][:3]]) for broken in found]
