"""SQL of documents for the lines: the newest version of each, as the ``document-issued`` facts tell them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue
from sqlalchemy import Connection, Row, func, select, update

from central.store.schema import document, meta
from records.wire import OF_ONE_AGENT, Document

FLOOR = "document-floor"


def take(connection: Connection, kind: str, name: str, version: int, issued_us: int, content: JsonValue) -> None:
    """Remember an issued document unless a newer version is known."""
    held = version_of(connection, kind, name)
    text = json.dumps(content, ensure_ascii=False)
    values = {"version": version, "issued_us": issued_us, "content": text}
    if held == 0:
        connection.execute(document.insert().values(kind=kind, id=name, **values))
    elif version > held:
        connection.execute(update(document).where(document.c.kind == kind, document.c.id == name).values(**values))


def version_of(connection: Connection, kind: str, name: str) -> int:
    """The newest version issued; 0 when there is none."""
    query = select(document.c.version).where(document.c.kind == kind, document.c.id == name)
    return connection.execute(query).scalar() or 0


def next_version(connection: Connection, kind: str, name: str) -> int:
    """What is issued next: one more than the newest; after a restore no less than ``floor``."""
    return max(version_of(connection, kind, name) + 1, floor(connection))


def floor(connection: Connection) -> int:
    """No version below this is issued any more: lines may hold some that central has lost. 0: none is lost."""
    found = connection.execute(select(meta.c.value).where(meta.c.name == FLOOR)).scalar()
    return 0 if found is None else int(found)


def raise_floor(connection: Connection, version: int) -> None:
    """Issue from here on no version below this one."""
    connection.execute(meta.delete().where(meta.c.name == FLOOR))
    connection.execute(meta.insert().values(name=FLOOR, value=str(version)))


def highest(connection: Connection) -> int:
    """The highest version of any document; 0: there is none."""
    return connection.execute(select(func.max(document.c.version))).scalar() or 0


def current(connection: Connection) -> list[Document]:
    """The newest version of every document."""
    return [
        _document(row) for row in connection.execute(select(document).order_by(document.c.kind, document.c.id))
    ]


def of_kind(connection: Connection, kind: str) -> list[Document]:
    """The newest version of every document of a kind, by id."""
    query = select(document).where(document.c.kind == kind).order_by(document.c.id)
    return [_document(row) for row in connection.execute(query)]


def newest(connection: Connection, kind: str, name: str) -> Document | None:
    """The newest version of one document."""
    query = select(document).where(document.c.kind == kind, document.c.id == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else _document(row)


def is_withdrawn(connection: Connection, kind: str, name: str) -> bool:
    """Whether the newest version says that there is no such document any more."""
    told = newest(connection, kind, name)
    return told is not None and told.content is None


def is_for(agent: str, told: Document) -> bool:
    """Whether an agent is told of this document: all are, but of what binds another agent."""
    return told.kind not in OF_ONE_AGENT or told.id == agent


def _document(row: Row[Any]) -> Document:
    return Document(row.kind, row.id, row.version, row.issued_us, json.loads(row.content))
