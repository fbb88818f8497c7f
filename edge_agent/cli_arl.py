"""``lotkeeper-edge spc arl``: how often a choice of rules cries wolf, and how soon it sees a shift."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from records.console import print_json
from records.errors import ConfigurationError

if TYPE_CHECKING:
    from spc.rules import Rule

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]

_PARAMETERS = {
    "shewhart": ("L", "filling"),
    "ewma": ("lam", "L", "limits", "z0"),
    "cusum1": ("k", "h", "z0"),
    "cusum2": ("k", "h", "hs"),
}


def arl(
    rules: Annotated[
        str | None,
        typer.Option(help="Of a Shewhart chart: nelson, western, or names: nelson1,nelson2 [default: nelson1]"),
    ] = None,
    f: Annotated[
        str, typer.Option("--f", metavar="CHART", help="shewhart, ewma, cusum1 (one sum) or cusum2.")
    ] = "shewhart",
    width: Annotated[float | None, typer.Option("--L", help="Width of the limits in sigmas.")] = None,
    lam: Annotated[float | None, typer.Option(help="EWMA: weight of the newest point.")] = None,
    limits: Annotated[str | None, typer.Option(help="EWMA: fixed limits, or exact ones for each point.")] = None,
    k: Annotated[
        float | None, typer.Option("--k", help="CUSUM: reference value, half the shift to be seen.")
    ] = None,
    h: Annotated[float | None, typer.Option("--h", help="CUSUM: decision interval.")] = None,
    hs: Annotated[float | None, typer.Option(help="cusum2: where both sums start (FIR).")] = None,
    z0: Annotated[float | None, typer.Option(help="EWMA, cusum1: where z or the sum starts.")] = None,
    filling: Annotated[
        str | None, typer.Option(help="Whether windows fire from the first point (first) or only when full.")
    ] = None,
    mu: Annotated[str, typer.Option(help="Shifts to show, in sigmas of single values.")] = "0,0.5,1,1.5,2,3",
    n: Annotated[int, typer.Option("--n", min=1, help="Readings in a subgroup.")] = 1,
    chart: Annotated[
        str | None,
        typer.Option(
            help="Of a Shewhart chart: imr, xbar_r, xbar_s, ...: false alarms of its spread chart count."
        ),
    ] = None,
    runs_a_day: Annotated[
        float | None, typer.Option(min=0, help="Readings a day of one chart: tells the false alarms a day.")
    ] = None,
    charts: Annotated[int, typer.Option(min=1, help="How many such charts.")] = 1,
    json: Json = False,
) -> None:
    """Average run lengths: how many points until a signal, without a shift and after shifts.

    Points are taken as independent and normal, limits as known: with limits from 25 subgroups real charts signal
    somewhat earlier. Sets with nelson3 or nelson4 are simulated and tell the standard error.
    """
    from edge_agent.study_table import RunLength, show_run_lengths
    from spc.arl import arl as run_length
    from spc.request import asked_rules

    told = {"L": width, "lam": lam, "limits": limits, "k": k, "h": h, "hs": hs, "z0": z0, "filling": filling}
    request = _request(f, {name: value for name, value in told.items() if value is not None})
    if f != "shewhart" and rules is not None:
        raise ConfigurationError(f"{f} takes no rules: it knows one, a point beyond its limit")
    shifts = [_number(word) for word in mu.split(",")]
    try:
        asked = asked_rules(rules or "nelson1", "--rules") if f == "shewhart" else ()
        if asked:
            request["rules"] = [rule.to_json() for rule in asked]
        if any(rule.pattern in ("trend", "alternating") for rule in asked):
            typer.echo("trends and alternation have no exact way: simulating ...", err=True)
        found = [RunLength(shift, run_length({**request, "n": n, "mu": shift})) for shift in shifts]
        in_control = next((one for one in found if one.mu == 0), None) or RunLength(
            0, run_length({**request, "n": n})
        )
        a_point = 1 / in_control.found.value if chart is None else _alarm_rate(asked, chart, n, width)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    alarms = None if runs_a_day is None else charts * runs_a_day / n * a_point
    if json:
        lengths: list[JsonValue] = [one.to_json() for one in found]
        answer: dict[str, JsonValue] = {**request, "n": n, "run_lengths": lengths, "charts": charts}  # type: ignore[dict-item]  # JSON
        print_json({**answer, "chart": chart, "runs_a_day": runs_a_day, "false_alarms_a_day": alarms})
        return
    show_run_lengths(_heading(f, request, asked, n), found, alarms, charts, chart)


def _alarm_rate(rules: tuple[Rule, ...], chart: str, n: int, width: float | None) -> float:
    """False alarms a point of a chart of this kind, with those of the spread chart beside it."""
    from spc.false_alarms import alarm_rate
    from spc.limits import VECTORS, check_subgroup

    if not rules or width is not None:
        raise ConfigurationError(
            "--chart is for Shewhart charts with limits at 3 sigmas", hint="leave --chart out"
        )
    if chart in ("ewma", "cusum", *VECTORS):
        raise ConfigurationError(f"--chart {chart} is no Shewhart chart of rules", hint="--f ewma, --f cusum2")
    return alarm_rate(rules, check_subgroup(chart, n), None, n)


def _request(f: str, told: Mapping[str, object]) -> dict[str, object]:
    if f not in _PARAMETERS:
        from spc.request import near

        raise ConfigurationError(f"--f {f}: no such chart", hint=near(f, _PARAMETERS))
    for name in told:
        if name not in _PARAMETERS[f]:
            raise ConfigurationError(f"{f} does not take --{name}", hint=f"it takes {', '.join(_PARAMETERS[f])}")
    return {"f": f, **told}


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ConfigurationError(f"--mu: {word.strip()!r} is no number", hint="such as 0,0.5,1,2") from None


def _heading(f: str, request: Mapping[str, object], rules: tuple[Rule, ...], n: int) -> str:
    of = f" of {n} readings a point" if n > 1 else ""
    if f == "shewhart":
        return f"Shewhart chart{of} with {', '.join(rule.name for rule in rules)}"
    told = ", ".join(f"{name} {value}" for name, value in request.items() if name != "f")
    return f"{f}{of} with {told}"
