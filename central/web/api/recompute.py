"""A lot computed again under ``/api/v1``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import JsonValue

from central.web.api.calls import Caller
from central.web.api.problems import RESPONSES, Problem
from central.web.api.records import Item
from records.errors import Invalid

router = APIRouter(responses=RESPONSES)


class RecomputedPart(Item):
    """``differ`` tells each difference (the first 1,000), ``reasons`` why some could not be compared."""

    compared: int
    equal: int
    not_comparable: int
    reasons: dict[str, int]
    differ: list[dict[str, JsonValue]]


class RecomputedItem(Item):
    """``ok``: nothing that could be compared differs, and something could be."""

    ok: bool
    lot: str
    product: str | None
    records: int
    readings: RecomputedPart
    verdicts: RecomputedPart


@router.post("/recompute", tags=["lots"])
def recompute(
    call: Caller,
    lot: Annotated[str, Query(min_length=1, max_length=200)],
    product: Annotated[str | None, Query(max_length=200)] = None,
) -> RecomputedItem:
    """Scale raw registers and judge charts of a lot again, and compare with its records; changes nothing."""
    try:
        found = call.desk.recompute(lot, product)
    except Invalid as error:
        raise Problem(404, str(error)) from error
    return RecomputedItem.model_validate(found.to_json())
