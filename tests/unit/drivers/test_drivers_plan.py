"""The planner of Modbus requests: every value whole, once, within the limits, with few requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.plan import Limits, Place, Request, plan, split
from drivers.tags import ModbusTag

WIDTHS = {"uint16": 1, "float32": 2, "int64": 4}


def tag(n: int, address: int, data_type: str = "uint16", table: str = "holding") -> ModbusTag:
    kind = None if table in ("coil", "discrete") else data_type
    return ModbusTag.model_validate({"name": f"t{n}", "address": address, "data_type": kind, "register": table})


def places_of(tags: list[ModbusTag], first_address: int = 0) -> list[Place]:
    return [Place.of(tag, first_address) for tag in tags]


tags = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(sorted(WIDTHS)), st.sampled_from(("holding", "input", "coil"))),
    min_size=1,
    max_size=40,
)


@given(tags, st.integers(4, 125), st.integers(0, 60))
def test_every_value_is_read_whole_and_once(
    places: list[tuple[int, str, str]], max_registers: int, max_gap: int
) -> None:
    asked = [tag(n, *place) for n, place in enumerate(places)]
    requests = plan(places_of(asked), Limits(max_registers, max_gap))
    seen: list[int] = []
    for request in requests:
        assert request.count <= (2000 if request.table == "coil" else max_registers)
        for span in request.spans:
            found = asked[span.position]
            assert request.table == found.table
            assert request.start + span.offset == found.address
            assert span.count == found.count
            assert span.offset + span.count <= request.count
            seen.append(span.position)
    assert sorted(seen) == list(range(len(asked)))


@given(tags)
def test_halves_end_in_single_tags(places: list[tuple[int, str, str]]) -> None:
    asked = [tag(n, *place) for n, place in enumerate(places)]
    pending = list(plan(places_of(asked), Limits(125, 100)))
    alone: list[Request] = []
    while pending:
        request = pending.pop()
        halves = split(request)
        if len(halves) == 1:
            alone.append(request)
        pending.extend(halves if len(halves) > 1 else ())
    assert sorted(request.spans[0].position for request in alone) == list(range(len(asked)))
    assert all(request.count == asked[request.spans[0].position].count for request in alone)


def test_neighbours_share_a_request_and_far_ones_do_not() -> None:
    asked = [tag(0, 0), tag(1, 2, "float32"), tag(2, 20), tag(3, 100)]
    near = plan(places_of(asked), Limits(125, 16))
    assert [(request.start, request.count) for request in near] == [(0, 21), (100, 1)]
    assert len(plan(places_of(asked), Limits(125, 0))) == 4
    assert len(plan(places_of(asked), Limits(125, 124))) == 1


def test_addresses_may_begin_with_one() -> None:
    (request,) = plan(places_of([tag(0, 1)], 1))
    assert request.start == 0


def test_a_long_block_is_cut_between_values_within_the_limit() -> None:
    asked = [tag(n, 2 * n, "float32") for n in range(40)]
    requests = plan(places_of(asked), Limits(25, 16))
    assert [request.count for request in requests] == [24, 24, 24, 8]
    coils = [tag(n, n, table="coil") for n in range(0, 4000, 10)]
    assert [request.count for request in plan(places_of(coils), Limits(25, 16))] == [1991, 1991]


def test_a_weak_device_gets_one_value_a_request() -> None:
    asked = [tag(0, 0), tag(1, 1), tag(2, 1), tag(3, 2, "float32")]
    requests = plan(places_of(asked), Limits(one_per_tag=True))
    assert [(request.start, request.count, len(request.spans)) for request in requests] == [
        (0, 1, 1),
        (1, 1, 1),
        (1, 1, 1),
        (2, 2, 1),
    ]
