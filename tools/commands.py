"""Every command that a person can type, read from the typer applications that ``pyproject.toml`` names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from tools.uv_program import ROOT


@dataclass(frozen=True, slots=True)
class Command:
    """One command or group of commands; ``path`` is what is typed, such as ``lotkeeper-edge buffer verify``."""

    path: str
    context: typer.Context
    command: TyperCommand | TyperGroup

    @property
    def is_group(self) -> bool:
        return isinstance(self.command, TyperGroup)

    @property
    def about(self) -> str:
        """The help text and what stands under it, where examples are."""
        return "\n\n".join(part for part in (self.command.help, self.command.epilog) if part)

    @property
    def usage(self) -> str:
        """The line ``Usage:`` without that word."""
        return " ".join([self.path, *self.command.collect_usage_pieces(self.context)])

    def parameters(self) -> list[tuple[str, str]]:
        """Each argument and option as help shows it: how it is written, and what it is."""
        records = (parameter.get_help_record(self.context) for parameter in self.command.get_params(self.context))
        return [record for record in records if record is not None and not record[0].startswith("--help")]


def programs() -> dict[str, typer.Typer]:
    """Program name -> its application (the module's ``app``)."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    return {name: import_module(target.partition(":")[0]).app for name, target in scripts.items()}


def commands(name: str, app: typer.Typer) -> Iterator[Command]:
    """The program and everything below it, hidden commands left out, in the order of its help."""
    yield from _below(name, typer.main.get_command(app), None)


def _below(name: str, command: object, parent: typer.Context | None) -> Iterator[Command]:
    if not isinstance(command, TyperCommand | TyperGroup) or command.hidden:
        return
    context = typer.Context(command, info_name=name, parent=parent)
    yield Command(context.command_path, context, command)
    if isinstance(command, TyperGroup):
        for below in command.list_commands(context):
            yield from _below(below, command.get_command(context, below), context)
