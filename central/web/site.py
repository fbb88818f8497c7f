"""The web application: pages and interface over one desk, with what every answer needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from jinja2 import pass_context
from jinja2.runtime import Context
from pydantic import JsonValue
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from central.store.engine import is_away
from central.web import plots, rules, security, sending, told
from central.web.api import install as install_api
from central.web.api.problems import Problem, problem_of
from central.web.desk import Desk
from central.web.i18n import N_
from central.web.live import CentralParts, LiveDesk
from central.web.pages import (
    audit,
    configurations,
    dhrs,
    door,
    findings,
    holds,
    home,
    lines,
    orders,
    people,
    recipes,
    spc,
    spc_chart,
    spc_limits,
    telemetry,
    trace,
)
from central.web.params import label, limit_set_id, span_text, spoken, stream_text, value_text, version_text
from central.web.sending import HeldUp
from central.web.visit import NeedsSignIn, NotAllowed, NotThere, environment, look, passing, static_files
from records.errors import LotkeeperError, Unknown

LARGEST_FORM = 64 * 1024
"""Most bytes that a request may bring."""

TITLES = {
    403: N_("This is not allowed"),
    404: N_("There is nothing at this address"),
    405: N_("There is nothing at this address"),
    409: N_("This cannot be done now"),
    422: N_("Something in the address or form is wrong"),
    500: N_("Something went wrong here"),
    503: N_("Central cannot use its database now"),
}

AWAY = N_(
    "Try again in a minute. If it stays so, tell whoever looks after central: lotkeeper-central doctor says why."
)
PERHAPS_STORED = N_(
    "What you sent is stored as a whole or not at all, never half: look whether it is there before you send it "
    "again."
)
NOTHING_STORED = N_("Nothing of what you sent is stored.")
HELD_UP = N_("Nothing can be stored now")
HELD_UP_SINCE = N_("A write has been under way for %(span)s, and until it ends the database takes in no other.")
SEND_AGAIN = N_(
    "Send it again in a moment: the back button of your browser leads to the form, as a rule with what you typed, "
    "but for passwords. If it stays so, tell whoever looks after central: lotkeeper-central doctor says what the "
    "write waits for."
)

FOR_MONITORS = ("/healthz", "/metrics")
"""Read by programs, like all below /api/."""


def create_app(central: CentralParts) -> FastAPI:
    """The application over a running central."""
    return create_site(LiveDesk(central))


def create_site(desk: Desk) -> FastAPI:
    """The application over any desk."""
    app = FastAPI(
        title="Lotkeeper central",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(sending.place)],
    )
    files = static_files()
    templates = environment(files)
    templates.filters["param_label"] = _param_label
    templates.filters["param_value"] = value_text
    templates.filters["spoken"] = _spoken
    templates.filters["param_stream"] = stream_text
    templates.filters["stretches"] = _stretches
    templates.filters["limits_version"] = version_text
    templates.filters["limit_set_id"] = limit_set_id
    templates.filters["rule_text"] = _rule_text
    templates.filters["rule_short"] = _rule_short
    templates.filters["spread_name"] = _spread_name
    templates.globals["span_text"] = span_text
    app.state.desk = desk
    app.state.places = sending.places()
    app.state.templates = templates
    for area in (
        door,
        home,
        orders,
        findings,
        dhrs,
        trace,
        audit,
        lines,
        configurations,
        holds,
        people,
        spc,
        spc_chart,
        spc_limits,
        telemetry,
        recipes,
    ):
        app.include_router(area.router)
    _static(app, files)
    install_api(app)
    _errors(app)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(security.BodyLimit, limit=LARGEST_FORM)
    app.add_middleware(security.SecurityHeaders)
    return app


@pass_context
def _param_label(context: Context, name: str) -> str:
    return label(context["words"], name)


@pass_context
def _spoken(context: Context, value: JsonValue, name: str) -> str:
    return spoken(context["words"], name, value)


@pass_context
def _stretches(context: Context, numbers: Iterable[int]) -> str:
    return told.stretches(context["words"], numbers)


@pass_context
def _rule_text(context: Context, name: str) -> str:
    return rules.text(context["words"], name)


@pass_context
def _rule_short(context: Context, name: str) -> str:
    return rules.short(context["words"], name)


@pass_context
def _spread_name(context: Context, chart: str) -> str:
    return plots.spread_name(context["words"], chart)


def _static(app: FastAPI, files: dict[str, tuple[bytes, str]]) -> None:
    """Our few files, from memory, cached for a year under the hash in their address."""

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name not in files:
            raise NotThere
        content, media_type = files[name]
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(content, media_type=media_type, headers=headers)


def _answer(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None, **params: object
) -> Response:
    """A page for people, a problem document for programs; never a traceback. ``params``: of the detail."""
    if _for_programs(request):
        return problem_of(status, detail, headers=headers)
    return _page(request, status, TITLES.get(status, TITLES[500]), detail, **params)


def _page(request: Request, status: int, title: str, *texts: str, **params: object) -> Response:
    """For people, as all their pages are. ``params``: of the texts."""
    try:
        visit = look(passing(request))
    except Exception as error:
        if is_away(error):
            return _away(request, error)
        raise
    said = [visit.words(text, **params) for text in texts if text]
    return visit.page("error.html", status=status, title=visit.words(title), texts=said, again=None)


def _away(request: Request, error: Exception) -> Response:
    """Who asks cannot be known: people get a page as before the sign-in, and its address to try again."""
    asked = request.method in ("GET", "HEAD")
    said = (AWAY,) if asked else (PERHAPS_STORED, AWAY)
    if _for_programs(request):
        return problem_of(503, str(error) if isinstance(error, LotkeeperError) else " ".join(said))
    visit = passing(request)
    return visit.page(
        "error.html",
        status=503,
        title=visit.words(TITLES[503]),
        texts=[visit.words(each) for each in said],
        again=visit.here if asked else None,
    )


def _held_up(request: Request, error: Exception) -> Response:
    """Where something was sent, it is certain that nothing of it is stored; everything can be read."""
    if not isinstance(error, HeldUp):
        raise error
    if _for_programs(request):
        return problem_of(503, str(error))
    span = passing(request).show.span(error.since_s)
    return _page(request, 503, HELD_UP, NOTHING_STORED, HELD_UP_SINCE, SEND_AGAIN, span=span)


def _for_programs(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path in FOR_MONITORS


def _needs_sign_in(request: Request, _error: Exception) -> Response:
    target = "/"
    if request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?{urlencode({'next': target})}", status_code=303)


def _not_allowed(request: Request, error: Exception) -> Response:
    return _answer(request, 403, error.message if isinstance(error, NotAllowed) else "")


def _not_there(request: Request, _error: Exception) -> Response:
    return _answer(request, 404, N_("It may have been mistyped, or its record has not arrived yet."))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == 404 and not isinstance(error, Problem):
        return _not_there(request, error)
    if error.status_code == 405 and not request.url.path.startswith("/api/"):
        return _answer(request, 405, N_("A form is sent here; its page has another address."))
    return _answer(request, error.status_code, str(error.detail), dict(error.headers or {}))


def _invalid(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/api/") and isinstance(error, RequestValidationError):
        return problem_of(422, "the request does not fit", errors=error.errors())
    told_wrong = error.errors() if isinstance(error, RequestValidationError) else []
    names = dict.fromkeys(str(each["loc"][-1]) for each in told_wrong if each["loc"])
    text = N_("A value has the wrong form: %(names)s. Go back and correct it, or leave it out of the address.")
    return _answer(request, 422, text, names=", ".join(names) or "–")


def _ours(request: Request, error: Exception) -> Response:
    if not isinstance(error, LotkeeperError):
        raise error
    if is_away(error):
        return _away(request, error)
    return _answer(request, 404 if isinstance(error, Unknown) else 409, str(error))


def _unexpected(request: Request, error: Exception) -> Response:
    if is_away(error):
        return _away(request, error)
    return _answer(request, 500, N_("The fault is written to central's log. Nothing that you sent was half done."))


def _errors(app: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Exception], Response]] = {
        NeedsSignIn: _needs_sign_in,
        NotAllowed: _not_allowed,
        NotThere: _not_there,
        HTTPException: _http,
        RequestValidationError: _invalid,
        HeldUp: _held_up,
        LotkeeperError: _ours,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
