"""``lotkeeper-edge``: what a line engineer types."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from edge_agent import cli_convert, cli_opcua, cli_spc, cli_station, cli_status, cli_tools
from edge_agent.cli_line import load_line
from records.clock import iso_z
from records.console import print_json, run_app
from records.errors import ConfigurationError, Unreachable

if TYPE_CHECKING:
    from edge_agent.outbox import Verification
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The agent beside the equipment: reads machines and scanners, keeps every record until central has it.",
)
buffer = typer.Typer(no_args_is_help=True, help="Look into the buffer of records, also while the agent is down.")
app.add_typer(buffer, name="buffer")
cli_convert.register(app)
cli_tools.register(app)
cli_opcua.register(app)
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
        print_json([problem.to_json() for problem in error.problems])  # type: ignore[misc]  # JSON by its promise
        raise typer.Exit(error.exit_code) from None
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
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


@app.command(epilog="Example: lotkeeper-edge run config/lines/valve-assembly.yaml")
def run(line: LineFile) -> None:
    """Run the agent until it is told to stop (SIGTERM, Ctrl-C)."""
    from edge_agent.app import run_agent  # the protocol libraries are loaded only here

    run_agent(load_line(line))


@buffer.command("verify", epilog="Example: lotkeeper-edge buffer verify config/lines/valve-assembly.yaml --json")
def buffer_verify(line: LineFile, json: Json = False) -> None:
    """Check every record's digest and the whole chain, of telemetry too; exit 1 when one does not hold."""
    path = _database(load_line(line))
    result = _verified(path, path.with_name("telemetry.db"))
    if json:
        print_json(
            {
                "ok": result.ok,
                "records": result.records,
                "tombstones": result.tombstones,
                "first_bad": None if result.first_bad is None else asdict(result.first_bad),
                "reason": result.reason,
            }
        )
    elif result.ok:
        typer.echo(f"fine: {result.records} records in chain, {result.tombstones} tombstones")
    else:
        place = result.first_bad
        where = "" if place is None else f" at {place.agent}/{place.epoch}/{place.stream} seq {place.seq}"
        typer.echo(f"NOT FINE{where}: {result.reason}")
    raise typer.Exit(0 if result.ok else 1)


def _verified(records: Path, telemetry: Path) -> Verification:
    """Both files of a buffer, the one of records first; one that was never made is none."""
    from edge_agent.outbox import Verification, verify

    first = verify(records)
    if not first.ok or not telemetry.exists():
        return first
    second = verify(telemetry)
    both = second.records + first.records, second.tombstones + first.tombstones
    return Verification(second.ok, *both, second.first_bad, second.reason)


@buffer.command("show", epilog="Example: lotkeeper-edge buffer show config/lines/valve-assembly.yaml --last 5")
def buffer_show(
    line: LineFile,
    last: Annotated[int, typer.Option(min=0, help="Also print the last so many records.")] = 0,
    json: Json = False,
) -> None:
    """What the buffer holds: last record, what central has committed, what waits."""
    from edge_agent.outbox import export, inspect

    path = _database(load_line(line))
    contents = inspect(path)
    kept = list(export(path))[-last:] if last else []
    records: list[JsonValue] = [
        {
            "epoch": e.epoch,
            "seq": str(e.seq),
            "kind": e.kind,
            "hash": e.hash.hex(),
            "body": None if e.body is None else e.body.decode(),
        }
        for e in kept
    ]
    pending = contents.pending
    if json:
        print_json(
            {
                "agent": contents.agent,
                "stream": contents.stream,
                "head": contents.head.to_json(),
                "acknowledged": contents.acknowledged.to_json(),
                "pending": pending.records,
                "oldest_pending": iso_z(pending.oldest_us),
                "records": contents.records,
                "bytes": contents.bytes,
                "last": records,
            }
        )
        return
    typer.echo(
        f"agent {contents.agent}, stream {contents.stream}, {contents.records} records, {contents.bytes} bytes"
    )
    typer.echo(f"head          {contents.head.epoch} {contents.head.seq} {contents.head.hash.hex()}")
    typer.echo(f"acknowledged  {contents.acknowledged.epoch} {contents.acknowledged.seq}")
    oldest = "" if pending.oldest_us is None else f", the oldest since {iso_z(pending.oldest_us)}"
    typer.echo(f"pending       {pending.records}{oldest}")
    for e in kept:
        typer.echo(f"\n{e.seq}  {e.kind}  {e.hash.hex()}")
        typer.echo("(tombstone)" if e.body is None else e.body.decode())


def _database(loaded: Loaded[LineSettings]) -> Path:
    if loaded.value.buffer is None:
        raise ConfigurationError(f"{loaded.file} has no buffer", hint="add buffer: {path: FOLDER}")
    path = loaded.value.buffer.path / "records.db"
    if not path.exists():
        raise Unreachable(f"there is no buffer {path}", hint="has the agent run on this machine yet?")
    return path


def main() -> None:
    """The command's entry."""
    run_app(app)
