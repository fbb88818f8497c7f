"""Sign in and out, and the visitor's language and theme."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from central.access import SignInRefused
from central.web import security
from central.web.i18n import LANGUAGES
from central.web.visit import THEMES, Form_, Look, Passing, Text

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def sign_in_page(visit: Look, next: str = "/") -> Response:  # noqa: A002  the word of the address
    if visit.visitor is not None:
        return visit.go(security.local_path(next))
    return visit.page("sign_in.html", next=security.local_path(next), name="", refused="")


@router.post("/sign-in", dependencies=[Form_])
async def sign_in(visit: Look, user: Text = "", password: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """Open a session; the visitor's form token is replaced with it."""
    target = security.local_path(next)
    try:
        token = await run_in_threadpool(visit.desk.sign_in, user.strip(), password, visit.origin)
    except SignInRefused as error:
        return visit.page("sign_in.html", status=401, next=target, name=user, refused=error.reason)
    answer = visit.go(target)
    visit.keep(answer, security.SESSION, token)
    answer.delete_cookie(security.CSRF, path="/")
    return answer


@router.post("/sign-out", dependencies=[Form_])
def sign_out(visit: Look) -> Response:
    token = visit.request.cookies.get(security.SESSION)
    if token:
        visit.desk.sign_out(token, visit.origin)
    answer = visit.go("/sign-in")
    answer.delete_cookie(security.SESSION, path="/")
    return answer


@router.post("/preferences", dependencies=[Form_])
def preferences(visit: Passing, language: Text = "", theme: Text = "", next: Text = "/") -> Response:  # noqa: A002
    """Remember language or theme for a year, and go back to the page."""
    answer = visit.go(security.local_path(next))
    if language in LANGUAGES:
        visit.keep(answer, "lk_language", language, security.PREFERENCE_AGE_S)
    if theme in THEMES:
        visit.keep(answer, "lk_theme", theme, security.PREFERENCE_AGE_S)
    return answer
