"""Asking the running agent of a line file over the interface of its page, as the commands do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

if TYPE_CHECKING:
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded


@dataclass(frozen=True, slots=True)
class Answered:
    """The HTTP status of an answer, and the JSON object that it holds."""

    status: int
    body: dict[str, Any]


def ask(
    loaded: Loaded[LineSettings], method: str, path: str, limit_s: float, body: JsonValue = None
) -> Answered | None:
    """The answer of this line's agent; None when none runs here, or another one uses its port."""
    page = loaded.value.status
    if page is None:
        return None
    import httpx  # loaded only where it is used

    try:
        answer = httpx.request(
            method, f"http://127.0.0.1:{page.port}{path}", json=body, timeout=limit_s, trust_env=False
        )
        found = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    ours = isinstance(found, dict) and found.get("agent") == loaded.value.agent
    return Answered(answer.status_code, found) if ours else None
