"""The simulated ERP by itself: its contract, its rules, and that it forgets nothing when it is restarted."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI

from records.clock import FakeClock
from simulators.erp import ErpServer, token_of
from simulators.erp_book import Book, Booking, Forbidden, Inspected, Use, Worked

BOOKING = Booking(
    good=("A1", "A2"),
    scrap=1,
    consumed=(Use("VB-10", "VB-2026-001", Decimal(3)), Use("SR-20", "SR-2026-0A", Decimal(6))),
    operations=tuple(Worked(name, 0, 1, 2.5, 3) for name in ("OP10", "OP20", "OP30", "OP40")),
    inspections=(Inspected("A1", {"leak_rate": 0.12}),),
)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "erp.json", FakeClock(), orders=2, units=3)


def test_a_report_is_booked_once_and_takes_from_stock(book: Book) -> None:
    before = {lot.number: lot.quantity for lot in book.lots(["VB-10"])}
    assert book.book("key", "1", BOOKING)
    assert not book.book("key", "1", BOOKING)
    after = {lot.number: lot.quantity for lot in book.lots(["VB-10"])}
    assert before["VB-2026-001"] - after["VB-2026-001"] == 3
    assert [o.reference for o in book.orders()] == ["WO-1001"]
    assert [o.reference for o in book.orders(["1"])] == ["WO-1000", "WO-1001"]


def test_everything_is_there_after_a_restart(book: Book, tmp_path: Path) -> None:
    book.book("key", "1", BOOKING)
    again = Book(tmp_path / "erp.json", FakeClock(), orders=9, units=9)
    assert not again.book("key", "1", BOOKING)
    assert [b.booking for b in again.bookings("1")] == [BOOKING]
    assert len(again.orders(["1"])) == 2


@pytest.mark.parametrize(
    ("code", "order", "booking"),
    [
        ("order-unknown", "99", BOOKING),
        ("routing-differs", "1", replace(BOOKING, operations=BOOKING.operations[:2])),
        ("serial-twice", "1", replace(BOOKING, good=("A1", "A1"))),
        ("lot-unknown", "1", replace(BOOKING, consumed=(Use("VB-10", "SR-2026-0A", Decimal(1)),))),
        ("lot-expired", "1", replace(BOOKING, consumed=(Use("SR-20", "SR-2025-EX", Decimal(1)),))),
        ("stock-too-small", "1", replace(BOOKING, consumed=(Use("VB-10", "VB-2026-001", Decimal(10_000)),))),
    ],
)
def test_each_rule_refuses_and_books_nothing(book: Book, code: str, order: str, booking: Booking) -> None:
    with pytest.raises(Forbidden) as caught:
        book.book("key", order, booking)
    assert caught.value.code == code
    assert book.bookings("1") == []


def test_a_serial_is_made_once_over_all_orders(book: Book) -> None:
    book.book("first", "1", BOOKING)
    with pytest.raises(Forbidden, match="twice"):
        book.book("second", "2", BOOKING)


def test_a_key_can_not_be_used_for_something_else(book: Book) -> None:
    book.book("key", "1", BOOKING)
    with pytest.raises(Forbidden) as caught:
        book.book("key", "1", replace(BOOKING, scrap=2))
    assert caught.value.code == "key-reused"


def test_an_order_that_is_not_open_takes_no_report(book: Book) -> None:
    book.change("WO-1000", "held")
    with pytest.raises(Forbidden, match="held"):
        book.book("key", "1", BOOKING)


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = token_of(tmp_path / "erp")
    assert token == token_of(tmp_path / "erp")
    assert len(token) > 20
    assert (tmp_path / "erp" / "erp.token").stat().st_mode & 0o077 == 0


def test_who_comes_before_it_runs_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that serves may start late on a busy machine: a connection waits for it."""
    runs, begin = uvicorn.Server.run, threading.Event()

    def late(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        assert begin.wait(20)
        runs(self, sockets)

    monkeypatch.setattr(uvicorn.Server, "run", late)
    server = ErpServer(FastAPI())
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as early:
            early.sendall(b"GET /nothing HTTP/1.1\r\nHost: erp\r\nConnection: close\r\n\r\n")
            begin.set()
            assert early.recv(1024).startswith(b"HTTP/1.1 404")
    finally:
        begin.set()
        server.stop()
