"""An ERP that speaks Lotkeeper's own REST contract (``docs/reference/erp-rest-contract.md``).

There a confirmation is one request with an ``Idempotency-Key``: booked whole, once. Still it is never repeated
blindly: before it is sent, the order's result is read, and a key found there is not sent again.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from central.links.base import (
    BomItem,
    Confirmation,
    Consumption,
    ErpLot,
    ErpOperation,
    ErpOrder,
    ErpRefused,
    ErpResult,
    LotStatus,
    OrderOperation,
    OrderState,
    StepLog,
)
from central.links.settings import RestErpSettings
from records.errors import Invalid, Refused, Unreachable
from records.quantity import quantity_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Operation:
    operation: str
    sequence: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Need:
    item: str
    quantity: Decimal
    unit: str = "u"


@dataclass(frozen=True, slots=True)
class _Order:
    id: str
    reference: str
    product: str
    quantity: Decimal
    state: OrderState
    operations: list[_Operation]
    bom: list[_Need]
    number: str | None = None
    revision: str | None = None
    unit: str = "u"
    lot: str | None = None
    expiry: str | None = None


@dataclass(frozen=True, slots=True)
class _Orders:
    orders: list[_Order]


@dataclass(frozen=True, slots=True)
class _Lot:
    item: str
    number: str
    quantity: Decimal
    expiry: str | None = None
    status: LotStatus = "available"


@dataclass(frozen=True, slots=True)
class _Lots:
    lots: list[_Lot]


@dataclass(frozen=True, slots=True)
class _Use:
    item: str
    lot: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class _Worked:
    operation: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class _Result:
    order: _Order
    keys: list[str]
    good: list[str]
    scrap: Decimal
    consumed: list[_Use]
    operations: list[_Worked]


@dataclass(frozen=True, slots=True)
class _Problem:
    title: str = ""
    detail: str = ""


_ORDERS = TypeAdapter(_Orders)
_LOTS = TypeAdapter(_Lots)
_RESULT = TypeAdapter(_Result)
_PROBLEM = TypeAdapter(_Problem)


class RestLink:
    """An ``ErpLink``; one thread at a time."""

    def __init__(self, settings: RestErpSettings) -> None:
        self._url = settings.url.rstrip("/")
        self._token = settings.token
        self._http = httpx.Client(base_url=f"{self._url}/erp/v1", timeout=settings.timeout)

    @property
    def address(self) -> str:
        return f"ERP {self._url}"

    def close(self) -> None:
        self._http.close()

    def orders(self, held: Collection[str], named: Collection[str] = ()) -> list[ErpOrder]:
        asked = {"id": sorted(held), "reference": sorted(named)}
        answer = self._get(_ORDERS, "/orders", params=httpx.QueryParams(asked))
        return [_order(row) for row in answer.orders]

    def lots(self, items: Collection[str]) -> list[ErpLot]:
        answer = self._get(_LOTS, "/lots", params=httpx.QueryParams({"item": sorted(items)}))
        return [ErpLot(row.item, row.number, row.expiry, row.quantity, row.status) for row in answer.lots]

    def post(self, confirmation: Confirmation, progress: StepLog) -> None:
        progress.begin("confirmation")
        if confirmation.key in self._result(confirmation.erp_id).keys:
            progress.done("confirmation", "found")
            return
        response = self._send(
            "POST",
            f"/orders/{confirmation.erp_id}/confirmation",
            json=_body(confirmation),
            headers={"Idempotency-Key": confirmation.key},
        )
        self._check(response, "confirmation")
        if confirmation.key not in self._result(confirmation.erp_id).keys:
            raise ErpRefused(f"{self.address} took the confirmation but does not show it", step="confirmation")
        progress.done("confirmation", "written")

    def read_back(self, erp_id: str) -> ErpResult:
        result = self._result(erp_id)
        operations: dict[str, list[_Worked]] = {}
        for worked in result.operations:
            operations.setdefault(worked.operation, []).append(worked)
        return ErpResult(
            result.order.reference,
            result.order.state,
            tuple(result.good),
            result.scrap,
            tuple(Consumption(use.item, use.lot, use.quantity) for use in result.consumed),
            tuple(
                ErpOperation(name, True, sum(worked.duration_s for worked in all_), len(all_))
                for name, all_ in operations.items()
            ),
        )

    def _result(self, erp_id: str) -> _Result:
        return self._get(_RESULT, f"/orders/{erp_id}/result")

    def _get(self, shape: TypeAdapter[T], path: str, params: httpx.QueryParams | None = None) -> T:
        response = self._send("GET", path, params=params)
        self._check(response, "")
        try:
            return shape.validate_json(response.content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Invalid(f"{self.address}{path}: {place}: {first['msg']}") from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: httpx.QueryParams | None = None,
        json: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        authorization = {"Authorization": f"Bearer {self._token.reveal()}"}
        try:
            return self._http.request(
                method, path, params=params, json=json, headers={**authorization, **(headers or {})}
            )
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self.address} did not answer: {str(error) or type(error).__name__}",
                hint="it is asked again by itself",
            ) from error

    def _check(self, response: httpx.Response, step: str) -> None:
        status = response.status_code
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Refused(
                f"{self.address} refuses our token", hint="correct erp.token, then let central try again"
            )
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Refused(f"{self.address} blocks us: too many requests", hint="let central try again later")
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Unreachable(f"{self.address} answered with status {status}", hint="it is asked again by itself")
        if not response.is_success:
            raise ErpRefused(_told(response), step=step)


def _told(response: httpx.Response) -> str:
    try:
        problem = _PROBLEM.validate_json(response.content)
    except ValidationError:
        return f"status {response.status_code}"
    return problem.detail or problem.title or f"status {response.status_code}"


def _order(row: _Order) -> ErpOrder:
    return ErpOrder(
        row.id,
        row.reference,
        row.number,
        row.product,
        row.quantity,
        row.unit,
        row.state,
        tuple(OrderOperation(o.operation, o.sequence, o.name) for o in row.operations),
        tuple(BomItem(need.item, need.quantity, unit=need.unit) for need in row.bom),
        row.lot,
        row.revision,
        row.expiry,
    )


def _body(confirmation: Confirmation) -> dict[str, object]:
    return {
        "good": list(confirmation.good),
        "scrap": confirmation.scrap,
        "consumed": [
            {"item": use.item, "lot": use.lot, "quantity": quantity_text(use.quantity)}
            for use in confirmation.consumed
        ],
        "operations": [
            {
                "operation": total.operation,
                "began_us": total.began_us,
                "ended_us": total.ended_us,
                "duration_s": total.duration_s,
                "quantity": total.quantity,
            }
            for total in confirmation.operations
        ],
        "inspections": [
            {"serial": tested.serial, "values": dict(tested.values)} for tested in confirmation.inspections
        ],
    }
