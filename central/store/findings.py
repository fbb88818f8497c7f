"""SQL of findings and of the review queue: what the facts say, kept so that lists need not judge every order anew.

Both tables are projections: every row can be made again from facts. Rows change only in the transaction that
states the fact behind the change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import BigInteger, Boolean, Column, Connection, Row, Table, bindparam, func, select, update

from central.domain import Closing, DhrSummary, FactRef, Finding, GivenUp
from central.store.bulk import Insert
from central.store.rows import parts
from central.store.schema import fact_index, metadata
from central.store.types import Text
from records.model import Subject

finding = Table(
    "finding",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("code", Text, nullable=False, index=True),
    Column("params", Text, nullable=False),  # JSON
    Column("work_order", Text, nullable=False, index=True),
    Column("product", Text, nullable=True),
    Column("lot", Text, nullable=True),
    Column("operation", Text, nullable=True),
    Column("station", Text, nullable=True),
    Column("agent", Text, nullable=True),
    Column("at_us", BigInteger, nullable=True),
    Column("subjects", Text, nullable=False),  # JSON
    Column("records", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # open, closed
    Column("opened_us", BigInteger, nullable=False),
    Column("opened_hash", Text, nullable=False),  # the fact that stated it, hexadecimal
    Column("act", Text, nullable=True),
    Column("closed_by", Text, nullable=True),
    Column("closed_reason", Text, nullable=True),
    Column("closed_us", BigInteger, nullable=True),
    Column("closed_hash", Text, nullable=True),
    Column("closed_by_system", Boolean, nullable=False, default=False),
)

dhr = Table(
    "dhr",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product", Text, nullable=False),
    Column("lot", Text, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("summary", Text, nullable=False),  # JSON of DhrSummary
)

dhr_order = Table(
    "dhr_order",
    metadata,
    Column("work_order", Text, primary_key=True),
    Column("dhr_id", Text, nullable=False, index=True),
)

_COLUMNS = tuple(finding.c.keys())
_INSERT = Insert(finding, *_COLUMNS)
_PARAMS = TypeAdapter(dict[str, JsonValue])
_SUBJECTS = TypeAdapter(tuple[Subject, ...])
_RECORDS = TypeAdapter(tuple[FactRef, ...])
_SUMMARY = TypeAdapter(DhrSummary)
_NO_END = 2**63 - 1


@dataclass(frozen=True, slots=True)
class HeldFinding:
    """A finding as it stands, with the hash (hexadecimal) of the fact that stated it."""

    finding: Finding
    opened_hash: str


def of_order(connection: Connection, reference: str) -> dict[str, HeldFinding]:
    """Every finding that was ever stated about an order, by id."""
    rows = connection.execute(select(finding).where(finding.c.work_order == reference))
    return {row.id: _held(row) for row in rows}


def by_ids(connection: Connection, finding_ids: Iterable[str]) -> dict[str, HeldFinding]:
    """Those of these that there are, by id."""
    found: dict[str, HeldFinding] = {}
    for part in parts(finding_ids):
        found |= {row.id: _held(row) for row in connection.execute(select(finding).where(finding.c.id.in_(part)))}
    return found


def listed(
    connection: Connection, *, open_only: bool = False, kind: str | None = None, limit: int | None = None
) -> list[Finding]:
    """Findings, the newest first."""
    query = select(finding).order_by(finding.c.opened_us.desc(), finding.c.id).limit(limit)
    if open_only:
        query = query.where(finding.c.state == "open")
    if kind is not None:
        query = query.where(finding.c.kind == kind)
    return [_held(row).finding for row in connection.execute(query)]


def put(connection: Connection, items: Sequence[tuple[Finding, int, str]], known: Collection[str]) -> None:
    """Open findings, each for the first time or, where its id is among the ``known``, again.

    With each: when it was stated, and the hash (hexadecimal) of the fact that stated it.
    """
    rows = [
        {
            "id": item.id,
            "kind": item.kind,
            "code": item.code,
            "work_order": item.order,
            "state": "open",
            "opened_us": opened_us,
            "opened_hash": opened_hash,
            **dict.fromkeys(("act", "closed_by", "closed_reason", "closed_us", "closed_hash")),
            "closed_by_system": False,
            **_told(item),
        }
        for item, opened_us, opened_hash in items
    ]
    _INSERT(connection, [tuple(row[name] for name in _COLUMNS) for row in rows if row["id"] not in known])
    _change(connection, [row for row in rows if row["id"] in known])


def tell(connection: Connection, items: Iterable[Finding]) -> None:
    """What is known about the causes has grown: more records, a serial instead of a carrier."""
    _change(connection, [{"id": item.id, **_told(item)} for item in items])


def close(connection: Connection, closed: Iterable[tuple[str, Closing]]) -> None:
    """Findings by their ids."""
    rows = [
        {
            "id": finding_id,
            "state": "closed",
            "act": closing.act,
            "closed_by": closing.user,
            "closed_reason": closing.reason,
            "closed_us": closing.at_us,
            "closed_hash": closing.hash,
            "closed_by_system": closing.system,
        }
        for finding_id, closing in closed
    ]
    _change(connection, rows)


def _change(connection: Connection, rows: Sequence[dict[str, object]]) -> None:
    """Each row has the same columns, its id among them."""
    if rows:
        values: dict[str, object] = {name: bindparam(f"new_{name}") for name in rows[0] if name != "id"}
        named = [{f"new_{name}": value for name, value in row.items()} for row in rows]
        connection.execute(update(finding).where(finding.c.id == bindparam("new_id")).values(values), named)


def same_words(held: Finding, item: Finding) -> bool:
    """Whether ``tell`` would change nothing."""
    return _told(held) == _told(item)


def _told(item: Finding) -> dict[str, object]:
    return {
        "params": _PARAMS.dump_json(dict(item.params)).decode(),
        "product": item.product,
        "lot": item.lot,
        "operation": item.operation,
        "station": item.station,
        "agent": item.agent,
        "at_us": item.at_us,
        "subjects": _SUBJECTS.dump_json(item.subjects).decode(),
        "records": _RECORDS.dump_json(item.records).decode(),
    }


def _held(row: Row[tuple[object, ...]]) -> HeldFinding:
    closing = None
    if row.state == "closed":
        closing = Closing(
            row.act, row.closed_by, row.closed_reason, row.closed_us, row.closed_hash, row.closed_by_system
        )
    item = Finding(
        id=row.id,
        kind=row.kind,
        code=row.code,
        params=_PARAMS.validate_json(row.params),
        order=row.work_order,
        product=row.product,
        lot=row.lot,
        operation=row.operation,
        station=row.station,
        agent=row.agent,
        at_us=row.at_us,
        subjects=_SUBJECTS.validate_json(row.subjects),
        records=_RECORDS.validate_json(row.records),
        opened_us=row.opened_us,
        state=row.state,
        closing=closing,
    )
    return HeldFinding(item, row.opened_hash)


# -- the queue ---------------------------------------------------------------------------------------------


def put_summary(connection: Connection, summary: DhrSummary) -> None:
    """The record's row in the queue, and which orders belong to it."""
    values = {
        "product": summary.product,
        "lot": summary.lot,
        "state": summary.state.value,
        "summary": _SUMMARY.dump_json(summary).decode(),
    }
    moved = connection.execute(update(dhr).where(dhr.c.id == summary.id).values(**values))
    if not moved.rowcount:
        connection.execute(dhr.insert().values(id=summary.id, **values))


