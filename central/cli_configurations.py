"""``lotkeeper-central configuration``: the line files of agents, and what quality decided about them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from pydantic import JsonValue

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
from central.requests import ConfigurationDecide, ConfigurationList
from records.console import print_json

app = typer.Typer(no_args_is_help=True, help="The line files by which agents work, and their approval.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="Whose it is.")]
Hash = Annotated[str, typer.Argument(metavar="HASH", help="sha256:..., as `list` and `check` show it.")]


@app.command("list", epilog="Example: lotkeeper-central configuration list --json")
def list_(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every line file that agents have sent, with its state; those in use first."""
    found = administer(load_settings(config), ConfigurationList(by=me()))
    if json:
        print_json(found)
        return
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict):
            use = "in use" if one["in_use"] else ""
            need = "" if one["needed"] else "(needs none)"
            typer.echo(f"{one['agent']:24} {one['hash']} {one['state']:10} {use:7} {need}")


def _decide(
    act: Literal["approve", "withdraw"],
    agent: str,
    hash_: str,
    user: str,
    reason: str,
    stdin: bool,
    config: Config,
) -> JsonValue:
    def request(password: str) -> ConfigurationDecide:
        return ConfigurationDecide(
            by=me(), agent=agent, configuration=hash_, act=act, user=user, password=password, reason=reason
        )

    return signed(config, stdin, request)


@app.command(
    epilog="Example: lotkeeper-central configuration approve sealing-1 sha256:1f... --user li.na "
    "--reason 'change 4711' --password-stdin"
)
def approve(
    agent: Agent,
    hash_: Hash,
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that production may run by this line file; look at its difference on the page first."""
    answer = _decide("approve", agent, hash_, user, reason, password_stdin, config)
    say(json, answer, f"{agent} may make production runs by {hash_}")


@app.command(
    epilog="Example: lotkeeper-central configuration withdraw sealing-1 sha256:1f... --user li.na "
    "--reason 'wrong limits' --password-stdin"
)
def withdraw(
    agent: Agent,
    hash_: Hash,
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that production may no longer run by this line file."""
    answer = _decide("withdraw", agent, hash_, user, reason, password_stdin, config)
    say(json, answer, f"{agent} makes no production runs by {hash_} any more")
