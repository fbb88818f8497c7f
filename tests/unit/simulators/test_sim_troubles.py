"""Trouble scripts: where they land, and what is said when they cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from records.errors import ConfigurationError
from simulators.troubles import EXCLUSIVE, Piece, TroubleScript, default_script, load_script, place


def script(*troubles: dict[str, object]) -> TroubleScript:
    return TroubleScript.model_validate({"troubles": list(troubles)})


def own_pieces(units: int) -> list[int | None]:
    placed = place(default_script(), units, 2)
    pieces = [p.index for p in placed if p.code in EXCLUSIVE or p.code == "carrier-misread"]
    return pieces + [p.other for p in placed if p.other is not None]


@pytest.mark.parametrize("units", range(8, 60))
def test_the_default_set_fits_any_order_of_eight_or_more(units: int) -> None:
    pieces = own_pieces(units)
    assert len(set(pieces)) == len(pieces) == 8
    assert all(piece is not None and 0 <= piece < units for piece in pieces)


def test_the_default_set_says_why_it_does_not_fit_seven() -> None:
    with pytest.raises(ConfigurationError, match=r"order of 7.*8 units or more"):
        place(default_script(), 7, 1)


def test_a_trouble_moves_on_to_the_next_free_piece() -> None:
    both = script(
        {"code": "aborted-cycle", "piece": {"fraction": 0.5}},
        {"code": "scrap", "piece": {"number": 5}, "collapse": 0.2},
    )
    placed = place(both, 8, 1)
    assert [(p.code, p.index) for p in placed] == [("aborted-cycle", 5), ("scrap", 4)]


def test_two_troubles_named_for_one_piece_are_refused() -> None:
    both = script(
        {"code": "aborted-cycle", "piece": {"number": -1}},
        {"code": "scrap", "piece": {"number": 8}, "collapse": 0.2},
    )
    with pytest.raises(ConfigurationError, match="piece 8, which aborted-cycle has already"):
        place(both, 8, 1)


def test_a_piece_that_the_order_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="piece 9 of an order of 8"):
        place(script({"code": "scrap", "piece": {"number": 9}, "collapse": 0.2}), 8, 1)


def test_a_trouble_can_be_kept_to_some_orders() -> None:
    only = script({"code": "setup-piece", "orders": [2]})
    assert [len(place(only, 8, number)) for number in (1, 2, 3)] == [0, 1, 0]


def test_pieces_count_from_either_end() -> None:
    assert Piece(number=1).index(10) == 0
    assert Piece(number=-2).index(10) == 8
    assert Piece(number=11).index(10) is None
    assert Piece(fraction=0.999).index(10) == 9


def test_a_wrong_script_names_every_place(tmp_path: Path) -> None:
    path = tmp_path / "troubles.yaml"
    path.write_text(
        "troubles:\n"
        "  - {code: scrap, piece: {fraction: 2}, collapse: 0.2}\n"
        "  - {code: drift, piece: {number: 1, fraction: 0.5}}\n"
        "  - {code: meteor, piece: {number: 1}}\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_script(path)
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4]
