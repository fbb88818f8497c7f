"""The control charts of all lines, as their agents judged them, and what people note on their points.

Points are a projection of committed facts (``central.store.chart_intake``). A cause, a comment, and that a point
is left out of what limits are computed from, are decisions in central's chain: the point itself never changes.
"""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from typing import Literal

from pydantic import JsonValue

from central.access import Capability, User
from central.chart_capability import ChartCapability, of_points
from central.chart_words import ChartHead, ChartPoint, ChartRef, LimitVersion, Note, NoteAct, Specification
from central.facts import Facts
from central.signature import REASON_MAX, SignatureRefused
from central.store import chart_intake, charts
from central.store.engine import Connection, Store
from records.clock import Clock
from records.errors import Invalid, Refused, Unknown
from records.model import Act, Decision, OperationsEvent, Person, Signature, Target
from records.wire import canonical_json

__all__ = [
    "CAUSES",
    "ChartHead",
    "ChartPoint",
    "ChartRef",
    "Charts",
    "LimitVersion",
    "Note",
    "NoteAct",
    "Specification",
    "prepare",
]

MOST_POINTS = 5000
"""Most points of one answer."""
MOST_CHARTS = 2000
"""Most charts of one answer."""

CAUSES: tuple[str, ...] = (
    "tool-wear",
    "tool-changed",
    "setup",
    "material",
    "machine-fault",
    "maintenance",
    "operator",
    "environment",
    "measurement",
    "process-change",
    "false-alarm",
    "unknown",
)
"""Assignable causes that a plant starts with; codes, whose texts are made where they are shown."""

ACTS: dict[str, Act] = {"comment": Act.COMMENT, "exclude": Act.EXCLUDE, "include": Act.INCLUDE}


def prepare(store: Store) -> None:
    """Make the tables of charts again from the facts, where they are of another version or not complete."""
    if not store.write(_begin):
        return
    after: int | None = 0
    while after is not None:
        after = store.write(partial(chart_intake.rebuild, after=after))
    store.write(chart_intake.finish)


def _begin(connection: Connection) -> bool:
    if not chart_intake.outdated(connection):
        return False
    chart_intake.forget(connection)
    return True


