"""Facts become bytes and come back; what a newer version adds is passed over, what is wrong is named."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from records.errors import Invalid
from records.model import (
    Act,
    Decision,
    EpochOpened,
    Fact,
    Header,
    OperationsEvent,
    Person,
    Target,
    decode,
    encode,
    kind_of,
)
from tests.golden.make import facts
from tests.rigs.examples import FULL

TEXT = st.text(alphabet=st.characters(codec="utf-8"))
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
INT64 = st.integers(-(2**63), 2**63 - 1)
HEADERS = st.builds(
    Header, INT64, st.integers(-900, 900), TEXT, st.none() | TEXT, st.none() | TEXT, TEXT, st.none() | TEXT
)
DATA = st.one_of(
    st.builds(OperationsEvent, TEXT, st.dictionaries(TEXT, JSON, max_size=4), order=st.none() | TEXT),
    st.builds(EpochOpened, TEXT, st.none() | TEXT, st.none() | INT64),
    st.builds(
        Decision, st.sampled_from(Act), st.builds(Target, TEXT, TEXT), st.builds(Person, TEXT), TEXT, JSON, JSON
    ),
)


@settings(max_examples=FULL)
@given(HEADERS, DATA)
def test_a_fact_comes_back_and_gives_the_same_bytes(header: Header, data: OperationsEvent) -> None:
    fact = Fact(header, data)
    body = encode(fact)
    again = decode(kind_of(data), body)
    assert again == fact
    assert encode(again) == body


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: kind_of(fact.data))
def test_fields_of_a_newer_version_are_passed_over(fact: Fact) -> None:
    content = json.loads(encode(fact))
    content["data"]["invented_later"] = {"x": 1}
    content["header"]["invented_later"] = 1
    assert decode(kind_of(fact.data), json.dumps(content).encode()) == fact


@pytest.mark.parametrize("text", ["٣", "--5", "-", "", " 1", "1.0", "1e3", "0x1", "9" * 25, str(2**63)])
def test_a_64_bit_integer_is_plain_digits_and_no_more(text: str) -> None:
    content = json.loads(encode(Fact(Header(1, 0, "s", None, None, "x", None), OperationsEvent("c", {}))))
    content["header"]["at_us"] = text
    with pytest.raises(Invalid, match=r"header\.at_us"):
        decode("operations_event", json.dumps(content).encode())


def test_not_a_number_never_becomes_text_in_a_number() -> None:
    fact = Fact(Header(1, 0, "s", None, None, "x", None), OperationsEvent("c", {"a": math.nan, "b": math.inf}))
    assert json.loads(encode(fact))["data"]["params"] == {"a": None, "b": None}


def test_an_unknown_kind_and_a_wrong_body_are_named() -> None:
    with pytest.raises(Invalid, match="unknown record kind"):
        decode("poem", b"{}")
    with pytest.raises(Invalid, match="header: Field required"):
        decode("decision", b"{}")
    with pytest.raises(Invalid):
        decode("decision", b"\xff\xfe")
