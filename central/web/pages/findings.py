"""Exceptions and discrepancies: the list with its filters in the address, and the page on which one is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Response

from central.access import Capability
from central.domain import Finding
from central.stored import StoredFact
from central.web import params, refusals, texts, verdicts
from central.web.i18n import N_
from central.web.pages import approval
from central.web.visit import Enter, Form_, NotThere, Text, Visit, needs
from records.errors import LotkeeperError

router = APIRouter(include_in_schema=False)

SHOWN = 500
"""Most rows of one list; the head says how many more there are."""

OF_CHARTS = ("spc-signal", "chart-no-limits", "unit-held", "station-held", "escalated")
"""Codes of findings that a control chart raised."""

FILTERS = ("state", "kind", "code", "order", "lot", "operation")

ACTS: Mapping[str, tuple[str, str]] = {
    "close": (N_("Explained"), N_("The cause is known, and nothing more has to be done about it.")),
    "concession": (N_("Use as it is"), N_("It deviates, and is accepted for the reason that you give.")),
    "scrap": (N_("Scrap"), N_("The pieces that it is about are taken out of the lot.")),
}
"""What a person can decide about a finding: act of the decision -> its name and its consequence."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of the list: its present value and the values there are to choose from."""

    name: str
    value: str
    options: tuple[str, ...]


@router.get("/findings")
def findings(
    visit: Enter,
    state: str = "open",
    kind: str = "",
    code: str = "",
    order: str = "",
    lot: str = "",
    operation: str = "",
) -> Response:
    wanted = {"state": state, "kind": kind, "code": code, "order": order, "lot": lot, "operation": operation}
    every = visit.desk.findings()
    found = [f for f in every if _matches(f, wanted)]
    return visit.page(
        "findings.html",
        findings=found[:SHOWN],
        hidden=max(0, len(found) - SHOWN),
        total=len(every),
        open_total=sum(f.open for f in every),
        wanted=wanted,
        filters=_filters(every, wanted),
        brief=params.brief,
    )


def _matches(finding: Finding, wanted: Mapping[str, str]) -> bool:
    return all(value in ("", "all") or getattr(finding, name) == value for name, value in wanted.items())


def _filters(every: list[Finding], wanted: Mapping[str, str]) -> list[Filter]:
    """The filters with a choice: every value that occurs."""
    return [
        Filter(name, wanted[name], tuple(sorted({v for f in every if (v := getattr(f, name))})))
        for name in ("code", "order", "operation")
    ]


@router.get("/findings/{finding_id}")
def finding(visit: Enter, finding_id: str) -> Response:
    return _page(visit, _found(visit, finding_id))


@router.post("/findings/{finding_id}", dependencies=[Form_])
def decide(
    finding_id: str,
    visit: Visit = Depends(needs(Capability.CLOSE_FINDING)),  # noqa: B008
    act: Text = "",
    code: Text = "",
    reason: Text = "",
    content_hash: Text = "",
) -> Response:
    """Close the finding with an act and a reason, both written into central's chain."""
    found = _found(visit, finding_id)
    told = approval.joined(code if act == "scrap" else "", reason)
    if act not in ACTS or not told:
        problem = visit.words(N_("Choose what you decide, and write the reason."))
        return _page(visit, found, status=422, error=problem, act=act, code=code, reason=reason)
    try:
        visit.desk.decide(finding_id, content_hash, visit.user, act, told)
    except LotkeeperError as error:
        problem = refusals.text(visit.words, error)
        return _page(visit, found, status=409, error=problem, act=act, code=code, reason=reason)
    return visit.go(f"/findings/{finding_id}")


def _found(visit: Visit, finding_id: str) -> Finding:
    found = visit.desk.finding(finding_id)
    if found is None:
        raise NotThere
    return found


def _page(
    visit: Visit,
    found: Finding,
    *,
    status: int = 200,
    error: str = "",
    act: str = "",
    code: str = "",
    reason: str = "",
) -> Response:
    summary = next((d for d in visit.desk.queue() if found.order in d.orders), None)
    following = [f for f in visit.desk.findings() if f.open and f.order == found.order and f.id != found.id]
    facts = [fact for ref in found.records if (fact := visit.desk.fact(ref.hash)) is not None]
    event = verdicts.rule_told(facts) if found.code == "spc-signal" else None
    told = {**found.params, **(event or {})}
    return visit.page(
        "finding.html",
        status=status,
        finding=found,
        text=texts.finding_text(found.code),
        pair=params.pair(visit.words, found.params),
        params=params.labelled(visit.words, told, params.paired(told) | {"operation"}),
        chart=_chart(found, facts),
        dhr=summary,
        next_finding=following[0] if following else None,
        remaining=len(following),
        acts={act: texts_ for act, texts_ in ACTS.items() if act != "scrap" or found.subjects},
        error=error,
        act=act,
        code=code,
        reason=reason,
        reasons=visit.reasons("scrap") if found.subjects else [],
    )


def _chart(found: Finding, facts: list[StoredFact]) -> str:
    """The page of the control chart that a finding is about; empty where it is about none."""
    name = found.params.get("characteristic")
    if name is None or found.code not in OF_CHARTS:
        return ""
    return next(filter(None, (verdicts.href(fact, str(name)) for fact in facts)), "")
