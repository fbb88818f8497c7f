"""What a reviewer must look at, found in single facts and in the walk of one piece.

Pure: the same facts give the same findings with the same ids, in whatever order and however often they come.
Runs that do not count (setup, challenge, sample, maintenance) give none; they are listed in the record. Only that
an unapproved configuration made them setup is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import JsonValue

from central.causes import UNKNOWN, About, make, merged
from central.domain import Finding, Piece
from central.dossier import Dossier, Stated, whole
from central.finding_codes import PARAMS
from central.walk import of_walk
from records.codes import SCAN_REFUSALS
from records.model import (
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Quality,
    Result,
    Subject,
    SubjectResult,
    TestResult,
)

NOT_APPROVED = "configuration-not-approved"
OF_REACTIONS = (
    *("unit-held", "station-held", "station-hold-lifted", "unit-released-at-station"),
    *("ran-while-held", "ran-while-barred"),
)
"""What a station did after a signal, and what people or machines did all the same: told by its event as it is."""
DOCUMENT_AGE_MAX_S = 7 * 86_400.0
"""Runs that relied on a document of central older than this are exceptions."""


# -- single operation records ------------------------------------------------------------------------------


def of_record(about: About, record: Stated[OperationRecord]) -> list[Finding]:
    """Everything that one operation record shows by itself."""
    data = record.data
    if not data.purpose.counts:
        return []
    found: list[Finding] = []
    if data.resumed:
        params: dict[str, JsonValue] = {"operation": data.operation, "run": data.run_id, "cycle": data.cycle}
        found.append(_of_run(about, record, "run-resumed", (data.run_id,), params))
    if data.outcome is Outcome.ABORTED:
        params = _aborted(data.operation, data.run_id, data.cycle, "machine-result")
        return [*found, _of_run(about, record, "run-aborted", (data.run_id,), params)]
    found += _results(about, record)
    found += _purpose(about, record)
    found += _signals(about, record)
    for reading in data.readings:
        if reading.quality is Quality.BAD:
            params = {"tag": reading.tag, "status": reading.status}
            found.append(_of_run(about, record, "reading-bad", (data.run_id, reading.tag), params))
    for subject in _subjects(data):
        if subject.id == UNKNOWN:
            params = {"piece": None, "operation": data.operation}
            found.append(_of_run(about, record, "identity-unknown", (data.run_id,), params))
            break
    return found


def _aborted(operation: str | None, run: str, cycle: int | None, reason: str) -> dict[str, JsonValue]:
    return {"operation": operation, "run": run, "cycle": cycle, "reason": reason}


def _subjects(data: OperationRecord) -> tuple[Subject, ...]:
    return tuple(result.subject for result in data.subjects)


def _of_run(
    about: About,
    record: Stated[OperationRecord],
    code: str,
    target: Sequence[str | None],
    params: Mapping[str, JsonValue],
    subjects: Iterable[Subject] | None = None,
) -> Finding:
    data = record.data
    return make(
        about,
        "exception",
        code,
        target,
        params,
        records=(record.ref,),
        subjects=_subjects(data) if subjects is None else subjects,
        operation=data.operation,
        station=data.station,
        agent=record.fact.agent,
        at_us=data.ended_us,
    )


def _results(about: About, record: Stated[OperationRecord]) -> list[Finding]:
    """Failed, scrapped and out of specification, once for all subjects of the run that share one fate."""
    data = record.data
    groups: dict[tuple[Result, str | None, tuple[TestResult, ...]], list[SubjectResult]] = {}
    for member in data.subjects:
        groups.setdefault((member.result, member.reason, member.tests), []).append(member)
    found: list[Finding] = []
    for (result, reason, tests), members in groups.items():
        subjects = [member.subject for member in members]
        whom = () if len(groups) == 1 else tuple(sorted(subject.id for subject in subjects))
        failing = [test for test in tests if test.result is Result.FAIL]
        by_tests = result is Result.FAIL and reason == "out-of-specification"
        if result is Result.SCRAP or (result is Result.FAIL and not by_tests):
            code = "unit-scrapped" if result is Result.SCRAP else "unit-failed"
            params: dict[str, JsonValue] = {
                "operation": data.operation,
                "attempt": data.attempt,
                "tests": [_test(test) for test in failing],
            }
            found.append(_of_run(about, record, code, (data.run_id, *whom), params, subjects))
            continue
        for test in failing:
            machine = Result.PASS.value if by_tests else result.value
            params = {"operation": data.operation, "machine": machine, **_test(test)}
            target = (data.run_id, test.characteristic, *whom)
            found.append(_of_run(about, record, "out-of-specification", target, params, subjects))
    return found


def _test(test: TestResult) -> dict[str, JsonValue]:
    return {
        "characteristic": test.characteristic,
        "value": test.value,
        "unit": test.unit,
        "lower": test.lower,
        "upper": test.upper,
    }


def _purpose(about: About, record: Stated[OperationRecord]) -> list[Finding]:
    codes = {Purpose.RETEST: "retested", Purpose.REWORK: "reworked"}
    data = record.data
    code = codes.get(data.purpose)
    if code is None:
        return []
    results = sorted({result.result.value for result in data.subjects})
    params: dict[str, JsonValue] = {
        "operation": data.operation,
        "attempt": data.attempt,
        "result": ", ".join(results),
    }
    return [_of_run(about, record, code, (data.run_id,), params)]


def _signal_target(
    agent: str,
    epoch: str,
    station: str | None,
    name: str,
    subgroup: int,
    rule: str,
    place: tuple[str, int] | None,
) -> tuple[str | None, ...]:
    """``place``: stream and segment, which older agents did not tell."""
    where = () if place is None else (place[0], str(place[1]))
    return (agent, epoch, station, name, str(subgroup), rule, *where)


def _signals(about: About, record: Stated[OperationRecord]) -> list[Finding]:
    """One finding per rule that fired in the charts' verdicts; parts and members come from the event, if any."""
    fact, data = record.fact, record.data
    found = []
    for state in data.spc:
        fired = dict.fromkeys((*state.rules, *(state.range_rules or ())))
        for rule in fired if state.state == "signal" else ():
            place = None if state.stream is None else (state.stream, state.segment or 0)
            target = _signal_target(
                fact.agent, fact.epoch, data.station, state.characteristic, state.subgroup, rule, place
            )
            params: dict[str, JsonValue] = {
                "characteristic": state.characteristic,
                "chart": state.chart,
                "rule": rule,
                "parts": [],
                "subgroup": state.subgroup,
                "limit_version": state.limit_version,
            }
            found.append(_of_run(about, record, "spc-signal", target, params))
    return found


