"""Process capability and performance: what a process that is in control can hold of its specification.

With the standard deviation *within* subgroups (C) or of all values (P), and specification limits L, U, target T::

    Cp = (U - L) / 6s    Cpl = (mean - L) / 3s    Cpu = (U - mean) / 3s    Cpk = the smaller of those that exist
    Cpm = Cp / sqrt(1 + d^2),  d = (mean - T) / s

Confidence intervals are those of R's qcc, with n values in all. Cp: chi-squared with n - 1 degrees of freedom.
Cpm: chi-squared with n (1 + d^2) / (1 + 2 d^2), more cautious than Boyles's (1 + d^2)^2 in the numerator. Cpk: the
normal approximation (Bissell, *Applied Statistics* 39, 1990). Cpl and Cpu: two one-sided bounds, each of which
holds with the stated confidence. Estimates from ranges are given n - 1 degrees of freedom too.

Where values are not normal, the percentile method (ISO 22514-2) holds the specification against the 0.135 % and
99.865 % points of the values themselves, in the place of mean -/+ 3s.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

from spc.normality import AndersonDarling, Percentiles, anderson_darling, percentiles
from spc.run_length import below
from spc.sigma import Constants
from spc.within import Points, WithinSigma, sigma_within, signals

__all__ = ["Capability", "Caution", "Index", "WithinSigma", "capability"]

Caution = Literal["unstable", "few-values", "not-normal", "normality-unknown", "specification-is-control-limits"]
"""What the reader must know before the figures: a chart that signals has no capability to speak of."""

Figure = float | bool | Sequence[float] | Sequence[str] | None

ENOUGH_VALUES: Final = 25
"""Fewer values than this are `few-values`: Cpk of 25 values is uncertain by about 30 %."""

FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Index:
    """An index and its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Indices:
    """The five indices for one standard deviation. None is what a one-sided specification leaves undefined."""

    both: Index | None  # Cp, Pp
    lower: Index | None  # Cpl, Ppl
    upper: Index | None  # Cpu, Ppu
    nearer: Index  # Cpk, Ppk
    target: Index | None  # Cpm, Ppm


@dataclass(frozen=True, slots=True)
class PercentileIndices:
    """Pp, Ppl, Ppu and Ppk by percentiles."""

    percentiles: Percentiles
    both: float | None
    lower: float | None
    upper: float | None
    nearer: float


@dataclass(frozen=True, slots=True)
class Capability:
    """What `capability` found; all in the unit of the characteristic, or without one.

    `within` are Cp, Cpl, Cpu, Cpk, Cpm, `overall` Pp, Ppl, Ppu, Ppk, Ppm. Expected fractions are those of a normal
    distribution with mean `centre` and `sigma_within`; observed ones are of the values. All are in percent, None
    where there is no such limit. `signals` are the 1-based points beyond the limits of the location or the spread
    chart of these same data. `normality` is None where it cannot be tested; `by_percentiles` is given where
    normality fails and there are values enough.
    """

    n: int
    points: int
    centre: float
    sigma_within: float
    sigma_overall: float
    sigma_method: WithinSigma
    confidence: float
    within: Indices
    overall: Indices
    expected_below_pct: float | None
    expected_above_pct: float | None
    observed_below_pct: float | None
    observed_above_pct: float | None
    normality: AndersonDarling | None
    normal: bool | None
    by_percentiles: PercentileIndices | None
    signals: tuple[int, ...]
    cautions: tuple[Caution, ...]

    def figures(self) -> dict[str, Figure]:
        """Flat and JSON-safe, by the names that people know; `_ci` is the interval."""
        flat: dict[str, Figure] = {
            "center": self.centre,
            "sigma_within": self.sigma_within,
            "sigma_overall": self.sigma_overall,
            "n": self.n,
        }
        for letter, indices in (("C", self.within), ("P", self.overall)):
            for suffix, index in (
                ("p", indices.both),
                ("pl", indices.lower),
                ("pu", indices.upper),
                ("pk", indices.nearer),
                ("pm", indices.target),
            ):
                flat[letter + suffix] = None if index is None else index.value
                flat[f"{letter}{suffix}_ci"] = None if index is None else [index.low, index.high]
        by, test = self.by_percentiles, self.normality
        return flat | {
            "exp_below_pct": self.expected_below_pct,
            "exp_above_pct": self.expected_above_pct,
            "obs_below_pct": self.observed_below_pct,
            "obs_above_pct": self.observed_above_pct,
            "ad": None if test is None else test.a2,
            "ad_adjusted": None if test is None else test.a2_adjusted,
            "ad_p": None if test is None else test.p_value,
            "normal": self.normal,
            "Pp_percentile": None if by is None else by.both,
            "Ppl_percentile": None if by is None else by.lower,
            "Ppu_percentile": None if by is None else by.upper,
            "Ppk_percentile": None if by is None else by.nearer,
            "signals": list(self.signals),
            "cautions": list(self.cautions),
        }


