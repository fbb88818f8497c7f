"""What charts say, as records and events hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from records.model import OperationsEvent, Subject, SubjectKind
from records.verdict import SpcState
from spc.state import ChartState, Verdict

ClosedBy = Literal["runs", "time", "lot", "restart"]
"""What closed a subgroup: its last reading, its age, the end of its lot, or a cut that gave it up."""


MOST_SUBJECTS = 20_000
"""Most subjects of one event: a record has a largest size, and one that cannot be stored would stop the line."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one chart said of a run, or of a subgroup that something else than a run closed.

    ``stream`` is the text of its key. ``closed_by`` is None while the subgroup is open.
    """

    stream: str
    verdict: Verdict
    order: str | None
    closed_by: ClosedBy | None = None


def subject_ref(subject: Subject) -> str:
    """A subject as a text that names it."""
    return "|".join((subject.kind.value, subject.product or "", subject.scheme, subject.id))


def ref_subject(ref: str) -> Subject:
    kind, product, scheme, id_ = ref.split("|", 3)
    return Subject(SubjectKind(kind), id_, product or None, scheme)


def reading_ref(subjects: Iterable[Subject]) -> str:
    """All subjects of one reading as the reference that a chart carries along."""
    refs = [subject_ref(subject) for subject in subjects]
    return refs[0] if len(refs) == 1 else json.dumps(refs, ensure_ascii=False)


def ref_subjects(ref: str) -> tuple[Subject, ...]:
    """The subjects that ``reading_ref`` named."""
    refs = json.loads(ref) if ref.startswith("[") else [ref]
    return tuple(ref_subject(one) for one in refs)


def subjects_of(refs: Iterable[str]) -> tuple[Subject, ...]:
    """Every subject of these readings, once."""
    found = {subject.key: subject for ref in dict.fromkeys(refs) for subject in ref_subjects(ref)}
    return tuple(found.values())


def _naming(code: str, params: dict[str, JsonValue], refs: Iterable[str], order: str | None) -> OperationsEvent:
    """An event that names every subject of these readings; of too many the newest, and how many are left out."""
    subjects = subjects_of(refs)
    left_out = len(subjects) - MOST_SUBJECTS
    if left_out > 0:
        params |= {"left_out": left_out}
    return OperationsEvent(code, params, subjects[-MOST_SUBJECTS:], order)


def spc_state(judgement: Judgement) -> SpcState:
    """The verdict as the record holds it."""
    verdict = judgement.verdict
    return SpcState(
        verdict.characteristic,
        verdict.chart,
        verdict.subgroup_id,
        verdict.position,
        verdict.size,
        verdict.state,
        verdict.rules_on("location"),
        verdict.statistic,
        verdict.range_statistic,
        verdict.centre,
        verdict.lower,
        verdict.upper,
        verdict.limit_version,
        verdict.provisional,
        judgement.stream,
        verdict.segment,
        verdict.sample,
        verdict.rules_on("range"),
        verdict.range_centre,
        verdict.range_lower,
        verdict.range_upper,
    )


def events(judgement: Judgement) -> tuple[OperationsEvent, ...]:
    """The closing verdict, where a record alone does not tell it to all its subjects, and every signal."""
    several = len(judgement.verdict.members) > 1
    closing = judgement.closed_by is not None and (several or judgement.closed_by != "runs")
    return (*((_closed(judgement),) if closing else ()), *_signals(judgement))


def _closed(judgement: Judgement) -> OperationsEvent:
    told = spc_state(judgement)
    params: dict[str, JsonValue] = {
        "characteristic": told.characteristic,
        "chart": told.chart,
        "stream": told.stream,
        "segment": told.segment,
        "subgroup": told.subgroup,
        "state": told.state,
        "rules": [*told.rules],
        "range_rules": [*(told.range_rules or ())],
        "statistic": told.statistic,
        "range_statistic": told.range_statistic,
        "centre": told.centre,
        "lower": told.lower,
        "upper": told.upper,
        "range_centre": told.range_centre,
        "range_lower": told.range_lower,
        "range_upper": told.range_upper,
        "sample": told.sample,
        "limit_version": told.limit_version,
        "provisional": told.provisional,
        "closed_by": judgement.closed_by,
    }
    return _naming("spc-subgroup", params, judgement.verdict.members, judgement.order)


def given_up(stream: str, state: ChartState, order: str | None) -> tuple[OperationsEvent, ...]:
    """That a cut gave up an open subgroup: no chart will ever judge its pieces."""
    if not state.open_refs:
        return ()
    verdict = Verdict(
        state.characteristic,
        state.chart,
        state.subgroup_id,
        len(state.open_refs),
        state.subgroup,
        "gap",
        members=state.open_refs,
        segment=state.segment,
    )
    return (_closed(Judgement(stream, verdict, order, "restart")),)


def _signals(judgement: Judgement) -> tuple[OperationsEvent, ...]:
    """One event per rule that fired, naming every subject that made it."""
    verdict = judgement.verdict
    found = []
    for fired in verdict.fired:
        location = fired.part == "location"
        params: dict[str, JsonValue] = {
            "characteristic": verdict.characteristic,
            "chart": verdict.chart,
            "rule": fired.rule.name,
            "part": fired.part,
            "subgroup": verdict.subgroup_id,
            "limit_version": verdict.limit_version,
            "stream": judgement.stream,
            "segment": verdict.segment,
            "points": fired.rule.points,
            "window": fired.rule.window,
            "sigmas": fired.rule.sigmas,
            "statistic": verdict.statistic if location else verdict.range_statistic,
            "lower": verdict.lower if location else verdict.range_lower,
            "upper": verdict.upper if location else verdict.range_upper,
        }
        found.append(_naming("spc-signal", params, fired.members, judgement.order))
    return tuple(found)


def no_limits(
    characteristic: str, stream: str, subjects: tuple[Subject, ...], order: str | None, unsuited: str | None
) -> OperationsEvent:
    """That other keys of a characteristic have limits and this one has none; ``unsuited``: the set that is there
    and is for another chart.
    """
    params: dict[str, JsonValue] = {"characteristic": characteristic, "stream": stream}
    if unsuited is not None:
        params["unsuited"] = unsuited
    return OperationsEvent("chart-no-limits", params, subjects, order)


def other_limits(
    stream: str, before: ChartState, after: ChartState, was: JsonValue, now: JsonValue, source: str
) -> tuple[OperationsEvent, ...]:
    """That a chart is judged by other limits from here on; nothing where only its rules or its tags are others.

    ``was`` and ``now`` describe the plans (``spc.renewal.described``).
    """
    limits, limits_now = _limits(was), _limits(now)
    if not isinstance(was, dict) or limits == limits_now:
        return ()
    version, version_now = limits.get("version"), limits_now.get("version")
    params: dict[str, JsonValue] = {
        "characteristic": after.characteristic,
        "stream": stream,
        "segment": after.segment,
        "was": version or (before.limits.version if before.limits else None),
        "now": version_now or (after.limits.version if after.limits else None),
        "source": source,
    }
    return (OperationsEvent("chart-limits", params),)


def _limits(described: JsonValue) -> dict[str, JsonValue]:
    limits = described.get("limits") if isinstance(described, dict) else None
    return limits if isinstance(limits, dict) else {}
