"""``lotkeeper-central hold``: what must not be worked on, on any line, until a person releases it."""

from __future__ import annotations

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
from central.requests import HoldList, HoldRelease, HoldSet
from records.console import print_json

app = typer.Typer(no_args_is_help=True, help="What quality holds on every line, and its release.")


@app.command("list", epilog="Example: lotkeeper-central hold list --json")
def list_(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every hold, those that stand first."""
    found = administer(load_settings(config), HoldList(by=me()))
    if json:
        print_json(found)
        return
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict):
            product = "" if one["product"] is None else f"{one['product']} "
            source = one["carried_over"]
            carried = "" if source is None else f" (carried over a restore, from {source})"
            typer.echo(
                f"{one['hold']} {one['state']:9} {one['kind']} {product}{one['id']}: {one['reason']}{carried}"
            )


@app.command(
    "set",
    epilog="Example: lotkeeper-central hold set lot WO-1000 --product VS-100 --user li.na "
    "--reason 'complaint 4711' --password-stdin",
)
def set_(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="unit, lot, component, order or equipment.")],
    id_: Annotated[str, typer.Argument(metavar="ID", help="Serial, lot, order or the machine's plant name.")],
    user: Decider,
    reason: Reason,
    product: Annotated[
        str | None, typer.Option(help="Product of a unit or lot; item of a component's lot.")
    ] = None,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Hold it: connected stations refuse it within seconds, others when they hear of it."""

    def request(password: str) -> HoldSet:
        return HoldSet(by=me(), kind=kind, id=id_, product=product, user=user, password=password, reason=reason)

    answer = signed(config, password_stdin, request)
    name = answer["hold"] if isinstance(answer, dict) else ""
    say(json, answer, f"{name} holds {kind} {id_}")


@app.command(
    epilog="Example: lotkeeper-central hold release H-1a2b3c4d --user li.na --reason 'CAPA 12 closed' "
    "--password-stdin"
)
def release(
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="As `list` shows it.")],
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Let it be worked on again."""

    def request(password: str) -> HoldRelease:
        return HoldRelease(by=me(), hold=hold, user=user, password=password, reason=reason)

    say(json, signed(config, password_stdin, request), f"{hold} is released")
