"""``lotkeeper-edge``: what a line engineer types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_agent import (
    cli_buffer,
    cli_convert,
    cli_identity,
    cli_opcua,
    cli_spc,
    cli_station,
    cli_status,
    cli_tools,
)
from edge_agent.cli_line import load_line
from records.clock import SystemClock
from records.console import print_json, run_app
from records.errors import ConfigurationError, LotkeeperError

if TYPE_CHECKING:
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The agent beside the equipment: reads machines and scanners, keeps every record until central has it.",
)
cli_buffer.register(app)
cli_convert.register(app)
cli_tools.register(app)
cli_opcua.register(app)
cli_identity.register(app)
cli_status.register(app)
cli_spc.register(app)
cli_station.register(app)

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The line file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


@app.command(
    epilog="Example: lotkeeper-edge check config/lines/valve-assembly.yaml\n\n"
    "Example: lotkeeper-edge check --schema > line.schema.json",
)
def check(
    line: Annotated[Path | None, typer.Argument(metavar="LINE.yaml", help="The line file.")] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of line files, for your editor, and end.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a line file: every error at once, as file:line:col, with what is expected."""
    if schema:
        from edge_agent.schema import line_schema

        print_json(line_schema())
        return
    if line is None:
        raise typer.BadParameter("which line file?", param_hint="LINE.yaml")
    try:
        loaded = load_line(line, advise=True)
    except ConfigurationError as error:
        if not json:
            raise
        print_json([problem.to_json() for problem in error.problems])
        raise typer.Exit(error.exit_code) from None
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    space = _space(loaded)
    if json:
        print_json([])
        return
    settings = loaded.value
    if not settings.stations:
        typer.echo(f"warning: {line}: no stations: this agent records no operations", err=True)
    tags = sum(len(device.tags) for device in settings.devices.values())
    typer.echo(
        f"{line}: fine: {len(settings.devices)} devices, {tags} tags, {len(settings.stations)} stations, "
        f"{len(settings.characteristics)} characteristics; configuration {loaded.hash}"
    )
    for words in space:
        typer.echo(f"buffer {settings.buffer and settings.buffer.path}: {words}")


def _space(loaded: Loaded[LineSettings]) -> list[str]:
    """What the buffer may take of its volume and how long that lasts, on the PC that has its folder.

    The PC of who wrote the line file has none, nor has the line PC before the first start.

    Raises:
        ConfigurationError: it does not fit.
    """
    buffer = loaded.value.buffer
    if buffer is None:
        return []
    from edge_agent import space

    there = space.room(buffer.path)
    if not buffer.path.exists():
        wanted = space.budget(there, buffer.records_max, buffer.telemetry_max, buffer.ballast)
        problem = space.misfit(there, wanted, begun=False)
        if problem is not None:
            typer.echo(f"warning: the buffer {buffer.path} would not fit here, if made now: {problem}", err=True)
        return []
    from edge_agent.aside_words import aside_json, aside_says
    from edge_agent.buffer_lasts import records_last, telemetry_lasts
    from edge_agent.outbox import glance
    from edge_agent.outbox.aside import set_aside

    wanted = space.plan(buffer.path, buffer.records_max, buffer.telemetry_max, buffer.ballast)
    tight = space.tight(there, wanted)
    if tight is not None:
        typer.echo(f"warning: the buffer does not fit now, others have filled its volume: {tight}", err=True)
    for one in set_aside(buffer.path):
        if one.concerns:
            typer.echo(f"warning: {aside_says(aside_json(one))}", err=True)
    blocks = space.small_blocks(buffer.path)
    if blocks is not None:
        typer.echo(f"warning: {blocks}", err=True)
    try:
        fill = glance(buffer.path / "records.db", 0, wanted.records, SystemClock().now_us()).fill
    except LotkeeperError:
        fill = None  # it never ran here, or the file is for a start to set aside
    records, enough = records_last(buffer, wanted.records, fill)
    if not enough:
        typer.echo(f"warning: {records}", err=True)
    telemetry = telemetry_lasts(loaded.value.devices, buffer, wanted.telemetry)
    told = [f"{space.needs(wanted)}; {space.has(there)}", records if enough else None, telemetry]
    return [words for words in told if words is not None]


@app.command(epilog="Example: lotkeeper-edge run config/lines/valve-assembly.yaml")
def run(line: LineFile) -> None:
    """Run the agent until it is told to stop (SIGTERM, Ctrl-C)."""
    from edge_agent.process import run_agent  # the protocol libraries are loaded only here

    run_agent(load_line(line))


def main() -> None:
    """The command's entry."""
    run_app(app)
