"""Values decoded by the column are those decoded one by one, whatever the tags and whatever the bytes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.base import Group
from drivers.convert import RegisterFormat, decode
from drivers.modbus.columns import Columns
from drivers.status import GOOD_STATUS, is_bad, modbus_status
from drivers.tags import REGISTER_COUNT, ModbusTag

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
SENTINELS = {"float16": [1.5], "float32": [-9999.0, 0.1], "float64": [0.1]}


@st.composite
def tags(draw: st.DrawFn, kinds: tuple[str, ...] = (*REGISTER_COUNT, "string")) -> ModbusTag:
    kind = draw(st.sampled_from(kinds))
    tag: dict[str, Any] = {"address": 0, "data_type": kind, "byte_order": draw(st.sampled_from(ORDERS))}
    if kind == "string":
        tag["length"] = draw(st.integers(1, 6))
    elif kind in ("int8", "uint8"):
        tag["byte"] = draw(st.sampled_from(("high", "low")))
    if kind not in ("string", "bool"):
        number = st.sampled_from(SENTINELS.get(kind, [0, 1, 0x7F]))
        tag["invalid"] = draw(st.lists(number, max_size=2))
        extra = draw(st.sampled_from(("", "scale", "part", "names")))
        if extra == "scale":
            tag["scale"] = draw(st.sampled_from((0.1, 0.001, 2.0, 1e-3, -3.7, 1e300)))
            tag["offset"] = draw(st.sampled_from((0.0, -40.0, 273.15, 1e-9)))
        elif extra == "part" and kind in ("uint16", "uint32", "uint64"):
            start = draw(st.integers(0, 15))
            tag["bits"] = {"start": start, "count": draw(st.integers(1, 16 - start))}
        elif extra == "part" and kind in ("int16", "uint16"):
            tag["bit"] = draw(st.integers(0, 15))
        elif extra == "names" and not kind.startswith("float"):
            tag["enumeration"] = {0: "idle", 1: "run", 2: "halt"}
    return ModbusTag.model_validate({"name": "t", **tag})


PATTERNS = st.one_of(
    st.binary(min_size=12, max_size=12),
    st.sampled_from(
        [b"\0" * 12, b"\xff" * 12, b"\0\x01" * 6, b"\x7f\xc0\0\0" * 3, b"\x7f\xf0\0\0\0\0\0\0\0\0\0\0"]
    ),
    st.sampled_from([-9999.0, 0.1, float("inf")]).map(lambda x: struct.pack(">f", x) * 3),
)


def check(asked: list[ModbusTag], contents: list[bytes], refused: set[int]) -> None:
    asked = [tag.model_copy(update={"name": f"t{n}"}) for n, tag in enumerate(asked)]
    forms = [RegisterFormat.of(tag, "ABCD") for tag in asked]
    begins, image = [], b""
    for form, content in zip(forms, contents, strict=True):
        begins.append(len(image))
        image += content[: 2 * form.count]
    group = Group.of("plc", asked)
    status = np.zeros(len(asked), np.uint32)
    for at in refused:
        status[at], begins[at] = modbus_status(2), -1
    values = Columns(forms, begins, group.dtype).decode(image, status)
    assert values.dtype == group.dtype
    for at, (form, content) in enumerate(zip(forms, contents, strict=True)):
        if at in refused:
            assert status[at] == modbus_status(2)
            continue
        expected, why = decode(content[: 2 * form.count], form)
        assert status[at] == why
        if not is_bad(why):
            found = values[at].item() if isinstance(values[at], np.generic) else values[at]
            assert found == expected
            assert type(found) is type(expected)


TOO_LARGE = ModbusTag.model_validate({"name": "t", "address": 0, "data_type": "bcd64", "scale": 1e300})


@given(st.lists(st.tuples(tags(), PATTERNS), min_size=1, max_size=20), st.sets(st.integers(0, 5)))
@example([(TOO_LARGE, b"\0\0\1" + b"\0" * 9)], set())
def test_mixed_tags(found: list[tuple[ModbusTag, bytes]], refused: set[int]) -> None:
    check([tag for tag, _ in found], [raw for _, raw in found], {at for at in refused if at < len(found)})


@given(
    st.sampled_from(sorted(REGISTER_COUNT)).flatmap(
        lambda kind: st.lists(st.tuples(tags((kind,)), PATTERNS), min_size=1, max_size=8)
    )
)
def test_tags_of_one_type_fill_a_typed_column(found: list[tuple[ModbusTag, bytes]]) -> None:
    check([tag for tag, _ in found], [raw for _, raw in found], set())


def test_bits_of_coil_tables_are_one_byte_each() -> None:
    status = np.zeros(3, np.uint32)
    values = Columns([None, None, None], [0, -1, 2], np.dtype(np.bool_)).decode(b"\x01\x01\x00", status)
    assert values.tolist() == [True, False, False]
    assert status.tolist() == [GOOD_STATUS] * 3