@dataclass(frozen=True, slots=True)
class _Specification:
    lsl: float | None
    usl: float | None
    target: float | None


def capability(
    points: Sequence[float] | Sequence[Sequence[float]],
    *,
    lsl: float | None = None,
    usl: float | None = None,
    target: float | None = None,
    sigma: WithinSigma | None = None,
    phase1: int | None = None,
    exclude: Collection[int] = (),
    confidence: float = 0.95,
    normality_level: float = 0.05,
    constants: Constants = "exact",
) -> Capability:
    """Capability of single values, or of subgroups (sizes may differ), against a specification.

    `target` is the middle of the specification where left out and both limits exist. `sigma` defaults to ``rbar``
    for subgroups, ``mrbar`` for single values. Only the first `phase1` points count, without the 1-based ones in
    `exclude`; neighbours of an excluded value make no moving range. `constants` as in
    `spc.sigma`.

    Raises ValueError for a specification without limits or with `lsl` not below `usl`, for too few or unusable
    values, and for data without any spread within subgroups.
    """
    specification = _specification(lsl, usl, target)
    if not (0 < confidence < 1 and 0 < normality_level < 1):
        raise ValueError(f"confidence and level are between 0 and 1, got {confidence} and {normality_level}")
    data = Points.read(points, phase1, exclude)
    method = sigma or ("mrbar" if data.single else "rbar")
    spreads = data.spreads(method)
    values = data.values
    if values.size < FEWEST:
        raise ValueError(f"a capability needs at least {FEWEST} values, got {values.size}")
    within = sigma_within(spreads, method, constants)
    centre, overall = float(values.mean()), float(values.std(ddof=1))
    if not within > 0:
        raise ValueError(
            "the values within subgroups are all the same: sigma is 0, and no capability follows from it"
        )
    test = anderson_darling(values)
    normal = None if test is None else test.p_value >= normality_level
    at = percentiles(values) if normal is False else None
    beyond = signals(data, spreads, method, centre, within, constants)
    return Capability(
        n=values.size,
        points=len(data.kept),
        centre=centre,
        sigma_within=within,
        sigma_overall=overall,
        sigma_method=method,
        confidence=confidence,
        within=_indices(specification, centre, within, values.size, confidence),
        overall=_indices(specification, centre, overall, values.size, confidence),
        expected_below_pct=None if lsl is None else 100 * below((lsl - centre) / within),
        expected_above_pct=None if usl is None else 100 * below((centre - usl) / within),
        observed_below_pct=None if lsl is None else 100 * float((values < lsl).mean()),
        observed_above_pct=None if usl is None else 100 * float((values > usl).mean()),
        normality=test,
        normal=normal,
        by_percentiles=None if at is None else _by_percentiles(specification, at),
        signals=beyond,
        cautions=_cautions(specification, data, centre, within, normal, beyond),
    )


