import math

import pytest

from spc.constants import (
    MEDIAN_MOVING_RANGE,
    Factors,
    c4,
    d2,
    d3,
    factors,
    median_factors,
    named_factors,
    rounded_factors,
    with_factors,
)

# n: c4, d2, d3, A2, D3, D4, E2, to six decimals; computed apart from this code by another integration and
# equal, as far as they print, to Montgomery's appendix VI
TABLE = {
    2: (0.797885, 1.128379, 0.852502, 1.879971, 0.000000, 3.266532, 2.658681),
    3: (0.886227, 1.692569, 0.888368, 1.023327, 0.000000, 2.574591, 1.772454),
    4: (0.921318, 2.058751, 0.879808, 0.728597, 0.000000, 2.282052, 1.457194),
    5: (0.939986, 2.325929, 0.864082, 0.576819, 0.000000, 2.114499, 1.289807),
    6: (0.951533, 2.534413, 0.848040, 0.483246, 0.000000, 2.003830, 1.183706),
    7: (0.959369, 2.704357, 0.833205, 0.419284, 0.075708, 1.924292, 1.109321),
    8: (0.965030, 2.847201, 0.819831, 0.372527, 0.136171, 1.863829, 1.053667),
    9: (0.969311, 2.970026, 0.807834, 0.336697, 0.184013, 1.815987, 1.010092),
    10: (0.972659, 3.077505, 0.797051, 0.308264, 0.223023, 1.776977, 0.974815),
    12: (0.977559, 3.258455, 0.778478, 0.265778, 0.283269, 1.716731, 0.920682),
    15: (0.982316, 3.471827, 0.756211, 0.223109, 0.346559, 1.653441, 0.864098),
    20: (0.986934, 3.734950, 0.728686, 0.179606, 0.414702, 1.585298, 0.803224),
    25: (0.989640, 3.930629, 0.708441, 0.152647, 0.459292, 1.540708, 0.763237),
}


@pytest.mark.parametrize("n", TABLE)
def test_exact_factors_match_the_table(n: int) -> None:
    f = factors(n)
    assert (f.c4, f.d2, f.d3, f.A2, f.D3, f.D4, f.E2) == pytest.approx(TABLE[n], abs=5.1e-7)
    assert (f.n, f.source) == (n, "exact")


def test_closed_forms_are_met_to_1e_8() -> None:
    assert d2(2) == pytest.approx(2 / math.sqrt(math.pi), abs=1e-10)
    assert d3(2) == pytest.approx(math.sqrt(2 - 4 / math.pi), abs=1e-10)
    assert d2(3) == pytest.approx(3 / math.sqrt(math.pi), abs=1e-10)
    assert c4(2) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-12)
    assert c4(3) == pytest.approx(math.sqrt(math.pi) / 2, abs=1e-12)


def test_large_subgroups_match_tippett_1925() -> None:
    assert (d2(100), d2(500), d2(1000)) == pytest.approx((5.01519, 6.07340, 6.48287), abs=5.1e-6)


@pytest.mark.parametrize(
    ("n", "d2_", "a2", "d4_", "e2"),
    [
        (2, 1.128, 1.880, 3.267, 2.660),
        (3, 1.693, 1.023, 2.575, 1.772),
        (4, 2.059, 0.729, 2.282, 1.457),
        (5, 2.326, 0.577, 2.114, 1.290),
        (7, 2.704, 0.419, 1.924, 1.109),
        (10, 3.078, 0.308, 1.777, 0.975),
    ],
)
def test_textbook_factors_are_those_in_print(n: int, d2_: float, a2: float, d4_: float, e2: float) -> None:
    f = factors(n, "textbook")
    assert (f.d2, f.A2, f.D4, f.E2, f.source) == (d2_, a2, d4_, e2, "textbook")


def test_median_factors_are_wheelers() -> None:
    exact, printed = median_factors(), median_factors("textbook")
    assert pytest.approx(0.953873, abs=5.1e-7) == MEDIAN_MOVING_RANGE
    assert pytest.approx(3.145073, abs=2e-6) == exact.E2
    assert pytest.approx(3.864128, abs=2e-6) == exact.D4
    assert (printed.E2, printed.D4) == (3.145, 3.865)


def test_derived_factors_follow_the_given_d2() -> None:
    f = Factors.derived(5, d2=2.326, d3=0.8641, source="qcc")
    assert pytest.approx(3 / (2.326 * math.sqrt(5))) == f.A2
    assert pytest.approx(1 + 3 * 0.8641 / 2.326) == f.D4
    assert (f.D3, f.source) == (0.0, "qcc")


@pytest.mark.parametrize("n", [1, 0, -3])
def test_a_range_of_one_value_is_refused(n: int) -> None:
    for function in (d2, d3, c4, factors):
        with pytest.raises(ValueError, match="at least two"):
            function(n)


def test_unknown_sets_and_impossible_d2_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown constant set"):
        factors(2, "rounded")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown constant set"):
        median_factors("rounded")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positive"):
        Factors.derived(2, d2=0.0, d3=0.8, source="x")


@pytest.mark.parametrize(
    ("n", "a3", "b3", "b4"),
    [
        (2, 2.658681, 0.0, 3.266532),
        (5, 1.427299, 0.0, 2.088998),
        (6, 1.287128, 0.030363, 1.969637),
        (10, 0.975350, 0.283706, 1.716294),
        (25, 0.606281, 0.564786, 1.435214),
    ],
)
def test_factors_of_standard_deviations_match_the_table(n: int, a3: float, b3: float, b4: float) -> None:
    exact, printed = factors(n), factors(n, "textbook")
    assert pytest.approx((a3, b3, b4), abs=5.1e-7) == (exact.A3, exact.B3, exact.B4)
    assert (round(a3, 3), round(b3, 3), round(b4, 3)) == (printed.A3, printed.B3, printed.B4)


def test_a_rounded_d2_rounds_nothing_else() -> None:
    rounded = rounded_factors(5, 3)
    assert (
        rounded
        == named_factors(5, rounded.source)
        == Factors.derived(5, d2=2.326, d3=d3(5), source=rounded.source)
    )
    assert named_factors(4, "textbook, E2 2.66") == factors(4, "textbook")
    assert named_factors(4, "anything") == factors(4)


def test_printed_factors_replace_what_they_name() -> None:
    wheeler = with_factors(factors(2), E2=2.66, D4=3.268)
    assert (wheeler.E2, wheeler.D4, wheeler.d2) == (2.66, 3.268, factors(2).d2)
    assert wheeler.source == "exact, D4 3.268, E2 2.66"
    montgomery = with_factors(factors(2), d2=1.128, D4=3.267)
    assert (montgomery.E2, montgomery.D4) == (3 / 1.128, 3.267)
    assert 3 / (0.94 * math.sqrt(5)) == with_factors(factors(5), c4=0.94).A3
    assert with_factors(factors(5)) == factors(5)
    with pytest.raises(ValueError, match="E2 cannot be 0"):
        with_factors(factors(2), E2=0.0)
