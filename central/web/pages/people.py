"""People and machines: who may work where, which machines are fit to, and what is lacking today."""

from __future__ import annotations

from fastapi import APIRouter, Response

from central.web.visit import Enter
from records.reasons import GROUPS

router = APIRouter(include_in_schema=False)


@router.get("/people")
def people(visit: Enter) -> Response:
    catalogue = visit.desk.reasons()
    reasons = [(group, visit.reasons(group)) for group in GROUPS if catalogue.groups.get(group)]
    return visit.page("people.html", ground=visit.desk.ground(), reasons_version=catalogue.version, lists=reasons)
