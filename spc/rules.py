"""The rules that make a point on a control chart a signal.

Western Electric, *Statistical Quality Control Handbook* (1956), and Nelson, *Journal of Quality Technology* 16
(1984), each rule with parameters of its own. Conventions, the same in `evaluate` (a whole series), in
`spc.windows` (point by point) and in `spc.bank` (many charts at once):

- Inequalities are strict: a point on a limit is in control, a point on the line of a zone is neither beyond it
  nor within it, a point on the centre is on no side.
- The completing point is flagged, and every further one that completes a window again, never the members before
  it. For a rule of k points out of n the completing point is one of the k.
- A window is full or it is none: 2 of 3 needs three points.
- Windows never reach across a gap, an excluded point, or a cut: other limits, another product, tool or position,
  a restart. Rules of a single point judge excluded points too.
- Zones are widths of the point's own sigma, where samples differ in size. The limits themselves, not three sigma,
  are the lines of rule 1, which matters where they are asymmetric or clipped.

Run rules suit charts of independent, roughly symmetric points: never ranges, moving ranges, EWMA or CUSUM, nor T
squared. Those know one rule, a point beyond a limit (`limit_rule`).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

__all__ = [
    "CATALOGUE",
    "LONGEST_WINDOW",
    "Pattern",
    "Rule",
    "Signal",
    "beyond_limits",
    "check_rules",
    "evaluate",
    "limit_rule",
    "rule_words",
]

Pattern = Literal["beyond", "side", "trend", "alternating", "within", "outside"]
"""What a rule looks for in its window of consecutive points:

- ``beyond``: ``points`` of them more than ``sigmas`` away, all of these on one side, the last one among them;
- ``side``: all on one side of the centre line; a point on it ends the run;
- ``trend``: each higher than the one before, or each lower; a tie ends the run;
- ``alternating``: up and down in turns; a tie ends the run;
- ``within``: all nearer to the centre than ``sigmas``, on either side;
- ``outside``: all farther from the centre than ``sigmas``, and points on both sides.
"""

LONGEST_WINDOW: Final = 30
"""Points; what a chart has to remember for its rules stays small."""


_LIMIT_RULES: Final = ("nelson1", "western1")
_SHORTEST: Final[Mapping[str, int]] = {"trend": 2, "alternating": 3, "outside": 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule with its parameters: a pattern of `points` out of `window` consecutive points.

    `sigmas` is the distance from the centre that the pattern speaks of, in standard deviations of the plotted
    statistic; None where it speaks of none. Raises ValueError for parameters that cannot be meant.
    """

    name: str
    pattern: Pattern
    points: int
    window: int
    sigmas: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.points <= self.window <= LONGEST_WINDOW:
            raise ValueError(
                f"{self.name}: {self.points} of {self.window} points; "
                f"needed: 1 <= points <= window <= {LONGEST_WINDOW}"
            )
        if self.window < _SHORTEST.get(self.pattern, 1):
            raise ValueError(f"{self.name}: a window of {self.window} is too short for it")
        if self.pattern != "beyond" and self.points != self.window:
            raise ValueError(f"{self.name} asks all points of its window: leave `points` out")
        if (self.sigmas is None) is (self.pattern in ("beyond", "within", "outside")):
            raise ValueError(f"{self.name}: sigmas {self.sigmas} do not go with the pattern {self.pattern}")
        if self.sigmas is not None and not 0 < self.sigmas <= 10:
            raise ValueError(f"{self.name}: sigmas must be above 0 and at most 10, got {self.sigmas}")

    @classmethod
    def read(cls, value: object) -> Self:
        """A rule as configuration writes it: a name, or ``{name: {points, window, sigmas}}`` with what differs.

        Where a pattern asks all points of its window, `window` alone is given. ValueError says what is wrong.
        """
        name: object = value
        told: object = {}
        if isinstance(value, Mapping):
            if len(value) != 1:
                raise ValueError(f"a rule is a name, or one name with its parameters, not {value!r}")
            name, told = next(iter(value.items()))
        known = CATALOGUE.get(name) if isinstance(name, str) else None
        if known is None:
            raise ValueError(f"unknown rule {name!r}; known: {', '.join(CATALOGUE)}")
        if not isinstance(told, Mapping) or not set(told) <= {"points", "window", "sigmas"}:
            raise ValueError(f"{name}: parameters are points, window and sigmas, not {told!r}")
        window = _whole(known.name, "window", told.get("window", known.window))
        usual = known.points if known.pattern == "beyond" else window
        points = _whole(known.name, "points", told.get("points", usual))
        sigmas = told.get("sigmas", known.sigmas)
        if sigmas is not None and (isinstance(sigmas, bool) or not isinstance(sigmas, int | float)):
            raise ValueError(f"{name}: sigmas is a number, not {sigmas!r}")
        return cls(known.name, known.pattern, points, window, None if sigmas is None else float(sigmas))

    @property
    def at_limits(self) -> bool:
        """Whether the lines of this rule are the control limits themselves: rule 1 of both sets, as they stand."""
        return self.sigmas == 3.0 and self.name in _LIMIT_RULES

    def to_json(self) -> str | dict[str, dict[str, float | int]]:
        """As `read` takes it: the name alone where nothing differs from the catalogue."""
        known = CATALOGUE[self.name]
        told: dict[str, float | int] = {}
        if self.window != known.window:
            told["window"] = self.window
        if self.pattern == "beyond" and self.points != known.points:
            told["points"] = self.points
        if self.sigmas is not None and self.sigmas != known.sigmas:
            told["sigmas"] = self.sigmas
        return {self.name: told} if told else self.name


