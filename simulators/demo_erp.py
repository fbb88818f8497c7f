"""The ERP of a demo plant, simulated or a real Tryton, and what it says afterwards, read back over HTTP.

What is read back is a second opinion: it shares no code with central's connectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import httpx
from pydantic import JsonValue

from records.keys import write_private
from simulators.check import ErpBooked
from simulators.erp_readback import from_simulated, from_tryton
from simulators.erp_tryton import QUALITY_CONTROL, TrytonServer
from simulators.processes import Child, Processes, command
from simulators.sockets import free_port

START_LIMIT_S = 60.0


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
    kind: Literal["simulated", "tryton"], folder: Path, orders: int, units: int, host: Host
) -> SimulatedErp | TrytonErp:
    """Start the ERP; it answers when this returns."""
    if kind == "tryton":
        return TrytonErp(TrytonServer(folder, orders=orders, units=units, tell=host.say))
    return SimulatedErp(folder, orders, units, host.processes)


class SimulatedErp:
    """``lotkeeper-sim erp`` as a process."""

    def __init__(self, folder: Path, orders: int, units: int, processes: Processes) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._orders = orders
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
        return from_simulated(self._url, self._token, self._orders)

    def stop(self) -> None:
        """Its process ends with the others."""


class TrytonErp:
    """A real Tryton 8.2, read back over its JSON-RPC."""

    def __init__(self, server: TrytonServer) -> None:
        self._server = server

    def settings(self, folder: Path) -> JsonValue:
        secret = folder / "erp.secret"
        write_private(secret, self._server.password.encode())
        return {
            "kind": "tryton",
            "url": self._server.url,
            "database": self._server.database,
            "user": self._server.user,
            "password": f"file:{secret.name}",
            "quality_control": QUALITY_CONTROL,
            "confirm_warnings": True,
            "poll_interval": "2s",
        }

    def booked(self) -> Mapping[str, ErpBooked]:
        server = self._server
        return from_tryton(server.url, server.database, server.user, server.password)

    def stop(self) -> None:
        self._server.stop()
