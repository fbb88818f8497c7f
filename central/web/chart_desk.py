"""What pages and interface do with control charts, limit sets and recipes: each act with the person behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

from pydantic import JsonValue

from central.access import Access, Role, User
from central.charts import ChartPoint, ChartRef, Charts
from central.limit_sets import LimitKey, LimitSets, Window
from central.phase_one import Method
from central.proposals import Proposals, Proposed
from central.recipes import recipe_of
from central.web.visitors import Signing, Visitor
from records.errors import Refused


class ChartParts(Protocol):
    """The parts of the running central that this needs."""

    @property
    def access(self) -> Access: ...
    @property
    def charts(self) -> Charts: ...
    @property
    def limit_sets(self) -> LimitSets: ...
    @property
    def recipes(self) -> Proposals: ...


class ChartDesk:
    """``charts``, ``limit_sets`` and ``recipes`` answer questions; what changes something is here."""

    def __init__(self, central: ChartParts) -> None:
        self._central = central

    @property
    def charts(self) -> Charts:
        return self._central.charts

    @property
    def limit_sets(self) -> LimitSets:
        return self._central.limit_sets

    @property
    def recipes(self) -> Proposals:
        return self._central.recipes

    # -- points ----------------------------------------------------------------------------------------

    def annotate(self, ref: ChartRef, number: int, visitor: Visitor, cause: str | None, text: str) -> ChartPoint:
        """Give a point a cause, a comment, or both. Raises Refused: no right, a program; Invalid: the cause."""
        return self.charts.annotate(ref, number, person_of(visitor), cause=cause, text=text)

    def exclude(self, ref: ChartRef, number: int, signing: Signing, cause: str | None = None) -> ChartPoint:
        """Leave a point out of limits or take it in again (``meaning``: exclude, include). Raises SignInRefused:
        password; SignatureRefused: right, changed.
        """
        user = self._signer(signing, f"chart-point {ref.id} {number}")
        act: Literal["exclude", "include"] = "include" if signing.meaning == "include" else "exclude"
        return self.charts.exclude(
            ref, number, act, user, signing.reason, cause=cause, content_hash=signing.content_hash
        )

    # -- limit sets and recipes ------------------------------------------------------------------------

    def propose_limits(
        self, ref: ChartRef, window: Window, method: Method, visitor: Visitor, reason: str
    ) -> Proposed:
        """Limits from a window of points. Raises Refused: no right, a program; Invalid: the points."""
        return self.limit_sets.propose(ref, window, method, person_of(visitor), reason)

    def give_limits(
        self,
        key: LimitKey,
        chart: str,
        subgroup: int,
        given: Mapping[str, JsonValue],
        visitor: Visitor,
        reason: str,
    ) -> Proposed:
        """Limits by numbers. Raises Refused: no right, a program; Invalid: the numbers."""
        return self.limit_sets.give(key, chart, subgroup, given, person_of(visitor), reason)

    def decide_limits(self, id_: str, signing: Signing, effective_us: int | None = None) -> Proposed:
        """Approve or withdraw (``meaning``). Raises SignInRefused: password; SignatureRefused: right, changed."""
        return self._decide(self.limit_sets.proposals, "limit-set", id_, signing, effective_us)

    def import_recipe(self, content: JsonValue, visitor: Visitor, reason: str) -> Proposed:
        """The next version of a recipe. Raises Refused: no right, a program; Invalid: no recipe."""
        recipe = recipe_of(content)
        return self.recipes.propose(recipe.key, lambda _version: recipe.content, person_of(visitor), reason)

    def decide_recipe(self, id_: str, signing: Signing) -> Proposed:
        """Approve or withdraw (``meaning``). Raises SignInRefused: password; SignatureRefused: right, changed."""
        return self._decide(self.recipes, "recipe", id_, signing, None)

    def _decide(
        self, proposals: Proposals, kind: str, id_: str, signing: Signing, effective_us: int | None
    ) -> Proposed:
        user = self._signer(signing, f"{kind} {id_}")
        return proposals.decide(id_, signing.meaning, user, signing.reason, signing.content_hash, effective_us)

    def _signer(self, signing: Signing, target: str) -> User:
        access = self._central.access
        return access.verify_password(signing.user, signing.password, origin=signing.origin, target=target)


def person_of(visitor: Visitor) -> User:
    """A visitor as the account that acts.

    Raises:
        Refused: a program, which has no role in the plant.
    """
    if visitor.program:
        raise Refused(
            f"the token {visitor.id} decides nothing by itself", hint="bring a person's user and password"
        )
    return User(visitor.id, visitor.name, Role(visitor.role), False, 0, 0)
