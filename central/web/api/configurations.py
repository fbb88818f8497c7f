"""The line files of agents: what was sent, and the signature that approves one or withdraws that."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, StringConstraints

from central.configurations import Configuration, difference
from central.web.api.acts import Reason, once
from central.web.api.calls import Call, Caller, Items, Key, Paged, cut
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from central.web.api.writes import carried_out
from central.web.desk import Signing

router = APIRouter(responses=RESPONSES, prefix="/configurations", tags=["configurations"])

Name = Annotated[str, StringConstraints(max_length=200)]


class ConfigurationItem(Item):
    """A line file of an agent. ``needed``: the agent makes production runs by approved ones only."""

    agent: str
    hash: str
    state: Literal["proposed", "approved", "withdrawn"]
    needed: bool
    in_use: bool
    sound: bool
    software: str
    files: list[dict[str, str]]
    received_at: str | None
    record: str
    content_hash: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None

    @classmethod
    def of(cls, one: Configuration) -> ConfigurationItem:
        return cls.model_validate(one.to_json())


class WholeConfiguration(ConfigurationItem):
    """The line file with its text, what the agent made of it, and the difference to the one approved before."""

    texts: dict[str, str]
    resolved: JsonValue
    difference: list[str]


class ApprovalBody(BaseModel):
    """A decision as its person gives it. ``content_hash`` is that of the item which was shown."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["approve", "withdraw"] = "approve"
    reason: Reason
    user: Annotated[str, Field(min_length=1, max_length=200)]
    password: SecretStr
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


@router.get("")
def configurations(
    call: Caller, page: Paged, agent: Name | None = None, state: Name | None = None
) -> Items[ConfigurationItem]:
    """Every line file that agents have sent, by agent and hash."""
    wanted = [c for c in call.desk.configurations() if agent in (None, c.agent) and state in (None, c.state)]
    shown, after = cut(wanted, lambda c: f"{c.agent}/{c.hash}", page)
    return Items(items=[ConfigurationItem.of(c) for c in shown], next=after)


@router.get("/{agent}/{hash_}")
def configuration(call: Caller, agent: str, hash_: str) -> WholeConfiguration:
    one = _found(call, agent, hash_)
    before = call.desk.configuration_before(one)
    return WholeConfiguration.model_validate(
        {
            **one.to_json(),
            "texts": {file.name: file.text for file in one.record.files},
            "resolved": one.record.resolved,
            "difference": difference(None if before is None else before.record, one.record),
        }
    )


@router.post("/{agent}/{hash_}/approvals", status_code=201, response_model=ConfigurationItem)
def approve(
    request: Request, call: Caller, agent: str, hash_: str, body: ApprovalBody, key: Key = None
) -> JSONResponse:
    """Approve the line file, or withdraw that; 409 when it is not as it was shown, 403 when it is refused."""
    if not call.visitor.may_bring:
        raise Problem(403, f"the token {call.visitor.id} may not bring signatures: it needs the scope sign")
    _found(call, agent, hash_)
    secret = body.password.get_secret_value()

    def work() -> object:
        signing = Signing(body.user, secret, body.act, body.reason, body.content_hash, call.visitor.origin)
        return ConfigurationItem.of(call.desk.decide_configuration(agent, hash_, signing)).model_dump(mode="json")

    asked = [agent, hash_, body.model_dump(exclude={"password"})]
    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))


def _found(call: Call, agent: str, hash_: str) -> Configuration:
    found = call.desk.configuration(agent, hash_)
    if found is None:
        raise Problem(404, f"{agent} has sent no configuration {hash_}")
    return found