def assign(connection: Connection, reference: str, dhr_id: str) -> None:
    """The order belongs to this record; a record that no order belongs to any more leaves the queue."""
    moved = connection.execute(update(dhr_order).where(dhr_order.c.work_order == reference).values(dhr_id=dhr_id))
    if not moved.rowcount:
        connection.execute(dhr_order.insert().values(work_order=reference, dhr_id=dhr_id))
    connection.execute(dhr.delete().where(dhr.c.id.not_in(select(dhr_order.c.dhr_id))))


def summaries(connection: Connection, dhr_id: str | None = None) -> list[DhrSummary]:
    """Every record's row of the queue, or that of one record."""
    query = select(dhr.c.summary).order_by(dhr.c.lot, dhr.c.product)
    if dhr_id is not None:
        query = query.where(dhr.c.id == dhr_id)
    return [_SUMMARY.validate_json(row) for row in connection.execute(query).scalars()]


def given_up(connection: Connection, dhr_id: str) -> GivenUp | None:
    """By what act the records of this one were given up, if they were."""
    return next((row.given_up for row in summaries(connection, dhr_id)), None)


def place_of(connection: Connection, reference: str) -> tuple[str | None, DhrSummary | None]:
    """The id of the record that an order belongs to, and that record's row of the queue."""
    query = select(dhr_order.c.dhr_id, dhr.c.summary).outerjoin(dhr, dhr.c.id == dhr_order.c.dhr_id)
    row = connection.execute(query.where(dhr_order.c.work_order == reference)).one_or_none()
    if row is None:
        return None, None
    return row.dhr_id, None if row.summary is None else _SUMMARY.validate_json(row.summary)