class Charts:
    """``causes``: characteristic -> the causes that its points may be given; ``*`` is for all others."""

    def __init__(
        self, store: Store, facts: Facts, clock: Clock, causes: dict[str, tuple[str, ...]] | None = None
    ) -> None:
        self._store, self._facts, self._clock = store, facts, clock
        self._causes = causes or {}
        self._signing = threading.Lock()

    # -- reading -------------------------------------------------------------------------------------------

    def heads(
        self,
        line: str | None = None,
        product: str | None = None,
        characteristic: str | None = None,
        limit: int = MOST_CHARTS,
    ) -> list[ChartHead]:
        """Every chart with its last point, by line, station, characteristic and stream."""
        with self._store.read() as connection:
            return charts.heads(connection, line, product, characteristic, min(limit, MOST_CHARTS))

    def head(self, chart_id: str) -> ChartHead | None:
        """The chart with this id."""
        with self._store.read() as connection:
            return charts.head(connection, chart_id)

    def points(
        self,
        ref: ChartRef,
        from_us: int | None = None,
        to_us: int | None = None,
        limit: int = 1000,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> list[ChartPoint]:
        """The newest ``limit`` points, oldest first: of a span of time (to before ``to_us``), of a span of numbers
        (both inclusive), or of all. Older ones: ask again with ``last`` one below the first number.
        """
        with self._store.read() as connection:
            return charts.points(
                connection,
                ref,
                from_us=from_us,
                to_us=to_us,
                first=first,
                last=last,
                limit=min(limit, MOST_POINTS),
            )

    def point(self, ref: ChartRef, number: int) -> ChartPoint | None:
        """One point by its number."""
        found = self.points(ref, first=number, last=number, limit=1)
        return found[0] if found else None

    def versions(self, ref: ChartRef) -> list[LimitVersion]:
        """The limits by which its points were judged, in the order of their first."""
        with self._store.read() as connection:
            return charts.versions(connection, ref)

    def restarted(self, ref: ChartRef) -> frozenset[int]:
        """The segments of the chart that a person's restart began, where sums begin anew."""
        told = self._store.facts(codes=["chart-restarted"], agent=ref.agent, stations=[ref.station])
        events = [one.fact.data.params for one in told if isinstance(one.fact.data, OperationsEvent)]
        of_chart = (ref.characteristic, ref.stream)
        segments = [p.get("segment") for p in events if (p.get("characteristic"), p.get("stream")) == of_chart]
        return frozenset(segment for segment in segments if isinstance(segment, int))

    def capability(
        self, ref: ChartRef, from_us: int | None = None, to_us: int | None = None, limit: int = 200
    ) -> ChartCapability:
        """What the newest points under one version of limits hold of the specification, or why it is not told.

        Raises:
            Unknown: no such chart.
        """
        head = self.head(ref.id)
        if head is None:
            raise Unknown(f"there is no chart of {ref.characteristic} at {ref.station} of {ref.agent}")
        return of_points(head, self.points(ref, from_us, to_us, limit))

    def causes(self, characteristic: str) -> tuple[str, ...]:
        """The causes to choose from at a point of this characteristic."""
        return self._causes.get(characteristic) or self._causes.get("*") or CAUSES

    # -- notes ---------------------------------------------------------------------------------------------

    def annotate(
        self, ref: ChartRef, number: int, user: User, *, cause: str | None = None, text: str = ""
    ) -> ChartPoint:
        """Give a point a cause of the list, a comment, or both.

        Raises:
            Unknown: no such point. Invalid: a cause that is not on the list, nothing said. Refused: no right.
        """
        if cause is None and not text.strip():
            raise Invalid("a cause or a comment is needed")
        if cause is not None and cause not in self.causes(ref.characteristic):
            known = ", ".join(self.causes(ref.characteristic))
            raise Invalid(f"{cause!r} is no cause of {ref.characteristic}", hint=f"causes: {known}")
        _check_text(text)
        _check_right(user)
        point = self._found(ref, number)
        return self._note(ref, point, user, "comment", cause, text, None)

    def exclude(
        self,
        ref: ChartRef,
        number: int,
        act: Literal["exclude", "include"],
        user: User,
        reason: str,
        *,
        cause: str | None = None,
        content_hash: str,
    ) -> ChartPoint:
        """Leave a point out of what limits are computed from, or take it in again; signed.

        The caller has just verified the person's password. ``content_hash``: ``point_hash`` of the point as shown.

        Raises:
            Unknown: no such point. Invalid: no such cause, no reason. SignatureRefused: no right, or
            not as it was shown.
        """
        if act not in ("exclude", "include"):
            raise Invalid(f"{act!r} is no act on a point", hint="acts: exclude, include")
        if not reason.strip():
            raise Invalid("a reason is needed")
        if cause is not None and cause not in self.causes(ref.characteristic):
            raise Invalid(f"{cause!r} is no cause of {ref.characteristic}")
        _check_text(reason)
        with self._signing:  # a second signature on what was shown comes too late
            return self._signed(ref, number, act, user, reason, cause, content_hash)

    def _signed(
        self,
        ref: ChartRef,
        number: int,
        act: Literal["exclude", "include"],
        user: User,
        reason: str,
        cause: str | None,
        content_hash: str,
    ) -> ChartPoint:
        point = self._found(ref, number)
        try:
            if not user.may(Capability.CHART):
                raise SignatureRefused(f"{user.id} ({user.role.value}) may not exclude points", "not-allowed")
            if content_hash != point_hash(ref, point) or point.excluded is (act == "exclude"):
                raise SignatureRefused(f"point {number} is not as it was shown", "content-changed")
        except SignatureRefused as error:
            self._note_refusal(ref, point, user, error.code)
            raise
        meaning = "excluded" if act == "exclude" else "included"
        signature = Signature(
            user.id, user.name, meaning, self._clock.now_us(), content_hash, role=user.role.value
        )
        return self._note(ref, point, user, act, cause, reason, signature)

    def _found(self, ref: ChartRef, number: int) -> ChartPoint:
        point = self.point(ref, number)
        if point is None:
            raise Unknown(f"the chart of {ref.characteristic} at {ref.station} has no point {number}")
        return point

    def _note(
        self,
        ref: ChartRef,
        point: ChartPoint,
        user: User,
        act: NoteAct,
        cause: str | None,
        text: str,
        signature: Signature | None,
    ) -> ChartPoint:
        new: dict[str, JsonValue] = {
            "chart": ref.id,
            "segment": point.segment,
            "subgroup": point.subgroup,
            "cause": cause,
        }
        if signature is not None:
            new["content"] = point_content(ref, point)
        decision = Decision(
            ACTS[act],
            Target(chart_intake.CHART_POINT, ref.point(point.segment, point.subgroup), point.ref.hash),
            Person(user.id, user.role.value),
            text.strip(),
            old={"cause": point.cause, "excluded": point.excluded},
            new=new,
            signature=signature,
        )

        def job(connection: Connection) -> ChartPoint:
            """The point as of the commit: nothing is asked of the database after that."""
            self._facts.state(connection, decision, station=ref.station)
            return charts.points(connection, ref, first=point.number, last=point.number, limit=1)[0]

        return self._store.write(job)

    def _note_refusal(self, ref: ChartRef, point: ChartPoint, user: User, code: str) -> None:
        target = f"{chart_intake.CHART_POINT} {ref.point(point.segment, point.subgroup)}"
        self._store.write(lambda connection: self._facts.refused(connection, user.id, target, code))


def point_content(ref: ChartRef, point: ChartPoint) -> JsonValue:
    """What a signature on a point covers: which point, its verdict, and whether it is left out."""
    return {
        "point": ref.point(point.segment, point.subgroup),
        "record": point.ref.hash,
        "statistic": point.statistic,
        "range_statistic": point.range_statistic,
        "state": point.state,
        "limit_version": point.limit_version,
        "excluded": point.excluded,
    }


def point_hash(ref: ChartRef, point: ChartPoint) -> str:
    """SHA-256 (hexadecimal) of what a signature on a point covers."""
    return hashlib.sha256(canonical_json(point_content(ref, point))).hexdigest()


def _check_text(text: str) -> None:
    if len(text) > REASON_MAX:
        raise Invalid(f"at most {REASON_MAX} characters")


def _check_right(user: User) -> None:
    if not user.may(Capability.CHART):
        raise Refused(f"{user.id} ({user.role.value}) may not note anything on charts")