def of_documents(about: About, records: Iterable[Stated[OperationRecord]], limit_s: float) -> list[Finding]:
    """Documents that were too old when a run relied on them: one finding per document version and station."""
    found: dict[tuple[str, str, str, int], Finding] = {}
    for record in records:
        data = record.data
        for use in data.documents if data.purpose.counts else ():
            key = (data.station, use.kind, use.id, use.version)
            if use.age_s <= limit_s or key in found:
                continue
            params: dict[str, JsonValue] = {
                "kind": use.kind,
                "document": use.id,
                "version": use.version,
                "age_s": round(use.age_s),
            }
            target = (data.station, use.kind, use.id, str(use.version))
            found[key] = _of_run(about, record, "document-too-old", target, params)
    return list(found.values())


def of_orderless(about: About, dossier: Dossier) -> list[Finding]:
    """Runs of the order's stations in its time, and just before it, that name no order at all: on a new PC, say,
    that finds its machine with a cycle done.
    """
    found = []
    for record in dossier.neighbour_records:
        data = record.data
        if data.order is None and data.purpose.counts:
            params: dict[str, JsonValue] = {
                "operation": data.operation,
                "run": data.run_id,
                "cycle": data.cycle,
            }
            found.append(_of_run(about, record, "run-without-order", (data.run_id,), params))
    return found


def of_configurations(about: About, dossier: Dossier) -> list[Finding]:
    """Runs of production agents by a line file that nobody approved: one finding per station and configuration.

    The agent itself made them setup and says so, or (its own approvals were lost or altered) counted them.
    """
    found = []
    for record in dossier.records:
        data, hash_ = record.data, record.fact.fact.header.configuration
        bound = data.purpose_reason == NOT_APPROVED
        if bound or (data.purpose.counts and (record.fact.agent, hash_) in dossier.unapproved):
            params: dict[str, JsonValue] = {"station": data.station, "configuration": hash_}
            target = (record.fact.agent, data.station, hash_)
            found.append(_of_run(about, record, NOT_APPROVED, target, params))
    return found


# -- single events -----------------------------------------------------------------------------------------


