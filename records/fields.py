"""Kinds of fields that chained records have beside JSON's own."""

from __future__ import annotations

import re
from functools import partial
from operator import is_
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import to_string_ser_schema

_DIGITS = re.compile(r"-?[0-9]{1,19}")


def _int64(value: object) -> object:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError("not a 64-bit integer in decimal digits")
        value = int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("not within 64 bits")
    return value


class _AsText:
    """Written as text in JSON, by the compiled encoder itself: a record has dozens of such fields."""

    @staticmethod
    def __get_pydantic_core_schema__(source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return {**handler(source), "serialization": to_string_ser_schema(when_used="json")}


Int64 = Annotated[int, BeforeValidator(_int64), _AsText()]
"""A 64-bit integer: an int here, a string of decimal digits in JSON."""

Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JSON and every database hold: how many, or which one of a row."""

T = TypeVar("T")
Later = Annotated[T | None, Field(exclude_if=partial(is_, None))]
"""A field that came after the first records; left out where it says nothing, so that bytes stay as they were."""
