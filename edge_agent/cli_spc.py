"""``lotkeeper-edge spc``: control charts without a line, from a file, and what a choice of rules costs."""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import JsonValue

from edge_agent import cli_arl
from records.console import print_json
from records.errors import ConfigurationError

spc = typer.Typer(no_args_is_help=True, help="Control charts of data in a file, and run lengths of rules.")

_LARGE = 1_000_000

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``lotkeeper-edge``."""
    spc.command(
        epilog="Example: lotkeeper-edge spc arl --rules nelson1,nelson2 --runs-a-day 2000\n\n"
        "Example: lotkeeper-edge spc arl --f ewma --lam 0.2 --L 2.7 --mu 0,0.5,1",
    )(cli_arl.arl)
    app.add_typer(spc, name="spc")


@spc.command(
    epilog="Example: lotkeeper-edge spc study torque.csv --chart xbar_r --phase1 25 --svg torque.svg\n\n"
    "Example: lotkeeper-edge spc study request.json --json",
)
def study(
    file: Annotated[
        str, typer.Argument(metavar="REQUEST.json|FILE.csv", help="A request or a table; - reads standard input.")
    ],
    chart: Annotated[
        str | None, typer.Option(help="The kind of chart; a CSV file needs it: imr, xbar_r, p, ewma, ...")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="The columns of a CSV file to take, where they have other names: batch,torque."),
    ] = None,
    phase1: Annotated[
        int | None, typer.Option(min=2, help="How many points set the limits; all by default.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(help="Points left out of the limits, counted from 1: 15,23.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", "-p", metavar="NAME=VALUE", help="A parameter of the request: lam=0.2. Repeatable."
        ),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help="Also judge by rules: nelson, western, or names: nelson1,nelson5.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="OUT.svg", help="Draw the charts into this file.")] = None,
    json: Json = False,
) -> None:
    """Study data with a control chart: limits, signals, capability. Options win over what the file says.

    Points beyond limits are an answer, not a fault: the exit code is 0 when there is one, 2 for a request that is
    wrong.
    """
    from edge_agent import study_table
    from spc.study import studied
    from spc.study_drawing import draw_study
    from spc.svg import as_file

    request, name, notes = _request(file, chart, columns)
    params = request.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise ConfigurationError(f"{name}: params: expected an object")
    request["params"] = params
    params |= _params(param or [])
    if phase1 is not None:
        params["phase1"] = phase1
    if exclude is not None:
        params["exclude"] = [_value(word) for word in exclude.split(",")]
    if rules is not None:
        params["rules"] = rules
    try:
        found = studied(request)
        drawing = None if svg is None else as_file(draw_study(found))
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from error
    if svg is not None and drawing is not None:
        _write(svg, drawing)
    if json:
        print_json(cast("JsonValue", found.answer))
    else:
        study_table.show(found)
    for note in notes:
        typer.echo(note, err=True)


def _request(file: str, chart: str | None, columns: str | None) -> tuple[dict[str, object], str, list[str]]:
    """The request that a file holds, its name for messages, and what a person should know of it."""
    from edge_agent.study_file import request_of_csv, request_of_json

    name = "standard input" if file == "-" else file
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}", hint="check the path") from None
    if not content.strip():
        raise ConfigurationError(f"{name} is empty", hint="a request as JSON, or a table as CSV with --chart")
    if len(content) > _LARGE:
        typer.echo(f"{name}: {len(content) / 1e6:.1f} MB: this may take some seconds ...", err=True)
    is_json = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") or file.casefold().endswith(".json")
    if is_json:
        if columns is not None:
            raise ConfigurationError(f"{name} is JSON: --columns is for CSV files")
        request = request_of_json(content, name)
        return (request if chart is None else {**request, "chart": chart}), name, []
    if chart is None:
        raise ConfigurationError(f"{name} is a table: which chart?", hint="--chart imr, xbar_r, p, ...")
    wanted = [word.strip() for word in columns.split(",")] if columns else []
    request, unused = request_of_csv(content, name, chart, wanted)
    if file != "-":
        request["title"] = Path(file).stem
    notes = [f"note: {name}: columns not used: {', '.join(unused)}"] if unused else []
    return request, name, notes


def _params(told: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in told:
        key, sign, value = word.partition("=")
        if not (sign and key.strip()):
            raise ConfigurationError(f"--param {word}: NAME=VALUE is needed", hint="such as lam=0.2")
        found[key.strip()] = _value(value)
    return found


def _value(word: str) -> object:
    """A number, list or word, as JSON reads it; what JSON does not know is a text."""
    try:
        return jsonlib.loads(word)
    except ValueError:
        return word.strip()


def _write(svg: Path, drawing: str) -> None:
    try:
        svg.write_text(drawing, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"{svg} cannot be written: {error.strerror}", hint="check the path") from None
