"""``station``: what stands at a station, and what a person does about it through the running agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import JsonValue

from edge_agent.asking import Answered, ask
from edge_agent.cli_line import load_line
from records.console import print_json
from records.errors import ConfigurationError, Unknown, Unreachable

if TYPE_CHECKING:
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded

ANSWER_S = 40.0
UNITS_TOLD = 8

By = Annotated[
    str, typer.Option("--by", help="Who you are: your badge, or your name where no badges are scanned.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; it goes into the records.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]

station = typer.Typer(
    no_args_is_help=True,
    help="What signals left standing at a station (holds, alarms): see it, end it, begin a chart anew.",
    epilog="Example: lotkeeper-edge station line.yaml seal holds\n\n"
    'Example: lotkeeper-edge station line.yaml seal lift h-1a2b3c4d --by B123456 --reason "tool 7 changed"',
)


def register(app: typer.Typer) -> None:
    """Add the command to ``lotkeeper-edge``."""
    app.add_typer(station, name="station")


@station.callback()
def which(
    context: typer.Context,
    line: Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The line file.")],
    name: Annotated[str, typer.Argument(metavar="STATION", help="The station, as the file calls it.")],
) -> None:
    """Which station is meant."""
    context.obj = (line, name)


@station.command(epilog="Example: lotkeeper-edge station line.yaml seal holds --json")
def holds(context: typer.Context, json: Json = False) -> None:
    """What stands there: the station held, units held, alarms. Exit 1 something stands, 3 no agent runs."""
    loaded, name = _meant(context)
    report = _asked(loaded, "GET", "/api/v1/status").body
    found = next((each for each in report["stations"] if each["name"] == name), None)
    if found is None:
        raise Unknown(f"the agent has no station {name!r}", hint="it works by another line file; see status")
    standing = found["holds"]
    if json:
        print_json({"agent": report["agent"], "station": name, "held": found["held"], "holds": standing})
    else:
        for text in hold_lines(standing) or [f"nothing stands at {name}"]:
            typer.echo(text)
    raise typer.Exit(1 if standing else 0)


@station.command(
    epilog='Example: lotkeeper-edge station line.yaml seal lift h-1a2b3c4d --by B123456 --reason "tool changed"'
)
def lift(
    context: typer.Context,
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="What is ended, as `holds` names it.")],
    by: By,
    reason: Reason,
    unit: Annotated[
        str | None,
        typer.Option("--unit", help="Release only this one of the held units, by its serial or carrier."),
    ] = None,
    json: Json = False,
) -> None:
    """End a hold of the station or of units, or acknowledge an alarm. It is recorded with name and reason."""
    which = {} if unit is None else {"unit": unit}
    _act(context, "lift", {"hold": hold, **which, "by": by, "reason": reason}, json)


@station.command(
    epilog="Example: lotkeeper-edge station line.yaml seal restart seal_temp --by B123456 "
    '--cause "heater worn" --reason "heater changed"'
)
def restart(
    context: typer.Context,
    characteristic: Annotated[str, typer.Argument(metavar="CHARACTERISTIC", help="Whose chart.")],
    by: By,
    cause: Annotated[str, typer.Option("--cause", help="The cause that was found.")],
    reason: Reason,
    stream: Annotated[
        str | None,
        typer.Option("--stream", help='Which of its charts, as "product=VS-100&revision=C".'),
    ] = None,
    json: Json = False,
) -> None:
    """Begin a chart anew after a cause was mended: no run of points and no sum reaches back beyond it."""
    said = {"characteristic": characteristic, "stream": stream, "by": by, "cause": cause, "reason": reason}
    _act(context, "restart", said, json)


def hold_lines(standing: list[Mapping[str, Any]]) -> list[str]:
    """What stands, two lines each."""
    what = {"hold_station": "STATION HELD", "hold_unit": "units held", "alarm": "alarm"}
    lines = []
    for each in standing:
        chart = " ".join(part for part in (each["characteristic"], each["stream"]) if part)
        times = "" if each["times"] == 1 else f", signalled {each['times']} times"
        lines.append(f"{each['hold']}  {what[each['action']]:<12}  since {each['since']}{times}")
        lines.append(f"            {chart}: {each['says']}")
        if each["units"]:
            more = len(each["units"]) - UNITS_TOLD
            lines.append(
                f"            {', '.join(each['units'][:UNITS_TOLD])}" + (f" and {more} more" if more > 0 else "")
            )
    return lines


def _meant(context: typer.Context) -> tuple[Loaded[LineSettings], str]:
    line, name = context.obj
    loaded = load_line(line)
    known = loaded.value.stations
    if name not in known:
        raise Unknown(f"{line} has no station {name!r}", hint=f"it has: {', '.join(known) or 'none'}")
    return loaded, name


def _act(context: typer.Context, what: str, said: Mapping[str, JsonValue], json: bool) -> None:
    loaded, name = _meant(context)
    answer = _asked(loaded, "POST", f"/api/v1/{what}", {"station": name, **said})
    if answer.status == 504:
        raise Unreachable(str(answer.body["error"]), hint="ask `holds` or `status` whether it has happened")
    if answer.status == 404:
        raise Unknown(str(answer.body["error"]))
    if answer.status != 200:
        raise ConfigurationError(str(answer.body["error"]))
    if json:
        print_json(answer.body)
        return
    if said.get("unit") is not None:
        left = f"{answer.body['left']} of it still held" if answer.body["left"] else "none of it is held any more"
        typer.echo(f"{answer.body['unit']} of {said['hold']} is released at {name}, {left}; recorded")
        return
    done = "ended" if what == "lift" else "begun anew"
    thing = said.get("hold") or f"the chart of {said.get('characteristic')}"
    typer.echo(f"{thing} is {done} at {name}; recorded")


def _asked(loaded: Loaded[LineSettings], method: str, path: str, body: JsonValue = None) -> Answered:
    answer = ask(loaded, method, path, ANSWER_S, body)
    if answer is not None:
        return answer
    page = loaded.value.status
    if page is None:
        raise Unreachable(
            f"the agent {loaded.value.agent} cannot be asked: its file has no page",
            hint="add status: {port: 8765} to the line file and restart the agent",
        )
    raise Unreachable(
        f"no agent {loaded.value.agent} answers on port {page.port}",
        hint="is it running? what stands at a station stays while it is down; start it, then try again",
    )
