"""What keeps the pages to their users: headers, cookies, and the two checks against forged forms.

A form is taken only when its hidden ``csrf`` field equals the ``lk_csrf`` cookie (double submit) and the browser
says that it comes from our own pages (``Origin``, else ``Referer``, else ``Sec-Fetch-Site``). A bearer token needs
neither: no browser sends it by itself.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from records.clock import new_secret

SESSION = "lk_session"
CSRF = "lk_csrf"
PREFERENCE_AGE_S = 365 * 86_400

HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class SecurityHeaders:
    """ASGI middleware: the headers on every answer, and no cache for what a session shows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class BodyLimit:
    """ASGI middleware: a body larger than ``limit`` bytes is answered with 413 before anything reads it."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                answer = PlainTextResponse(f"at most {self._limit} bytes are taken", status_code=413)
                await answer(scope, receive, send)
                return
        told = False

        async def replay() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)


def set_cookie(response: Response, name: str, value: str, *, secure: bool, max_age_s: int | None = None) -> None:
    """A cookie that scripts cannot read and other sites cannot send."""
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        httponly=True,
        samesite="lax",
        secure=secure,
        path="/",
    )


def csrf_token(request: Request) -> str:
    """The visitor's token: from the cookie, or new (the page that shows it sets the cookie)."""
    token = request.cookies.get(CSRF, "")
    return token if len(token) >= 24 else new_secret()


def same_origin(request: Request) -> bool:
    """Whether the browser says that the request comes from one of our own pages.

    Every browser says where a POST comes from; what says nothing is no browser, and has no cookies to be misused.
    """
    source = request.headers.get("origin") or request.headers.get("referer")
    if source is not None:
        return urlsplit(source).netloc == request.headers.get("host", "")
    return request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def form_is_ours(request: Request, field: str) -> bool:
    """Both checks of the module's head for a posted form whose hidden field is ``field``."""
    cookie = request.cookies.get(CSRF, "")
    return bool(cookie) and hmac.compare_digest(cookie.encode(), field.encode()) and same_origin(request)


def local_path(path: str | None) -> str:
    """Where to go on within this site; anything that could lead elsewhere becomes the home page."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")) or "\\" in path:
        return "/"
    return path if urlsplit(path).netloc == "" and not any(ord(c) < 32 for c in path) else "/"
