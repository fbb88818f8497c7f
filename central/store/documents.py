"""SQL of documents for the lines: the newest version of each, as the ``document-issued`` facts tell them."""

from __future__ import annotations

import json

from pydantic import JsonValue
from sqlalchemy import Connection, select, update

from central.store.schema import document
from records.wire import Document


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
    """The newest version issued; 0 when there is none: the next one is this plus 1."""
    query = select(document.c.version).where(document.c.kind == kind, document.c.id == name)
    return connection.execute(query).scalar() or 0


def current(connection: Connection) -> list[Document]:
    """The newest version of every document."""
    rows = connection.execute(select(document).order_by(document.c.kind, document.c.id))
    return [Document(row.kind, row.id, row.version, row.issued_us, json.loads(row.content)) for row in rows]
