"""What axe finds on a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

ONLY_VIOLATIONS = {"resultTypes": ["violations"]}
"""Without it axe also makes a selector for everything that is in order: a third of its time, for nobody."""


def violations(page: Page) -> list[tuple[str, list[object]]]:
    """Each rule that is broken, with the first three elements that break it."""
    found = Axe().run(page, options=ONLY_VIOLATIONS).response["violations"]
    return [(broken["id"], [node["target"] for node in broken["nodes"][:3]]) for broken in found]
