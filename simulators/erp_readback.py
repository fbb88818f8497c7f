"""What an ERP holds of every order, asked without any of central's code: the other side of ``demo --check``."""

from __future__ import annotations

import base64
from decimal import Decimal

import httpx
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from records.errors import LotkeeperError, Unreachable
from simulators.check import ErpBooked, Used

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class _RestOrder:
    id: str
    reference: str
    state: str


@dataclass(frozen=True)
class _RestOrders:
    orders: list[_RestOrder]


@dataclass(frozen=True)
class _RestUse:
    item: str
    lot: str
    quantity: Decimal


@dataclass(frozen=True)
class _RestResult:
    order: _RestOrder
    good: list[str]
    scrap: Decimal
    consumed: list[_RestUse]


_ORDERS, _RESULT = TypeAdapter(_RestOrders), TypeAdapter(_RestResult)


def from_simulated(url: str, token: str, orders: int) -> dict[str, ErpBooked]:
    """By reference, from the simulated ERP with orders 1 to ``orders``.

    Raises:
        Unreachable: it does not answer as it should.
    """
    booked: dict[str, ErpBooked] = {}
    ids = httpx.QueryParams({"id": [str(n) for n in range(1, orders + 1)]})
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as http:
            listed = _ORDERS.validate_json(http.get("/erp/v1/orders", params=ids).raise_for_status().content)
            for order in listed.orders:
                answer = http.get(f"/erp/v1/orders/{order.id}/result").raise_for_status()
                result = _RESULT.validate_json(answer.content)
                used = tuple(Used(item=use.item, lot=use.lot, quantity=use.quantity) for use in result.consumed)
                booked[order.reference] = ErpBooked(
                    state=result.order.state, good=tuple(result.good), scrap=result.scrap, consumed=used
                )
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"the simulated ERP at {url} could not be read back: {error}") from error
    return booked


@dataclass(frozen=True)
class _Code:
    code: str


@dataclass(frozen=True)
class _Number:
    number: str


@dataclass(frozen=True)
class _Place:
    type: str


@dataclass(frozen=True)
class _Move:
    product: _Code
    lot: _Number | None
    quantity: Decimal
    state: str
    to_location: _Place

    @property
    def number(self) -> str:
        return "" if self.lot is None else self.lot.number


@dataclass(frozen=True)
class _Production:
    reference: str
    state: str
    inputs: list[_Move]
    outputs: list[_Move]


_PRODUCTIONS = TypeAdapter(list[_Production])
_FIELDS = ("product.code", "lot.number", "quantity", "state", "to_location.type")


def from_tryton(url: str, database: str, user: str, password: str) -> dict[str, ErpBooked]:
    """By reference, from every production of a Tryton database; only moves that are done count.

    Raises:
        Unreachable: it does not answer as it should.
    """
    fields = ["reference", "state", *(f"{side}.{field}" for side in ("inputs", "outputs") for field in _FIELDS)]
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_S) as http:
            http.headers["Authorization"] = f"Basic {credentials}"
            company = _call(http, database, "model.res.user.get_preferences", [True, {}])
            params = [[], 0, None, [["id", "ASC"]], fields, company]
            rows = _PRODUCTIONS.validate_python(_call(http, database, "model.production.search_read", params))
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"Tryton at {url} could not be read back: {error}") from error
    return {row.reference: _booked(row) for row in rows}


def _call(http: httpx.Client, database: str, method: str, params: list[object]) -> object:
    body = {"id": 0, "method": method, "params": params}
    answer = http.post(f"/{database}/rpc/", json=body).raise_for_status().json(object_hook=_undotted)
    if "result" not in answer:
        raise LotkeeperError(f"Tryton could not do {method}: {str(answer.get('error'))[:300]}")
    result: object = answer["result"]
    return result


def _undotted(item: dict[str, object]) -> dict[str, object]:
    return {name.rstrip("."): value for name, value in item.items()}


def _booked(row: _Production) -> ErpBooked:
    made = [move for move in row.outputs if move.state == "done"]
    used = [move for move in row.inputs if move.state == "done"]
    scrap = [move.quantity for move in made if move.to_location.type == "lost_found"]
    return ErpBooked(
        state="closed" if row.state == "done" else row.state,
        good=tuple(move.number for move in made if move.to_location.type != "lost_found"),
        scrap=sum(scrap, Decimal(0)),
        consumed=tuple(Used(item=m.product.code, lot=m.number, quantity=m.quantity) for m in used),
    )
