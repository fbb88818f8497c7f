"""How long a chart runs until it signals: in control (false alarms), and after a shift (how soon it is seen).

``arl`` answers one request, in the words of ``lotkeeper-edge spc arl``::

    {"f": "shewhart", "rules": ["nelson1", {"nelson2": {"window": 8}}], "mu": 1, "n": 4, "filling": "full"}
    {"f": "ewma", "lam": 0.2, "L": 2.7, "limits": "exact"}        {"f": "cusum1", "k": 0.5, "h": 5, "z0": 2.5}
    {"f": "cusum2", "k": 0.5, "h": 5, "hs": 2.5}

All answers are zero-state: the mean number of plotted points from the chart's start to its first signal, that
point included, with points that are independent and normal and limits that are known, not estimated. `mu` is the
shift from the start on, in standard deviations of single values; a chart of subgroups of `n` sees it sqrt(n) times
as large.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from spc.arl_shewhart import CHAIN_PATTERNS, Filling, TooManyStates, chain_size, run_length
from spc.arl_simulation import simulate
from spc.arl_weighted import cusum_one_sided, cusum_two_sided, ewma
from spc.request import asked_rules
from spc.rules import Rule

__all__ = ["ArlResult", "Method", "arl", "read_rules", "rules_arl"]

Method = Literal["markov chain", "integral equation", "simulation"]

_Request = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ArlResult:
    """A mean run length in points, and how it was found.

    `standard_error` belongs to simulations only; the other ways are exact to at least five digits. Of `states` (of
    the Markov chain), `nodes` (of the integral equation) and `runs` (simulated) the method's own is given.
    """

    value: float
    method: Method
    standard_error: float | None = None
    states: int | None = None
    nodes: int | None = None
    runs: int | None = None


def arl(request: _Request) -> ArlResult:
    """The run length that a request asks for.

    Keys, beside ``f``, ``mu`` (default 0) and ``n`` (default 1):

    - shewhart: ``rules`` (``nelson``, ``western``, ``nelson1,nelson2``, a list as in a line file, or of numbers
      in the ``set``) or ``set: nelson|western`` alone, else rule 1; ``L``, the width of the limits where it is
      not 3; ``filling``, whether k points of a window of m may fire before m points are there: ``first``
      (default; Champ and Woodall) or ``full`` (as our charts do).
    - ewma: ``lam``, ``L``; ``limits: fixed`` (default) or ``exact``; ``z0``, where z starts, from the target.
    - cusum1 (upper sum alone): ``k``, ``h``; ``z0``, where the sum starts. cusum2 (both sums): ``k``, ``h``;
      ``hs``, where both start. Like h, k, z0 and hs are in standard deviations of the plotted points.

    Raises ValueError that names what is missing, unknown or impossible, or says that the chart never signals.
    """
    if not isinstance(request, Mapping):
        raise ValueError(f"a request for a run length is an object with f and its parameters, not {request!r}")
    name = request.get("f")
    answer = _CHARTS.get(name) if isinstance(name, str) else None
    if answer is None:
        raise ValueError(f"f is {' or '.join(_CHARTS)}, not {name!r}")
    known, solve = answer
    told = {key: value for key, value in request.items() if value is not None}
    if unknown := sorted(set(told) - {"f", "mu", "n"} - set(known)):
        raise ValueError(f"{name} does not know {', '.join(unknown)}; it takes {', '.join((*known, 'mu', 'n'))}")
    size = _number(told, "n", 1.0)
    if not (size >= 1 and size == int(size)):
        raise ValueError(f"n is the number of values in a subgroup, not {size:g}")
    return solve(told, _number(told, "mu", 0.0) * math.sqrt(size))


def rules_arl(
    rules: Sequence[Rule],
    *,
    shift: float = 0.0,
    filling: Filling = "first",
    apart: float = 0.0,
    most_points: int | None = None,
) -> ArlResult:
    """Of a Shewhart chart with any rules: exactly where there is a way, else simulated.

    As `spc.arl_shewhart.run_length`; `most_points` bounds a simulation (`spc.arl_simulation.simulate`).
    """
    if all(rule.pattern in CHAIN_PATTERNS for rule in rules):
        try:
            value = run_length(rules, shift=shift, filling=filling, apart=apart)
            return ArlResult(value, "markov chain", states=chain_size(rules, filling))
        except TooManyStates:
            pass
    limit = {} if most_points is None else {"most_points": most_points}
    found = simulate(rules, shift=shift, filling=filling, apart=apart, **limit)
    return ArlResult(found.value, "simulation", standard_error=found.standard_error, runs=found.runs)


def read_rules(told: object, rule_set: object = "nelson") -> tuple[Rule, ...]:
    """Rules as `spc.request.asked_rules` takes them, or their numbers in a set; ValueError names what is wrong."""
    if rule_set not in ("nelson", "western"):
        raise ValueError(f"set is nelson or western, not {rule_set!r}")
    if isinstance(told, Sequence) and not isinstance(told, str):
        told = [f"{rule_set}{rule}" if isinstance(rule, int) else rule for rule in told]
    return asked_rules(told, "rules")


# -- one chart each ----------------------------------------------------------------------------------------


def _shewhart(told: _Request, shift: float) -> ArlResult:
    rules = read_rules(told.get("rules", told.get("set", [1])), told.get("set", "nelson"))
    if "L" in told:
        width = _number(told, "L")
        first = [rule.name in ("nelson1", "western1") for rule in rules]
        if not any(first):
            raise ValueError("L is the width of the limits of rule 1, which is not among the rules")
        rules = tuple(replace(rule, sigmas=width) if yes else rule for rule, yes in zip(rules, first, strict=True))
    filling: Filling = "full" if _word(told, "filling", ("first", "full")) == "full" else "first"
    return rules_arl(rules, shift=shift, filling=filling)


def _ewma(told: _Request, shift: float) -> ArlResult:
    exact = _word(told, "limits", ("fixed", "exact")) == "exact"
    found = ewma(
        _number(told, "lam"), _number(told, "L"), shift=shift, start=_number(told, "z0", 0.0), exact=exact
    )
    return ArlResult(found.value, "integral equation", nodes=found.nodes)


def _cusum1(told: _Request, shift: float) -> ArlResult:
    found = cusum_one_sided(_number(told, "k"), _number(told, "h"), shift=shift, start=_number(told, "z0", 0.0))
    return ArlResult(found.value, "integral equation", nodes=found.nodes)


def _cusum2(told: _Request, shift: float) -> ArlResult:
    found = cusum_two_sided(_number(told, "k"), _number(told, "h"), shift=shift, start=_number(told, "hs", 0.0))
    return ArlResult(found.value, "integral equation", nodes=found.nodes)


_CHARTS: Final[dict[str, tuple[tuple[str, ...], Callable[[_Request, float], ArlResult]]]] = {
    "shewhart": (("rules", "set", "L", "filling"), _shewhart),
    "ewma": (("lam", "L", "limits", "z0"), _ewma),
    "cusum1": (("k", "h", "z0"), _cusum1),
    "cusum2": (("k", "h", "hs"), _cusum2),
}


def _number(told: _Request, key: str, default: float | None = None) -> float:
    value = told.get(key, default)
    if value is None:
        raise ValueError(f"{key} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is a number, not {value!r}")
    return float(value)


def _word(told: _Request, key: str, words: tuple[str, str]) -> str:
    """One of two words, the first when it is not told."""
    value = told.get(key, words[0])
    if value not in words:
        raise ValueError(f"{key} is {words[0]} or {words[1]}, not {value!r}")
    return str(value)
