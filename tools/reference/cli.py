"""The page of commands, from the typer applications."""

from __future__ import annotations

from records.errors import KINDS
from tools.commands import Command, commands, programs
from tools.reference.markdown import cell, code, document, table

INTRODUCTION = """
Every command has `--help`. With `--json` exactly one JSON document goes to stdout, the answer or, where a command
comes to none, its error; progress and words for people go to stderr. What cannot be written to stderr is dropped
and changes no exit code; an answer on stdout that cannot be written is an error. `--debug` shows the traceback of
an error; `LOTKEEPER_DEBUG=1` in the environment does so too, and has a process that serves log everything.

```json
{"error": {"code": "unknown", "message": "there is no user li.na",
           "hint": "lotkeeper-central user list shows them"}}
```

`hint` may be null; the errors of a file also have `problems`, each with `file`, `line`, `col`, `path`, `message`
and `hint` (`lotkeeper-edge check --json` answers with that list itself). An answer that is not fine (exit code 1,
or 3 where it says what was not reached) is an answer, not an error.
"""
MEANINGS = {
    "fault": "a fault of Lotkeeper",
    "configuration": "a file, an option or what was typed is wrong",
    "unreachable": "a device, broker, central, server or ERP did not answer",
    "lacking": "this process may have no more memory, files or threads",
    "refused": "the other side, or the system, said no: password, rights, state",
    "no-room": "the disk is full, or a file is at its cap",
    "busy": "the disk is too slow for all the writes that wait",
    "unfit": "the database server does not keep what it commits, or only lets read",
    "invalid": "what was to be checked or taken cannot be taken",
    "unknown": "what was named (a file, lot, agent, token, ...) is not there",
    "damaged": "a stored chain, file or signature does not verify",
    "storage-failed": "the disk fails, or did not keep what a process must keep",
}


def page() -> str:
    """All programs, each command under its program."""
    parts = [INTRODUCTION, _exit_codes()]
    for name, app in programs().items():
        for command in commands(name, app):
            parts += _section(command)
    return document("Commands", *parts)


def _exit_codes() -> str:
    """0, 1 without an error, and the code of each kind of error."""
    rows = [("0", "", "fine"), ("1", "", "the answer is: the thing checked is not fine")]
    rows += sorted((str(each.exit_code), code(each.kind), MEANINGS[each.kind]) for each in KINDS)
    rows.sort(key=lambda row: int(row[0]))
    return table(("exit code", "code of the error", "what it means"), rows)


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
