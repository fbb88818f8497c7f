"""Tryton's JSON-RPC: sign-in, one call at a time, typed values, and its errors in our words.

Each call is one transaction in Tryton. What its answers mean (measured on 8.2): HTTP 200 also carries errors; a
button that wants a person answers without error with the description of a dialog; 401 is a session that is gone
or a wrong password; 429 means that too many wrong passwords were tried. A wrong password is therefore tried
once, never in a loop.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from central.links.base import ErpChanged, ErpRefused
from records.errors import Invalid, Refused, Unreachable
from records.yaml import Secret

T = TypeVar("T")

Wire = object
"""A decoded JSON value: Tryton's tagged objects are dates, decimals and durations already."""


class TrytonWarning(ErpRefused):
    """Tryton asks a person to confirm; ``key`` names the warning."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message, hint="confirm it in the ERP, or set erp.confirm_warnings")
        self.key = key


class TrytonRpc:
    """One user of one database. Not for use by two threads at once."""

    def __init__(
        self,
        url: str,
        database: str,
        user: str,
        password: Secret,
        timeout_s: float,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Nothing is sent yet. ``transport`` takes the network's place in tests."""
        self.address = f"Tryton {url.rstrip('/')}/{database}"
        self._path = f"/{database}/rpc/"
        self._user = user
        self._password = password
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=timeout_s, transport=transport)
        self._session: str | None = None
        self._context: dict[str, Wire] = {}

    def close(self) -> None:
        self._http.close()

    def read(
        self,
        rows: TypeAdapter[list[T]],
        model: str,
        domain: list[Wire],
        fields: list[str],
        *,
        context: Mapping[str, Wire] | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> list[T]:
        """Records of a model in the order of their ids, as ``rows`` describes them.

        Raises:
            Invalid: Tryton's answer does not have these fields.
        """
        order = [["id", "ASC"]]
        answer = self.call(f"{model}.search_read", domain, offset, limit, order, fields, context=context)
        try:
            return rows.validate_python(answer)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Invalid(
                f"{self.address}: {model} {place}: {first['msg']}", hint="is it Tryton 8.2 with its modules?"
            ) from error

    def call(self, method: str, *params: Wire, context: Mapping[str, Wire] | None = None) -> Wire:
        """The result of ``model.<method>``; the user's context goes along, extended by ``context``.

        Raises:
            Unreachable, Refused, ErpRefused, ErpChanged, TrytonWarning, Invalid.
        """
        if self._session is None:
            self._sign_in()
        status, answer = self._send(f"model.{method}", [*params, {**self._context, **(context or {})}])
        if status == httpx.codes.UNAUTHORIZED:  # the session ended; nothing of the call was done
            self._sign_in()
            status, answer = self._send(f"model.{method}", [*params, {**self._context, **(context or {})}])
        return self._result(method, status, answer)

    def _sign_in(self) -> None:
        self._session = None
        credentials = {"password": self._password.reveal()}
        status, answer = self._send("common.db.login", [self._user, credentials, "en"])
        if status == httpx.codes.UNAUTHORIZED:
            raise Refused(
                f"{self.address} refuses user {self._user}: wrong name or password",
                hint="correct erp.user and erp.password, then let central try again",
            )
        login = self._result("login", status, answer)
        if not isinstance(login, list) or len(login) < 2:
            raise Refused(f"{self.address} wants more than a password of user {self._user}")
        token = base64.b64encode(f"{self._user}:{login[0]}:{login[1]}".encode()).decode()
        self._session = f"Session {token}"
        status, answer = self._send("model.res.user.get_preferences", [True, {}])
        context = self._result("get_preferences", status, answer)
        if not isinstance(context, dict):
            raise Invalid(f"{self.address}: no preferences of user {self._user}")
        self._context = {**context, "language": "en"}

    def _send(self, method: str, params: list[Wire]) -> tuple[int, Wire]:
        """Status and decoded answer. An answer that got lost is Unreachable: the call may have been done."""
        headers = {} if self._session is None else {"Authorization": self._session}
        body = json.dumps({"id": 0, "method": method, "params": params}, default=_tagged)
        try:
            response = self._http.post(
                self._path, content=body, headers={**headers, "Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise Unreachable(
                f"{self.address} did not answer {method}: {error or type(error).__name__}",
                hint="it is asked again by itself",
            ) from error
        status = response.status_code
        if status == httpx.codes.UNAUTHORIZED:
            return status, None
        self._refuse(status, method)
        try:
            return status, json.loads(response.text, parse_float=Decimal, object_hook=_untagged)
        except ValueError as error:
            raise Invalid(f"{self.address} answered {method} with something that is no JSON") from error

    def _refuse(self, status: int, method: str) -> None:
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise Refused(
                f"{self.address} blocks user {self._user} after too many wrong passwords",
                hint="correct erp.password, wait a few minutes, then let central try again",
            )
        if status == httpx.codes.NOT_FOUND:
            raise Refused(f"{self.address}: no such database", hint="correct erp.url and erp.database")
        if status == httpx.codes.FORBIDDEN:
            raise Refused(f"{self.address} does not offer {method}", hint="are all modules activated?")
        if status != httpx.codes.OK:
            raise Unreachable(f"{self.address} answered {method} with status {status}")

    def _result(self, method: str, status: int, answer: Wire) -> Wire:
        if status == httpx.codes.UNAUTHORIZED:
            raise Refused(f"{self.address} does not keep the session of user {self._user}")
        if not isinstance(answer, dict):
            raise Invalid(f"{self.address} answered {method} with no JSON-RPC object")
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        kind, details = (error[0], error[1]) if isinstance(error, list) and len(error) > 1 else (str(error), None)
        texts = [str(part) for part in details if part] if isinstance(details, list) else [str(details)]
        if kind == "UserError":
            raise ErpRefused(_sentence(texts[:2]))
        if kind == "UserWarning" and len(texts) > 1:
            raise TrytonWarning(_sentence(texts[1:3]), key=texts[0])
        if kind == "ConcurrencyException":
            raise ErpChanged(f"{self.address}: somebody changed the record meanwhile", hint="it is tried again")
        raise Invalid(f"{self.address} could not do {method}: {str(kind)[:200]}")


def _sentence(parts: list[str]) -> str:
    return ": ".join(" ".join(part.split()) for part in parts) or "no reason given"


def _tagged(value: object) -> dict[str, Wire]:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, timedelta):
        return {"__class__": "timedelta", "seconds": value.total_seconds()}
    if isinstance(value, date) and not isinstance(value, datetime):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"{type(value).__name__} does not travel to Tryton")


def _untagged(item: dict[str, Wire]) -> Wire:
    kind = item.get("__class__")
    if kind == "Decimal":
        return Decimal(str(item["decimal"]))
    if kind == "date":
        return date(int(str(item["year"])), int(str(item["month"])), int(str(item["day"])))
    if kind == "timedelta":
        return timedelta(seconds=float(str(item["seconds"])))
    # a dotted field comes back as an object under its name with a dot at the end
    return {name.rstrip("."): value for name, value in item.items()}
