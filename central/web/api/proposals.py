"""Limit sets and recipes under ``/api/v1``: proposals, and the signatures that approve or withdraw them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr

from central.limit_files import GivenSettings, MethodSettings
from central.limit_sets import Window
from central.proposals import Proposals, Proposed
from central.web.api.acts import Reason, once
from central.web.api.calls import Call, Caller, Items, Key, Moment, Page, Paged, cut
from central.web.api.charts import found_chart
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from central.web.api.writes import Person, carried_out, needs_sign, visitor_of
from central.web.desk import Signing
from records.clock import to_us

router = APIRouter(responses=RESPONSES)

Word = Annotated[str | None, Query(max_length=200)]
User = Annotated[str | None, Field(max_length=200)]


class ProposedItem(Item):
    """A version of a recipe or limit set. ``content_hash``: what a signature covers."""

    id: str
    key: str
    version: int
    state: Literal["proposed", "approved", "superseded", "withdrawn"]
    author: str
    proposed_at: str | None
    proposal_reason: str
    effective_from: str | None
    approved_by: str | None
    decided_by: str | None
    decided_at: str | None
    decision_reason: str | None
    content_hash: str
    record: str
    content: dict[str, JsonValue]

    @classmethod
    def of(cls, one: Proposed) -> ProposedItem:
        return cls.model_validate(one.to_json())


class StudyBody(BaseModel):
    """Limits from points of a chart, excluded ones left out. A program brings ``user`` and ``password``."""

    model_config = ConfigDict(extra="forbid")

    first: Annotated[int | None, Field(ge=1)] = None
    last: Annotated[int | None, Field(ge=1)] = None
    from_time: Moment | None = None
    to_time: Moment | None = None
    method: MethodSettings = MethodSettings()
    reason: Reason
    user: User = None
    password: SecretStr | None = None


class GivenBody(BaseModel):
    """Limits by numbers."""

    model_config = ConfigDict(extra="forbid")

    given: GivenSettings
    reason: Reason
    user: User = None
    password: SecretStr | None = None


class RecipeBody(BaseModel):
    """A recipe, as its file would say it."""

    model_config = ConfigDict(extra="forbid")

    recipe: dict[str, Any]
    reason: Reason
    user: User = None
    password: SecretStr | None = None


class SignatureBody(BaseModel):
    """Approval, or withdrawal, as its person gives it. ``effective_from``: of limits; left out: now."""

    model_config = ConfigDict(extra="forbid")

    act: Literal["approve", "withdraw"] = "approve"
    reason: Reason
    user: Annotated[str, Field(min_length=1, max_length=200)]
    password: SecretStr
    content_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    effective_from: Moment | None = None


def _secret(password: SecretStr | None) -> str | None:
    return None if password is None else password.get_secret_value()


def _page(found: list[Proposed], page: Page) -> Items[ProposedItem]:
    shown, after = cut(found, lambda one: f"{one.key}\0{10**9 - one.version:010}", page)
    return Items(items=[ProposedItem.of(one) for one in shown], next=after)


def _found(proposals: Proposals, what: str, id_: str) -> Proposed:
    one = proposals.get(id_)
    if one is None:
        raise Problem(404, f"no {what} {id_}")
    return one


# -- limit sets --------------------------------------------------------------------------------------------


@router.get("/limit-sets", tags=["limit sets"])
def limit_sets(
    call: Caller, page: Paged, characteristic: Word = None, state: Word = None, chart: Word = None
) -> Items[ProposedItem]:
    """Control limits as records, by key, the newest version of each first; ``chart``: of this chart's key."""
    found = call.desk.chart_desk.limit_sets.listed(characteristic, state)
    if chart is not None:
        wanted = {one.id for one in call.desk.chart_desk.limit_sets.of_chart(found_chart(call, chart))}
        found = [one for one in found if one.id in wanted]
    return _page(found, page)


@router.get("/limit-sets/{set_id}", tags=["limit sets"])
def limit_set(call: Caller, set_id: str) -> ProposedItem:
    return ProposedItem.of(_found(call.desk.chart_desk.limit_sets.proposals, "limit set", set_id))


@router.post("/limit-sets", status_code=201, response_model=ProposedItem, tags=["limit sets"])
def give(request: Request, call: Caller, body: GivenBody, key: Key = None) -> JSONResponse:
    """Propose limits by numbers."""

    def work() -> object:
        given = body.given
        visitor = visitor_of(call, Person(body.user, _secret(body.password)), "limit-set")
        made = call.desk.chart_desk.give_limits(
            given.key(), given.chart, given.subgroup, given.limits, visitor, body.reason
        )
        return ProposedItem.of(made).model_dump(mode="json")

    return _once(request, call, key, ["limit-sets", body.model_dump(exclude={"password"})], work)


