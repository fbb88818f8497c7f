"""What keeps the page to the people at this machine.

It listens on loopback only. A page of somebody else that made its own name point to 127.0.0.1 (DNS rebinding) is
told by the ``Host`` that its browser sends; one that posts a form to us by the ``Origin``. Programs send none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HERE = ("127.0.0.1", "localhost", "::1")
LARGEST_BODY = 64 * 1024
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """ASGI middleware in front of everything."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = why_not(scope["method"], {name.decode(): value.decode() for name, value in scope["headers"]})

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        if refusal is None:
            await self._app(scope, receive, with_headers)
            return
        status, reason = refusal
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain; charset=utf-8")],
        }
        await with_headers(start)
        await send({"type": "http.response.body", "body": reason.encode()})


def why_not(method: str, headers: MutableMapping[str, str]) -> tuple[int, str] | None:
    """Status and reason for a request that is not served, else None."""
    host = headers.get("host", "")
    if _name(f"//{host}") not in HERE:
        return 421, "this page is only for this machine: ask for 127.0.0.1"
    if method in ("GET", "HEAD"):
        return None
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return 403, "this form does not come from our own page"
    if origin is None and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return 403, "this form does not come from our own page"
    length = headers.get("content-length", "")
    if not length.isdigit():
        return 411, "say how long the body is"
    return None if int(length) <= LARGEST_BODY else (413, f"at most {LARGEST_BODY} bytes are taken")


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
