"""Which chart, limits and specification a reading has: precedence, keys, and never another key's limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.fixed import FIXED, fixed
from spc.limits import CHARTS, Design, LimitSet
from spc.selection import ChartKey, choose

KEY = ChartKey("VS-100", "C", "T1", "2")
LIMITS: dict[str, Any] = {"fixed": {"version": "plant", "centre": 2.2, "lower": 2.0, "upper": 2.4}}
TORQUE: dict[str, Any] = {"tag": "plc.torque", "chart": "imr", "subgroup": 1, "rules": ["nelson1"]}


def approved(version: int = 1, effective_us: int = 0, line: str | None = None, **key: str) -> dict[str, Any]:
    limits = LimitSet.fixed("imr", 10.0, 9.0, 11.0, f"set {version}")
    told = {"product": None, "revision": None, "tool": None, "position": None} | key
    return {
        "id": "S", "version": version, "line": line, "key": told, "limits": limits.to_json(),
        "effective_us": str(effective_us),
    }  # fmt: skip


EXACT = {"product": "VS-100", "revision": "C", "tool": "T1", "position": "2"}


@given(st.builds(ChartKey, *[st.none() | st.text(max_size=8)] * 4))
def test_a_key_survives_its_text(key: ChartKey) -> None:
    assert ChartKey.read(key.text) == key


@pytest.mark.parametrize("text", ["product", "colour=red", "product=A&product=B", "product=A&&revision=B"])
def test_a_text_that_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ChartKey.read(text)


def test_a_key_reads_as_people_know_it() -> None:
    assert KEY.text == "product=VS-100&revision=C&tool=T1&position=2"
    assert ChartKey("A&B", None, "ü", "").text == "product=A%26B&tool=%C3%BC&position="


def test_central_comes_first_then_the_closest_entry_then_the_plants_fallback() -> None:
    entries = [
        {"product": "VS-100", "position": "2", "limits": {"fixed": LIMITS["fixed"] | {"version": "cavity"}}},
        {"product": "VS-100", "limits": {"fixed": LIMITS["fixed"] | {"version": "product"}}},
        {"product": "VS-200", "limits": {"fixed": LIMITS["fixed"] | {"version": "other"}}},
    ]
    settings = TORQUE | {"limits": LIMITS, "for": entries}

    def version(key: ChartKey, sets: list[dict[str, Any]] | None = None) -> str:
        plan = choose("torque", settings, key, None, sets).plan
        assert plan is not None
        assert plan.limits is not None
        return plan.limits.version

    assert version(KEY, [approved(**EXACT)]) == "set 1"
    assert version(KEY, [approved(**EXACT | {"position": "3"})]) == "cavity"
    assert version(ChartKey("VS-100", "C", "T1", "1")) == "product"
    assert version(ChartKey("VS-300")) == "plant"


def test_where_others_have_limits_and_this_key_has_none_there_are_none() -> None:
    of_central = choose("torque", TORQUE, KEY, None, [approved(**EXACT | {"revision": "B"})])
    entry = {"product": "VS-200", "limits": LIMITS}
    of_line = choose("torque", TORQUE | {"for": [entry]}, KEY)
    for chosen in (of_central, of_line):
        assert chosen.plan is not None
        assert (chosen.plan.limits, chosen.plan.phase1_subgroups) == (None, None)
        assert (chosen.missing, chosen.source) == (True, "none")
    assert not choose("torque", TORQUE, KEY).missing  # nobody has any


def test_a_set_is_used_from_its_time_on_and_on_its_line_alone() -> None:
    sets = [approved(1, 100, **EXACT), approved(2, 200, **EXACT), approved(3, 0, "other line", **EXACT)]
    found = [choose("torque", TORQUE, KEY, None, sets, at_us, "line") for at_us in (99, 100, 200)]
    assert [chosen.source for chosen in found] == ["none", "limit-set:S:1", "limit-set:S:2"]
    assert [chosen.until_us for chosen in found] == [100, 200, None]
    assert choose("torque", TORQUE, KEY, None, sets, 0, "other line").source == "limit-set:S:3"


def test_only_parts_that_tell_charts_apart_are_in_the_key() -> None:
    settings = TORQUE | {"by": ["product", "position"]}
    chosen = choose("torque", settings, KEY, None, [approved(product="VS-100", position="2")])
    assert chosen.key == ChartKey(product="VS-100", position="2")
    assert chosen.source == "limit-set:S:1"


def test_limits_that_do_not_suit_the_chart_are_none() -> None:
    chosen = choose("torque", TORQUE | {"chart": "ewma", "limits": LIMITS}, KEY, None, [approved(**EXACT)])
    assert chosen.plan is not None
    assert (chosen.plan.limits, chosen.missing) == (None, True)


RECIPE: dict[str, Any] = {
    "product": "VS-100",
    "revision": "C",
    "characteristics": {
        "torque": [
            {
                "tool": None,
                "position": None,
                "specification": {"lsl": 1.0, "usl": 3.0, "target": 2.0},
                "sigma": 0.5,
            },
            {
                "tool": None,
                "position": "2",
                "specification": {"lsl": 1.5, "usl": 2.5, "target": None},
                "sigma": None,
            },
        ]
    },
}


def test_the_recipes_specification_comes_first() -> None:
    settings = TORQUE | {
        "specification": {"usl": 9.0},
        "for": [{"product": "VS-200", "specification": {"usl": 8.0}}],
    }

    def usl(key: ChartKey, recipe: Any = None) -> tuple[Any, str]:
        chosen = choose("torque", settings, key, recipe)
        assert chosen.specification is not None
        return chosen.specification["usl"], chosen.specification_source

    assert usl(KEY, RECIPE) == (2.5, "recipe")
    assert usl(ChartKey("VS-100", "C", "T1", "1"), RECIPE) == (3.0, "recipe")
    assert usl(ChartKey("VS-200")) == (8.0, "line")
    assert usl(KEY) == (9.0, "line")


def test_a_short_run_goes_on_over_products_and_needs_a_target() -> None:
    at_1 = ChartKey("VS-100", "C", None, "1")
    chosen = choose("torque", TORQUE | {"short_run": "z"}, at_1, RECIPE)
    assert (chosen.key, chosen.plottable) == (ChartKey(position="1"), True)
    assert chosen.plan is not None
    assert chosen.plan.nominal is not None
    assert (chosen.plan.nominal.value, chosen.plan.nominal.sigma) == (2.0, 0.5)
    assert not choose(
        "torque", TORQUE | {"short_run": "deviation"}, KEY, RECIPE
    ).plottable  # its entry has no target
    assert not choose("torque", TORQUE | {"short_run": "z"}, at_1).plottable


# -- limits that are given ---------------------------------------------------------------------------------

FIGURES: dict[str, dict[str, Any]] = {
    "imr": {"centre": 2, "lower": 1, "upper": 3},
    "xbar_r": {"centre": 2, "lower": 1, "upper": 3},
    "xbar_s": {"centre": 2, "lower": 1, "upper": 3},
    "p": {"centre": 0.02},
    "np": {"centre": 2, "sample": 50},
    "c": {"centre": 4},
    "u": {"centre": 1.5},
    "laney_p": {"centre": 0.02, "sigma_z": 1.3},
    "laney_u": {"centre": 1.5, "sigma_z": 1.3},
    "t": {"centre": 10, "upper": 60},
    "ewma": {"target": 2, "sigma": 0.1},
    "cusum": {"target": 2, "sigma": 0.1},
    "t2_subgroup": {"mean": [1, 2], "covariance": [[2, 1], [1, 2]], "upper": 12},
    "t2_individuals": {"mean": [1, 2], "covariance": [[2, 1], [1, 2]], "upper": 12},
    "mewma": {"mean": [1, 2], "covariance": [[2, 1], [1, 2]]},
}


@pytest.mark.parametrize("chart", CHARTS)
def test_each_chart_says_what_it_needs_and_takes_nothing_else(chart: Any) -> None:
    assert set(FIGURES[chart]) == set(FIXED[chart])
    subgroup = 5 if chart in ("xbar_r", "xbar_s", "t2_subgroup") else 1
    design = Design(h4=8.66) if chart == "mewma" else None
    limits = fixed(chart, FIGURES[chart] | {"version": "v"}, subgroup=subgroup, design=design)
    assert (limits.chart, limits.version, limits.provisional) == (chart, "v", False)
    for missing in FIGURES[chart]:
        told = {key: value for key, value in FIGURES[chart].items() if key != missing}
        with pytest.raises(ValueError, match=missing):
            fixed(chart, told | {"version": "v"}, subgroup=subgroup, design=design)
    more = next(key for key in ("sigma_z", "target", "lower") if key not in FIXED[chart])
    with pytest.raises(ValueError, match=f"`{more}` says nothing"):
        fixed(chart, FIGURES[chart] | {"version": "v", more: 1.0}, subgroup=subgroup, design=design)


@pytest.mark.parametrize(
    ("chart", "changes", "message"),
    [
        ("laney_p", {"sigma_z": 0}, "sigma_z"),
        ("t", {"upper": 9}, "centre"),
        ("t2_individuals", {"covariance": [[2, 1], [0, 2]]}, "symmetric"),
        ("t2_individuals", {"covariance": [[2, 1]]}, "size"),
        ("t2_individuals", {"covariance": [[1, 1], [1, 1]]}, "."),
        ("mewma", {}, "h4"),
        ("p", {"centre": 1}, "below"),
        ("ewma", {"sigma": 0}, "sigma"),
    ],
)
def test_figures_that_make_no_limits(chart: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fixed(chart, FIGURES[chart] | {"version": "v"} | changes)


def test_times_have_limits_that_are_symmetric_in_nelsons_scale() -> None:
    limits = fixed("t", {"centre": 10.0, "upper": 60.0, "version": "v"})
    lines = limits.transformed()
    assert lines.upper - lines.centre == pytest.approx(lines.centre - lines.lower)
    assert lines.upper**3.6 == pytest.approx(60.0)
    assert limits.lower == pytest.approx(max(lines.lower, 0.0) ** 3.6)