def of_event(about: About, event: Stated[OperationsEvent]) -> list[Finding]:
    """What one event of an agent shows by itself. Events of runs have the ids of their records' findings."""
    params, code = event.data.params, event.data.code
    run = str(params.get("run_id"))
    place = (event.fact.agent, event.fact.epoch, str(event.fact.seq))
    if code == "scan-refused":
        reason = str(params.get("reason"))
        told = reason if reason in SCAN_REFUSALS else "scan-not-understood"
        return [_of_event(about, event, told, place, ("scanner", "text", "expected", "found"))]
    if code == "run-aborted":
        aborted = _aborted(None, run, None, str(params.get("reason")))
        return [_of_event(about, event, "run-aborted", (run,), aborted)]
    if code == "run-resumed":
        resumed = {"operation": None, "run": run, "cycle": params.get("cycle")}
        return [_of_event(about, event, "run-resumed", (run,), resumed)]
    if code == "spc-signal":
        return [_of_signal(about, event)]
    if code == "reaction":
        escalated = params.get("action") == "escalate"
        return [_of_event(about, event, "escalated", place, PARAMS["escalated"])] if escalated else []
    if code in OF_REACTIONS:
        return [_of_event(about, event, code, place, PARAMS[code])]
    names = {
        "cycles-missed": ("first", "last"),
        "device-lost": ("device", "address", "error", *(name for name in params if name == "trouble")),
        "clock-jump": ("seconds",),
        "reading-bad": ("tag", "status"),
        "chart-no-limits": ("characteristic", "stream"),
    }.get(code)
    return [] if names is None else [_of_event(about, event, code, place, names)]


def _of_event(
    about: About,
    event: Stated[OperationsEvent],
    code: str,
    target: Sequence[str | None],
    params: Mapping[str, JsonValue] | tuple[str, ...],
) -> Finding:
    """``params`` are values, or names of the event's own parameters to take over."""
    told = {name: event.data.params.get(name) for name in params} if isinstance(params, tuple) else params
    header = event.fact.fact.header
    return make(
        about,
        "exception",
        code,
        target,
        told,
        records=(event.ref,),
        subjects=event.data.subjects,
        station=header.station,
        agent=event.fact.agent,
        at_us=header.at_us,
    )


def _of_signal(about: About, event: Stated[OperationsEvent]) -> Finding:
    params, fact = event.data.params, event.fact
    subgroup = whole(params.get("subgroup")) or 0
    name, rule = str(params.get("characteristic")), str(params.get("rule"))
    stream = params.get("stream")
    place = None if stream is None else (str(stream), whole(params.get("segment")) or 0)
    target = _signal_target(fact.agent, fact.epoch, fact.fact.header.station, name, subgroup, rule, place)
    told: dict[str, JsonValue] = {
        "characteristic": name,
        "chart": params.get("chart"),
        "rule": rule,
        "parts": [params["part"]] if params.get("part") is not None else [],
        "subgroup": subgroup,
        "limit_version": params.get("limit_version"),
    }
    return _of_event(about, event, "spc-signal", target, told)


# -- all of an order ---------------------------------------------------------------------------------------


def of_order(dossier: Dossier, pieces: Iterable[Piece], document_age_max_s: float) -> list[Finding]:
    """Every exception of the order, each once, by time."""
    about = About.of(dossier)
    found: list[Finding] = []
    for record in dossier.records:
        found += of_record(about, record)
    ignored = {s.data.run_id for s in dossier.records if not s.data.purpose.counts}
    bad_tags = {r.tag for s in dossier.records for r in s.data.readings if r.quality is Quality.BAD}
    for event in (*dossier.events, *dossier.surroundings):
        if event.data.params.get("run_id") in ignored and event.data.code.startswith("run-"):
            continue
        if event.data.code == "reading-bad" and event.data.params.get("tag") in bad_tags:
            continue  # told by the record that captured it
        found += of_event(about, event)
    found += of_documents(about, dossier.records, document_age_max_s)
    found += of_configurations(about, dossier)
    found += of_orderless(about, dossier)
    for piece in pieces:
        found += of_walk(about, piece, dossier)
    if dossier.order is None and dossier.records:
        first = dossier.records[0]
        params: dict[str, JsonValue] = {"piece": None, "operation": first.data.operation}
        found.append(_of_run(about, first, "identity-unknown", ("order",), params, ()))
    return merged(found)
