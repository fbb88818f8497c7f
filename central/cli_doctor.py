"""``lotkeeper-central doctor``: what is wrong, and what to do."""

from __future__ import annotations

import typer

from central.cli_common import DEFAULT_CONFIG, Config, Json
from central.settings import load_settings
from records.clock import SystemClock
from records.console import print_json

SIGNS = {"fine": "fine", "warning": "LOOK AT", "bad": "WRONG", "unreachable": "NOT REACHED"}


def doctor(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Look at keys, disks, database, anchors, clocks and the broker; say what is wrong and what to do.

    Exit 0 nothing is wrong (warnings count as that), 1 something is, 3 something could not be reached.
    """
    from central.doctor import examine, exit_code

    found = examine(load_settings(config).value, SystemClock())
    code = exit_code(found)
    if json:
        print_json({"ok": code == 0, "checks": [each.to_json() for each in found]})
    else:
        for each in found:
            typer.echo(f"{SIGNS[each.state]:<12} {each.check}: {each.says}")
            if each.do is not None and each.state != "fine":
                typer.echo(f"{'':<12} -> {each.do}")
    raise typer.Exit(code)
