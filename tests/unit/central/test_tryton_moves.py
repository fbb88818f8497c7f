"""Turning an order's moves into what was confirmed, with as little as possible."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from central.links.tryton_moves import Wanted, changes
from central.links.tryton_rows import MoveRow

STORAGE, SCRAP = 3, 10


def have(key: int, product: int, lot: int | None, quantity: int, state: str = "draft") -> MoveRow:
    return MoveRow(key, product, lot, Decimal(quantity), state, STORAGE)


def want(product: int, lot: int, quantity: int, place: int = STORAGE) -> Wanted:
    return Wanted(product, lot, Decimal(quantity), place, {"lot": lot, "quantity": float(quantity)})


def test_moves_as_wanted_need_nothing_in_any_order_and_notation() -> None:
    moves = [have(1, 7, 70, 2), have(2, 8, 80, 1)]
    assert changes(moves, [want(8, 80, 1), Wanted(7, 70, Decimal("2.0"), STORAGE, {})]) == []


def test_the_planned_move_becomes_the_first_and_the_rest_are_made() -> None:
    values = [{"lot": 70, "quantity": 1.0}, {"lot": 71, "quantity": 1.0}, {"lot": 72, "quantity": 1.0}]
    assert changes([have(1, 7, None, 3)], [want(7, 70, 1), want(7, 71, 1), want(7, 72, 1)]) == [
        ["write", [1], values[0]],
        ["create", values[1:]],
    ]


def test_a_move_of_an_item_that_was_not_used_is_taken_away() -> None:
    assert changes([have(1, 7, 70, 1), have(2, 9, 90, 1)], [want(7, 70, 1)]) == [["delete", [2]]]


def test_the_same_unit_in_another_place_is_a_change() -> None:
    assert changes([have(1, 7, 70, 1)], [want(7, 70, 1, SCRAP)]) == [["write", [1], {"lot": 70, "quantity": 1.0}]]


def test_cancelled_moves_do_not_count_and_done_ones_are_never_reused() -> None:
    moves = [have(1, 7, 70, 1, "cancelled"), have(2, 7, 71, 1, "done")]
    assert changes(moves, [want(7, 70, 1)]) == [["create", [{"lot": 70, "quantity": 1.0}]], ["delete", [2]]]


Rows = list[tuple[int, int, int]]
ROWS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)), max_size=8)


@given(ROWS, ROWS)
def test_applied_once_nothing_is_left_to_change(
    held: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]
) -> None:
    moves = {key: have(key, *row) for key, row in enumerate(held, 1)}
    wanted = [want(*row) for row in asked]
    by_values = {id(w.values): w for w in wanted}
    fresh = iter(range(100, 200))

    def as_move(key: int, values: object) -> MoveRow:
        w = by_values[id(values)]
        return MoveRow(key, w.product, w.lot, w.quantity, "draft", w.to_location)

    for command, argument, *rest in changes(list(moves.values()), wanted):  # type: ignore[misc]
        if command == "write":
            moves[argument[0]] = as_move(argument[0], rest[0])
        elif command == "create":
            moves |= {key: as_move(key, values) for key, values in zip(fresh, argument, strict=False)}
        else:
            moves = {key: move for key, move in moves.items() if key not in argument}
    assert changes(list(moves.values()), wanted) == []
