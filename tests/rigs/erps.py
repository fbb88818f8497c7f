"""A simulated ERP and a real Tryton, behind one small rig, so that one suite runs over both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from central.links.base import Confirmation, Consumption, ErpLink, ErpOrder, Inspection, OperationTotal
from central.links.factory import open_link
from central.links.settings import RestErpSettings, TrytonSettings
from central.links.tryton_rpc import TrytonRpc
from records.clock import FakeClock
from records.yaml import Secret
from simulators.check import ErpBooked
from simulators.erp import BOOK_FILE, ErpServer, Faults, create_erp
from simulators.erp_book import Book
from simulators.erp_readback import from_simulated, from_tryton
from simulators.erp_tryton import QUALITY_CONTROL, TrytonServer

ORDERS = 12
UNITS = 4
TOKEN = "a-token-for-tests"


class ErpRig(Protocol):
    """One ERP with ORDERS orders of UNITS pieces; each test takes an order of its own."""

    name: str
    url: str

    def link(self, *, url: str | None = None, right: bool = True) -> ErpLink:
        """A fresh connector; ``right`` False: with a wrong password."""

    def is_write(self, method: str, body: bytes) -> bool: ...

    def cancel(self, erp_id: str) -> None:
        """What a planner does."""

    def doubles(self, confirmation: Confirmation) -> list[str]:
        """Everything of this confirmation that the ERP holds more than once (or lacks)."""

    def booked(self) -> dict[str, ErpBooked]:
        """What it holds by reference, asked without central's code."""

    def restart(self) -> None:
        """Kill the ERP and start it again at the same address."""


@dataclass
class SimulatedRig:
    folder: Path
    name = "simulated"

    def __post_init__(self) -> None:
        self.faults = Faults()
        self._start(0)
        self.url = self._server.url

    def _start(self, port: int) -> None:
        self.book = Book(self.folder / BOOK_FILE, FakeClock(), orders=ORDERS, units=UNITS)
        self._server = ErpServer(create_erp(self.book, TOKEN, self.faults), port=port)

    def link(self, *, url: str | None = None, right: bool = True, timeout: str = "30s") -> ErpLink:
        secret = _secret(self.folder, TOKEN if right else "wrong")
        return open_link(RestErpSettings(kind="rest", url=url or self.url, token=secret, timeout=timeout))

    def is_write(self, method: str, body: bytes) -> bool:
        return method == "POST"

    def cancel(self, erp_id: str) -> None:
        order = self.book.order(erp_id)
        assert order is not None
        self.book.change(order.reference, "cancelled")

    def doubles(self, confirmation: Confirmation) -> list[str]:
        keys = [booked.key for booked in self.book.bookings(confirmation.erp_id)]
        return [] if keys == [confirmation.key] else [f"booked {keys}"]

    def booked(self) -> dict[str, ErpBooked]:
        return from_simulated(self.url, TOKEN, ORDERS)

    def restart(self) -> None:
        port = self._server.port
        self._server.stop()
        self._start(port)

    def close(self) -> None:
        self._server.stop()


@dataclass
class TrytonRig:
    folder: Path
    name = "tryton"

    def __post_init__(self) -> None:
        self.server = TrytonServer(self.folder / "erp", orders=ORDERS, units=UNITS, tell=print)
        self.url = self.server.url

    def link(self, *, url: str | None = None, right: bool = True, confirm_warnings: bool = True) -> ErpLink:
        secret = _secret(self.folder, self.server.password if right else "wrong")
        return open_link(
            TrytonSettings(
                kind="tryton",
                url=url or self.url,
                database=self.server.database,
                user=self.server.user,
                password=secret,
                quality_control=QUALITY_CONTROL,
                confirm_warnings=confirm_warnings,
            )
        )

    def is_write(self, method: str, body: bytes) -> bool:
        return not json.loads(body)["method"].endswith((".search_read", ".get_preferences", ".login"))

    @contextmanager
    def signed_in(self) -> Iterator[TrytonRpc]:
        """Somebody in the ERP itself, as the interface user; Tryton takes a quarter of a second to let one in."""
        secret = _secret(self.folder, self.server.password)
        with closing(TrytonRpc(self.url, self.server.database, self.server.user, secret, 60)) as rpc:
            yield rpc

    def cancel(self, erp_id: str) -> None:
        with self.signed_in() as rpc:
            rpc.call("production.draft", [int(erp_id)])
            rpc.call("production.cancel", [int(erp_id)])

    def doubles(self, confirmation: Confirmation) -> list[str]:
        """Counted in the ERP's own tables, not through the link."""
        order = int(confirmation.erp_id)
        pieces = len(confirmation.good) + confirmation.scrap
        lots = {(use.item, use.lot) for use in confirmation.consumed}
        wanted: list[tuple[str, str, list[object], int]] = [
            ("serials", "stock.lot", [["number", "in", list(confirmation.good)]], len(confirmation.good)),
            ("scrap lots", "stock.lot", [["number", "like", f"{confirmation.order}-SCRAP-%"]], confirmation.scrap),
            ("outputs", "stock.move", [["production_output", "=", order]], pieces),
            ("inputs", "stock.move", [["production_input", "=", order]], len(lots)),
            ("cycles", "production.work.cycle", [["work.production", "=", order]], len(confirmation.operations)),
            ("inspections", "quality.inspection", [["reference", "=", confirmation.key]], 1),
        ]
        found = []
        with self.signed_in() as rpc:
            for what, model, domain, count in wanted:
                have = rpc.call(f"{model}.search_count", domain)
                if have != count:
                    found.append(f"{have} {what}, not {count}")
        return found

    def booked(self) -> dict[str, ErpBooked]:
        return from_tryton(self.url, self.server.database, self.server.user, self.server.password)

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def close(self) -> None:
        self.server.stop()


def make_rig(name: str, folder: Path) -> SimulatedRig | TrytonRig:
    """Raises LotkeeperError when Tryton cannot be made here."""
    return SimulatedRig(folder) if name == "simulated" else TrytonRig(folder)


def _secret(folder: Path, text: str) -> Secret:
    path = folder / f"secret-{text[:4]}"
    path.write_text(text)
    return Secret(f"file:{path}")


def confirmation_of(order: ErpOrder, *, scrap: int = 1, lot: str = "SR-2026-0A") -> Confirmation:
    """A full report of an order: all pieces but ``scrap`` good, parts as in the bill."""
    units = int(order.quantity)
    good = tuple(f"{order.reference}-{n:04}" for n in range(1, units - scrap + 1))
    return Confirmation(
        order=order.reference,
        erp_id=order.erp_id,
        key=f"{order.reference}/confirmation",
        product=order.product,
        good=good,
        scrap=scrap,
        consumed=(
            Consumption("SR-20", lot, Decimal(2 * units)),
            Consumption("VB-10", "VB-2026-001", Decimal(units - 1)),
            Consumption("VB-10", "VB-2026-002", Decimal(1)),
        ),
        operations=tuple(OperationTotal(o.operation, 0, 1, 12.5, units) for o in order.operations),
        inspections=tuple(Inspection(serial, (("leak_rate", 0.125),)) for serial in good),
    )
