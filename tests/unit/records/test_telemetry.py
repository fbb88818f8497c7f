"""A chunk says again what was put into it, and garbage is told from chunks."""

from __future__ import annotations

import math
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.errors import Invalid
from records.model import StoredAs
from records.telemetry import (
    DTYPES,
    Chunk,
    Column,
    Series,
    SeriesTag,
    Thinned,
    decode_chunk,
    encode_chunk,
    encode_series,
    named_before,
)
from tests.rigs.examples import FULL

BAD = 0x80010000
NOW_US = 1_795_000_000_000_000
times = st.integers(NOW_US - 10**12, NOW_US + 10**12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans().map(int),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "string": st.text(st.characters(), max_size=8),
    "float64[]": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
}


def series(types: dict[str, int], interval_s: float | None = 0.1) -> Series:
    columns = tuple(
        Column(
            kind,
            tuple(SeriesTag(f"{kind}{n}", "°C" if n else None, average_s=10.0 if n else None) for n in range(k)),
        )
        for kind, k in types.items()
    )
    return Series("press-1", "suzhou", "valve-1", "plc", interval_s, "lotkeeper-edge/1", "sha256:ab", columns)


def column(kind: str, values: list[Any]) -> Any:
    return np.array(values, DTYPES[kind]) if kind in DTYPES else values


@st.composite
def grids(draw: st.DrawFn) -> Chunk:
    """Rows that have every tag."""
    types = draw(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(1, 3), min_size=1, max_size=3))
    rows, width = draw(st.integers(1, 4)), sum(types.values())
    entries = rows * width
    values = tuple(
        column(kind, draw(st.lists(VALUES[kind], min_size=rows * k, max_size=rows * k)))
        for kind, k in types.items()
    )
    source = draw(
        st.one_of(
            st.just([0] * entries),
            st.lists(st.sampled_from([0, NOW_US, NOW_US + 5]), min_size=entries, max_size=entries),
            st.lists(times, min_size=entries, max_size=entries),
            st.lists(times, min_size=rows, max_size=rows).map(lambda each: list(np.repeat(each, width))),
        )
    )
    return Chunk(
        series(types),
        np.array(draw(st.lists(times, min_size=rows, max_size=rows)), np.int64),
        None,
        None,
        np.array(source, np.int64),
        np.array(
            draw(st.lists(st.sampled_from([0, 0, 0x40000000, BAD]), min_size=entries, max_size=entries)), "u4"
        ),
        values,
    )


@st.composite
def lists(draw: st.DrawFn) -> Chunk:
    """Rows that say which tags they have."""
    types = draw(st.dictionaries(st.sampled_from(sorted(VALUES)), st.integers(1, 3), min_size=1, max_size=3))
    width = sum(types.values())
    counts = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    entries = sum(counts)
    tags = np.array(draw(st.lists(st.integers(0, width - 1), min_size=entries, max_size=entries)), np.int64)
    values, first = [], 0
    for kind, k in types.items():
        n = int(((tags >= first) & (tags < first + k)).sum())
        values.append(column(kind, draw(st.lists(VALUES[kind], min_size=n, max_size=n))))
        first += k
    return Chunk(
        series(types, None),
        np.array(draw(st.lists(times, min_size=len(counts), max_size=len(counts))), np.int64),
        np.array(counts, np.int64),
        tags,
        np.array(draw(st.lists(st.one_of(st.just(0), times), min_size=entries, max_size=entries)), np.int64),
        np.array(draw(st.lists(st.sampled_from([0, BAD]), min_size=entries, max_size=entries)), np.uint32),
        tuple(values),
    )


def encoded(chunk: Chunk) -> bytes:
    return encode_chunk(
        encode_series(chunk.series),
        chunk.edge_us,
        chunk.source_us,
        chunk.status,
        chunk.values,
        counts=chunk.counts,
        tags=chunk.tags,
    )


def same(one: Chunk, other: Chunk) -> None:
    assert one.series == other.series
    for name in ("edge_us", "counts", "tags", "source_us", "status"):
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) is (right is None)
        assert left is None or left.tolist() == right.tolist(), name
    assert [list(values) for values in one.values] == [list(values) for values in other.values]


@settings(max_examples=FULL)
@given(st.one_of(grids(), lists()))
def test_what_was_encoded_is_decoded(chunk: Chunk) -> None:
    body = encoded(chunk)
    found = decode_chunk(body)
    same(found, chunk)
    assert found.former is None
    former = StoredAs("ab" * 12, 7, "cd" * 32)
    named = named_before(body, former)
    assert decode_chunk(named).former == former
    assert named_before(named, StoredAs("other", 1, None)) == named, "the oldest identity stays"
    same(decode_chunk(named), chunk)