def _specification(lsl: float | None, usl: float | None, target: float | None) -> _Specification:
    for name, limit in (("lsl", lsl), ("usl", usl), ("target", target)):
        if limit is not None and not math.isfinite(limit):
            raise ValueError(f"{name} must be a finite number, got {limit}")
    if lsl is None and usl is None:
        raise ValueError("a capability needs a specification: give lsl or usl or both")
    if lsl is not None and usl is not None:
        if not lsl < usl:
            raise ValueError(f"lsl must be below usl, got {lsl} and {usl}")
        return _Specification(lsl, usl, (lsl + usl) / 2 if target is None else target)
    return _Specification(lsl, usl, target)


# -- indices -----------------------------------------------------------------------------------------------


def _indices(spec: _Specification, centre: float, sigma: float, n: int, confidence: float) -> Indices:
    lower = None if spec.lsl is None else (centre - spec.lsl) / (3 * sigma)
    upper = None if spec.usl is None else (spec.usl - centre) / (3 * sigma)
    one_sided, two_sided = NormalDist().inv_cdf(confidence), NormalDist().inv_cdf((1 + confidence) / 2)
    both = target = None
    if spec.lsl is not None and spec.usl is not None and spec.target is not None:
        value = (spec.usl - spec.lsl) / (6 * sigma)
        off = ((centre - spec.target) / sigma) ** 2
        both = _chi_squared(value, n - 1, confidence)
        target = _chi_squared(value / math.sqrt(1 + off), n * (1 + off) / (1 + 2 * off), confidence)
    return Indices(
        both=both,
        lower=None if lower is None else _nearly_normal(lower, n, one_sided),
        upper=None if upper is None else _nearly_normal(upper, n, one_sided),
        nearer=_nearly_normal(min(side for side in (lower, upper) if side is not None), n, two_sided),
        target=target,
    )


def _chi_squared(value: float, freedom: float, confidence: float) -> Index:
    from scipy.special import chdtri  # it takes its time to load, and only capability needs it

    low, high = (float(chdtri(freedom, (1 + side * confidence) / 2)) for side in (1, -1))
    return Index(value, value * math.sqrt(low / freedom), value * math.sqrt(high / freedom))


def _nearly_normal(value: float, n: int, z: float) -> Index:
    reach = z * math.sqrt(1 / (9 * n) + value**2 / (2 * (n - 1)))
    return Index(value, value - reach, value + reach)


def _by_percentiles(spec: _Specification, at: Percentiles) -> PercentileIndices | None:
    """None where so many values are the same that a percentile is the median."""
    if not at.low < at.median < at.high:
        return None
    lower = None if spec.lsl is None else (at.median - spec.lsl) / (at.median - at.low)
    upper = None if spec.usl is None else (spec.usl - at.median) / (at.high - at.median)
    both = None if spec.lsl is None or spec.usl is None else (spec.usl - spec.lsl) / (at.high - at.low)
    nearer = min(side for side in (lower, upper) if side is not None)
    return PercentileIndices(at, both, lower, upper, nearer)


def _cautions(
    spec: _Specification,
    data: Points,
    centre: float,
    sigma: float,
    normal: bool | None,
    beyond: tuple[int, ...],
) -> tuple[Caution, ...]:
    found: list[Caution] = []
    if beyond:
        found.append("unstable")
    if sum(values.size for _, values in data.kept) < ENOUGH_VALUES:
        found.append("few-values")
    if normal is not True:
        found.append("normality-unknown" if normal is None else "not-normal")
    reach = 3 * sigma / math.sqrt(max(values.size for _, values in data.kept))
    pairs = ((spec.lsl, centre - reach), (spec.usl, centre + reach))
    if all(limit is None or math.isclose(limit, control, rel_tol=1e-6) for limit, control in pairs):
        found.append("specification-is-control-limits")
    return tuple(found)
