"""What must not matter to a chart: where zero is, the unit, and which way is up.

Data are quarters and factors are powers of two where that makes the arithmetic exact; elsewhere lines are compared
closely, and signals wherever no point lies on a limit.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spc.attributes import counts
from spc.charts import ChartResult, Floats, Plotted
from spc.estimate import NoLimitsError
from spc.limits import Design
from spc.multivariate import mewma, t2_individuals, t2_subgroup
from spc.variables import imr, means, t
from spc.weighted import cusum, ewma
from tests.rigs.examples import examples

Call = Callable[[Floats], ChartResult]

quarters = st.integers(-400, 400).map(lambda n: n / 4)
singles = st.lists(quarters, min_size=4, max_size=25).map(np.array)
groups = st.lists(st.lists(quarters, min_size=3, max_size=3), min_size=3, max_size=12).map(np.array)

SINGLE: dict[str, Call] = {
    "imr": imr,
    "imr_median": lambda x: imr(x, method="median_mr", centre="median"),
    "imr_sd": lambda x: imr(x, method="sd/c4"),
    "ewma": lambda x: ewma(x, design=Design(lam=0.25, width=2.5)),
    "cusum": lambda x: cusum(x, design=Design(k=0.5, h=4, headstart=2)),
}
GROUPED: dict[str, Call] = {
    "xbar_r": partial(means, "xbar_r"),
    "xbar_s": partial(means, "xbar_s"),
    "xbar_pooled": lambda x: means("xbar_s", x, method="pooled"),
    "ewma": ewma,
    "cusum": lambda x: cusum(x, design=Design(k=0.5, h=4, resets=True)),
}
ALL = [
    *((name, call, singles) for name, call in SINGLE.items()),
    *((n, call, groups) for n, call in GROUPED.items()),
]


def charted(call: Call, data: Floats) -> ChartResult:
    try:
        return call(data)
    except NoLimitsError:
        assume(False)
        raise


def clear(plotted: Plotted) -> bool:
    """No point so near to a limit that rounding decides."""
    scale = float(np.nanmax(np.abs(plotted.upper - plotted.lower), initial=1e-9))
    apart = np.minimum(np.abs(plotted.points - plotted.upper), np.abs(plotted.points - plotted.lower))
    return bool(np.nanmin(apart, initial=1.0) > 1e-6 * scale)


def beyond(plotted: Plotted) -> list[int]:
    return [signal.index for signal in plotted.signals if signal.rule == "nelson1"]


def assert_moved(before: ChartResult, after: ChartResult, move: Callable[[Floats], Floats], factor: float) -> None:
    """The upper chart follows `move`, the lower one (a spread, or sums) is larger by the factor."""
    sums = before.limits.chart == "cusum"
    for line in ("points", "lower", "centre", "upper"):
        old, new = getattr(before.location, line), getattr(after.location, line)
        assert new == pytest.approx(old if sums else move(old), rel=1e-9, abs=1e-7), line
    if clear(before.location):
        assert beyond(after.location) == beyond(before.location)
    assert after.limits.sigma_within == pytest.approx(factor * before.limits.sigma_within, rel=1e-9)
    if before.spread is None or after.spread is None:
        return
    for line in ("points", "upper"):
        old, new = getattr(before.spread, line), getattr(after.spread, line)
        assert new == pytest.approx(old if sums else factor * old, rel=1e-9, abs=1e-7, nan_ok=True), line
    if clear(before.spread):
        assert beyond(after.spread) == beyond(before.spread)


@pytest.mark.parametrize(("name", "call", "data"), ALL, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(ALL)])
@given(shift=st.integers(-1000, 1000), power=st.integers(-3, 3), draw=st.data())
@settings(max_examples=examples(25), deadline=None)
def test_neither_zero_nor_the_unit_matters(
    name: str, call: Call, data: st.SearchStrategy[Floats], shift: int, power: int, draw: st.DataObject
) -> None:
    values = draw.draw(data)
    before = charted(call, values)
    assert_moved(before, charted(call, values + shift), lambda line: line + shift, 1.0)
    factor = 2.0**power
    assert_moved(before, charted(call, values * factor), lambda line: line * factor, factor)


@pytest.mark.parametrize(("name", "call", "data"), ALL, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(ALL)])
@given(draw=st.data())
@settings(max_examples=examples(25), deadline=None)
def test_up_and_down_are_alike(
    name: str, call: Call, data: st.SearchStrategy[Floats], draw: st.DataObject
) -> None:
    values = draw.draw(data)
    before, after = charted(call, values), charted(call, -values)
    if before.limits.chart == "cusum":
        assert before.spread is not None
        assert after.spread is not None
        assert after.location.points == pytest.approx(before.spread.points, abs=1e-9)
        assert after.spread.points == pytest.approx(before.location.points, abs=1e-9)
        return
    assert after.location.points == pytest.approx(-before.location.points, rel=1e-9, abs=1e-9)
    assert after.location.upper == pytest.approx(-before.location.lower, rel=1e-9, abs=1e-9)
    if clear(before.location):
        assert [s.index for s in after.location.signals] == [s.index for s in before.location.signals]
    if before.spread is not None and after.spread is not None:
        assert after.spread.points == pytest.approx(before.spread.points, abs=1e-9, nan_ok=True)


samples = st.lists(st.tuples(st.integers(0, 20), st.integers(20, 60)), min_size=3, max_size=20)


@pytest.mark.parametrize("chart", ["p", "laney_p"])
@given(pairs=samples)
@settings(max_examples=examples(50), deadline=None)
def test_conforming_and_nonconforming_mirror_each_other(chart: str, pairs: list[tuple[int, int]]) -> None:
    events, sizes = np.array(pairs, dtype=float).T
    before = charted(lambda x: counts(chart, x, sizes), events)  # type: ignore[arg-type]
    after = charted(lambda x: counts(chart, x, sizes), sizes - events)  # type: ignore[arg-type]
    assert after.location.points == pytest.approx(1 - before.location.points, abs=1e-12)
    assert after.location.upper == pytest.approx(1 - before.location.lower, abs=1e-9)
    assert after.location.lower == pytest.approx(1 - before.location.upper, abs=1e-9)
    assert after.limits.sigma_z == pytest.approx(before.limits.sigma_z, rel=1e-6)


@pytest.mark.parametrize("chart", ["u", "laney_u"])
@given(pairs=samples, power=st.integers(-3, 3))
@settings(max_examples=examples(50), deadline=None)
def test_the_unit_of_the_area_does_not_matter(chart: str, pairs: list[tuple[int, int]], power: int) -> None:
    events, sizes = np.array(pairs, dtype=float).T
    factor = 2.0**power
    before = charted(lambda x: counts(chart, events, x), sizes)  # type: ignore[arg-type]
    after = charted(lambda x: counts(chart, events, x), sizes * factor)  # type: ignore[arg-type]
    for line in ("points", "lower", "centre", "upper"):
        assert getattr(after.location, line) == pytest.approx(getattr(before.location, line) / factor, rel=1e-9)


@given(events=st.lists(st.integers(0, 30), min_size=3, max_size=20))
@settings(max_examples=examples(50), deadline=None)
def test_np_and_c_are_p_and_u_times_the_size(events: list[int]) -> None:
    values = np.array(events, dtype=float)
    whole, share = (charted(lambda x, c=c: counts(c, x, 50), values) for c in ("np", "p"))  # type: ignore[misc]
    for line in ("points", "lower", "centre", "upper"):
        assert getattr(whole.location, line) == pytest.approx(
            50 * getattr(share.location, line), rel=1e-9, abs=1e-9
        )
    plain, unit = charted(lambda x: counts("c", x), values), charted(lambda x: counts("u", x, 1), values)
    for line in ("points", "lower", "centre", "upper"):
        assert getattr(plain.location, line) == pytest.approx(getattr(unit.location, line), rel=1e-12)


@given(times=st.lists(st.integers(0, 5000), min_size=4, max_size=25).map(np.array), power=st.integers(-5, 5))
@settings(max_examples=examples(50), deadline=None)
def test_the_unit_of_time_does_not_matter(times: Floats, power: int) -> None:
    before, after = charted(t, times.astype(float)), charted(t, times * 2.0**power)
    for line in ("points", "lower", "centre", "upper"):
        old, new = getattr(before.location, line) * 2.0**power, getattr(after.location, line)
        assert new == pytest.approx(old, rel=1e-6, abs=1e-9)


vectors = st.lists(st.tuples(quarters, quarters), min_size=6, max_size=15).map(np.array)
maps = st.tuples(*[st.integers(-4, 4)] * 4, st.integers(-50, 50))


@pytest.mark.parametrize("name", ["t2_individuals", "t2_subgroup", "mewma"])
@given(rows=vectors, told=maps)
@settings(max_examples=examples(40), deadline=None)
def test_no_change_of_variables_matters(name: str, rows: Floats, told: tuple[int, int, int, int, int]) -> None:
    a, b, c, d, shift = told
    turn = np.array([[a, b], [c, d]], dtype=float)
    assume(abs(a * d - b * c) >= 1)
    spread = np.linalg.svd(np.cov(rows.T), compute_uv=False)
    assume(spread[1] > 1e-2 * spread[0] > 0)

    def chart(data: Floats) -> ChartResult:
        if name == "mewma":
            return charted(lambda x: mewma(x, design=Design(lam=0.2, h4=9.0)), data)
        if name == "t2_individuals":
            return charted(t2_individuals, data)
        pairs = data[: len(data) // 2 * 2].reshape(-1, 2, 2)
        return charted(lambda x: t2_subgroup(x.transpose(2, 0, 1)), pairs)

    before, after = chart(rows), chart(rows @ turn.T + shift)
    assert after.location.points == pytest.approx(before.location.points, rel=1e-5, abs=1e-7)
    assert after.location.upper == pytest.approx(before.location.upper)
