"""What a study found, for people: its answer in numbers, and the charts that go with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spc.rules import Signal
from spc.series import Histogram

__all__ = ["Answer", "Plot", "Study"]

Answer = dict[str, object]
"""One flat object of numbers, lists of numbers and nulls: JSON-safe, never NaN or infinite."""


@dataclass(frozen=True, slots=True, eq=False)
class Plot:
    """One chart of m points: what is plotted, and the lines that hold for each point.

    `values` and the lines have length m, NaN is a gap; a line is None where the chart has no such. `below` is the
    lower sum of a CUSUM as negative numbers, with `below_signals`. `unit` is False for pure numbers, `single` true
    for single readings, which a specification speaks of.
    """

    name: str
    values: Sequence[float]
    lower: Sequence[float] | None
    centre: Sequence[float] | None
    upper: Sequence[float] | None
    signals: tuple[Signal, ...] = ()
    below: Sequence[float] = ()
    below_signals: tuple[Signal, ...] = ()
    unit: bool = True
    single: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study of a request: `answer` for programs; `plots` (location first, then spread) and `facts` for people.

    The first `phase1` points set the limits (None where they were given), `excluded` ones (0-based, with the
    cause) left out. `version` names the limits; `facts` are words about the estimate; `histogram`
    shows the values of a capability in their specification.
    """

    chart: str
    answer: Answer
    plots: tuple[Plot, ...] = ()
    version: str = ""
    provisional: bool = False
    phase1: int | None = None
    excluded: Mapping[int, str] = field(default_factory=dict)
    facts: tuple[tuple[str, str], ...] = ()
    title: str = ""
    unit: str = ""
    histogram: Histogram | None = None
