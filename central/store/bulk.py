"""Many rows of one table at once: the statement is made once, values go to the driver as they are.

PostgreSQL takes many rows by COPY, few by an INSERT that the driver sends in one go. SQLite takes them by
statements of many rows: Python's driver gives the interpreter's lock away with every statement, and each time
another thread that computes may keep it for a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, LargeBinary, Table

from central.store.types import escaped, plain

COPY_FROM = 10
"""So many rows are worth a COPY."""
AT_ONCE = (64, 16, 4, 1)
"""So many rows go in one statement of SQLite's: few different ones, so that each stays prepared."""


def placeholders(count: int, dialect: str) -> str:
    """As the driver's own statements have them."""
    return ", ".join(["?" if dialect == "sqlite" else "%s"] * count)


class Insert:
    """Inserts rows, each a tuple in the order of ``names``; the drivers take every value of ours as it is."""

    def __init__(self, table: Table, *names: str) -> None:
        columns = ", ".join(f'"{name}"' for name in names)
        into = f'INSERT INTO "{table.name}" ({columns})'
        row = f"({', '.join('?' * len(names))})"
        self._lite = {rows: f"{into} VALUES {', '.join([row] * rows)}" for rows in AT_ONCE}
        self._few = f"{into} VALUES ({', '.join(['%s'] * len(names))})"
        self._copy = f'COPY "{table.name}" ({columns}) FROM STDIN (FORMAT BINARY)'
        self._types = column_types(table, names)

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Nothing happens where there are no rows."""
        if not rows:
            return
        if connection.dialect.name == "sqlite":
            begin = 0
            for size in AT_ONCE:
                while len(rows) - begin >= size:
                    connection.exec_driver_sql(self._lite[size], tuple(chain(*rows[begin : begin + size])))
                    begin += size
            return
        safe = _escaped(rows)
        if len(safe) < COPY_FROM:
            connection.exec_driver_sql(self._few, safe)
            return
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(self._copy) as copy:
            copy.set_types(self._types)
            for row in safe:
                copy.write_row(row)


def _escaped(rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """As PostgreSQL keeps text; nearly always it is kept as it is, and looking at all of it at once is cheap."""
    text = "".join([value for row in rows for value in row if value.__class__ is str])
    if plain(text):
        return rows
    return [tuple(escaped(value) if isinstance(value, str) else value for value in row) for row in rows]


def column_types(table: Table, names: Sequence[str] = ()) -> list[str]:
    """PostgreSQL's names of the types of these columns, of all where none is named."""
    return [_type(table.c[name]) for name in names or table.c.keys()]


def _type(column: Column[Any]) -> str:
    kind = column.type
    if isinstance(kind, BigInteger):
        return "int8"
    names = {Boolean: "bool", Integer: "int4", Float: "float8", LargeBinary: "bytea"}
    return next((name for each, name in names.items() if isinstance(kind, each)), "text")
