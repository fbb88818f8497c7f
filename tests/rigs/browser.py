"""Chromium for tests of pages, as Playwright drives it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Debian's, the first that is there: without what draws on a screen it takes two thirds of the processor."""
ARGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


@contextmanager
def opened() -> Iterator[Browser]:
    """A browser without a screen, until the block ends."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, PROGRAMS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()
