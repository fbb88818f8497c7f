"""SQL of the index: what each record is about, so that it can be found without decoding bodies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from sqlalchemy import Connection, select

from central.store.bulk import Insert
from central.store.schema import envelope, fact_index, fact_subject
from records.configuration import ConfigurationRecord
from records.model import (
    LONGEST_ID,
    Data,
    Decision,
    EpochOpened,
    Fact,
    OperationRecord,
    OperationsEvent,
    Subject,
)
from records.wire import Envelope

READ_AT_ONCE = 500
"""Rows that a walk reads at once."""


@dataclass(frozen=True, slots=True)
class About:
    """What a record is about, for the index: order, product, lot where its body does not say it itself."""

    order: str | None = None
    product: str | None = None
    lot: str | None = None


NOTHING = About()

_NAMES = (
    "at_us",
    "station",
    "work_order",
    "product",
    "lot",
    "operation",
    "cycle",
    "run_id",
    "code",
    "purpose",
)
_FACTS = Insert(fact_index, "envelope_id", "agent", "stream", "kind", "readable", *_NAMES)
_SUBJECTS = Insert(fact_subject, "envelope_id", "position", "kind", "product", "scheme", "id")


def add(
    connection: Connection,
    cursors: range,
    items: Sequence[tuple[Envelope, Fact | None]],
    about: Sequence[About] | None,
) -> None:
    """Index stored envelopes. A fact of None: a tombstone, or a body nobody can read."""
    facts: list[tuple[object, ...]] = []
    subjects: list[tuple[object, ...]] = []
    of_each = about or repeat(NOTHING, len(items))
    for cursor, (item, fact), about_it in zip(cursors, items, of_each, strict=True):
        told: dict[str, object] = {}
        if fact is not None:
            told = _index(fact, about_it)
            subjects += [(cursor, position, *key) for position, key in enumerate(_subjects(fact.data))]
        facts.append((cursor, item.agent, item.stream, item.kind, fact is not None, *map(told.get, _NAMES)))
    _FACTS(connection, facts)
    _SUBJECTS(connection, subjects)


def rows(connection: Connection, agent: str, epoch: str, stream: str) -> Iterator[tuple[int, dict[str, object]]]:
    """What the index says of each record of one chain, by seq: (seq, row); an empty row where it says nothing."""
    after = -1
    columns = [column for column in fact_index.c if column.name not in ("envelope_id", "agent", "stream", "kind")]
    while True:
        found = connection.execute(
            select(envelope.c.seq.label("at_seq"), *columns)
            .join(fact_index, fact_index.c.envelope_id == envelope.c.id, isouter=True)
            .where(
                envelope.c.agent == agent,
                envelope.c.epoch == epoch,
                envelope.c.stream == stream,
                envelope.c.seq > after,
            )
            .order_by(envelope.c.seq)
            .limit(READ_AT_ONCE)
        ).all()
        if not found:
            return
        for row in found:
            yield row.at_seq, {column.name: getattr(row, column.name) for column in columns}
        after = found[-1].at_seq


def expected(fact: Fact | None) -> dict[str, object]:
    """What the index must say of a record, as far as its own body tells."""
    return {"readable": False} if fact is None else {"readable": True, **_index(fact, NOTHING)}


def too_long(fact: Fact) -> str | None:
    """Which of a record's identifiers is longer than any may be; None: it can be indexed, on every store."""
    named: list[tuple[str, object]] = [*_index(fact, NOTHING).items()]
    named += [("subject", text) for key in _subjects(fact.data) for text in key]
    if isinstance(fact.data, OperationRecord):
        named += [("characteristic", verdict.characteristic) for verdict in fact.data.spc]
    for name, value in named:
        if isinstance(value, str) and len(value) > LONGEST_ID:
            return f"{name}: {len(value)} characters, more than {LONGEST_ID}: {value[:40]!r}..."
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _index(fact: Fact, about: About) -> dict[str, object]:
    data = fact.data
    row: dict[str, object] = {"at_us": fact.header.at_us, "station": fact.header.station}
    order, product, lot = about.order, about.product, about.lot
    match data:
        case OperationRecord():
            order, product, lot = order or data.order, product or data.product, lot or data.lot
            row |= {"station": data.station, "operation": data.operation, "cycle": data.cycle}
            row |= {"run_id": data.run_id, "purpose": data.purpose.value}
        case OperationsEvent(params=params):
            order = order or data.order or _text(params.get("order"))
            product = product or _text(params.get("product")) or _text(params.get("item"))
            lot = lot or _text(params.get("lot"))
            row |= {"code": data.code, "run_id": _text(params.get("run_id"))}
        case Decision(target=target):
            row["code"] = data.act.value
            order = order or data.order or (target.id if target.kind == "order" else None)
        case ConfigurationRecord():
            row["code"] = "configuration"
        case EpochOpened():
            row["code"] = "epoch-opened"
    return row | {"work_order": order, "product": product, "lot": lot}


def _subjects(data: Data) -> Iterable[tuple[str, str | None, str, str]]:
    """Kind, product, scheme and id of all that a record names, each once."""
    found: list[Subject | None] = []
    match data:
        case OperationRecord():
            found += [result.subject for result in data.subjects]
            found += [subject for material in data.materials for subject in (material.source, material.target)]
        case OperationsEvent():
            found += data.subjects
        case _:
            pass
    return dict.fromkeys(subject.key for subject in found if subject is not None)
