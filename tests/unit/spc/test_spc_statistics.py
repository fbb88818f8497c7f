"""The scalar functions that batch and streaming share."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc import statistics as of
from tests.rigs.examples import examples

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12)


@given(VALUES)
def test_the_standard_deviation_is_numpy_s(values: list[float]) -> None:
    assert of.standard_deviation(values) == pytest.approx(float(np.std(values, ddof=1)), rel=1e-9, abs=1e-9)


def test_equal_values_have_no_deviation() -> None:
    assert of.standard_deviation([0.1] * 7) == 0.0
    with pytest.raises(ValueError, match="at least two"):
        of.standard_deviation([0.1])


def test_a_process_on_its_target_stays_on_it() -> None:
    z = 0.1
    for _ in range(100):
        z = of.ewma_step(z, 0.1, 0.3)
    assert z == 0.1
    assert of.ewma_step(0.7, 0.1, 1.0) == 0.1
    assert of.ewma_step(50.0, 52.0, 0.3) == pytest.approx(50.6)


def test_both_sums_stay_at_or_above_zero() -> None:
    assert of.cusum_step(0.0, 0.0, 1.5, 0.5) == (1.0, 0.0)
    assert of.cusum_step(1.0, 0.0, -2.0, 0.5) == (0.0, 1.5)
    assert of.cusum_score(11.0, 10.0, 2.0, 4) == 1.0


@settings(max_examples=examples(50))
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_distances_are_those_of_linear_algebra(seed: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(p + 4, p))
    matrix = of.covariance(rows.tolist())
    assert np.array(matrix) == pytest.approx(np.atleast_2d(np.cov(rows.T)), rel=1e-9, abs=1e-12)
    centre = of.mean_vector(rows.tolist())
    x = rng.normal(size=p)
    apart = x - np.array(centre)
    exact = float(apart @ np.linalg.solve(np.array(matrix), apart))
    assert of.distance(x.tolist(), centre, matrix) == pytest.approx(exact, rel=1e-6)
    assert of.distance(x.tolist(), centre, matrix, 4) == pytest.approx(4 * exact, rel=1e-6)
    z = of.mewma_step((0.0,) * p, x.tolist(), centre, 0.1)
    assert of.mewma_distance(z, matrix, 0.1, 1) == pytest.approx(exact, rel=1e-6)


def test_a_point_on_the_centre_has_no_distance() -> None:
    assert of.distance((1.0, 2.0), (1.0, 2.0), ((2.0, 1.0), (1.0, 2.0))) == 0.0


def test_what_a_count_plots() -> None:
    assert of.rate("p", 3, 60) == of.rate("laney_u", 3, 60) == 0.05
    assert of.rate("np", 3, 60) == of.rate("c", 3, 60) == 3
    assert of.to_normal(0.0) == 0.0
    assert of.to_normal(10.0) == pytest.approx(10 ** (1 / 3.6))
    assert math.isclose(of.from_nominal(10.3, 10.0), 0.3)
    assert math.isclose(of.from_nominal(10.3, 10.0, 0.1), 3.0)
    with pytest.raises(ValueError, match="negative"):
        of.to_normal(-1.0)
