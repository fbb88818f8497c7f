"""The fast way from an answer's bytes to columns, value for value against asyncua's own decoder."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary, struct_to_binary, variant_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from drivers.base import DTYPES, OBJECTS
from drivers.opcua import binary, codec
from drivers.opcua.columns import Columns, Decoder
from drivers.opcua.values import Take, status_text
from tests.rigs.examples import examples

T = ua.VariantType
_MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))  # noqa: DTZ001
_VALUES: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    T.Boolean: st.booleans(),
    T.SByte: st.integers(-128, 127),
    T.Byte: st.integers(0, 255),
    T.Int16: st.integers(-(2**15), 2**15 - 1),
    T.UInt16: st.integers(0, 2**16 - 1),
    T.Int32: st.integers(-(2**31), 2**31 - 1),
    T.UInt32: st.integers(0, 2**32 - 1),
    T.Int64: st.integers(-(2**63), 2**63 - 1),
    T.UInt64: st.integers(0, 2**64 - 1),
    T.Float: st.floats(width=32),
    T.Double: st.floats(),
    T.String: st.text(max_size=9),
    T.DateTime: _MOMENTS,
    T.Guid: st.uuids(),
    T.ByteString: st.binary(max_size=9),
    T.NodeId: st.builds(ua.NodeId, st.integers(0, 2**32 - 1), st.integers(0, 99)),
    T.StatusCode: st.integers(0, 2**32 - 1).map(ua.StatusCode),
    T.QualifiedName: st.builds(ua.QualifiedName, st.text(max_size=5), st.integers(0, 99)),
    T.LocalizedText: st.builds(ua.LocalizedText, st.text(max_size=5), st.text(max_size=3)),
}


@st.composite
def _variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from(list(_VALUES)))
    if draw(st.integers(0, 3)):
        return ua.Variant(draw(_VALUES[kind]), kind)
    return ua.Variant(draw(st.lists(_VALUES[kind], max_size=4)), kind, is_array=True)


@st.composite
def _data_values(draw: st.DrawFn) -> ua.DataValue:
    return ua.DataValue(
        Value=draw(st.none() | _variants()),
        StatusCode=draw(st.none() | st.sampled_from([0, 0x40930000, 0x808C0000, 0x00000480]).map(ua.StatusCode)),
        SourceTimestamp=draw(st.none() | _MOMENTS),
        ServerTimestamp=draw(st.none() | _MOMENTS),
    )


def _encoded(found: list[ua.DataValue]) -> bytes:
    return b"".join(struct_to_binary(value) for value in found)


def _plain(value: Any, kind: ua.VariantType) -> JsonValue:
    """What the library decoded, as a reading tells it."""
    told = {
        T.DateTime: lambda: value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        T.Guid: lambda: str(value),
        T.ByteString: lambda: value.hex(),
        T.NodeId: value.to_string if kind is T.NodeId else None,
        T.StatusCode: lambda: int(value.value),
        T.QualifiedName: lambda: f"{value.NamespaceIndex}:{value.Name}" if value.NamespaceIndex else value.Name,
        T.LocalizedText: lambda: value.Text,
    }.get(kind, lambda: value)
    return told() if told is not None else None  # type: ignore[no-any-return]


def _expected(found: ua.DataValue) -> tuple[JsonValue, int]:
    status = found.StatusCode.value if found.StatusCode is not None else 0
    if status >= 0x80000000:
        return None, status
    variant = found.Value
    if variant is None or variant.Value is None:
        return None, 0x8F010000
    values = variant.Value if variant.is_array else [variant.Value]
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return None, 0x8F020000
    told = [_plain(value, variant.VariantType) for value in values]
    return told if variant.is_array else told[0], status


def _us(moment: datetime | None) -> int:
    return 0 if moment is None else (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _check(found: list[ua.DataValue], columns: Columns) -> None:
    assert len(columns.values) == len(found)
    for at, value in enumerate(found):
        told, status = _expected(value)
        assert int(columns.status[at]) == status, (at, value, status_text(int(columns.status[at])))
        if status < 0x80000000:
            held = columns.values[at]
            held = held.item() if isinstance(held, np.generic) else held
            assert (held, type(held)) == (told, type(told)), value
        assert int(columns.source_us[at]) == _us(value.SourceTimestamp)
        assert int(columns.server_us[at]) == _us(value.ServerTimestamp)
        scalar = value.Value is not None and not value.Value.is_array
        raw = columns.data[columns.begin[at] : columns.end[at]] if columns.begin[at] >= 0 else None
        assert raw == (variant_to_binary(value.Value) if scalar else None)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(_data_values(), min_size=1, max_size=12))
def test_any_values_are_those_of_the_library(given_values: list[ua.DataValue]) -> None:
    data = _encoded(given_values)
    library = [struct_from_binary(ua.DataValue, buffer) for buffer in [Buffer(data)] for _ in given_values]
    decoder = Decoder([Take()] * len(library), OBJECTS)
    for _ in range(2):  # by walking, then by the layout that was learned
        columns, end = decoder.columns(data + b"\0\0\0\0")
        assert end == len(data)
        _check(library, columns)
    assert decoder.learned == 1


@settings(max_examples=examples(100), deadline=None)
@given(
    st.sampled_from([kind for kind in _VALUES if kind.value <= 11]).flatmap(
        lambda kind: st.tuples(
            st.just(kind), st.lists(st.lists(_VALUES[kind], min_size=5, max_size=5), max_size=4)
        )
    )
)
def test_a_layout_once_learned_holds_for_other_values(case: tuple[ua.VariantType, list[list[Any]]]) -> None:
    kind, rounds = case
    name = binary.NAMES[kind.value]
    learned, declared = Decoder([Take()] * 5, OBJECTS), Decoder([Take(name)] * 5, DTYPES[name])
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    for values in rounds:
        found = [ua.DataValue(ua.Variant(value, kind), SourceTimestamp=moment) for value in values]
        for decoder in (learned, declared):
            columns, _ = decoder.columns(_encoded(found))
            assert columns.values.dtype == DTYPES[name]
            assert columns.types == (name,) * 5
            _check([struct_from_binary(ua.DataValue, Buffer(struct_to_binary(v))) for v in found], columns)
    assert learned.learned == declared.learned == min(1, len(rounds))


def test_an_answer_that_is_laid_out_otherwise_is_learned_anew() -> None:
    decoder = Decoder([Take(), Take(), Take()], OBJECTS)

    def listed(*values: ua.DataValue) -> list[Any]:
        columns, _ = decoder.columns(_encoded(list(values)))
        return [None if bad else value for value, bad in zip(columns.values, columns.status >> 31, strict=True)]

    one, two = ua.DataValue(ua.Variant(1.5, T.Double)), ua.DataValue(ua.Variant(7, T.Int32))
    text, longer = ua.DataValue(ua.Variant("A", T.String)), ua.DataValue(ua.Variant("ABC", T.String))
    bad = ua.DataValue(StatusCode=ua.StatusCode(0x80340000))
    assert listed(one, two, text) == [1.5, 7, "A"]
    assert listed(two, one, text) == [7, 1.5, "A"]  # as long as before, and yet another layout
    assert listed(two, one, longer) == [7, 1.5, "ABC"]
    assert listed(bad, one, longer) == [None, 1.5, "ABC"]
    assert listed(one, bad, longer) == [1.5, None, "ABC"]
    assert decoder.learned == 5
    for _ in range(3):  # a value that is bad now and then: both layouts are known
        assert listed(one, bad, longer) == [1.5, None, "ABC"]
        assert listed(bad, one, longer) == [None, 1.5, "ABC"]
        assert listed(bad, two, longer) == [None, 7, "ABC"]
        assert listed(bad, two, ua.DataValue(ua.Variant("ABD", T.String))) == [None, 7, "ABD"]
    assert decoder.learned == 6


def test_picoseconds_stand_before_the_server_time() -> None:
    """OPC 10000-6, 5.2.2.17; asyncua 2.1.0 has them the other way round."""
    ticks = (_us(datetime(2026, 1, 1, tzinfo=UTC)) * 10 + binary.TICKS_1970, 123, 0)
    data = b"\x3d\x06" + struct.pack("<iqHqH", 5, ticks[0], ticks[1], ticks[0] + 20, ticks[2])
    columns, end = Decoder([Take()], OBJECTS).columns(data)
    assert end == len(data)
    assert (columns.values[0], columns.source_us[0], columns.server_us[0]) == (
        5,
        1_767_225_600_000_000,
        1_767_225_600_000_002,
    )


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(_data_values(), min_size=1, max_size=5), st.data())
def test_bytes_that_are_cut_off_are_never_values(found: list[ua.DataValue], data: st.DataObject) -> None:
    encoded = _encoded(found)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    decoder = Decoder([Take()] * len(found), OBJECTS)
    with pytest.raises(binary.Malformed):
        decoder.columns(encoded[:cut])
    decoder.columns(encoded)
    with pytest.raises(binary.Malformed):
        decoder.columns(encoded[:cut])


@settings(max_examples=examples(500), deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_values_or_malformed(data: bytes) -> None:
    try:
        columns, end = Decoder([Take()] * 2, OBJECTS).columns(data)
    except binary.Malformed:
        return
    assert end <= len(data)
    assert len(columns.values) == 2


def test_declared_types_elements_and_names() -> None:
    numbers = ua.Variant([1.5, 2.5, 3.5], T.Double, is_array=True)
    cases: list[tuple[Take, ua.Variant, JsonValue, str, str]] = [
        (Take("float64"), ua.Variant(1.5, T.Double), 1.5, "float64", "Good"),
        (Take("float64"), ua.Variant(1.5, T.Float), None, "float32", "BadTypeMismatch"),
        (Take("float64"), numbers, None, "float64[]", "BadTypeMismatch"),
        (Take("float64[]"), numbers, [1.5, 2.5, 3.5], "float64[]", "Good"),
        (Take("float64", 2), numbers, 3.5, "float64", "Good"),
        (Take("float64", 3), numbers, None, "float64", "BadIndexRangeNoData"),
        (Take("float64", 0), ua.Variant([], T.Double, is_array=True), None, "float64", "BadIndexRangeNoData"),
        (Take("float64", 0), ua.Variant(1.5, T.Double), None, "float64", "BadTypeMismatch"),
        (Take("int32", 0), numbers, None, "float64[]", "BadTypeMismatch"),
        (Take("", 1), ua.Variant(["a", "bc"], T.String, is_array=True), "bc", "string", "Good"),
        (Take(words={4: "run"}), ua.Variant(4, T.Int32), "run", "string", "Good"),
        (Take(words={4: "run"}), ua.Variant(5, T.Int32), None, "string", "BadNotListed"),
        (Take(words={4: "run"}), ua.Variant(4.0, T.Double), None, "float64", "BadTypeMismatch"),
        (Take(), ua.Variant([[1, 2], [3, 4]], T.Int32), [1, 2, 3, 4], "int32[]", "Good"),
        (Take(), ua.Variant(None, T.Null), None, "", "BadNoData"),
    ]
    decoder = Decoder([how for how, *_ in cases], OBJECTS)
    columns, _ = decoder.columns(_encoded([ua.DataValue(variant) for _, variant, *_ in cases]))
    for at, (how, variant, value, name, word) in enumerate(cases):
        assert status_text(int(columns.status[at])) == word, (how, variant)
        assert (columns.values[at], columns.types[at]) == (value, name), (how, variant)
    raw = columns.data[columns.begin[4] : columns.end[4]]
    assert raw == variant_to_binary(ua.Variant(3.5, T.Double))


def test_text_that_is_none_is_bad() -> None:
    data = b"\x01\x0c" + struct.pack("<i", 2) + b"\xff\xfe"
    columns, _ = Decoder([Take()], OBJECTS).columns(data)
    assert status_text(int(columns.status[0])) == "BadNotText"


def test_a_header_of_any_length_is_left_behind() -> None:
    answer = ua.ReadResponse()
    answer.ResponseHeader.StringTable = ["a", "bc"]
    answer.Results = [ua.DataValue(ua.Variant(1.5, T.Double))]
    body = codec.body(struct_to_binary(answer))
    assert binary.int32(body, 0) == 1
    assert Decoder([Take()], OBJECTS).columns(body[4:])[0].values[0] == 1.5
    answer.ResponseHeader.ServiceResult = ua.StatusCode(0x80320000)
    with pytest.raises(ua.UaStatusCodeError):
        codec.body(struct_to_binary(answer))


def test_the_library_is_the_version_whose_private_parts_are_used() -> None:
    """When the pin moves: read what `codec._send` copies of `UASocketProtocol`, then move PINNED too."""
    assert codec.FITS, f"asyncua is not {codec.PINNED}: requests go the slow way"
