"""What quality holds on every line, and the signatures that hold and release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from central.holds import Held, Hold
from central.web.api.acts import Reason, once
from central.web.api.calls import Call, Caller, Items, Key, Paged, cut
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from central.web.api.writes import carried_out
from central.web.desk import Signing

router = APIRouter(responses=RESPONSES, prefix="/holds", tags=["holds"])

Name = Annotated[str, Field(min_length=1, max_length=200)]
HeldKind = Literal["unit", "lot", "component", "order", "equipment"]


class HoldItem(Item):
    """A hold. ``product``: of a unit or lot, or the item of a component's lot. ``record``: its decision.

    ``carried_over``: what told of it after a restore had lost its decision; ``record`` then states that, and
    ``by`` is empty where the source does not say who set it.
    """

    hold: str
    state: Literal["standing", "released"]
    kind: HeldKind
    id: str
    product: str | None
    reason: str
    by: str
    since: str
    record: str
    released_by: str | None
    released_at: str | None
    release_reason: str | None
    release_record: str | None
    content_hash: str
    carried_over: str | None

    @classmethod
    def of(cls, one: Hold) -> HoldItem:
        return cls.model_validate(one.to_json())


class _Signed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason
    user: Name
    password: SecretStr


class HoldBody(_Signed):
    """What is to be held, and who signs that."""

    kind: HeldKind
    id: Name
    product: Name | None = None


class ReleaseBody(_Signed):
    """Who lets it be worked on again. ``content_hash`` is that of the hold which was shown."""

    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@router.get("")
def holds(call: Caller, page: Paged, state: Literal["standing", "released"] | None = None) -> Items[HoldItem]:
    """Every hold by its name, or those that stand or are released."""
    wanted = sorted((one for one in call.desk.holds.listed()), key=lambda one: one.id)
    shown, after = cut([one for one in wanted if state in (None, _state(one))], lambda one: one.id, page)
    return Items(items=[HoldItem.of(one) for one in shown], next=after)


@router.post("", status_code=201, response_model=HoldItem)
def hold(request: Request, call: Caller, body: HoldBody, key: Key = None) -> JSONResponse:
    """Hold it on every line; 403 when it is refused, 422 when there is nothing of that kind to hold."""
    held = Held(body.kind, body.id, body.product)
    signing = _signing(call, body, "hold", held.content_hash)
    return _answer(request, call, ["hold", body.model_dump(exclude={"password"})], key,
                   lambda: call.desk.hold(held, signing))  # fmt: skip


@router.post("/{hold_id}/releases", status_code=201, response_model=HoldItem)
def release(request: Request, call: Caller, hold_id: str, body: ReleaseBody, key: Key = None) -> JSONResponse:
    """Let it be worked on again; 409 when it is not as it was shown, 403 when it is refused."""
    signing = _signing(call, body, "release", body.content_hash)
    if call.desk.holds.get(hold_id) is None:
        raise Problem(404, f"there is no hold {hold_id}")
    return _answer(request, call, [hold_id, body.model_dump(exclude={"password"})], key,
                   lambda: call.desk.release_hold(hold_id, signing))  # fmt: skip


def _state(one: Hold) -> str:
    return "standing" if one.stands else "released"


def _signing(call: Call, body: _Signed, act: str, content_hash: str) -> Signing:
    if not call.visitor.may_bring:
        raise Problem(403, f"the token {call.visitor.id} may not bring signatures: it needs the scope sign")
    secret = body.password.get_secret_value()
    return Signing(body.user, secret, act, body.reason, content_hash, call.visitor.origin)


def _answer(
    request: Request, call: Call, asked: object, key: str | None, decide: Callable[[], Hold]
) -> JSONResponse:
    def work() -> object:
        return HoldItem.of(decide()).model_dump(mode="json")

    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))
