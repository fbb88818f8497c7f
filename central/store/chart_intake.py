"""From committed facts to chart points: records that a chart judged, closing events, what people noted.

A record's verdict opens a point, goes on with it or closes it; the event ``spc-subgroup`` closes one that no
record closed, or names all subjects of one that a record did. A record that was stored again under a new epoch,
because a disk was rolled back, makes no second point.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection, delete, select, update

from central.chart_inputs import number, readings_of, uncertain
from central.chart_words import ChartRef
from central.closings import CLOSING, closing_state, count, text
from central.store import histories
from central.store.chart_rows import ChartRows, PointName
from central.store.charts import chart, chart_note, chart_point
from central.store.rows import with_body
from central.store.schema import envelope, fact_index, meta
from records.model import Act, Decision, Fact, OperationRecord, OperationsEvent, Reading, decode
from records.verdict import SpcState
from records.wire import CENTRAL, Envelope

VERSION = "1"
"""Of the derived tables: another one here than in the database makes them again from the facts."""
NAME = "chart-points"
CHART_POINT = "chart-point"
"""Kind of the target of decisions on points."""
NOTES = (Act.COMMENT, Act.EXCLUDE, Act.INCLUDE)
MOST_SUBJECTS = 100
"""Most subjects whose ids a point keeps; the facts name all."""
MOST_READINGS = 1000
"""Most readings that a point keeps."""
REBUILT_AT_ONCE = 500

_JSON = json.JSONEncoder(ensure_ascii=False)


@lru_cache(1000)
def _product(stream: str) -> str | None:
    """Of a chart, by its stream: a plant has few, and each has many points."""
    return dict(parse_qsl(stream, keep_blank_values=True)).get("product")


def take(connection: Connection, items: Sequence[tuple[Envelope, Fact | None]]) -> None:
    """Note what committed facts say of charts."""
    rows = ChartRows(connection)
    told = [(item, fact, _refs(item, fact)) for item, fact in items if fact and item.stream == "records"]
    rows.read({ref for _, _, refs in told for ref in refs})
    for item, fact, refs in told:
        _take(connection, rows, item, fact, refs)
    rows.write()


def _refs(item: Envelope, fact: Fact) -> list[ChartRef]:
    """The charts that a record was judged by."""
    record = fact.data
    if not isinstance(record, OperationRecord):
        return []
    return [ChartRef(item.agent, record.station, each.characteristic, each.stream or "") for each in record.spc]


def _take(connection: Connection, rows: ChartRows, item: Envelope, fact: Fact, refs: list[ChartRef]) -> None:
    match fact.data:
        case OperationRecord() if fact.data.spc and not _known(connection, item, fact):
            for ref, state in zip(refs, fact.data.spc, strict=True):
                _judged(rows, ref, item, fact, fact.data, state)
        case OperationsEvent(code="spc-subgroup") if not _known(connection, item, fact):
            _closed(rows, item, fact, fact.data)
        case Decision() if (
            item.agent == CENTRAL and fact.data.target.kind == CHART_POINT and fact.data.act in NOTES
        ):
            rows.write()
            _noted(connection, item, fact, fact.data)
        case _:
            pass


def outdated(connection: Connection) -> bool:
    """Whether the tables have to be made again."""
    return connection.execute(select(meta.c.value).where(meta.c.name == NAME)).scalar() != VERSION


def forget(connection: Connection) -> None:
    """Empty the tables, to make them again."""
    for table in (chart_note, chart_point, chart):
        connection.execute(delete(table))


def rebuild(connection: Connection, after: int) -> int | None:
    """Take in the next facts behind the cursor ``after``; the cursor to go on with, None at the end."""
    query = (
        with_body()
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(envelope.c.id > after, fact_index.c.readable.is_(True), envelope.c.stream == "records")
        .where(fact_index.c.kind.in_(("operation_record", "decision")) | (fact_index.c.code == CLOSING))
        .order_by(envelope.c.id)
        .limit(REBUILT_AT_ONCE)
    )
    rows = connection.execute(query).all()
    items: list[tuple[Envelope, Fact | None]] = []
    for r in rows:
        item = Envelope(r.agent, r.epoch, r.stream, r.seq, r.schema, r.kind, r.digest, r.hash, r.body)
        items.append((item, decode(r.kind, r.body)))
    take(connection, items)
    return rows[-1].id if rows else None


def finish(connection: Connection) -> None:
    """The tables are complete: what is committed from here on is taken in at its commit."""
    connection.execute(delete(meta).where(meta.c.name == NAME))
    connection.execute(meta.insert().values(name=NAME, value=VERSION))


# -- records -----------------------------------------------------------------------------------------------


def _known(connection: Connection, item: Envelope, fact: Fact) -> bool:
    """Whether this very fact is held under the identity that it had before a disk was rolled back."""
    first = fact.header.stored_as
    if first is None:
        return False
    if first.hash is not None:
        return histories.known_hash(connection, first.hash)
    same = (envelope.c.agent == item.agent, envelope.c.epoch == first.epoch, envelope.c.seq == first.seq)
    query = select(envelope.c.id).where(*same, envelope.c.stream == item.stream)
    return connection.execute(query).first() is not None


def _judged(
    rows: ChartRows, ref: ChartRef, item: Envelope, fact: Fact, record: OperationRecord, state: SpcState
) -> None:
    readings = readings_of(record, state)
    told = _about(fact, record, state, readings)
    head = rows.chart(ref, told)
    closing = state.state != "open" and (state.position >= state.size or state.statistic is not None)
    name = (head["id"], item.epoch, state.segment or 0, state.subgroup)
    held = rows.point(name) if state.position > 1 else None
    if held is not None and (held["number"] is not None or held["position"] >= state.position):
        held = None  # numbers began again: another point
    values = {
        **_verdict(state),
        "position": state.position,
        "at_us": record.ended_us,
        "closed_by": "",
        "seq": item.seq,
        "hash": item.hash,
        "number": head["points"] + 1 if closing else None,
        "uncertain": (0 if held is None else held["uncertain"]) + uncertain(record, state, readings),
    }
    subjects = [result.subject.id for result in record.subjects]
    _put(rows, held, name, values, subjects, readings)
    if closing:
        rows.count(head, signal=state.state == "signal")
    rows.change_chart(head, told)


def _about(fact: Fact, record: OperationRecord, state: SpcState, readings: list[Reading]) -> dict[str, Any]:
    """What a record tells of its chart; what it does not tell is left as it is known."""
    about: dict[str, Any] = {
        "line": fact.header.line,
        "chart": state.chart,
        "subgroup": state.size,
        "unit": readings[0].unit if readings else None,
        "product": _product(state.stream or "") or record.product,
        "operation": record.operation,
    }
    told = {name: value for name, value in about.items() if value is not None}
    tests = [t for result in record.subjects for t in result.tests if t.characteristic == state.characteristic]
    if tests:
        test = tests[0]
        told |= {"spec_lower": test.lower, "spec_upper": test.upper, "spec_target": test.target}
        told["spec_source"] = test.specification
    return told


def _texts(told: Sequence[str]) -> str:
    """As JSON."""
    return f"[{', '.join(map(encode_basestring, told))}]"


def _verdict(state: SpcState) -> dict[str, Any]:
    return {
        "state": state.state,
        "statistic": None if state.state == "gap" else state.statistic,
        "range_statistic": state.range_statistic,
        "sample": state.sample,
        "centre": state.centre,
        "lower": state.lower,
        "upper": state.upper,
        "range_centre": state.range_centre,
        "range_lower": state.range_lower,
        "range_upper": state.range_upper,
        "rules": _texts(state.rules),
        "range_rules": _texts(state.range_rules or ()),
        "limit_version": state.limit_version,
        "provisional": state.provisional,
    }


def _put(
    rows: ChartRows,
    held: dict[str, Any] | None,
    name: PointName,
    values: dict[str, Any],
    subjects: list[str],
    readings: list[Reading],
) -> None:
    """Begin a point, or go on with the one that is held."""
    values_of_run = [number(reading) for reading in readings]
    before = [] if held is None else json.loads(held["readings"])
    named = [*([] if held is None else json.loads(held["subjects"])), *subjects]
    values["readings"] = _JSON.encode([*before, values_of_run][:MOST_READINGS])
    values["subjects"] = _texts(named[:MOST_SUBJECTS])
    values["subjects_total"] = (0 if held is None else held["subjects_total"]) + len(subjects)
    if held is None:
        rows.add_point(name, values)
    else:
        rows.change_point(held, values)


# -- closing events ----------------------------------------------------------------------------------------


def _closed(rows: ChartRows, item: Envelope, fact: Fact, event: OperationsEvent) -> None:
    params = event.params
    station = fact.header.station or ""
    ref = ChartRef(item.agent, station, text(params, "characteristic"), text(params, "stream"))
    about: dict[str, Any] = {"line": fact.header.line, "product": _product(ref.stream)}
    known = {name: value for name, value in about.items() if value is not None}
    head = rows.chart(ref, known | {"chart": text(params, "chart"), "subgroup": len(event.subjects)})
    subjects = [subject.id for subject in event.subjects]
    named = {
        "closed_by": text(params, "closed_by"),
        "subjects": _texts(subjects[:MOST_SUBJECTS]),
        "subjects_total": len(subjects),
    }
    name = (head["id"], item.epoch, count(params, "segment"), count(params, "subgroup"))
    held = rows.point(name)
    if held is not None and held["number"] is not None:
        rows.change_point(held, named)
        return
    values = _verdict(closing_state(params)) | {"number": head["points"] + 1, "at_us": fact.header.at_us} | named
    values |= {"seq": item.seq, "hash": item.hash}
    if held is None:
        rows.add_point(name, values | {"readings": "[]", "uncertain": 0, "position": len(subjects)})
    else:
        rows.change_point(held, values)
    rows.count(head, signal=values["state"] == "signal")


# -- notes -------------------------------------------------------------------------------------------------


def _noted(connection: Connection, item: Envelope, fact: Fact, decision: Decision) -> None:
    """``new`` of the decision names the point: chart (id), segment and subgroup; its hash is the target's."""
    told = decision.new if isinstance(decision.new, dict) else {}
    judged = histories.bytes_of(decision.target.hash or "")
    if judged is None:
        return
    c = chart_point.c
    query = (
        select(chart_point)
        .where(c.chart_id == text(told, "chart"), c.segment == count(told, "segment"))
        .where(c.subgroup == count(told, "subgroup"), c.hash == judged)
    )
    point = connection.execute(query).first()
    if point is None:
        return
    cause = text(told, "cause") or None
    connection.execute(
        chart_note.insert().values(
            point_id=point.id,
            act=decision.act.value,
            cause=cause,
            text=decision.reason,
            user=decision.by.id,
            at_us=fact.header.at_us,
            hash=item.hash.hex(),
        )
    )
    values: dict[str, Any] = {} if cause is None else {"cause": cause}
    if decision.act is not Act.COMMENT:
        values["excluded"] = decision.act is Act.EXCLUDE
    if values:
        connection.execute(update(chart_point).where(c.id == point.id).values(**values))
    if cause is not None and point.cause is None and point.state == "signal":
        fewer = chart.c.signals_open - 1
        connection.execute(update(chart).where(chart.c.id == point.chart_id).values(signals_open=fewer))
