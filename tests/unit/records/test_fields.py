"""Fields of chained records that JSON does not have itself."""

from __future__ import annotations

import pytest
from pydantic import JsonValue, TypeAdapter, ValidationError

from records.fields import Int64, Writable

INT64: TypeAdapter[int] = TypeAdapter(Int64)


@pytest.mark.parametrize("number", [0, 7, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_a_64_bit_integer_is_text_in_json_and_the_same_when_it_is_read(number: int) -> None:
    text = INT64.dump_json(number)
    assert text == f'"{number}"'.encode()
    assert INT64.validate_json(text) == number
    assert INT64.validate_json(str(number)) == number  # as older writers may have it
    assert INT64.dump_python(number) == number


@pytest.mark.parametrize(
    "text",
    [
        '""',
        '" 1"',
        '"1 "',
        '"+1"',
        '"1_0"',
        '"1.0"',
        '"0x1"',
        '"1\\n"',
        '"١"',
        '"--1"',
        "1.5",
        "true",
        "null",
        "[1]",
    ],
)
def test_what_is_no_integer_is_refused_in_plain_words(text: str) -> None:
    with pytest.raises(ValidationError, match="not a 64-bit integer in decimal digits"):
        INT64.validate_json(text)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_an_integer_of_more_bits_is_refused(number: int) -> None:
    for text in (f'"{number}"', str(number)):
        with pytest.raises(ValidationError, match="not a 64-bit integer"):
            INT64.validate_json(text)


@pytest.mark.parametrize("text", ["Infinity", "NaN", "1e999", '{"a": [-1e999]}', "9" * 5000])
def test_what_json_cannot_write_again_is_no_content(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[JsonValue](Writable).validate_json(text)
    assert TypeAdapter[JsonValue](Writable).validate_json('{"a": [1e99, 1]}') == {"a": [1e99, 1]}