@settings(max_examples=FULL)
@given(st.one_of(grids(), lists()), st.data())
def test_a_chunk_that_is_cut_or_altered_is_invalid_or_still_fits(chunk: Chunk, data: st.DataObject) -> None:
    body = bytearray(encoded(chunk))
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body)))]
    else:
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(Invalid):  # anything else that it raised would end whoever reads
        found = decode_chunk(bytes(body))
        assert len(found.status) == len(found.source_us) == len(found.times_us) == len(found.numbers)


def test_readings_of_one_tag() -> None:
    chunk = Chunk(
        series({"bool": 1, "float64": 2}),
        np.array([10, 20]),
        np.array([2, 3]),
        np.array([0, 2, 2, 1, 0]),
        np.array([0, 9, 19, 18, 17]),
        np.array([0, 0, BAD, 0, 0x40000000], np.uint32),
        (np.array([1, 0], np.uint8), np.array([1.5, 0.0, 2.5])),
    )
    found = decode_chunk(encoded(chunk))
    assert found.readings("bool0") == [(10, None, 0, True), (20, 17, 0x40000000, False)]
    assert found.readings("float641") == [(10, 9, 0, 1.5), (20, 19, BAD, None)]
    assert found.readings("float640") == [(20, 18, 0, 2.5)]
    assert found.readings("nobody") == []


def test_a_thinned_chunk_names_what_it_stands_for_and_what_it_left_out() -> None:
    thinned = Thinned(60.0, "ab" * 12, ((7, 3, 20), (2**62, 1, 1)), 1234)
    body = encode_chunk(
        encode_series(series({"bool": 1, "float64": 2})),
        np.array([10, 20]),
        np.zeros(5, np.int64),
        np.zeros(5, np.uint32),
        [np.array([1, 0], np.uint8), np.array([1.5, 0.0, 2.5])],
        counts=np.array([2, 3]),
        tags=np.array([0, 2, 2, 1, 0]),
        thinned=thinned,
        left_out=np.array([0, 0, 7, 0, 9]),
    )
    found = decode_chunk(named_before(body, StoredAs("e", 1, None)))
    assert found.thinned == thinned
    assert (found.skipped("bool0"), found.skipped("float641"), found.skipped("float640")) == ([0, 9], [0, 7], [0])
    assert decode_chunk(body[: body.index(b"THIN")]).skipped("bool0") is None
    with pytest.raises(Invalid):
        decode_chunk(body[: body.index(b"LEFT")])


def test_a_number_that_json_does_not_know_is_null_inside_a_list() -> None:
    chunk = Chunk(
        series({"float64[]": 1}),
        np.array([1]),
        None,
        None,
        np.zeros(1, np.int64),
        np.zeros(1, np.uint32),
        ([[1.0, math.nan, {"a": math.inf}]],),
    )
    assert decode_chunk(encoded(chunk)).values == ([[1.0, None, {"a": None}]],)


def test_a_thousand_polled_values_cost_little_more_than_their_bytes() -> None:
    many = series({"float64": 1000})
    body = encode_chunk(
        encode_series(many),
        np.full(10, NOW_US),
        np.repeat(np.full(10, NOW_US - 5), 1000),
        np.zeros(10_000, np.uint32),
        [np.arange(10_000.0)],
    )
    assert len(body) < 10_000 * 8 + 6_000


@pytest.mark.parametrize("body", [b"", b"LKT", b"LKT1", b"{}" * 50, b"LKT1\xff\xff\xff\xff", b"LKT1\x02\0\0\0xx"])
def test_garbage_is_no_chunk(body: bytes) -> None:
    with pytest.raises(Invalid):
        decode_chunk(body)
    again = named_before(body, StoredAs("e", 1, None))
    assert again.startswith(body)
    assert again == body or body.startswith(b"LKT1")


@pytest.mark.parametrize("values", [b"123", b'"1"', b"null", b'{"a":1}', b"[1"])
def test_a_column_that_is_no_list_is_no_chunk(values: bytes) -> None:
    """Bug: a number there raised what nobody caught, and the agent's stream stood still instead of going on."""
    place = np.array([1])
    zero = np.zeros(1, np.int64)
    body = encoded(Chunk(series({"json": 1}), place, None, None, zero, np.zeros(1, np.uint32), ([1],)))
    bad = body.replace(b"V000\x03\0\0\0[1]", b"V000" + len(values).to_bytes(4, "little") + values)
    assert bad != body
    with pytest.raises(Invalid):
        decode_chunk(bad)


def test_a_header_that_would_fill_the_memory_is_not_unpacked() -> None:
    header = zlib.compress(b'{"agent":"' + b" " * (64 * 1024 * 1024))
    with pytest.raises(Invalid):
        decode_chunk(b"LKT1" + len(header).to_bytes(4, "little") + header)
