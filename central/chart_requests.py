"""What the command line can ask about recipes and limit sets; part of ``central.requests``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["recipe", "limit-set"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    by: str


class ProposalList(_Request):
    do: Literal["proposal-list"] = "proposal-list"
    kind: Kind


class ProposalDecide(_Request):
    """``effective_us``: from when on approved limits hold; None: from now."""

    do: Literal["proposal-decide"] = "proposal-decide"
    kind: Kind
    id: str
    act: Literal["approve", "withdraw"]
    user: str
    password: str
    reason: str
    effective_us: int | None = None


class RecipeImport(_Request):
    """``content``: a recipe as its file says it."""

    do: Literal["recipe-import"] = "recipe-import"
    user: str
    reason: str
    content: dict[str, Any]


class LimitsStudy(_Request):
    """Limits from points of a chart (``AGENT/STATION/CHARACTERISTIC?STREAM``, or its id)."""

    do: Literal["limits-study"] = "limits-study"
    user: str
    reason: str
    chart: str
    first: int | None = None
    last: int | None = None
    from_us: int | None = None
    to_us: int | None = None
    method: dict[str, Any]


class LimitsGive(_Request):
    """Limits by numbers; ``content`` as their file says it."""

    do: Literal["limits-give"] = "limits-give"
    user: str
    reason: str
    content: dict[str, Any]


ChartRequest = ProposalList | ProposalDecide | RecipeImport | LimitsStudy | LimitsGive
