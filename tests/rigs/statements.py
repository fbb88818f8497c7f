"""SQLAlchemy compiles a statement for each engine anew, and each test's store has engines of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache


@contextmanager
def compiled_once() -> Iterator[None]:
    """What is compiled depends on the kind of database and driver alone: all engines of a kind share it here."""
    compiled: LRUCache[object, object] = LRUCache(5000)
    make = Engine.__init__

    def make_sharing(engine: Engine, *args: Any, **options: Any) -> None:
        make(engine, *args, **options)
        engine._compiled_cache = compiled

    with (
        patch.object(Engine, "__init__", make_sharing),
        patch.object(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other)),
        patch.object(DefaultDialect, "__hash__", lambda one: hash(type(one))),
    ):
        yield
