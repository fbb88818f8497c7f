"""Which values of a chart make its capability, and why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chart_rig import QA, STREAM, ChartRig, run, verdict
from core_rig import rig

from central.charts import ChartRef, point_hash
from records.errors import Invalid
from records.model import Quality
from spc.capability import capability

REF = ChartRef("assembly-1", "assemble", "torque", STREAM)
VALUES = [round(float(v), 3) for v in np.random.default_rng(4).normal(2.0, 0.1, 60)]


@pytest.fixture
def charts(tmp_path: Path) -> Iterator[ChartRig]:
    with rig(tmp_path) as central:
        yield ChartRig(central)


def test_it_is_that_of_the_values_under_the_newest_limits(charts: ChartRig) -> None:
    charts.singles([9.0] * 20, version="old")
    charts.singles(VALUES, first=21)
    told = charts.charts.capability(REF)
    assert told.found == capability(VALUES, lsl=1.0, usl=3.0, target=2.0)
    assert (told.why, told.n, told.version, told.first, told.last) == (None, 60, "phase1-25", 21, 80)


def test_what_is_left_out_makes_neither_value_nor_moving_range(charts: ChartRig) -> None:
    charts.singles(VALUES[:30])
    charts.commit(run(31, 2.9, verdict(31, 2.9), quality=Quality.UNCERTAIN))
    charts.commit(run(32, None, verdict(32, None, state="gap"), quality=Quality.BAD))
    charts.singles(VALUES[30:], first=33, segment=2)
    point = charts.charts.point(REF, 5)
    assert point is not None
    charts.charts.exclude(REF, 5, "exclude", QA, "dropped", content_hash=point_hash(REF, point))
    apart = [*VALUES[:4], 0.0, *VALUES[5:30], 0.0, *VALUES[30:]]
    told = charts.charts.capability(REF)
    assert told.n == 59
    expected = capability(apart, lsl=1.0, usl=3.0, target=2.0, exclude=(5, 31))
    assert told.found is not None
    assert told.found.sigma_within == pytest.approx(expected.sigma_within, rel=1e-12)
    assert told.found.centre == pytest.approx(expected.centre, rel=1e-12)


def test_why_there_is_none(charts: ChartRig) -> None:
    with pytest.raises(Invalid, match="no chart"):
        charts.charts.capability(REF)
    charts.singles(VALUES[:5])
    assert charts.charts.capability(REF).why == "few-values"
    charts.singles([2.0] * 20, first=6, version="other")
    assert charts.charts.capability(REF).why == "no-variation"
    charts.singles(VALUES, first=26, version="third", name="torque", chart="cusum")
    assert charts.charts.capability(REF).why == "other-chart"


def test_a_chart_of_deviations_has_none(charts: ChartRig) -> None:
    charts.commit(*(run(n, 2.0 + 0.01 * n, verdict(n, 0.01 * n)) for n in range(1, 30)))
    assert charts.charts.capability(REF).why == "short-run"
