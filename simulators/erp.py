"""A small ERP for demonstrations and tests, over HTTP; its contract is ``docs/reference/erp-rest-contract.md``.

It can be told to misbehave as real ones do (``Faults``): out of order, slow, deaf to the password, or doing what
it was asked while the answer gets lost.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic.dataclasses import dataclass as model

from records.clock import Clock, SystemClock, new_secret
from records.keys import write_private
from simulators.erp_book import Book, Booking, Forbidden, Inspected, Lot, Order, Use, Worked

Mode = Literal["none", "error", "slow", "lose-answer", "duplicate", "no-entry", "too-many"]
TOKEN_FILE = "erp.token"  # noqa: S105  a file's name
BOOK_FILE = "erp.json"
SLOW_LIMIT_S = 30.0
STATUS_CODES = {"error": 500, "no-entry": 401, "too-many": 429}


@dataclass
class Faults:
    """How the ERP misbehaves; change it while it runs.

    ``mode`` holds for ``left`` requests of ``method`` (None: all). error: status 500. slow: answers only after
    ``release`` is set. lose-answer: does as asked, then status 504. duplicate: every order twice in the list.
    no-entry: status 401. too-many: status 429. ``seen`` counts requests.
    """

    mode: Mode = "none"
    method: str | None = None
    left: int = 1_000_000
    seen: int = 0
    release: threading.Event = field(default_factory=threading.Event)

    def take(self, method: str) -> Mode:
        """What is wrong with this request."""
        self.seen += 1
        if self.mode == "none" or self.left <= 0 or self.method not in (None, method):
            return "none"
        self.left -= 1
        return self.mode


@model(frozen=True)
class Orders:
    orders: list[Order]


@model(frozen=True)
class Lots:
    lots: list[Lot]


@model(frozen=True)
class Result:
    """What the ERP has booked of an order; a second booking would show here."""

    order: Order
    keys: list[str]
    good: list[str]
    scrap: int
    consumed: list[Use]
    operations: list[Worked]
    inspections: list[Inspected]


def create_erp(book: Book, token: str, faults: Faults | None = None) -> FastAPI:
    """The application; every path but ``/healthz`` wants ``Authorization: Bearer <token>``."""
    app = FastAPI(title="Simulated ERP", version="1", docs_url=None, redoc_url=None)
    trouble = faults or Faults()

    @app.middleware("http")
    async def guard(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path == "/healthz":
            return await handle(request)
        mode = trouble.take(request.method)
        if mode in STATUS_CODES:
            return _problem(STATUS_CODES[mode], "fault", "the simulated ERP was told to answer so")
        if not hmac.compare_digest(request.headers.get("authorization", ""), f"Bearer {token}"):
            return _problem(401, "token-wrong", "the token is missing or wrong")
        request.state.mode = mode
        if mode == "slow":
            await asyncio.to_thread(trouble.release.wait, SLOW_LIMIT_S)
        response = await handle(request)
        return _problem(504, "fault", "the answer got lost") if mode == "lose-answer" else response

    @app.exception_handler(Forbidden)
    async def forbidden(_: Request, error: Forbidden) -> Response:
        return _problem(409 if error.code == "key-reused" else 422, error.code, error.detail)

    app.include_router(_reading(book))
    app.include_router(_booking(book))
    return app


def _reading(book: Book) -> APIRouter:
    router = APIRouter()

    @router.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/erp/v1/orders")
    def orders(
        request: Request,
        id: Annotated[list[str] | None, Query()] = None,  # noqa: A002
        reference: Annotated[list[str] | None, Query()] = None,
    ) -> Orders:
        found = book.orders(id or (), reference or ())
        return Orders([*found, *found] if request.state.mode == "duplicate" else found)

    @router.get("/erp/v1/lots")
    def lots(item: Annotated[list[str] | None, Query()] = None) -> Lots:
        return Lots(book.lots(item or ()))

    @router.get("/erp/v1/orders/{order_id}/result")
    def result(order_id: str) -> Result:
        return _result(book, order_id)

    return router


def _booking(book: Book) -> APIRouter:
    router = APIRouter()

    @router.post("/erp/v1/orders/{order_id}/confirmation", status_code=201)
    def confirm(
        response: Response,
        order_id: str,
        booking: Booking,
        key: Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=200)],
    ) -> Result:
        if not book.book(key, order_id, booking):
            response.status_code = 200
        return _result(book, order_id)

    return router


def _result(book: Book, order_id: str) -> Result:
    order = book.order(order_id)
    if order is None:
        raise HTTPException(404, f"there is no order {order_id}")
    booked = book.bookings(order_id)
    return Result(
        order,
        [b.key for b in booked],
        [serial for b in booked for serial in b.booking.good],
        sum(b.booking.scrap for b in booked),
        [use for b in booked for use in b.booking.consumed],
        [worked for b in booked for worked in b.booking.operations],
        [tested for b in booked for tested in b.booking.inspections],
    )


def _problem(status: int, code: str, detail: str) -> JSONResponse:
    """RFC 9457, with our ``code`` beside it."""
    content = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
    return JSONResponse(content, status, media_type="application/problem+json")


class ErpServer:
    """The simulated ERP in a thread of its own, on a port of loopback; for tests and the demo."""

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> None:
        """Start; answers when this returns."""
        config = uvicorn.Config(app, host=host, port=port, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._socket = config.bind_socket()
        self._socket.listen(config.backlog)  # who comes before the thread runs waits instead of being refused
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="simulated ERP", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it; safe to call twice."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def token_of(folder: Path) -> str:
    """The token that the ERP in this folder wants; made at first use."""
    path = folder / TOKEN_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_private(path, new_secret().encode())
    return path.read_text()


def run(host: str, port: int, folder: Path, orders: int, units: int, clock: Clock | None = None) -> None:
    """Serve in the foreground until interrupted; ``folder`` keeps its book and its token."""
    book = Book(folder / BOOK_FILE, clock or SystemClock(), orders=orders, units=units)
    uvicorn.run(create_erp(book, token_of(folder)), host=host, port=port, log_level="warning")
