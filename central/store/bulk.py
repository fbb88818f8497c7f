"""Many rows of one table at once: the statement is made once, values go to the driver as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table


class Insert:
    """Inserts rows, each a tuple in the order of ``names``; SQLite takes every value of ours as it is."""

    def __init__(self, table: Table, *names: str) -> None:
        columns = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * len(names))
        self._sql = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608  our own names

    def __call__(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Nothing happens where there are no rows."""
        if rows:
            connection.exec_driver_sql(self._sql, list(rows))