def records_of(connection: Connection, references: Iterable[str]) -> dict[str, str]:
    """Reference -> the id of the record that it belongs to, of those of these orders that belong to one."""
    found: dict[str, str] = {}
    for part in parts(references):
        query = select(dhr_order.c.work_order, dhr_order.c.dhr_id).where(dhr_order.c.work_order.in_(part))
        found |= {row.work_order: row.dhr_id for row in connection.execute(query)}
    return found


def orders_of(connection: Connection, dhr_id: str) -> list[str]:
    """The references of a record's orders."""
    query = select(dhr_order.c.work_order).where(dhr_order.c.dhr_id == dhr_id).order_by(dhr_order.c.work_order)
    return list(connection.execute(query).scalars())


def assigned(connection: Connection) -> dict[str, set[str]]:
    """The orders of every record."""
    found: dict[str, set[str]] = {}
    for id_, order in connection.execute(select(dhr_order.c.dhr_id, dhr_order.c.work_order)):
        found.setdefault(id_, set()).add(order)
    return found


def unsettled_orders(connection: Connection) -> list[str]:
    """Orders of records that are neither released nor rejected."""
    query = (
        select(dhr_order.c.work_order)
        .join(dhr, dhr.c.id == dhr_order.c.dhr_id)
        .where(dhr.c.state.not_in(("released", "rejected")))
    )
    return list(connection.execute(query).scalars())


def ids_of_lot(connection: Connection, lot: str, product: str | None) -> list[str]:
    """One id for each product: of the record that is judged, else of the one that was given up last."""
    query = select(dhr.c.summary).where(dhr.c.lot == lot).order_by(dhr.c.product)
    if product is not None:
        query = query.where(dhr.c.product == product)
    rows = [_SUMMARY.validate_json(row) for row in connection.execute(query).scalars()]
    rows.sort(key=lambda row: (row.product, _NO_END if row.given_up is None else row.given_up.at_us))
    return list({row.product: row.id for row in rows}.values())


# -- which orders something new is about -------------------------------------------------------------------


def touched(connection: Connection, after: int, through: int) -> list[str]:
    """The orders that facts with a cursor in (after, through] are about."""
    query = (
        select(fact_index.c.work_order)
        .where(
            fact_index.c.envelope_id > after,
            fact_index.c.envelope_id <= through,
            fact_index.c.work_order.is_not(None),
        )
        .distinct()
    )
    return [str(reference) for reference in connection.execute(query).scalars()]


def last_of_orders(connection: Connection, references: Collection[str]) -> int:
    """The cursor of the newest fact about any of these orders."""
    query = select(func.max(fact_index.c.envelope_id)).where(fact_index.c.work_order.in_(sorted(references)))
    return connection.execute(query).scalar() or 0
