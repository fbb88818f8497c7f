"""The page of commands, from the typer applications."""

from __future__ import annotations

from tools.commands import Command, commands, programs
from tools.reference.markdown import cell, code, document, table

INTRODUCTION = """
Every command has `--help`. Where a command has `--json`, exactly one JSON document goes to stdout; progress and
errors go to stderr. Exit codes: 0 fine, 1 the thing checked is not fine, 2 usage or configuration error, 3
something could not be reached, rights are missing, or the process may have no more memory, files or threads, 74
the disk is full or fails. What cannot be written to stderr is dropped and changes no exit code; an answer on
stdout that cannot be written is an error. `--debug` shows the traceback of an error;
`LOTKEEPER_DEBUG=1` in the environment does so too, and has a process that serves log everything.
"""


def page() -> str:
    """All programs, each command under its program."""
    parts = [INTRODUCTION]
    for name, app in programs().items():
        for command in commands(name, app):
            parts += _section(command)
    return document("Commands", *parts)


def _section(command: Command) -> list[str]:
    level = "##" if " " not in command.path else "###"
    parts = [f"{level} {command.path}", "\n\n".join(_paragraphs(command.about))]
    if command.is_group:
        return parts
    parts.append(f"```text\n{command.usage}\n```")
    rows = [(code(words), text) for words, text in command.parameters()]
    if rows:
        parts.append(table(("argument, option", "what it is"), rows))
    return parts


def _paragraphs(text: str) -> list[str]:
    """Running text with examples set as code."""
    found = []
    for block in text.replace("\b", "").split("\n\n"):
        words, mark, example = cell(block).partition("Example: ")
        found += [part for part in (words.strip(), f"Example: `{example.strip()}`" if mark else "") if part]
    return found
