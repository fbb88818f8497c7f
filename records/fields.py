"""Kinds of fields that chained records have beside JSON's own."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from operator import is_
from typing import Annotated, TypeVar, cast

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, JsonValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import (
    chain_schema,
    custom_error_schema,
    int_schema,
    simple_ser_schema,
    str_schema,
    to_string_ser_schema,
    union_schema,
)

_LEAST, _MOST = -(2**63), 2**63 - 1


class _AsText:
    """Written as text in JSON, and read from it, by compiled code alone: a record has dozens of such fields."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: type, _handler: GetCoreSchemaHandler) -> CoreSchema:
        digits = str_schema(strict=True, pattern=r"\A-?[0-9]{1,19}\z", regex_engine="rust-regex")
        number = int_schema(strict=True, ge=_LEAST, le=_MOST)
        either = union_schema(
            [chain_schema([digits, int_schema(ge=_LEAST, le=_MOST)]), number], mode="left_to_right"
        )
        return custom_error_schema(
            either,
            "int64",
            custom_error_message="not a 64-bit integer in decimal digits",
            serialization=to_string_ser_schema(when_used="json"),
        )


Int64 = Annotated[int, _AsText()]
"""A 64-bit integer: an int here, a string of decimal digits in JSON."""


class Word(StrEnum):
    """One word of a fixed list. Written as the text that it is: pydantic would ask each member for its ``value``,
    which is code of Python's, and a record has a dozen of them.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", {**handler(source), "serialization": simple_ser_schema("str")})


Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A whole number that JSON and every database hold: how many, or which one of a row."""


def _writable(value: JsonValue) -> JsonValue:
    json.dumps(value, allow_nan=False)  # ValueError: also of a number with more digits than Python writes
    return value


Writable = Annotated[JsonValue, AfterValidator(_writable)]
"""What was read from JSON and can be written as JSON again: no infinity (``1e999`` is read as one) or NaN."""

T = TypeVar("T")
Later = Annotated[T | None, Field(exclude_if=partial(is_, None))]
"""A field that came after the first records; left out where it says nothing, so that bytes stay as they were."""
