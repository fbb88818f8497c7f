"""The judge of ``demo --check`` signs as people do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx

from simulators.demo_check import CentralClient, Judge


def test_who_is_told_that_something_came_looks_again_and_signs() -> None:
    """A record that came between looking and signing ended the whole run."""
    asked: list[str] = []
    seen: Counter[str] = Counter()

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.method] += 1
        if request.method == "GET":
            return httpx.Response(
                200, json={"items": [{"id": "d", "content_hash": f"h{seen['GET']}"}], "next": None}
            )
        asked.append(request.headers["Idempotency-Key"])
        assert f'"content_hash":"h{seen["GET"]}"' in request.content.decode()
        return httpx.Response(409 if len(asked) == 1 else 201, json={})

    def wait_for(_what: str, ready: Callable[[], bool], _limit_s: float) -> None:
        while not ready():
            pass

    central = CentralClient("http://central", "token")
    central._http = httpx.Client(base_url="http://central/api/v1", transport=httpx.MockTransport(answer))
    judge: Any = Judge.__new__(Judge)
    judge._central = central
    judge._plant = SimpleNamespace(password="x", processes=SimpleNamespace(wait_for=wait_for))
    judge._sign("WO-1", "qa", "reviewed")
    assert asked == ["reviewed-WO-1-0", "reviewed-WO-1-1"], "an answer is given once for each key"
