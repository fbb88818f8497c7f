"""One set of control limits, and the two ways to come by it: given, or estimated in phase I.

Limits are evidence. Each verdict names the version that judged it, and a version says which constants made
it and whether anybody has approved it. Limits are frozen when made and never follow the data.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

from spc.constants import ConstantSet, Factors, factors
from spc.fields import Fields

__all__ = ["CHARTS", "Chart", "LimitSet", "check_subgroup", "range_span"]

Chart = Literal["imr", "xbar_r"]

CHARTS: Final[tuple[Chart, ...]] = get_args(Chart)


def check_subgroup(chart: str, subgroup: int) -> Chart:
    """The chart's name, once it and its subgroup size go together; else ValueError."""
    if chart not in CHARTS:
        raise ValueError(f"unknown chart {chart!r}; known: {', '.join(CHARTS)}")
    if chart == "imr" and subgroup != 1:
        raise ValueError(f"an imr chart plots single values: subgroup must be 1, got {subgroup}")
    if chart == "xbar_r" and subgroup < 2:
        raise ValueError(f"an xbar_r chart needs subgroups of at least 2 values, got {subgroup}")
    return chart


def range_span(subgroup: int) -> int:
    """How many values make one range: the subgroup's own, or two neighbours for single values."""
    return max(subgroup, 2)


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Limits of a location chart and of its range chart, in the unit of the characteristic.

    `sigma` is the standard deviation of what the location chart plots, (upper - lower) / 6: the width of
    its zones. `sigma_within` is that of a single value within a subgroup: for xbar_r it is wider by the
    square root of `subgroup`. `constants` names the factor set that made the limits. `provisional` stays
    true until a person has approved the limits, whatever the number of points behind them.
    """

    chart: Chart
    version: str
    subgroup: int
    centre: float
    lower: float
    upper: float
    range_centre: float
    range_lower: float
    range_upper: float
    sigma: float
    sigma_within: float
    constants: str
    provisional: bool

    def __post_init__(self) -> None:
        check_subgroup(self.chart, self.subgroup)
        if not self.version:
            raise ValueError("limits need a version: every verdict names the version that judged it")
        numbers = (self.centre, self.lower, self.upper, self.range_centre, self.range_lower, self.range_upper)
        if not all(map(math.isfinite, (*numbers, self.sigma, self.sigma_within))):
            raise ValueError(f"limits {self.version!r} are not finite: {numbers}")
        if not self.lower <= self.centre <= self.upper:
            raise ValueError(
                f"limits {self.version!r} are out of order: "
                f"lower {self.lower}, centre {self.centre}, upper {self.upper}"
            )
        if not 0 <= self.range_lower <= self.range_centre <= self.range_upper:
            raise ValueError(
                f"range limits {self.version!r} are out of order: "
                f"lower {self.range_lower}, centre {self.range_centre}, upper {self.range_upper}"
            )

    @classmethod
    def fixed(
        cls,
        chart: Chart,
        centre: float,
        lower: float,
        upper: float,
        version: str,
        subgroup: int = 1,
        constants: ConstantSet = "exact",
    ) -> Self:
        """Limits that somebody decided on, for what the location chart plots (value or subgroup mean).

        The range limits follow from the same sigma: with sigma_within = sqrt(subgroup) (upper - lower) / 6,
        the centre of the range chart is d2 sigma_within and its limits are D3 and D4 times that, with the
        factors of the subgroup size (of two for single values). Raises ValueError when the numbers are
        out of order, equal, or do not suit the chart.
        """
        check_subgroup(chart, subgroup)
        if not lower < upper:
            raise ValueError(f"fixed limits need lower < upper, got {lower} and {upper}")
        table = factors(range_span(subgroup), constants)
        sigma = (upper - lower) / 6
        sigma_within = sigma * math.sqrt(subgroup)
        range_centre = table.d2 * sigma_within
        return cls(
            chart=chart,
            version=version,
            subgroup=subgroup,
            centre=float(centre),
            lower=float(lower),
            upper=float(upper),
            range_centre=range_centre,
            range_lower=table.D3 * range_centre,
            range_upper=table.D4 * range_centre,
            sigma=sigma,
            sigma_within=sigma_within,
            constants=table.source,
            provisional=False,
        )

    @classmethod
    def estimated(
        cls,
        chart: Chart,
        subgroup: int,
        centre: float,
        range_centre: float,
        table: Factors,
        version: str,
        sigma_within: float | None = None,
    ) -> Self:
        """Limits from a phase-I centre and central range.

        imr: centre +- E2 range_centre; xbar_r: centre +- A2 range_centre; both range charts: D3 and D4
        times range_centre (Montgomery, 6.2 and 6.4). A `sigma_within` from another estimator replaces
        range_centre / d2 and gives centre +- 3 sigma_within / sqrt(subgroup) instead.
        """
        reach = (table.E2 if chart == "imr" else table.A2) * range_centre
        if sigma_within is None:
            sigma_within = range_centre / table.d2
        else:
            reach = 3 * sigma_within / math.sqrt(subgroup)
        return cls(
            chart=chart,
            version=version,
            subgroup=subgroup,
            centre=centre,
            lower=centre - reach,
            upper=centre + reach,
            range_centre=range_centre,
            range_lower=table.D3 * range_centre,
            range_upper=table.D4 * range_centre,
            sigma=reach / 3,
            sigma_within=sigma_within,
            constants=table.source,
            provisional=True,
        )

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal object back."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        subgroup = fields.integer("subgroup")
        return cls(
            chart=check_subgroup(fields.text("chart"), subgroup),
            version=fields.text("version"),
            subgroup=subgroup,
            centre=fields.number("centre"),
            lower=fields.number("lower"),
            upper=fields.number("upper"),
            range_centre=fields.number("range_centre"),
            range_lower=fields.number("range_lower"),
            range_upper=fields.number("range_upper"),
            sigma=fields.number("sigma"),
            sigma_within=fields.number("sigma_within"),
            constants=fields.text("constants"),
            provisional=fields.flag("provisional"),
        )
