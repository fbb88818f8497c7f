"""``lotkeeper-edge convert``: what another tool's configuration says of machines, as a line file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from records.console import print_json
from records.errors import ConfigurationError, Problem


def register(app: typer.Typer) -> None:
    """Add the command to ``lotkeeper-edge``."""
    app.command(epilog="Example: lotkeeper-edge convert telegraf.conf --out line.yaml")(convert)


def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Telegraf configuration or a CSV tag list.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the YAML to this new file, not to stdout.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")] = False,
) -> None:
    """Bring a Telegraf configuration (opcua, opcua_listener, modbus) or a CSV tag list over to a line file.

    What was dropped or changed is told on stderr with its line, and stands in the YAML as comments. Exit code 1:
    the YAML is written, but check still refuses it, or no tag could be taken; what must be filled in is told.
    """
    from edge_agent.convert import convert as converted  # loaded only where it is used

    if out is not None and out.exists():
        raise ConfigurationError(f"{out} is there already", hint="name a new file")
    result = converted(file, lambda content: _problems(content, file.parent))
    if out is not None:
        try:
            out.write_text(result.yaml, encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from None
    if json:
        notes: list[JsonValue] = [note.to_json() for note in result.notes]
        problems: list[JsonValue] = [problem.to_json() for problem in result.problems]
        answer: dict[str, JsonValue] = {"yaml": result.yaml, "devices": result.devices, "tags": result.tags}
        print_json({**answer, "notes": notes, "problems": problems})
    elif out is None:
        typer.echo(result.yaml, nl=False)
    for note in result.notes if not json else ():
        typer.echo(f"note: {note}", err=True)
    for problem in result.problems if not json else ():
        typer.echo(f"fill in: {problem}", err=True)
    if not json:
        typer.echo(f"{file}: {result.devices} devices, {result.tags} tags, {len(result.notes)} notes", err=True)
    raise typer.Exit(0 if result.tags and not result.problems else 1)


def _problems(content: bytes, folder: Path) -> tuple[Problem, ...]:
    """What ``check`` would say of a line file."""
    from edge_agent.settings import parse_line

    try:
        parse_line(content, "line.yaml", folder)
    except ConfigurationError as error:
        return error.problems
    return ()
