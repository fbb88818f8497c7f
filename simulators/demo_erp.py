"""The ERP of a demo plant, simulated or a real Tryton, and what it says afterwards, read back over HTTP.

Reading back here is a second opinion: it shares no code with central's connectors.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
from pydantic import JsonValue

from records.errors import LotkeeperError
from records.keys import write_private
from simulators.check import ErpBooked, Used
from simulators.erp_tryton import QUALITY_CONTROL, TrytonServer
from simulators.processes import Child, Processes, command
from simulators.sockets import free_port

START_LIMIT_S = 60.0
TIMEOUT_S = 60.0


class Host(Protocol):
    """What an ERP needs of the plant it belongs to."""

    processes: Processes

    def say(self, text: str) -> None: ...


class DemoErp(Protocol):
    def settings(self, folder: Path) -> JsonValue:
        """The ``erp:`` part of central.yaml in ``folder``; secrets are written beside it."""

    def booked(self) -> Mapping[str, ErpBooked]:
        """What it holds of every order, by reference."""

    def stop(self) -> None: ...


def open_erp(
    kind: Literal["simulated", "tryton"], folder: Path, orders: int, units: int, host: Any
) -> SimulatedErp | TrytonErp:
    """Start the ERP; it answers when this returns."""
    if kind == "tryton":
        return TrytonErp(TrytonServer(folder, orders=orders, units=units, tell=host.say))
    return SimulatedErp(folder, orders, units, host.processes)


class SimulatedErp:
    """``lotkeeper-sim erp`` as a process."""

    def __init__(self, folder: Path, orders: int, units: int, processes: Processes) -> None:
        port = free_port("127.0.0.1")
        self._url = f"http://127.0.0.1:{port}"
        self._folder = folder
        arguments = [command("lotkeeper-sim"), "erp", "--folder", str(folder), "--port", str(port)]
        self._child: Child = processes.start("erp", [*arguments, "--orders", str(orders), "--units", str(units)])
        processes.wait_for("the simulated ERP", self._answers, START_LIMIT_S)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self._url}/healthz", timeout=2.0).is_success
        except httpx.HTTPError:
            return False

    @property
    def _token(self) -> str:
        return (self._folder / "erp.token").read_text()

    def settings(self, folder: Path) -> JsonValue:
        secret = folder / "erp.secret"
        write_private(secret, self._token.encode())
        return {"kind": "rest", "url": self._url, "token": f"file:{secret.name}", "poll_interval": "2s"}

    def booked(self) -> Mapping[str, ErpBooked]:
        headers = {"Authorization": f"Bearer {self._token}"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=TIMEOUT_S) as http:
            ids = range(1, 1 + _orders_of(http))
            results = [http.get(f"/erp/v1/orders/{n}/result").raise_for_status().json() for n in ids]
        return {
            str(result["order"]["reference"]): ErpBooked(
                state=result["order"]["state"],
                good=tuple(result["good"]),
                scrap=Decimal(str(result["scrap"])),
                consumed=tuple(
                    Used(item=use["item"], lot=use["lot"], quantity=Decimal(str(use["quantity"])))
                    for use in result["consumed"]
                ),
            )
            for result in results
        }

    def stop(self) -> None:
        """Its process ends with the others."""


def _orders_of(http: httpx.Client) -> int:
    """How many orders the ERP was made with: their ids count from 1, closed ones are listed by id."""
    count = 0
    while http.get(f"/erp/v1/orders/{count + 1}/result").is_success:
        count += 1
    return count


class TrytonErp:
    """A real Tryton 8.2, read back over its JSON-RPC."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server

    def settings(self, folder: Path) -> JsonValue:
        secret = folder / "erp.secret"
        write_private(secret, self._server.password.encode())
        return {
            "kind": "tryton",
            "url": self._server.url.rstrip("/"),
            "database": self._server.database,
            "user": self._server.user,
            "password": f"file:{secret.name}",
            "quality_control": QUALITY_CONTROL,
            "confirm_warnings": True,
            "poll_interval": "2s",
        }

    def booked(self) -> Mapping[str, ErpBooked]:
        with httpx.Client(timeout=TIMEOUT_S) as http:
            rpc = _Rpc(http, f"{self._server.url}{self._server.database}/rpc/")
            rpc.sign_in(self._server.user, self._server.password)
            orders = rpc.all("production", [], ["reference", "state", "inputs", "outputs"])
            wanted = [move for order in orders for move in (*order["inputs"], *order["outputs"])]
            fields = ["state", "quantity", "product.code", "lot.number", "to_location.type"]
            moves = {move["id"]: move for move in rpc.all("stock.move", [["id", "in", wanted]], fields)}
        return {order["reference"]: _booked(order, moves) for order in orders if order["reference"]}

    def stop(self) -> None:
        self._server.stop()


def _booked(order: dict[str, Any], moves: Mapping[int, dict[str, Any]]) -> ErpBooked:
    done = {number: move for number, move in moves.items() if move["state"] == "done"}
    outputs = [done[number] for number in order["outputs"] if number in done]
    inputs = [done[number] for number in order["inputs"] if number in done]
    scrapped = [move for move in outputs if move["to_location."]["type"] == "lost_found"]
    good = [move for move in outputs if move["to_location."]["type"] != "lost_found"]
    return ErpBooked(
        state="closed" if order["state"] == "done" else order["state"],
        good=tuple(move["lot."]["number"] for move in good),
        scrap=sum((Decimal(str(move["quantity"])) for move in scrapped), Decimal(0)),
        consumed=tuple(
            Used(
                item=move["product."]["code"],
                lot=move["lot."]["number"] if move.get("lot.") else "",
                quantity=Decimal(str(move["quantity"])),
            )
            for move in inputs
        ),
    )


class _Rpc:
    """As much of Tryton's JSON-RPC as reading needs."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self._http = http
        self._url = url
        self._headers: dict[str, str] = {}

    def sign_in(self, user: str, password: str) -> None:
        uid, token, *_ = self._call("common.db.login", user, {"password": password}, "en")
        session = base64.b64encode(f"{user}:{uid}:{token}".encode()).decode()
        self._headers = {"Authorization": f"Session {session}"}

    def all(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call(
            f"model.{model}.search_read", domain, 0, None, None, ["id", *fields], {}
        )
        return found

    def _call(self, method: str, *params: Any) -> Any:
        answer = self._http.post(
            self._url, json={"id": 0, "method": method, "params": list(params)}, headers=self._headers
        )
        answer.raise_for_status()
        content = answer.json()
        if isinstance(content, dict) and content.get("error"):
            raise LotkeeperError(f"Tryton refused {method}: {str(content['error'])[:300]}")
        return content["result"] if isinstance(content, dict) else content
