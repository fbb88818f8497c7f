"""One set of control limits, and the ways to come by it: given, or estimated in phase I.

Limits are evidence. Each verdict names the version that judged it, and a version says which constants made
it and whether anybody has approved it. Limits are frozen when made and never follow the data.

A `LimitSet` is what a chart of any kind is judged by. `LimitSet.at` gives the lines that hold for one point:
most charts have the same ones for all, charts of counts have others for each sample size, and those of an EWMA
widen over its first points. Formulas: Montgomery, *Introduction to Statistical Quality Control*, 6 to 11.
"""

import math
from dataclasses import dataclass, fields
from typing import Final, Literal, Self, get_args

from spc.constants import ConstantSet, Factors, factors, named_factors
from spc.fields import Fields

__all__ = ["CHARTS", "Chart", "Design", "LimitSet", "Lines", "check_subgroup", "range_span"]

Chart = Literal[
    "imr",
    "xbar_r",
    "xbar_s",
    "p",
    "np",
    "c",
    "u",
    "laney_p",
    "laney_u",
    "t",
    "ewma",
    "cusum",
    "t2_subgroup",
    "t2_individuals",
    "mewma",
]

CHARTS: Final[tuple[Chart, ...]] = get_args(Chart)

SINGLE: Final = frozenset({"imr", "t", "t2_individuals", "mewma"})
"""Charts whose points are single readings."""
MEANS: Final = frozenset({"xbar_r", "xbar_s", "t2_subgroup"})
"""Charts whose points need at least two readings."""
ATTRIBUTES: Final = frozenset({"p", "np", "c", "u", "laney_p", "laney_u"})
"""Charts of counts: a point is a count in a sample of a size."""
VECTORS: Final = frozenset({"t2_subgroup", "t2_individuals", "mewma"})
"""Charts of several variables at once."""
NELSON_T_POWER: Final = 1 / 3.6
"""Times between events to this power are nearly normal (Nelson, *Journal of Quality Technology* 26, 1994)."""

LEAST_WEIGHT: Final = 1e-6
"""Of the newest point in EWMA and MEWMA: below it nothing is left of their limits but rounding."""


def check_subgroup(chart: str, subgroup: int) -> Chart:
    """The chart's name, once it and its subgroup size go together; else ValueError."""
    if chart not in CHARTS:
        raise ValueError(f"unknown chart {chart!r}; known: {', '.join(CHARTS)}")
    if chart in SINGLE and subgroup != 1:
        raise ValueError(f"a chart of kind {chart} plots single values: subgroup must be 1, got {subgroup}")
    if chart in MEANS and subgroup < 2:
        raise ValueError(f"a chart of kind {chart} needs subgroups of at least 2 values, got {subgroup}")
    if subgroup < 1:
        raise ValueError(f"a point needs at least one value, got subgroup {subgroup}")
    return chart


def range_span(subgroup: int) -> int:
    """How many values make one range: the subgroup's own, or two neighbours for single values."""
    return max(subgroup, 2)


@dataclass(frozen=True, slots=True)
class Design:
    """What an engineer chooses for a chart that weighs its past: part of the limits, and frozen with them.

    EWMA: weight `lam` of the newest point, limits at `width` sigmas of z, `exact` for each point or (False) those
    that they widen to; `start` is z before the first point, the centre when None. CUSUM: reference value `k` and
    decision interval `h`, in sigmas of the plotted statistic; `headstart` of both sums (FIR), in the same scale
    as h; after a signal both sums begin at it again where `resets`. MEWMA: weight `lam`, decision interval `h4`.
    """

    lam: float = 0.2
    width: float = 3.0
    exact: bool = True
    start: float | None = None
    k: float = 0.5
    h: float = 5.0
    headstart: float = 0.0
    resets: bool = False
    h4: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.lam <= 1:
            raise ValueError(f"lam must be above 0 and at most 1, got {self.lam}")
        if self.lam < LEAST_WEIGHT:
            raise ValueError(f"lam is at least {LEAST_WEIGHT:g}, got {self.lam}: nothing is left of the limits")
        if not (self.width > 0 and self.k >= 0 and self.h > 0 and 0 <= self.headstart < self.h):
            raise ValueError(
                f"needed: width > 0, k >= 0, h > 0, 0 <= headstart < h; "
                f"got width {self.width}, k {self.k}, h {self.h}, headstart {self.headstart}"
            )
        if self.h4 is not None and not self.h4 > 0:
            raise ValueError(f"h4 must be above 0, got {self.h4}")

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal object back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, told: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        return cls(
            lam=told.number("lam"),
            width=told.number("width"),
            exact=told.flag("exact"),
            start=told.maybe_number("start"),
            k=told.number("k"),
            h=told.number("h"),
            headstart=told.number("headstart"),
            resets=told.flag("resets"),
            h4=told.maybe_number("h4"),
        )


