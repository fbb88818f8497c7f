"""From committed facts to chart points: records that a chart judged, closing events, what people noted.

A record's verdict opens a point, goes on with it or closes it; the event ``spc-subgroup`` closes one that no
record closed, or names all subjects of one that a record did. A record that was stored again under a new epoch,
because a disk was rolled back, makes no second point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from central.chart_inputs import number, readings_of, uncertain
from central.chart_words import ChartRef
from central.closings import CLOSING, closing_state, count, text
from central.store import histories
from central.store.charts import chart, chart_note, chart_point
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

# made once: they run for every charted characteristic of every record
_CHART = select(chart).where(chart.c.id == bindparam("chart_id"))
_COUNT = (
    update(chart)
    .where(chart.c.id == bindparam("chart_id"))
    .values(points=bindparam("now_points"), signals_open=bindparam("now_signals"))
)
_POINT = (
    select(chart_point)
    .where(chart_point.c.chart_id == bindparam("of_chart"), chart_point.c.epoch == bindparam("of_epoch"))
    .where(chart_point.c.segment == bindparam("of_segment"), chart_point.c.subgroup == bindparam("of_subgroup"))
    .order_by(chart_point.c.id.desc())
    .limit(1)
)
_ADD_POINT = chart_point.insert()


def take(connection: Connection, item: Envelope, fact: Fact | None) -> None:
    """Note what one committed fact says of charts."""
    if fact is None or item.stream != "records":
        return
    match fact.data:
        case OperationRecord() if fact.data.spc and not _known(connection, item, fact):
            for state in fact.data.spc:
                _judged(connection, item, fact, fact.data, state)
        case OperationsEvent(code="spc-subgroup") if not _known(connection, item, fact):
            _closed(connection, item, fact, fact.data)
        case Decision() if (
            item.agent == CENTRAL and fact.data.target.kind == CHART_POINT and fact.data.act in NOTES
        ):
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
        select(envelope)
        .join(fact_index, fact_index.c.envelope_id == envelope.c.id)
        .where(envelope.c.id > after, fact_index.c.readable.is_(True), envelope.c.stream == "records")
        .where(fact_index.c.kind.in_(("operation_record", "decision")) | (fact_index.c.code == CLOSING))
        .order_by(envelope.c.id)
        .limit(REBUILT_AT_ONCE)
    )
    rows = connection.execute(query).all()
    for row in rows:
        item = Envelope(
            row.agent, row.epoch, row.stream, row.seq, row.schema, row.kind, row.digest, row.hash, row.body
        )
        take(connection, item, decode(row.kind, row.body))
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


def _judged(connection: Connection, item: Envelope, fact: Fact, record: OperationRecord, state: SpcState) -> None:
    ref = ChartRef(item.agent, record.station, state.characteristic, state.stream or "")
    readings = readings_of(record, state)
    about = _about(ref, fact, record, state, readings)
    row = _chart(connection, ref, about)
    closing = state.state != "open" and (state.position >= state.size or state.statistic is not None)
    held = None
    if state.position > 1:
        held = _open(connection, ref, item.epoch, state.segment or 0, state.subgroup)
        if held is not None and (held.number is not None or held.position >= state.position):
            held = None  # numbers began again: another point
    values = _verdict(state) | {
        "position": state.position,
        "at_us": record.ended_us,
        "closed_by": "",
        "seq": item.seq,
        "hash": item.hash,
        "number": row.points + 1 if closing else None,
    }
    subjects = [result.subject.id for result in record.subjects]
    point = (ref.id, item.epoch, state.segment or 0, state.subgroup)
    doubts = (0 if held is None else held.uncertain) + uncertain(record, state)
    _put(connection, held, point, values | {"uncertain": doubts}, subjects, readings)
    if closing:
        signals = row.signals_open + (state.state == "signal")
        connection.execute(_COUNT, {"chart_id": ref.id, "now_points": row.points + 1, "now_signals": signals})
    if any(getattr(row, name) != value for name, value in about.items()):
        connection.execute(update(chart).where(chart.c.id == ref.id).values(**about))


def _about(
    ref: ChartRef, fact: Fact, record: OperationRecord, state: SpcState, readings: list[Reading]
) -> dict[str, Any]:
    """What a record tells of its chart; what it does not tell is left as it is known."""
    about: dict[str, Any] = {
        "line": fact.header.line,
        "chart": state.chart,
        "subgroup": state.size,
        "unit": readings[0].unit if readings else None,
        "product": ref.key.get("product") or record.product,
        "operation": record.operation,
    }
    told = {name: value for name, value in about.items() if value is not None}
    tests = [t for result in record.subjects for t in result.tests if t.characteristic == ref.characteristic]
    if tests:
        test = tests[0]
        told |= {"spec_lower": test.lower, "spec_upper": test.upper, "spec_target": test.target}
        told["spec_source"] = test.specification
    return told


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
        "rules": json.dumps(state.rules),
        "range_rules": json.dumps(state.range_rules or ()),
        "limit_version": state.limit_version,
        "provisional": state.provisional,
    }


def _chart(connection: Connection, ref: ChartRef, about: Mapping[str, Any]) -> Row[Any]:
    found = connection.execute(_CHART, {"chart_id": ref.id}).one_or_none()
    if found is not None:
        return found
    own = {"agent": ref.agent, "station": ref.station, "characteristic": ref.characteristic, "stream": ref.stream}
    connection.execute(chart.insert().values(id=ref.id, points=0, signals_open=0, **own, **about))
    return connection.execute(_CHART, {"chart_id": ref.id}).one()


def _open(connection: Connection, ref: ChartRef, epoch: str, segment: int, subgroup: int) -> Row[Any] | None:
    """The newest point of this name."""
    wanted = {"of_chart": ref.id, "of_epoch": epoch, "of_segment": segment, "of_subgroup": subgroup}
    return connection.execute(_POINT, wanted).one_or_none()


def _put(
    connection: Connection,
    held: Row[Any] | None,
    point: tuple[str, str, int, int],
    values: dict[str, Any],
    subjects: list[str],
    readings: list[Reading],
) -> None:
    """Begin a point, or go on with the one that is held."""
    values_of_run = [number(reading) for reading in readings]
    before = [] if held is None else json.loads(held.readings)
    named = [*([] if held is None else json.loads(held.subjects)), *subjects]
    values |= {
        "readings": json.dumps([*before, values_of_run][:MOST_READINGS]),
        "subjects": json.dumps(named[:MOST_SUBJECTS], ensure_ascii=False),
        "subjects_total": (0 if held is None else held.subjects_total) + len(subjects),
    }
    if held is None:
        chart_id, epoch, segment, subgroup = point
        own = {"chart_id": chart_id, "epoch": epoch, "segment": segment, "subgroup": subgroup}
        connection.execute(_ADD_POINT, values | own | {"excluded": False})
    else:
        connection.execute(update(chart_point).where(chart_point.c.id == held.id).values(**values))


# -- closing events ----------------------------------------------------------------------------------------


def _closed(connection: Connection, item: Envelope, fact: Fact, event: OperationsEvent) -> None:
    params = event.params
    station = fact.header.station or ""
    ref = ChartRef(item.agent, station, text(params, "characteristic"), text(params, "stream"))
    about: dict[str, Any] = {"line": fact.header.line, "product": ref.key.get("product")}
    known = {name: value for name, value in about.items() if value is not None}
    row = _chart(connection, ref, known | {"chart": text(params, "chart"), "subgroup": len(event.subjects)})
    segment, subgroup = count(params, "segment"), count(params, "subgroup")
    subjects = [subject.id for subject in event.subjects]
    named = {
        "closed_by": text(params, "closed_by"),
        "subjects": json.dumps(subjects[:MOST_SUBJECTS], ensure_ascii=False),
        "subjects_total": len(subjects),
    }
    held = _open(connection, ref, item.epoch, segment, subgroup)
    if held is not None and held.number is not None:
        connection.execute(update(chart_point).where(chart_point.c.id == held.id).values(**named))
        return
    values = _verdict(closing_state(params)) | {"number": row.points + 1, "at_us": fact.header.at_us} | named
    values |= {"seq": item.seq, "hash": item.hash}
    if held is None:
        values |= {"readings": "[]", "uncertain": 0, "position": len(subjects), "excluded": False}
        point = {"chart_id": ref.id, "epoch": item.epoch, "segment": segment, "subgroup": subgroup}
        connection.execute(chart_point.insert().values(**point, **values))
    else:
        connection.execute(update(chart_point).where(chart_point.c.id == held.id).values(**values))
    signals = row.signals_open + (values["state"] == "signal")
    connection.execute(_COUNT, {"chart_id": ref.id, "now_points": row.points + 1, "now_signals": signals})


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
