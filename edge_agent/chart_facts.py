"""What charts say, as records and events hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from records.model import OperationsEvent, Subject, SubjectKind
from records.verdict import SpcState
from spc.state import Verdict

ClosedBy = Literal["runs", "time", "lot", "restart"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one chart said of a run, or of a subgroup that something else than a run closed.

    ``stream`` is the text of its key. ``closed_by`` is None while the subgroup is open, and where a point is a
    single reading.
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
        verdict.rules,
        verdict.statistic,
        verdict.range_statistic,
        verdict.centre,
        verdict.lower,
        verdict.upper,
        verdict.limit_version,
        verdict.provisional,
        stream=judgement.stream,
    )


def signals(judgement: Judgement) -> tuple[OperationsEvent, ...]:
    """One event per rule that fired, naming every subject that made it."""
    verdict = judgement.verdict
    return tuple(
        OperationsEvent(
            "spc-signal",
            {
                "characteristic": verdict.characteristic,
                "chart": verdict.chart,
                "rule": fired.rule.name,
                "part": fired.part,
                "subgroup": verdict.subgroup_id,
                "limit_version": verdict.limit_version,
                "stream": judgement.stream,
            },
            subjects_of(fired.members),
            judgement.order,
        )
        for fired in verdict.fired
    )
