"""One request of a person: who asks, in which language and theme, and how an answer becomes a page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.routing import Match

from central.access import Capability
from central.web import security, show, states, texts
from central.web.desk import Desk, Visitor
from central.web.i18n import LANGUAGES, N_, Words, preferred, words
from central.web.trend_svg import TREND_CSS
from spc.svg import CHART_CSS

STATIC = Path(__file__).parent / "static"
THEMES = ("auto", "light", "dark")


class NeedsSignIn(Exception):
    """Nobody has signed in; the page is shown after the sign-in."""


class NotAllowed(Exception):
    """The visitor lacks a right, or a form did not come from our pages."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotThere(Exception):
    """What the address names does not exist."""


@pass_context
def _gettext(context: Context, message: str) -> str:
    found: Words = context["words"]
    return found.catalogue.gettext(message)


@pass_context
def _ngettext(context: Context, one: str, many: str, n: int) -> str:
    found: Words = context["words"]
    return found.catalogue.ngettext(one, many, n)


@pass_context
def _state(context: Context, code: str | None, group: str) -> states.Status:
    return states.status(context["words"], group, code)


@pass_context
def _named(context: Context, code: str | None, group: str) -> str:
    return states.name(context["words"], group, code)


@pass_context
def _code_title(context: Context, code: str, kind: str = "finding") -> str:
    found = texts.event_text(code) if kind == "event" else texts.finding_text(code)
    return str(context["words"](found.title))


def static_files() -> dict[str, tuple[bytes, str]]:
    """Name -> content and media type of everything under ``/static``."""
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    files = {path.name: (path.read_bytes(), types[path.suffix]) for path in sorted(STATIC.iterdir())}
    return files | {"chart.css": ((CHART_CSS + TREND_CSS).encode(), "text/css")}


