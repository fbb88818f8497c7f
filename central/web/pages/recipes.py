"""Recipes: what a product's revision specifies, version by version, and their approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Response
from pydantic import JsonValue
from starlette.concurrency import run_in_threadpool

from central.proposals import Proposed
from central.web.i18n import N_
from central.web.pages import approval
from central.web.pages.approval import FRESH, ApprovalForm, Refusal
from central.web.visit import Enter, Form_, NotThere, Visit

router = APIRouter(include_in_schema=False)

ACTS: Mapping[str, tuple[str, str]] = {
    "approve": (
        N_("Approve this recipe"),
        N_("The lines hold this product's values against it from their next run on, once they have received it."),
    ),
    "withdraw": (
        N_("Withdraw this recipe"),
        N_("The lines go back to the specification of their line files, where these have one."),
    ),
}
"""Act -> its name and its consequence."""


Values = tuple[JsonValue, JsonValue, JsonValue, JsonValue]
"""Lower, upper, target, sigma."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a recipe. ``was``: the same entry of the version before, where it differs; None: it is new."""

    characteristic: str
    tool: str
    position: str
    values: Values
    change: str
    was: Values | None

    @property
    def lower(self) -> JsonValue:
        return self.values[0]

    @property
    def upper(self) -> JsonValue:
        return self.values[1]

    @property
    def target(self) -> JsonValue:
        return self.values[2]

    @property
    def sigma(self) -> JsonValue:
        return self.values[3]


@router.get("/recipes")
def recipes(visit: Enter) -> Response:
    return visit.page("recipes.html", found=visit.desk.chart_desk.recipes.listed())


@router.get("/recipes/{recipe_id}")
def recipe(visit: Enter, recipe_id: str) -> Response:
    return _page(visit, _found(visit, recipe_id))


@router.post("/recipes/{recipe_id}", dependencies=[Form_])
async def decide(visit: Enter, recipe_id: str, form: approval.Sent) -> Response:
    """Approve what was shown, or withdraw it."""
    await run_in_threadpool(_found, visit, recipe_id)
    chart_desk = visit.desk.chart_desk
    refusal = await approval.sign(visit, ACTS, form, lambda signing: chart_desk.decide_recipe(recipe_id, signing))
    if refusal is None:
        return visit.go(f"/recipes/{recipe_id}")
    now = await run_in_threadpool(_found, visit, recipe_id)
    return await run_in_threadpool(_page, visit, now, form, refusal)


def _found(visit: Visit, recipe_id: str) -> Proposed:
    one = next((r for r in visit.desk.chart_desk.recipes.listed() if r.id == recipe_id), None)
    if one is None:
        raise NotThere
    return one


def _page(visit: Visit, one: Proposed, form: ApprovalForm = FRESH, refusal: Refusal | None = None) -> Response:
    versions = [r for r in visit.desk.chart_desk.recipes.listed() if r.key == one.key]
    before = next((r for r in versions if r.version < one.version), None)
    return visit.page(
        "recipe.html",
        status=refusal.status if refusal else 200,
        one=one,
        versions=versions,
        before=before,
        lines=_lines(one, before),
        sign=approval.panel(visit, ACTS, "withdraw" if one.state in ("approved", "superseded") else "approve"),
        open=one.state != "withdrawn",
        changed=refusal is not None and refusal.changed,
        form=form.again(visit),
        error=refusal.text if refusal else "",
    )


def _lines(one: Proposed, before: Proposed | None) -> list[Line]:
    """The entries, and what the version before said where it said something else; gone ones at the end."""
    now, was = _entries(one), {} if before is None else _entries(before)
    found = []
    for place, values in now.items():
        old = was.get(place)
        change = "same" if before is None or old == values else "new" if old is None else "changed"
        found.append(Line(*place, values, change, old if old != values else None))
    found += [Line(*place, values, "gone", None) for place, values in was.items() if place not in now]
    return found


def _entries(one: Proposed) -> dict[tuple[str, str, str], Values]:
    """(characteristic, tool, position) -> (lower, upper, target, sigma)."""
    told = one.content.get("characteristics")
    found: dict[tuple[str, str, str], Values] = {}
    for name, entries in told.items() if isinstance(told, dict) else ():
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                spec = entry.get("specification")
                limits = spec if isinstance(spec, dict) else {}
                place = (name, str(entry.get("tool") or ""), str(entry.get("position") or ""))
                values: Values = (limits.get("lsl"), limits.get("usl"), limits.get("target"), entry.get("sigma"))
                found[place] = values
    return found
