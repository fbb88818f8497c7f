"""The rules that make a point on a control chart a signal.

Nelson, *Journal of Quality Technology* 16 (1984), in the reading that R's qcc has too:

- ``nelson1``: one point beyond a limit. Strictly: a point on the limit is in control.
- ``nelson2``: nine points in a row on one side of the centre line. Strictly: a point on it ends the run.

A run is flagged at its ninth point and at every further point, each with the nine points that made it. What
lies across a gap, an excluded point, a change of limits, tool or part is not a run, so each of these starts
the count anew. Rule 1 looks at single points and judges excluded ones too. Run rules suit charts of
independent, roughly symmetric points: never ranges or moving ranges.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

__all__ = [
    "CATALOGUE",
    "RULES",
    "RUN_LENGTH",
    "Pattern",
    "Rule",
    "Signal",
    "check_rules",
    "evaluate",
    "nelson1",
    "nelson2",
]

Pattern = Literal["beyond", "side", "trend", "alternating", "within", "outside"]
"""What a rule looks for in its window of consecutive points:

- ``beyond``: ``points`` of them more than ``sigmas`` away, all of these on one side, the last one among them;
- ``side``: all on one side of the centre line; a point on it ends the run;
- ``trend``: each higher than the one before, or each lower; a tie ends the run;
- ``alternating``: up and down in turns; a tie ends the run;
- ``within``: all nearer to the centre than ``sigmas``;
- ``outside``: none nearer to the centre than ``sigmas``, and points on both sides.
"""

LONGEST_WINDOW: Final = 30
"""Points; what a chart has to remember for its rules stays small."""


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

RULES: Final = ("nelson1", "nelson2")
"""The rules there are, by the names that configuration and verdicts use."""

RUN_LENGTH: Final = 9
"""Points on one side that make ``nelson2`` fire; with it alone, one false alarm in about 510 points."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that fired: at point `index` (0-based), made by the points `members` (it is the last)."""

    rule: str
    index: int
    members: tuple[int, ...]


def check_rules(rules: Iterable[str]) -> tuple[str, ...]:
    """The rules as a tuple; ValueError names an unknown or repeated one."""
    names = tuple(rules)
    for name in names:
        if name not in RULES:
            raise ValueError(f"unknown rule {name!r}; known: {', '.join(RULES)}")
    if len(set(names)) != len(names):
        raise ValueError(f"rules named twice: {', '.join(names)}")
    return names


def nelson1(points: npt.ArrayLike, lower: float, upper: float) -> tuple[Signal, ...]:
    """Points strictly beyond the limits; `points` is one-dimensional, NaN is a gap and never fires."""
    values = np.asarray(points, dtype=np.float64)
    beyond = np.flatnonzero((values < lower) | (values > upper)).tolist()
    return tuple(Signal("nelson1", index, (index,)) for index in beyond)


def nelson2(
    points: npt.ArrayLike,
    centre: float,
    *,
    excluded: Collection[int] = (),
    restarts: Collection[int] = (),
) -> tuple[Signal, ...]:
    """Points that complete a run of nine strictly on one side of `centre`.

    `points` is one-dimensional, NaN is a gap. `excluded` points belong to no run. `restarts` are indices
    at which a run may begin but not continue: the first point under new limits, a new tool, a new part.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return ()
    side = (values > centre).astype(np.int8) - (values < centre).astype(np.int8)
    side[list(excluded)] = 0
    begins = np.ones(values.size, dtype=bool)
    begins[1:] = side[1:] != side[:-1]
    begins[list(restarts)] = True
    index = np.arange(values.size)
    length = index - np.maximum.accumulate(np.where(begins, index, 0)) + 1
    complete = np.flatnonzero((side != 0) & (length >= RUN_LENGTH)).tolist()
    return tuple(Signal("nelson2", last, tuple(range(last - RUN_LENGTH + 1, last + 1))) for last in complete)


def evaluate(
    rules: Iterable[str],
    points: npt.ArrayLike,
    *,
    centre: float,
    lower: float,
    upper: float,
    excluded: Collection[int] = (),
    restarts: Collection[int] = (),
) -> tuple[Signal, ...]:
    """All signals of the named rules, in the order of the points, then of `RULES`."""
    names = check_rules(rules)
    found: list[Signal] = []
    if "nelson1" in names:
        found += nelson1(points, lower, upper)
    if "nelson2" in names:
        found += nelson2(points, centre, excluded=excluded, restarts=restarts)
    return tuple(sorted(found, key=lambda signal: (signal.index, RULES.index(signal.rule))))
