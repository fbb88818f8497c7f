"""What Tryton's answers mean, in the shapes that were measured on 8.2."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from central.links.base import MESSAGE_LIMIT, ErpChanged, ErpRefused
from central.links.tryton_rpc import TrytonRpc, TrytonWarning
from records.errors import Invalid, Refused, Unreachable
from records.yaml import Secret

LOGIN, PREFERENCES = "common.db.login", "model.res.user.get_preferences"

Answer = Callable[[str, list[object]], httpx.Response]


def result(value: object) -> httpx.Response:
    return httpx.Response(200, json={"id": 0, "result": value})


def error(*parts: object) -> httpx.Response:
    return httpx.Response(200, json={"id": 0, "error": list(parts)})


@dataclass(frozen=True)
class Row:
    id: int


class Server:
    """Signs everybody in with the password ``right``; everything else is ``answer``'s."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.methods: list[str] = []
        self.sessions = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.methods.append(body["method"])
        if body["method"] == LOGIN:
            if body["params"][1]["password"] != "right":
                return httpx.Response(401)
            self.sessions += 1
            return result([2, f"token-{self.sessions}", None])
        if body["method"] == PREFERENCES:
            return result({"company": 1, "language": "fr"})
        return self.answer(body["method"], body["params"])


@contextmanager
def rpc(answer: Answer, tmp_path: Path, password: str = "right") -> Iterator[tuple[TrytonRpc, Server]]:
    (tmp_path / "password").write_text(password)
    server = Server(answer)
    secret = Secret(f"file:{tmp_path / 'password'}")
    opened = TrytonRpc("http://erp/", "plant", "mes", secret, 5, httpx.MockTransport(server))
    try:
        yield opened, server
    finally:
        opened.close()


def test_the_context_goes_last_and_speaks_english(tmp_path: Path) -> None:
    seen: list[object] = []

    def answer(method: str, params: list[object]) -> httpx.Response:
        seen.extend([method, params])
        return result(None)

    with rpc(answer, tmp_path) as (link, _):
        assert link.call("production.run", [7], context={"_timestamp": {"production,7": "1"}}) is None
    context = {"company": 1, "language": "en", "_timestamp": {"production,7": "1"}}
    assert seen == ["model.production.run", [[7], context]]


def test_typed_values_travel_both_ways(tmp_path: Path) -> None:
    sent = {"price": Decimal("1.50"), "took": timedelta(seconds=2.5), "on": date(2026, 1, 31)}
    expected = {
        "price": {"__class__": "Decimal", "decimal": "1.50"},
        "took": {"__class__": "timedelta", "seconds": 2.5},
        "on": {"__class__": "date", "year": 2026, "month": 1, "day": 31},
    }

    def echo(_: str, params: list[object]) -> httpx.Response:
        assert params[0] == expected
        return result({**expected, "lot.": {"number": "A"}, "quantity": 0.1})

    with rpc(echo, tmp_path) as (link, _):
        answer = link.call("any.method", sent)
    assert answer == {**sent, "lot": {"number": "A"}, "quantity": Decimal("0.1")}


def test_a_session_that_ended_is_renewed_once_and_the_call_done_once(tmp_path: Path) -> None:
    answers = iter([httpx.Response(401), result(5)])
    with rpc(lambda *_: next(answers), tmp_path) as (link, server):
        assert link.call("stock.lot.create", []) == 5
    assert server.methods.count(LOGIN) == 2


def test_a_wrong_password_is_tried_once_and_not_repeated_in_the_message(tmp_path: Path) -> None:
    with rpc(lambda *_: result(None), tmp_path, "not-right") as (link, server):
        with pytest.raises(Refused) as caught:
            link.call("production.run", [7])
        assert server.methods == [LOGIN]
    assert "not-right" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(429), Refused),
        (httpx.Response(403, text="<html>"), Refused),
        (httpx.Response(404, text="<html>"), Refused),
        (httpx.Response(500, text="<html>"), Unreachable),
        (httpx.Response(502), Unreachable),
        (httpx.Response(200, text="<html>not JSON"), Invalid),
        (httpx.Response(200, json=[1]), Invalid),
        (error("'foo'", ""), Invalid),
        (error("UserError", ["no such", "thing", [1, 2]]), ErpRefused),
        (error("ConcurrencyException", "text"), ErpChanged),
        (error("UserWarning", ["key", "really?", "more"]), TrytonWarning),
    ],
)
def test_every_answer_has_its_meaning(answer: httpx.Response, expected: type[Exception], tmp_path: Path) -> None:
    with rpc(lambda *_: answer, tmp_path) as (link, _), pytest.raises(expected) as caught:
        link.call("production.run", [7])
    assert type(caught.value) is expected


def test_ninety_kilobytes_of_error_become_a_line(tmp_path: Path) -> None:
    answer = error("UserError", ["The value\nis wrong", "x" * 90_000, None])
    with rpc(lambda *_: answer, tmp_path) as (link, _), pytest.raises(ErpRefused) as caught:
        link.call("production.run", [7])
    assert len(caught.value.message) == MESSAGE_LIMIT
    assert caught.value.message.startswith("The value is wrong: xxx")


def test_the_warnings_key_is_kept(tmp_path: Path) -> None:
    answer = error("UserWarning", ["over_tolerance.1", "too much", ""])
    with rpc(lambda *_: answer, tmp_path) as (link, _), pytest.raises(TrytonWarning) as caught:
        link.call("production.run", [7])
    assert (caught.value.key, caught.value.message) == ("over_tolerance.1", "too much")


def test_an_answer_with_other_fields_names_the_field(tmp_path: Path) -> None:
    rows = TypeAdapter(list[Row])
    with (
        rpc(lambda *_: result([{"id": 1}, {"id": "x"}]), tmp_path) as (link, _),
        pytest.raises(Invalid, match=r"stock\.lot 1\.id"),
    ):
        link.read(rows, "stock.lot", [], ["id"])


def test_a_lost_connection_is_unreachable(tmp_path: Path) -> None:
    def lost(*_: object) -> httpx.Response:
        raise httpx.RemoteProtocolError("server disconnected")

    with rpc(lost, tmp_path) as (link, _), pytest.raises(Unreachable, match="server disconnected"):
        link.call("production.run", [7])
