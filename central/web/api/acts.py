"""What can be done: decide about a finding, sign a record. Both take an ``Idempotency-Key``."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from central.access import Capability
from central.findings import FindingChanged
from central.store.engine import is_away
from central.web.api import items
from central.web.api.calls import Call, Caller, Idempotency, Key
from central.web.api.problems import RESPONSES, Problem
from central.web.api.resources import found_dhr, found_finding
from central.web.api.writes import carried_out
from central.web.desk import Signing
from records.errors import LotkeeperError, Refused

router = APIRouter(responses=RESPONSES)

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class DecisionBody(BaseModel):
    """What was decided about a finding, and why. ``content_hash`` is that of the finding which was shown.

    ``user`` and ``password``: whose decision a program brings; it has none of its own. Without them it is the
    decision of the person of the session.
    """

    model_config = ConfigDict(extra="forbid")

    act: Literal["close", "concession", "scrap"] = "close"
    reason: Reason
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    user: Annotated[str | None, Field(max_length=200)] = None
    password: SecretStr | None = None


class SignatureBody(BaseModel):
    """A signature as its person gives it. ``content_hash`` is that of the content which was shown."""

    model_config = ConfigDict(extra="forbid")

    user: Annotated[str, Field(min_length=1, max_length=200)]
    password: SecretStr
    meaning: Literal["reviewed", "released", "rejected"]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def once(request: Request) -> Idempotency:
    """The answers that writes have had."""
    found: Idempotency = request.app.state.idempotency
    return found


def _decide(
    request: Request, call: Call, kind: str, finding_id: str, body: DecisionBody, key: str | None
) -> JSONResponse:
    call.need(Capability.CLOSE_FINDING)
    found_finding(call.desk, kind, finding_id)

    if (body.user is None) != (body.password is None):
        raise Problem(422, "user and password go together")
    if call.visitor.program and (body.user is None or body.password is None):
        raise Problem(403, "a program decides nothing by itself: bring user and password of the person who does")

    def work() -> object:
        try:
            visitor = call.visitor
            if body.user is not None and body.password is not None:
                secret = body.password.get_secret_value()
                visitor = call.desk.person(body.user, secret, call.visitor.origin, f"{kind} {finding_id}")
            closed = call.desk.decide(finding_id, body.content_hash, visitor, body.act, body.reason)
        except FindingChanged as error:
            raise Problem(409, str(error)) from error
        except LotkeeperError as error:
            if is_away(error):
                raise
            refused = isinstance(error, Refused) and not _closed(call, finding_id)
            raise Problem(403 if refused else 409, str(error)) from error
        return items.FindingItem.of(closed).model_dump(mode="json")

    asked = [kind, finding_id, body.model_dump(exclude={"password"})]
    return once(request).once(call.visitor.id, key, asked, 201, work)


def _closed(call: Call, finding_id: str) -> bool:
    found = call.desk.finding(finding_id)
    return found is not None and not found.open


@router.post(
    "/exceptions/{finding_id}/decisions", status_code=201, response_model=items.FindingItem, tags=["findings"]
)
def decide_exception(
    request: Request, call: Caller, finding_id: str, body: DecisionBody, key: Key = None
) -> JSONResponse:
    """Close an exception with a decision and its reason; 409 when it says something else by now."""
    return _decide(request, call, "exception", finding_id, body, key)


@router.post(
    "/discrepancies/{finding_id}/decisions", status_code=201, response_model=items.FindingItem, tags=["findings"]
)
def decide_discrepancy(
    request: Request, call: Caller, finding_id: str, body: DecisionBody, key: Key = None
) -> JSONResponse:
    """Close a discrepancy with a decision and its reason; 409 when it says something else by now."""
    return _decide(request, call, "discrepancy", finding_id, body, key)


@router.post(
    "/dhrs/{dhr_id}/signatures",
    status_code=201,
    response_model=items.SignatureItem,
    tags=["device history records"],
)
def sign(request: Request, call: Caller, dhr_id: str, body: SignatureBody, key: Key = None) -> JSONResponse:
    """Sign exactly the content with this hash; 409 when the record is another by now, 403 when it is refused."""
    if not call.visitor.may_bring:
        raise Problem(403, f"the token {call.visitor.id} may not bring signatures: it needs the scope sign")
    found_dhr(call.desk, dhr_id)
    secret = body.password.get_secret_value()

    def work() -> object:
        signing = Signing(body.user, secret, body.meaning, body.reason, body.content_hash, call.visitor.origin)
        return items.SignatureItem.of(call.desk.sign(dhr_id, signing)).model_dump(mode="json")

    asked = [dhr_id, body.model_dump(exclude={"password"})]
    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))