@dataclass(frozen=True, slots=True)
class Lines:
    """What one point of a chart is held against: in the unit of what is plotted.

    `sigma` is the standard deviation of the plotted statistic: the width of the zones for run rules.
    """

    lower: float
    centre: float
    upper: float
    sigma: float


def _spread(chart: Chart, size: int, sigma_within: float, table: Factors) -> Lines:
    """The lines for the range, or of an xbar_s chart the standard deviation, of `size` values."""
    if chart != "xbar_s":
        centre = table.d2 * sigma_within
        return Lines(table.D3 * centre, centre, table.D4 * centre, 0.0)
    centre = table.c4 * sigma_within
    return Lines(table.B3 * centre, centre, table.B4 * centre, 0.0)


@dataclass(frozen=True, slots=True)
class LimitSet:
    """Limits of a chart, in the unit of the characteristic, for its nominal `subgroup` (readings or sample size).

    What the numbers mean, by chart:

    - imr, xbar_r, xbar_s: `centre`, `lower`, `upper` of the location chart, `range_*` of the chart of spreads
      (moving range, range, standard deviation). `sigma` is that of what the location chart plots,
      (upper - lower) / 6; `sigma_within` that of one value: wider by the square root of `subgroup`.
    - p, laney_p, u, laney_u: `centre` is the mean proportion or rate, the limits those of a sample of
      `sample_size`; `sigma_z` is Laney's factor (1 for p and u). np: counts in samples of exactly that size. c:
      counts.
    - t: `centre`, `lower`, `upper` in the unit of the times; `mean` holds the centre and `sigma` the standard
      deviation of times to the power `NELSON_T_POWER`.
    - ewma: `centre` is the target, `sigma_within` that of one value; limits are those that it widens to.
    - cusum: `centre` is the target, `sigma_within` that of one value; both sums are held against 0 and `design.h`.
    - t2_*, mewma: `mean` (p) and `covariance` (p x p) of one reading; `upper` is the limit of T squared.

    `sample_size` is given for counts alone; without it their samples have the size `subgroup`. `sbar` (xbar_s
    alone) is a mean standard deviation that A3, B3 and B4 of each subgroup's own size multiply: the textbook's
    way with sizes that vary, where lines otherwise follow from `sigma_within`.

    `constants` names the factor set that made the limits. `provisional` stays true until a person has approved
    the limits, whatever the number of points behind them.
    """

    chart: Chart
    version: str
    subgroup: int
    centre: float
    lower: float
    upper: float
    range_centre: float | None
    range_lower: float | None
    range_upper: float | None
    sigma: float
    sigma_within: float
    constants: str
    provisional: bool
    sigma_z: float = 1.0
    design: Design | None = None
    mean: tuple[float, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    sample_size: float | None = None
    sbar: float | None = None

    def __post_init__(self) -> None:
        check_subgroup(self.chart, self.subgroup)
        if not self.version:
            raise ValueError("limits need a version: every verdict names the version that judged it")
        spread = [r for r in (self.range_centre, self.range_lower, self.range_upper) if r is not None]
        given = [r for r in (self.sample_size, self.sbar) if r is not None]
        numbers = (
            *(self.centre, self.lower, self.upper, *spread),
            *(self.sigma, self.sigma_within, self.sigma_z, *given),
        )
        matrix = (*self.mean, *(value for row in self.covariance for value in row))
        if not all(map(math.isfinite, (*numbers, *matrix))):
            raise ValueError(f"limits {self.version!r} are not finite: {numbers}")
        if self.chart == "cusum":
            ordered = self.lower == 0 < self.upper
        else:
            ordered = self.lower <= self.centre <= self.upper
        if not ordered:
            raise ValueError(
                f"limits {self.version!r} are out of order: "
                f"lower {self.lower}, centre {self.centre}, upper {self.upper}"
            )
        self._check_spread(spread)
        if (self.chart in ("ewma", "cusum", "mewma")) is (self.design is None):
            raise ValueError(f"limits {self.version!r}: a design belongs to ewma, cusum and mewma, and only there")
        if min(given, default=1.0) <= 0:
            raise ValueError(f"limits {self.version!r}: sample_size and sbar must be above 0, got {given}")
        sizes = {len(self.covariance), *map(len, self.covariance)}
        if self.chart in VECTORS and (not self.mean or sizes != {len(self.mean)}):
            raise ValueError(f"limits {self.version!r}: {self.chart} needs a mean and a covariance of one size")
        if self.chart in ("ewma", "cusum") and not self.sigma_within > 0:
            raise ValueError(f"limits {self.version!r}: {self.chart} needs a sigma above 0")

    def _check_spread(self, spread: list[float]) -> None:
        if spread and len(spread) != 3:
            raise ValueError(f"limits {self.version!r} have only a part of their range limits")
        if not spread:
            return
        centre, lower, upper = spread
        if not 0 <= lower <= centre <= upper:
            raise ValueError(
                f"range limits {self.version!r} are out of order: lower {lower}, centre {centre}, upper {upper}"
            )

    def suits(self, chart: str, subgroup: int) -> bool:
        """Whether they are for this kind of chart and, unless it is of counts, for this nominal subgroup."""
        return self.chart == chart and (chart in ATTRIBUTES or self.subgroup == subgroup)

    # -- judging -------------------------------------------------------------------------------------------

    def at(self, size: float, step: int = 1) -> Lines:
        """The lines for one point of the upper chart: of `size` readings (attributes: the size of its sample).

        `step` counts the points of an EWMA from 1, since it began. Raises ValueError for a size that the chart
        cannot have: np charts have samples of one size.
        """
        if not (math.isfinite(size) and size > 0):
            raise ValueError(f"a sample of size {size} cannot be judged")
        match self.chart:
            case "p" | "laney_p" | "u" | "laney_u":
                return self._rate(size)
            case "np":
                if size != self.nominal_size:
                    raise ValueError(
                        f"an np chart has samples of one size, {self.nominal_size:g}, not {size:g}: use p"
                    )
                return self._own()
            case "ewma":
                return self._weighted(size, step)
            case "cusum" | "t2_subgroup" | "t2_individuals" | "mewma":
                return Lines(0.0, 0.0, self.upper, self.sigma)
            case _ if size == self.subgroup or self.chart in ("c", "t"):
                return self._own()
            case _ if self.sbar is not None:
                reach = named_factors(int(size), self.constants).A3 * self.sbar
                return Lines(self.centre - reach, self.centre, self.centre + reach, reach / 3)
            case _:
                ratio = math.sqrt(self.subgroup / size)
                lower, upper = (self.centre - self.lower) * ratio, (self.upper - self.centre) * ratio
                return Lines(self.centre - lower, self.centre, self.centre + upper, self.sigma * ratio)

    @property
    def nominal_size(self) -> float:
        """The size of the points that `lower` and `upper` hold for: readings, or a sample of counts."""
        return self.subgroup if self.sample_size is None else self.sample_size

    def transformed(self) -> Lines:
        """The lines of a t chart in the scale of times to the power `NELSON_T_POWER`, where run rules apply.

        Raises ValueError for another kind of chart.
        """
        if self.chart != "t" or not self.mean:
            raise ValueError(f"limits {self.version!r} are not those of times between events")
        centre, reach = self.mean[0], 3 * self.sigma
        return Lines(centre - reach, centre, centre + reach, self.sigma)

    def _own(self) -> Lines:
        return Lines(self.lower, self.centre, self.upper, self.sigma)

    def _rate(self, size: float) -> Lines:
        """Binomial for proportions, Poisson for rates; Laney widens both by `sigma_z` (2002).

        Limits are those of the count, divided by the size as the count is: a count that lies on its limit is to
        stay on it, whatever floating point makes of a proportion.
        """
        proportion = self.chart in ("p", "laney_p")
        expected = size * self.centre
        reach = 3 * self.sigma_z * math.sqrt(expected * (1 - self.centre) if proportion else expected)
        upper = (expected + reach) / size
        return Lines(
            max(0.0, (expected - reach) / size),
            self.centre,
            min(upper, 1.0) if proportion else upper,
            reach / (3 * size),
        )

    def settled(self, size: float) -> Lines:
        """The lines that an EWMA of points of `size` readings widens to; ValueError for another kind of chart."""
        if self.chart != "ewma":
            raise ValueError(f"limits {self.version!r} are those of {self.chart}, not of an EWMA")
        return self._weighted(size, None)

    def _weighted(self, size: float, step: int | None) -> Lines:
        """Sigma of z after `step` points, sqrt(lam / (2 - lam) (1 - (1 - lam)^(2 step))) sigma / sqrt(size)."""
        design = self.design
        assert design is not None  # noqa: S101  __post_init__ has seen to it
        share = design.lam / (2 - design.lam)
        if design.exact and step is not None:
            share *= 1 - (1 - design.lam) ** (2 * step)
        sigma = self.sigma_within / math.sqrt(size) * math.sqrt(share)
        reach = design.width * sigma
        return Lines(self.centre - reach, self.centre, self.centre + reach, sigma)

    def spread_at(self, size: int) -> Lines | None:
        """The lines for the range (or standard deviation) of `size` readings; None where a chart has none."""
        if self.range_centre is None or self.range_lower is None or self.range_upper is None:
            return None
        if size == self.subgroup or self.chart == "imr":
            return Lines(self.range_lower, self.range_centre, self.range_upper, 0.0)
        table = named_factors(size, self.constants)
        if self.sbar is not None:
            return Lines(table.B3 * self.sbar, self.sbar, table.B4 * self.sbar, 0.0)
        return _spread(self.chart, size, self.sigma_within, table)

    # -- making --------------------------------------------------------------------------------------------

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
        """Limits that somebody decided on, for what an imr, xbar_r or xbar_s location chart plots.

        The range limits follow from the same sigma: with sigma_within = sqrt(subgroup) (upper - lower) / 6,
        the centre of the range chart is d2 sigma_within and its limits are D3 and D4 times that, with the
        factors of the subgroup size (of two for single values); c4, B3 and B4 for standard deviations. Raises
        ValueError when the numbers are out of order, equal, or do not suit the chart.
        """
        check_subgroup(chart, subgroup)
        if chart not in ("imr", "xbar_r", "xbar_s"):
            raise ValueError(f"a chart of kind {chart} is not fixed by centre, lower and upper")
        if not lower < upper:
            raise ValueError(f"fixed limits need lower < upper, got {lower} and {upper}")
        table = factors(range_span(subgroup), constants)
        sigma = (upper - lower) / 6
        sigma_within = sigma * math.sqrt(subgroup)
        spread = _spread(chart, subgroup, sigma_within, table)
        return cls(
            chart=chart,
            version=version,
            subgroup=subgroup,
            centre=float(centre),
            lower=float(lower),
            upper=float(upper),
            range_centre=spread.centre,
            range_lower=spread.lower,
            range_upper=spread.upper,
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
        """Limits of an imr, xbar_r or xbar_s chart from a phase-I centre and central range (standard deviation).

        imr: centre +- E2 range_centre; xbar_r: centre +- A2 range_centre; both range charts: D3 and D4
        times range_centre; xbar_s: A3, B3 and B4 (Montgomery, 6.2 to 6.4). A `sigma_within` from another estimator
        replaces range_centre / d2 (c4) and gives centre +- 3 sigma_within / sqrt(subgroup) instead.
        """
        by_s = chart == "xbar_s"
        reach = (table.E2 if chart == "imr" else table.A3 if by_s else table.A2) * range_centre
        if sigma_within is None:
            sigma_within = range_centre / (table.c4 if by_s else table.d2)
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
            range_lower=(table.B3 if by_s else table.D3) * range_centre,
            range_upper=(table.B4 if by_s else table.D4) * range_centre,
            sigma=reach / 3,
            sigma_within=sigma_within,
            constants=table.source,
            provisional=True,
        )

    def to_json(self) -> dict[str, object]:
        """JSON-safe; `from_json` gives an equal object back."""
        told: dict[str, object] = {field.name: getattr(self, field.name) for field in fields(self)}
        told["design"] = None if self.design is None else self.design.to_json()
        told["mean"] = list(self.mean)
        told["covariance"] = [list(row) for row in self.covariance]
        return told

    @classmethod
    def from_json(cls, told: Fields) -> Self:
        """Read what `to_json` wrote; ValueError names the field that is damaged."""
        subgroup = told.integer("subgroup")
        design = told.maybe_section("design")
        return cls(
            chart=check_subgroup(told.text("chart"), subgroup),
            version=told.text("version"),
            subgroup=subgroup,
            centre=told.number("centre"),
            lower=told.number("lower"),
            upper=told.number("upper"),
            range_centre=told.maybe_number("range_centre"),
            range_lower=told.maybe_number("range_lower"),
            range_upper=told.maybe_number("range_upper"),
            sigma=told.number("sigma"),
            sigma_within=told.number("sigma_within"),
            constants=told.text("constants"),
            provisional=told.flag("provisional"),
            sigma_z=told.number("sigma_z"),
            design=None if design is None else Design.from_json(design),
            mean=tuple(told.numbers("mean")),
            covariance=tuple(tuple(row) for row in told.number_lists("covariance")),
            sample_size=told.maybe_number("sample_size"),
            sbar=told.maybe_number("sbar"),
        )
