"""SQL of control charts: every chart, its points, and what people noted on them.

``chart``, ``chart_point`` and ``chart_note`` are derived from records, ``spc-subgroup`` events and decisions when
these are committed (``central.store.chart_intake``), and made again from them when their version is another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    func,
    select,
)

from central.chart_words import ChartHead, ChartPoint, ChartRef, LimitVersion, Note, Specification
from central.judgement import FactRef
from central.store.rows import parts
from central.store.schema import metadata
from central.store.types import Serial, Text

chart = Table(
    "chart",
    metadata,
    Column("id", Text, primary_key=True),  # ChartRef.id
    Column("agent", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("characteristic", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("line", Text, nullable=True),
    Column("chart", Text, nullable=False),
    Column("subgroup", BigInteger, nullable=False),
    Column("unit", Text, nullable=True),
    Column("product", Text, nullable=True),
    Column("operation", Text, nullable=True),
    Column("spec_lower", Float, nullable=True),
    Column("spec_upper", Float, nullable=True),
    Column("spec_target", Float, nullable=True),
    Column("spec_source", Text, nullable=True),  # null: no specification was seen yet
    Column("points", Integer, nullable=False),  # closed ones; the number of the last
    Column("signals_open", Integer, nullable=False),  # signals without a cause
    Index(None, "characteristic"),
)

chart_point = Table(
    "chart_point",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("chart_id", Text, ForeignKey("chart.id"), nullable=False),
    Column("number", Integer, nullable=True),  # null: not closed yet
    Column("epoch", Text, nullable=False),
    Column("segment", BigInteger, nullable=False),
    Column("subgroup", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),  # readings so far
    Column("at_us", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("statistic", Float, nullable=True),
    Column("range_statistic", Float, nullable=True),
    Column("sample", Float, nullable=True),
    Column("centre", Float, nullable=True),
    Column("lower", Float, nullable=True),
    Column("upper", Float, nullable=True),
    Column("range_centre", Float, nullable=True),
    Column("range_lower", Float, nullable=True),
    Column("range_upper", Float, nullable=True),
    Column("rules", Text, nullable=False),  # JSON
    Column("range_rules", Text, nullable=False),  # JSON
    Column("limit_version", Text, nullable=True),
    Column("provisional", Boolean, nullable=False),
    Column("closed_by", Text, nullable=False),  # empty: by a record
    Column("subjects", Text, nullable=False),  # JSON, the first ones
    Column("subjects_total", Integer, nullable=False),
    Column("readings", Text, nullable=False),  # JSON, a list of values a run
    Column("uncertain", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),  # the record that closed it, else the last one
    Column("hash", LargeBinary(32), nullable=False),
    Column("cause", Text, nullable=True),
    Column("excluded", Boolean, nullable=False),
    Index(None, "chart_id", "number", unique=True),
    Index(None, "chart_id", "at_us"),
    Index(None, "chart_id", "epoch", "segment", "subgroup"),
)

chart_note = Table(
    "chart_note",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("point_id", Serial, ForeignKey("chart_point.id"), nullable=False, index=True),
    Column("act", Text, nullable=False),
    Column("cause", Text, nullable=True),
    Column("text", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)


EDGE = 2**62
"""No number and no time of a point is further from 0."""


# -- reading -----------------------------------------------------------------------------------------------


def heads(
    connection: Connection, line: str | None, product: str | None, characteristic: str | None, limit: int
) -> list[ChartHead]:
    """Charts with their last points, by line, station, characteristic and stream."""
    wanted = {chart.c.line: line, chart.c.product: product, chart.c.characteristic: characteristic}
    query = (
        select(chart)
        .where(*(column == value for column, value in wanted.items() if value is not None))
        .order_by(chart.c.line, chart.c.station, chart.c.characteristic, chart.c.stream, chart.c.id)
        .limit(limit)
    )
    return _heads(connection, connection.execute(query).all())


def head(connection: Connection, chart_id: str) -> ChartHead | None:
    found = _heads(connection, connection.execute(select(chart).where(chart.c.id == chart_id)).all())
    return found[0] if found else None


def points(
    connection: Connection,
    ref: ChartRef,
    *,
    from_us: int | None = None,
    to_us: int | None = None,
    first: int | None = None,
    last: int | None = None,
    limit: int,
) -> list[ChartPoint]:
    """The newest ``limit`` closed points within times (to before ``to_us``) and numbers (both inclusive).

    What people type into an address may be any number: beyond what a column holds it means the same as its edge.
    """
    c = chart_point.c
    from_us, to_us, first, last = (
        None if n is None else max(-EDGE, min(n, EDGE)) for n in (from_us, to_us, first, last)
    )
    conditions = [c.chart_id == ref.id, c.number.is_not(None)]
    conditions += [c.at_us >= from_us] if from_us is not None else []
    conditions += [c.at_us < to_us] if to_us is not None else []
    conditions += [c.number >= first] if first is not None else []
    conditions += [c.number <= last] if last is not None else []
    query = select(chart_point).where(*conditions).order_by(c.number.desc()).limit(limit)
    return _points(connection, {ref.id: ref.agent}, connection.execute(query).all()[::-1])


def versions(connection: Connection, ref: ChartRef) -> list[LimitVersion]:
    """The limits by which a chart was judged, in the order of their first points; what comes back, twice."""
    c = chart_point.c
    in_all = func.row_number().over(order_by=c.number)
    in_own = func.row_number().over(partition_by=c.limit_version, order_by=c.number)
    judged = (
        select(c.limit_version, c.number, c.at_us, (in_all - in_own).label("stretch"))
        .where(c.chart_id == ref.id, c.number.is_not(None), c.limit_version.is_not(None))
        .subquery()
        .c
    )
    spans = (
        select(
            judged.limit_version,
            func.min(judged.number).label("first"),
            func.max(judged.number).label("last"),
            func.count().label("count"),
            func.min(judged.at_us).label("from_us"),
            func.max(judged.at_us).label("to_us"),
        )
        .group_by(judged.limit_version, judged.stretch)
        .subquery()
    )
    query = (
        select(spans, c.provisional, c.centre, c.lower, c.upper, c.range_centre, c.range_lower, c.range_upper)
        .join(chart_point, (c.chart_id == ref.id) & (c.number == spans.c.first))
        .order_by(spans.c.first)
    )
    return [
        LimitVersion(
            row["limit_version"],
            row["provisional"],
            *(row[name] for name in ("count", "first", "last", "from_us", "to_us")),
            *(row[name] for name in ("centre", "lower", "upper", "range_centre", "range_lower", "range_upper")),
        )
        for row in connection.execute(query).mappings()
    ]


# -- rows --------------------------------------------------------------------------------------------------


def _heads(connection: Connection, rows: Sequence[Row[Any]]) -> list[ChartHead]:
    c = chart_point.c
    query = (
        select(chart_point)
        .join(chart, (chart.c.id == c.chart_id) & (chart.c.points == c.number))
        .where(c.chart_id.in_([row.id for row in rows]))
    )
    agents = {row.id: row.agent for row in rows}
    found = connection.execute(query).all()
    last = dict(zip((row.chart_id for row in found), _points(connection, agents, found), strict=True))
    return [_head(row, last.get(row.id)) for row in rows]


def _head(row: Row[Any], last: ChartPoint | None) -> ChartHead:
    spec = None
    if row.spec_source is not None:
        spec = Specification(row.spec_lower, row.spec_upper, row.spec_target, row.spec_source)
    return ChartHead(
        ref_of(row),
        row.line,
        row.chart,
        row.subgroup,
        row.unit,
        row.product,
        row.operation,
        spec,
        row.points,
        row.signals_open,
        last,
    )


def ref_of(row: Row[Any]) -> ChartRef:
    return ChartRef(row.agent, row.station, row.characteristic, row.stream)


def _points(connection: Connection, agents: dict[str, str], rows: Sequence[Row[Any]]) -> list[ChartPoint]:
    notes = _notes(connection, [row.id for row in rows])
    return [_point(row, agents[row.chart_id], notes.get(row.id, ())) for row in rows]


def _notes(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[Note, ...]]:
    found: dict[int, tuple[Note, ...]] = {}
    for part in parts(ids):
        query = select(chart_note).where(chart_note.c.point_id.in_(part)).order_by(chart_note.c.id)
        for row in connection.execute(query):
            note = Note(row.act, row.cause, row.text, row.user, row.at_us, row.hash)
            found[row.point_id] = (*found.get(row.point_id, ()), note)
    return found


def _list(text: str) -> list[Any]:
    """A column that we wrote as JSON. A board reads tens of thousands at once, and most are empty."""
    found: list[Any] = [] if text == "[]" else _DECODE(text)[0]
    return found


_DECODE = json.JSONDecoder().raw_decode


def _point(row: Row[Any], agent: str, notes: tuple[Note, ...]) -> ChartPoint:
    """In the order of the table's columns: by name they take twice the time."""
    told: Sequence[Any] = row
    (
        _id, _chart, number, epoch, segment, subgroup, _position, at_us, state, statistic, range_statistic, sample,
        centre, lower, upper, range_centre, range_lower, range_upper, rules, range_rules, version, provisional,
        closed_by, subjects, subjects_total, readings, uncertain, seq, hash_, cause, excluded,
    ) = told  # fmt: skip
    return ChartPoint(
        number,
        at_us,
        segment,
        subgroup,
        state,
        statistic,
        range_statistic,
        sample,
        centre,
        lower,
        upper,
        range_centre,
        range_lower,
        range_upper,
        tuple(_list(rules)),
        tuple(_list(range_rules)),
        version,
        provisional,
        closed_by,
        tuple(_list(subjects)),
        subjects_total,
        tuple(map(tuple, _list(readings))),
        uncertain,
        FactRef(agent, epoch, seq, hash_.hex()),
        cause,
        excluded,
        notes,
    )
