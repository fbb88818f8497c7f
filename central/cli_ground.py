"""``lotkeeper-central ground``: who may work where, which machines are fit to, and why people decide."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from central.cli_common import (
    DEFAULT_CONFIG,
    Config,
    Decider,
    Json,
    PasswordStdin,
    Reason,
    administer,
    load_settings,
    me,
    say,
    signed,
)
from central.requests import GroundLoad, GroundShow
from records.console import print_json

app = typer.Typer(
    no_args_is_help=True, help="People and their qualifications, equipment and its calibration, reasons."
)


@app.command(
    epilog="Example: lotkeeper-central ground load people.yaml --user li.na --reason 'training of 12 March' "
    "--password-stdin"
)
def load(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The lists, as YAML or JSON.")],
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign the lists of a file: each replaces the one before, at central and on every line."""
    from central.ground import read_ground

    content = read_ground(file).content

    def request(password: str) -> GroundLoad:
        return GroundLoad(by=me(), user=user, password=password, reason=reason, content=content)

    answer = signed(config, password_stdin, request)
    told = answer if isinstance(answer, dict) else {}
    versions = ", ".join(f"{kind} version {one['version']}" for kind, one in told.items() if isinstance(one, dict))
    say(json, answer, f"{versions}: told to the lines")


@app.command(epilog="Example: lotkeeper-central ground show")
def show(config: Config = DEFAULT_CONFIG) -> None:
    """The lists as the lines have them, as JSON."""
    print_json(administer(load_settings(config), GroundShow(by=me())))