def environment(files: dict[str, tuple[bytes, str]]) -> Environment:
    """The templates: everything escaped, unknown names are errors."""
    env = Environment(
        loader=PackageLoader("central.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.install_gettext_callables(_gettext, _ngettext, newstyle=True)  # type: ignore[attr-defined]
    versions = {name: hashlib.sha256(content).hexdigest()[:12] for name, (content, _) in files.items()}
    env.globals["static"] = lambda name: f"/static/{name}?v={versions[name]}"
    env.globals["languages"] = LANGUAGES
    env.globals["decimals_for"] = show.decimals_for
    env.globals["percent"] = show.percent
    env.filters |= {
        "state": _state,
        "named": _named,
        "code_title": _code_title,
        "figure": show.figure,
        "exact": show.exact,
        "unit": show.unit_text,
        "short_hash": show.short_hash,
        "quantity": show.quantity,
        "query": lambda values: urlencode([(k, v) for k, v in values.items() if v not in (None, "")]),
    }
    return env


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation."""

    href: str
    title: str
    here: bool
    count: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    entries: tuple[Entry, ...]


NAVIGATION: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        N_("Review"),
        (("/", N_("My work")), ("/dhrs", N_("Device history records")), ("/findings", N_("Findings"))),
    ),
    (
        N_("Production"),
        (
            ("/spc", N_("SPC")),
            ("/orders", N_("Work orders")),
            ("/holds", N_("Holds")),
            ("/people", N_("People and machines")),
            ("/lines", N_("Lines and agents")),
            ("/telemetry", N_("Telemetry")),
            ("/configurations", N_("Line files")),
            ("/recipes", N_("Recipes")),
        ),
    ),
    (N_("Evidence"), (("/trace", N_("Trace")), ("/audit", N_("Audit trail")))),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """A request with everything that a page needs to answer it."""

    request: Request
    desk: Desk
    templates: Environment
    words: Words
    show: show.Show
    theme: str
    csrf: str
    visitor: Visitor | None

    @property
    def user(self) -> Visitor:
        """Who has signed in. Raises NeedsSignIn."""
        if self.visitor is None:
            raise NeedsSignIn
        return self.visitor

    @property
    def origin(self) -> str:
        return origin(self.request)

    @property
    def here(self) -> str:
        url = self.request.url
        return url.path + (f"?{url.query}" if url.query else "")

    @property
    def _behind_the_form(self) -> str:
        """Where who looks at the answer to a form gets to in another language: what has a page at that address, or
        the first page.
        """
        asked = {**self.request.scope, "method": "GET"}
        shown = any(route.matches(asked)[0] is Match.FULL for route in self.request.app.routes)
        return self.request.url.path if shown else "/"

    def reasons(self, group: str) -> list[tuple[str, str]]:
        """The plant's reasons of a group to choose from: code and text."""
        return self.desk.reasons().choices(group, self.words.language)

    def page(self, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
        """The page in the visitor's language; sets the form cookie where the visitor has none."""
        base: dict[str, object] = {
            "words": self.words,
            "show": self.show,
            "theme": self.theme,
            "csrf": self.csrf,
            "here": self.here if self.request.method == "GET" else self._behind_the_form,
            "user": self.visitor,
            "site": self.desk.site,
            "version": self.desk.version,
            "navigation": self._navigation(),
            "reasons": [],
            "reason_text": self._reason_text,
        }
        text = self.templates.get_template(template).render(base | context)
        answer = HTMLResponse(text, status_code=status)
        if self.request.cookies.get(security.CSRF) != self.csrf:
            self.keep(answer, security.CSRF, self.csrf)
        return answer

    def keep(self, answer: Response, name: str, value: str, max_age_s: int | None = None) -> None:
        """Set a cookie."""
        secure = self.desk.secure_cookies or self.request.url.scheme == "https"
        security.set_cookie(answer, name, value, secure=secure, max_age_s=max_age_s)

    def go(self, path: str) -> Response:
        """See other: after a form was taken."""
        return RedirectResponse(path, status_code=303)

    def _reason_text(self, reason: str | None, group: str) -> str:
        """A recorded reason in the visitor's language."""
        return self.desk.reasons().says(group, reason or "", self.words.language)

    def _navigation(self) -> tuple[Group, ...]:
        path = self.request.url.path
        homes = {"/units": "/trace", "/records": "/trace"}
        first = "/" + path.split("/")[1]
        current = homes.get(first, first)
        return tuple(
            Group(
                self.words(title),
                tuple(Entry(href, self.words(name), href == current) for href, name in entries),
            )
            for title, entries in NAVIGATION
        )


def origin(request: Request) -> str:
    """Where a request came from, for the audit trail."""
    return request.client.host if request.client else "unknown"


def passing(request: Request) -> Visit:
    """A visit of nobody in particular: nothing is read from the database."""
    desk: Desk = request.app.state.desk
    spoken = words(preferred(request.cookies.get("lk_language"), request.headers.get("accept-language")))
    theme = request.cookies.get("lk_theme", "auto")
    return Visit(
        request=request,
        desk=desk,
        templates=request.app.state.templates,
        words=spoken,
        show=show.Show(desk.time_zone, spoken, desk.now_us()),
        theme=theme if theme in THEMES else "auto",
        csrf=security.csrf_token(request),
        visitor=None,
    )


def look(visit: Annotated[Visit, Depends(passing)]) -> Visit:
    """A visit that may be anonymous."""
    token = visit.request.cookies.get(security.SESSION, "")
    return replace(visit, visitor=visit.desk.session(token, visit.origin)) if token else visit


def enter(visit: Annotated[Visit, Depends(look)]) -> Visit:
    """A visit of somebody who has signed in and may see the pages."""
    if not visit.user.may(Capability.VIEW):
        raise NotAllowed(N_("Your role may not see these pages."))
    return visit


def checked_form(request: Request, csrf: Annotated[str, Form()] = "") -> None:
    """Dependency of every posted form."""
    if not security.form_is_ours(request, csrf):
        raise NotAllowed(
            N_("This form is too old or did not come from this site. Go back, reload, and send it again.")
        )


def needs(right: Capability) -> Callable[[Visit], Visit]:
    """Dependency: a visit of somebody with this right."""

    def check(visit: Annotated[Visit, Depends(enter)]) -> Visit:
        if not visit.user.may(right):
            raise NotAllowed(N_("Your role does not have the right to do this."))
        return visit

    return check


Passing = Annotated[Visit, Depends(passing)]
Look = Annotated[Visit, Depends(look)]
Enter = Annotated[Visit, Depends(enter)]
Form_ = Depends(checked_form)
Text = Annotated[str, Form(max_length=4000)]


def markup(svg: str) -> Markup:
    """SVG that our own code has drawn and escaped."""
    return Markup(svg)  # noqa: S704
