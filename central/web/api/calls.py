"""Who calls the interface, how lists are paged, and writes that may be sent twice."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel

from central.access import Capability
from central.web import security
from central.web.api.problems import Problem
from central.web.desk import Desk, Visitor
from central.web.times import sensible
from central.web.visit import origin

T = TypeVar("T")
MOST = 500
REMEMBERED = 10_000
"""Most answers of writes that are kept for repetitions."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a known caller."""

    desk: Desk
    visitor: Visitor

    def need(self, right: Capability) -> None:
        """Raises Problem 403 without the right."""
        if not self.visitor.may(right):
            raise Problem(403, f"{self.visitor.id} may not do this: it needs the right {right.value}")


def call(request: Request, authorization: Annotated[str | None, Header(include_in_schema=False)] = None) -> Call:
    """A token, or the session of a page; a session's writes must come from our own pages."""
    desk: Desk = request.app.state.desk
    from_where = origin(request)
    visitor: Visitor | None = None
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        visitor = desk.bearer(token.strip(), from_where) if scheme.lower() == "bearer" else None
    elif cookie := request.cookies.get(security.SESSION):
        visitor = desk.session(cookie, from_where)
        if visitor is not None and request.method != "GET" and not security.same_origin(request):
            raise Problem(403, "a write with a session must come from our own pages: use a token")
    if visitor is None:
        raise Problem(401, "give a valid token: Authorization: Bearer ...", {"www-authenticate": "Bearer"})
    found = Call(desk, visitor)
    found.need(Capability.VIEW)
    return found


Caller = Annotated[Call, Depends(call)]


def _sensible(moment: datetime) -> datetime:
    if not sensible(moment):
        raise ValueError(f"the year {moment.year} is none that a time may have here")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_sensible)]
"""A time with Z or an offset."""


class Items(BaseModel, Generic[T]):
    """One page of a list. ``next`` is the cursor of the following page, null at the end."""

    items: list[T]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for."""

    cursor: str | None
    limit: int

    @property
    def after(self) -> int | None:
        """The cursor of a list of records. Raises Problem 422 when it is none."""
        if self.cursor is None:
            return None
        if not self.cursor.isascii() or not self.cursor.isdigit() or len(self.cursor) > 18:
            raise Problem(422, "the cursor is not one that this list gave")
        return int(self.cursor)


def page(
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Page:
    return Page(cursor, limit)


Paged = Annotated[Page, Depends(page)]


def cut(found: Iterable[T], key: Callable[[T], str], wanted: Page) -> tuple[list[T], str | None]:
    """One page of a list that is at hand, in the order of ``key``, which must be unique."""
    after = None if wanted.cursor is None else _unpack(wanted.cursor)
    rows = sorted((row for row in found if after is None or key(row) > after), key=key)
    shown = rows[: wanted.limit]
    return shown, _pack(key(shown[-1])) if len(rows) > wanted.limit else None


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpack(cursor: str) -> str:
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise Problem(422, "the cursor is not one that this list gave") from None


class Idempotency:
    """Answers of writes by caller and ``Idempotency-Key``: a repetition gets the first answer, and does nothing.

    Kept in memory. After a restart a repetition meets the state that the first one left, and is refused by it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, str], tuple[str, tuple[int, object] | None]] = OrderedDict()

    def once(
        self, caller: str, key: str | None, body: object, status: int, work: Callable[[], object]
    ) -> JSONResponse:
        """Do ``work`` and answer its JSON with ``status``, or give the answer that this key has had before.

        Raises:
            Problem: 422 when the key came with another body, 409 while its first request is still under way.
        """
        if key is None:
            return JSONResponse(work(), status_code=status)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        place = (caller, key)
        with self._lock:
            known = self._answers.get(place)
            if known is None:
                self._answers[place] = (digest, None)
                while len(self._answers) > REMEMBERED:
                    self._answers.popitem(last=False)
        if known is not None:
            return _repeated(known, digest)
        try:
            answer = work()
        except BaseException:
            with self._lock:
                self._answers.pop(place, None)
            raise
        with self._lock:
            self._answers[place] = (digest, (status, answer))
        return JSONResponse(answer, status_code=status)


def _repeated(known: tuple[str, tuple[int, object] | None], digest: str) -> JSONResponse:
    held, answer = known
    if held != digest:
        raise Problem(422, "this Idempotency-Key came with another body before")
    if answer is None:
        raise Problem(409, "the first request with this Idempotency-Key is still under way")
    return JSONResponse(answer[1], status_code=answer[0], headers={"idempotency-replayed": "true"})


Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