def _whole(rule: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{rule}: {key} is a whole number, not {value!r}")
    return value


CATALOGUE: Final[dict[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule("nelson1", "beyond", 1, 1, 3.0),
        Rule("nelson2", "side", 9, 9),
        Rule("nelson3", "trend", 6, 6),
        Rule("nelson4", "alternating", 14, 14),
        Rule("nelson5", "beyond", 2, 3, 2.0),
        Rule("nelson6", "beyond", 4, 5, 1.0),
        Rule("nelson7", "within", 15, 15, 1.0),
        Rule("nelson8", "outside", 8, 8, 1.0),
        Rule("western1", "beyond", 1, 1, 3.0),
        Rule("western2", "beyond", 2, 3, 2.0),
        Rule("western3", "beyond", 4, 5, 1.0),
        Rule("western4", "side", 8, 8),
    )
}
"""Nelson (1984) and Western Electric (*Statistical Quality Control Handbook*, 1956), by configuration's names."""

_Floats = npt.NDArray[np.float64]
_Bools = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that fired: at point `index` (0-based), made by the points `members` (it is the last).

    `rule` is its name, and `meant` the rule with its parameters; None where only the name was recorded.
    """

    rule: str
    index: int
    members: tuple[int, ...]
    meant: Rule | None = field(default=None, compare=False)


def check_rules(rules: Iterable[object]) -> tuple[Rule, ...]:
    """Rules, or what `Rule.read` takes, as rules; ValueError names an unknown or repeated one."""
    found = tuple(rule if isinstance(rule, Rule) else Rule.read(rule) for rule in rules)
    names = [rule.name for rule in found]
    if len(set(names)) != len(names):
        raise ValueError(f"rules named twice: {', '.join(names)}")
    return found


def limit_rule(rules: Iterable[Rule]) -> Rule | None:
    """The one of these rules that a point beyond a limit is reported as, where run rules do not apply."""
    return next((rule for rule in rules if rule.name in _LIMIT_RULES), None)


def rule_words(rule: Rule) -> tuple[str, dict[str, str]]:
    """What the rule says: the key of a template in `spc.series.ENGLISH`, and what its braces hold."""
    if rule.at_limits and rule.window == 1:
        return "rule-limit", {}
    numbers = {"points": str(rule.points), "window": str(rule.window)}
    if rule.sigmas is not None:
        numbers["sigmas"] = f"{rule.sigmas:g}"
    single = rule.pattern == "beyond" and rule.window == 1
    return "rule-one-beyond" if single else f"rule-{rule.pattern}", numbers


def beyond_limits(
    rule: Rule | None, points: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike
) -> tuple[Signal, ...]:
    """Points (shape m) strictly beyond limits (scalar or shape m), reported as `rule`; NaN never is.

    For charts without run rules; nothing when `rule` is None.
    """
    if rule is None:
        return ()
    values, low, high = (np.asarray(given, dtype=np.float64) for given in (points, lower, upper))
    return tuple(
        Signal(rule.name, i, (i,), rule) for i in np.flatnonzero((values < low) | (values > high)).tolist()
    )


def evaluate(
    rules: Iterable[object],
    points: npt.ArrayLike,
    *,
    centre: npt.ArrayLike,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    sigma: npt.ArrayLike | None = None,
    excluded: Collection[int] = (),
    restarts: Collection[int] = (),
) -> tuple[Signal, ...]:
    """All signals of the rules, in the order of the points, then of `rules`.

    `points` has shape m, NaN is a gap; lines are scalars or have shape m. `sigma` is the standard deviation of
    the plotted statistic, a sixth of the way between the limits when left out. `excluded` points belong to no
    window. At `restarts` a window may begin but not continue: the first point under new limits, a new tool.
    """
    asked = check_rules(rules)
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return ()
    low, mid, high = (
        np.broadcast_to(np.asarray(line, np.float64), values.shape) for line in (lower, centre, upper)
    )
    width = (high - low) / 6 if sigma is None else np.broadcast_to(np.asarray(sigma, np.float64), values.shape)
    series = _Series(values, low, mid, high, width, _since_cut(values, excluded, restarts))
    found = [signal for rule in asked for signal in series.signals(rule)]
    order = {rule.name: place for place, rule in enumerate(asked)}
    return tuple(sorted(found, key=lambda signal: (signal.index, order[signal.rule])))


def _since_cut(values: _Floats, excluded: Collection[int], restarts: Collection[int]) -> _Ints:
    """How many points there are up to this one since the last cut; 0 for what belongs to no window."""
    out = np.isnan(values)
    out[list(excluded)] = True
    begins = np.zeros(values.size, dtype=np.bool_)
    begins[list(restarts)] = True
    index = np.arange(1, values.size + 1)
    cut = np.maximum.accumulate(np.where(out, index, np.where(begins, index - 1, 0)))
    return np.where(out, 0, index - cut)


def _run(holds: _Bools) -> _Ints:
    """How many points in a row up to this one it holds for."""
    index = np.arange(1, holds.size + 1)
    return index - np.maximum.accumulate(np.where(holds, 0, index))


@dataclass(frozen=True, slots=True)
class _Series:
    """A series with the lines of each point; `since` counts the points since the last cut."""

    values: _Floats
    lower: _Floats
    centre: _Floats
    upper: _Floats
    sigma: _Floats
    since: _Ints

    def signals(self, rule: Rule) -> Iterable[Signal]:
        if rule.pattern == "beyond":
            above, below = self._beyond(rule)
            yield from self._out_of(rule, above)
            yield from self._out_of(rule, below)
            return
        for last in np.flatnonzero(self._all_of(rule)).tolist():
            yield Signal(rule.name, last, tuple(range(last - rule.window + 1, last + 1)), rule)

    def _beyond(self, rule: Rule) -> tuple[_Bools, _Bools]:
        if rule.at_limits:
            return self.values > self.upper, self.values < self.lower
        reach = (rule.sigmas or 0.0) * self.sigma
        return self.values > self.centre + reach, self.values < self.centre - reach

    def _out_of(self, rule: Rule, beyond: _Bools) -> Iterable[Signal]:
        """Points that are beyond and make it `points` in a full window."""
        if rule.window == 1:
            fires = beyond
        else:
            seen = np.concatenate(([0], np.cumsum(beyond)))
            first = np.maximum(np.arange(1, beyond.size + 1) - rule.window, 0)
            fires = beyond & (self.since >= rule.window) & (seen[1:] - seen[first] >= rule.points)
        for last in np.flatnonzero(fires).tolist():
            start = last - rule.window + 1
            members = np.flatnonzero(beyond[start : last + 1]) + start
            yield Signal(rule.name, last, tuple(members.tolist()), rule)

    def _all_of(self, rule: Rule) -> _Bools:
        """Points that end a full window in which all points do what the rule asks."""
        full = self.since >= rule.window
        match rule.pattern:
            case "side":
                above, below = self.values > self.centre, self.values < self.centre
                return full & (np.maximum(_run(above), _run(below)) >= rule.window)
            case "trend":
                up, down = self._steps()
                return full & (np.maximum(_run(up), _run(down)) >= rule.window - 1)
            case "alternating":
                up, down = self._steps()
                turns = np.zeros(up.size, dtype=np.bool_)
                turns[1:] = (up[1:] & down[:-1]) | (down[1:] & up[:-1])
                # the first step of an alternation is no turn
                return full & (up | down) & (_run(turns) >= rule.window - 2)
            case "within":
                reach = (rule.sigmas or 0.0) * self.sigma
                within = (self.values < self.centre + reach) & (self.values > self.centre - reach)
                return full & (_run(within) >= rule.window)
            case _:
                above, below = self._beyond(rule)
                outside = _run(above | below) >= rule.window
                return full & outside & (_run(above) < rule.window) & (_run(below) < rule.window)

    def _steps(self) -> tuple[_Bools, _Bools]:
        """Whether a point is higher, or lower, than the one before it."""
        up, down = np.zeros(self.values.size, dtype=np.bool_), np.zeros(self.values.size, dtype=np.bool_)
        up[1:], down[1:] = self.values[1:] > self.values[:-1], self.values[1:] < self.values[:-1]
        return up, down
