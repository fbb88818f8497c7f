"""What the command line does with recipes and limit sets, with central's own parts."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from central.access import Access
from central.charts import ChartRef, Charts
from central.limit_files import GivenSettings, MethodSettings
from central.limit_sets import LimitSets, Window
from central.proposals import Proposals
from central.recipes import recipe_of
from central.requests import (
    ChartRequest,
    Kind,
    LimitsGive,
    LimitsStudy,
    ProposalDecide,
    ProposalList,
    RecipeImport,
)
from records.errors import Invalid

M = TypeVar("M", bound=BaseModel)


class ChartAdministration:
    """``origin``: where the tries of passwords are said to come from."""

    def __init__(
        self, access: Access, charts: Charts, limit_sets: LimitSets, recipes: Proposals, origin: str
    ) -> None:
        self._access, self._charts, self._limit_sets, self._recipes = access, charts, limit_sets, recipes
        self._origin = origin

    def do(self, request: ChartRequest) -> JsonValue:
        """The answer as JSON. Raises what the parts raise."""
        match request:
            case ProposalList():
                return [one.to_json() for one in self._proposals(request.kind).listed()]
            case ProposalDecide():
                return self._decide(request)
            case RecipeImport():
                recipe, user = recipe_of(request.content), self._access.user(request.user)
                return self._recipes.propose(
                    recipe.key, lambda _version: recipe.content, user, request.reason
                ).to_json()
            case LimitsStudy():
                window = Window(request.first, request.last, request.from_us, request.to_us)
                method = _read(MethodSettings, request.method).method()
                user = self._access.user(request.user)
                ref = self._chart(request.chart)
                return self._limit_sets.propose(ref, window, method, user, request.reason).to_json()
            case LimitsGive():
                given, user = _read(GivenSettings, request.content), self._access.user(request.user)
                return self._limit_sets.give(
                    given.key(), given.chart, given.subgroup, given.limits, user, request.reason
                ).to_json()

    def _proposals(self, kind: Kind) -> Proposals:
        return self._recipes if kind == "recipe" else self._limit_sets.proposals

    def _decide(self, request: ProposalDecide) -> JsonValue:
        """A person's decision, by password, as on the page."""
        target = f"{request.kind} {request.id}"
        user = self._access.verify_password(request.user, request.password, origin=self._origin, target=target)
        proposals = self._proposals(request.kind)
        one = proposals.get(request.id)
        shown = "" if one is None else one.content_hash
        return proposals.decide(
            request.id, request.act, user, request.reason, shown, request.effective_us
        ).to_json()

    def _chart(self, name: str) -> ChartRef:
        head = self._charts.head(name)
        if head is not None:
            return head.ref
        place, _, stream = name.partition("?")
        parts = place.split("/", 2)
        if len(parts) != 3:
            raise Invalid(f"{name!r} names no chart", hint="AGENT/STATION/CHARACTERISTIC?STREAM, or its id")
        agent, station, characteristic = parts
        return ChartRef(agent, station, characteristic, stream)


def _read(model: type[M], content: object) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{place}: {first['msg']}") from None
