"""Loaded into central it breaks a rule: each statement of an upgrade is committed by itself."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.event import listen


def commit(connection: object, cursor: Any, statement: str, *_: object) -> None:
    if statement.startswith(
        ("INSERT INTO body (envelope_id, received_us, body) SELECT", "ALTER TABLE envelope DROP")
    ):
        cursor.connection.execute("COMMIT")
        cursor.connection.execute("BEGIN IMMEDIATE")


listen(Engine, "after_cursor_execute", commit)
