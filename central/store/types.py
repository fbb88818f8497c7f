"""Column types that mean the same in SQLite and in PostgreSQL.

Text is compared and ordered by its bytes (as SQLite does), whatever the server's language is. PostgreSQL refuses
the character NUL in text, records may hold it: there it is written as an escape and read back as itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy
from sqlalchemy import BigInteger, Integer, PrimaryKeyConstraint
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator, TypeEngine

_ESCAPE = "\ufdd0"
"""A code point that Unicode keeps free of any character."""
_NUL, _ITSELF = _ESCAPE + "0", _ESCAPE + "1"


class Text(TypeDecorator[str]):
    """Text that other people wrote, of any length and with any character."""

    impl = sqlalchemy.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(sqlalchemy.Text(collation=collation))

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None] | None:
        return escaped if dialect.name == "postgresql" else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None] | None:
        return _plain if dialect.name == "postgresql" else None


@compiles(PrimaryKeyConstraint, "postgresql")
def _with_its_part(key: PrimaryKeyConstraint, compiler: Any, **words: Any) -> str:
    """A table in parts by time has the time in its primary key."""
    told = str(compiler.visit_primary_key_constraint(key, **words))
    if key.table.info.get("partitioned"):
        return told.replace("(envelope_id)", "(envelope_id, received_us)")
    return told


Serial = BigInteger().with_variant(Integer, "sqlite")
"""A row number that the database gives."""


def plain(text: str) -> bool:
    """Whether PostgreSQL keeps it as it is."""
    return "\0" not in text and _ESCAPE not in text


def escaped(text: str | None) -> str | None:
    """As PostgreSQL keeps it."""
    if text is None or plain(text):
        return text
    return text.replace(_ESCAPE, _ITSELF).replace("\0", _NUL)


def _plain(text: str | None) -> str | None:
    if text is None or _ESCAPE not in text:
        return text
    return text.replace(_NUL, "\0").replace(_ITSELF, _ESCAPE)
