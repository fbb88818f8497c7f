"""A site over a central with a story, and people who have signed in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from fixture_central import PASSWORD, FixtureCentral, Tell, central, whole_story
from serving import serving

from central.access import Actor
from central.web import create_app
from tests.rigs import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(frozen=True)
class Site:
    """A central with its pages on a port."""

    central: FixtureCentral
    url: str
    clients: list[httpx.Client]

    def visitor(self, **headers: str) -> httpx.Client:
        """A browser of somebody unknown."""
        client = httpx.Client(base_url=self.url, headers=headers or {"origin": self.url}, timeout=30)
        self.clients.append(client)
        return client

    def signed_in(self, user: str) -> httpx.Client:
        client = self.visitor()
        token = form_token(client, "/sign-in")
        answer = client.post("/sign-in", data={"csrf": token, "user": user, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return client

    def program(self, scope: str) -> httpx.Client:
        token = self.central.access.create_token(f"program-{scope}", scope, by=Actor("console", "command line"))
        return self.visitor(authorization=f"Bearer {token}")


@contextmanager
def site(folder: Path, tell: Tell) -> Iterator[Site]:
    with central(folder, tell) as made, serving(create_app(made)) as url:
        opened = Site(made, url, [])
        yield opened
        for client in opened.clients:
            client.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For a module's tests that only read."""
    with site(tmp_path_factory.mktemp("central"), whole_story(30)) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """For tests that decide and sign."""
    with site(tmp_path, whole_story(8)) as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.opened() as made:
        yield made


def form_token(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def dhr_of(client: httpx.Client, lot: str) -> str:
    found = client.get("/api/v1/dhrs", params={"lot": lot}).json()["items"]
    return str(found[0]["id"])


@pytest.fixture(scope="module")
def quality(shared: Site) -> httpx.Client:
    """The quality manager's browser; tests do not change its cookies."""
    return shared.signed_in("mueller")