@router.post("/charts/{chart_id}/limit-sets", status_code=201, response_model=ProposedItem, tags=["limit sets"])
def study(request: Request, call: Caller, chart_id: str, body: StudyBody, key: Key = None) -> JSONResponse:
    """Propose limits from a window of the chart's points."""
    head = found_chart(call, chart_id)

    def work() -> object:
        window = Window(
            body.first,
            body.last,
            None if body.from_time is None else to_us(body.from_time),
            None if body.to_time is None else to_us(body.to_time),
        )
        visitor = visitor_of(call, Person(body.user, _secret(body.password)), f"chart {chart_id}")
        made = call.desk.chart_desk.propose_limits(head.ref, window, body.method.method(), visitor, body.reason)
        return ProposedItem.of(made).model_dump(mode="json")

    return _once(request, call, key, [chart_id, body.model_dump(mode="json", exclude={"password"})], work)


@router.post("/limit-sets/{set_id}/signatures", status_code=201, response_model=ProposedItem, tags=["limit sets"])
def sign_limits(request: Request, call: Caller, set_id: str, body: SignatureBody, key: Key = None) -> JSONResponse:
    """Approve limits, or withdraw them; 409 when they are not as they were shown, 403 when it is refused."""
    needs_sign(call)
    _found(call.desk.chart_desk.limit_sets.proposals, "limit set", set_id)
    effective_us = None if body.effective_from is None else to_us(body.effective_from)

    def work() -> object:
        made = call.desk.chart_desk.decide_limits(set_id, _signing(call, body), effective_us)
        return ProposedItem.of(made).model_dump(mode="json")

    return _once(request, call, key, [set_id, body.model_dump(mode="json", exclude={"password"})], work)


# -- recipes -----------------------------------------------------------------------------------------------


@router.get("/recipes", tags=["recipes"])
def recipes(call: Caller, page: Paged, product: Word = None, state: Word = None) -> Items[ProposedItem]:
    """Specifications of products, by product and revision, the newest version of each first."""
    found = [
        one
        for one in call.desk.chart_desk.recipes.listed()
        if product in (None, one.content.get("product")) and state in (None, one.state)
    ]
    return _page(found, page)


@router.get("/recipes/{recipe_id}", tags=["recipes"])
def recipe(call: Caller, recipe_id: str) -> ProposedItem:
    return ProposedItem.of(_found(call.desk.chart_desk.recipes, "recipe", recipe_id))


@router.post("/recipes", status_code=201, response_model=ProposedItem, tags=["recipes"])
def import_recipe(request: Request, call: Caller, body: RecipeBody, key: Key = None) -> JSONResponse:
    """Propose a recipe as the next version of its product and revision."""

    def work() -> object:
        visitor = visitor_of(call, Person(body.user, _secret(body.password)), "recipe")
        made = call.desk.chart_desk.import_recipe(body.recipe, visitor, body.reason)
        return ProposedItem.of(made).model_dump(mode="json")

    return _once(request, call, key, ["recipes", body.model_dump(mode="json", exclude={"password"})], work)


@router.post("/recipes/{recipe_id}/signatures", status_code=201, response_model=ProposedItem, tags=["recipes"])
def sign_recipe(
    request: Request, call: Caller, recipe_id: str, body: SignatureBody, key: Key = None
) -> JSONResponse:
    """Approve a recipe, or withdraw it; 409 when it is not as it was shown, 403 when it is refused."""
    needs_sign(call)
    _found(call.desk.chart_desk.recipes, "recipe", recipe_id)
    if body.effective_from is not None:
        raise Problem(422, "a recipe holds from its approval on: leave effective_from out")

    def work() -> object:
        made = call.desk.chart_desk.decide_recipe(recipe_id, _signing(call, body))
        return ProposedItem.of(made).model_dump(mode="json")

    return _once(request, call, key, [recipe_id, body.model_dump(mode="json", exclude={"password"})], work)


# -- within ------------------------------------------------------------------------------------------------


def _signing(call: Call, body: SignatureBody) -> Signing:
    secret = body.password.get_secret_value()
    return Signing(body.user, secret, body.act, body.reason, body.content_hash, call.visitor.origin)


def _once(request: Request, call: Call, key: str | None, asked: object, work: Any) -> JSONResponse:
    return once(request).once(call.visitor.id, key, asked, 201, lambda: carried_out(work))
