"""``lotkeeper-central recipe``: what each product's revision specifies, and who approved it."""

from __future__ import annotations

from pathlib import Path
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
from central.requests import ProposalDecide, ProposalList, RecipeImport
from records.console import print_json

app = typer.Typer(no_args_is_help=True, help="Recipes: specifications of products, and their approval.")

Recipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help="PRODUCT/REVISION:VERSION or its id, as `list` shows.")
]


@app.command(
    "import",
    epilog="Example: lotkeeper-central recipe import VS-100-C.yaml --by eva --reason 'drawing 4711 revision C'",
)
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The recipe, as YAML or JSON.")],
    by: Annotated[str, typer.Option("--by", help="Who proposes it; an engineer or a quality role.")],
    reason: Annotated[str, typer.Option(help="Why, in that person's words.")] = "imported",
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Propose a recipe as the next version of its product and revision; another person approves it."""
    from central.recipes import read_recipe

    recipe = read_recipe(file)
    request = RecipeImport(by=me(), user=by, reason=reason, content=recipe.content)
    answer = administer(load_settings(config), request)
    version = answer["version"] if isinstance(answer, dict) else ""
    say(json, answer, f"{recipe.key}:{version} is proposed; a quality role approves it")


@app.command("list", epilog="Example: lotkeeper-central recipe list --json")
def list_(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every version of every recipe, the newest of each first."""
    found = administer(load_settings(config), ProposalList(by=me(), kind="recipe"))
    if json:
        print_json(found)
        return
    for one in found if isinstance(found, list) else []:
        if isinstance(one, dict):
            name = f"{one['key']}:{one['version']}"
            approved = f"approved by {one['approved_by']}" if one["approved_by"] else ""
            typer.echo(f"{name:32} {one['state']!s:11} by {one['author']!s:12} {approved}")


def _decide(
    act: Literal["approve", "withdraw"], recipe: str, user: str, reason: str, stdin: bool, config: Config
) -> JsonValue:
    def request(password: str) -> ProposalDecide:
        return ProposalDecide(
            by=me(), kind="recipe", id=recipe, act=act, user=user, password=password, reason=reason
        )

    return signed(config, stdin, request)


@app.command(
    epilog="Example: lotkeeper-central recipe approve VS-100/C:1 --user li.na --reason 'as drawn' --password-stdin"
)
def approve(
    recipe: Recipe,
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that lines make the product by this recipe; whoever proposed it may not."""
    answer = _decide("approve", recipe, user, reason, password_stdin, config)
    say(json, answer, f"{recipe} is approved and told to the lines")


@app.command(
    epilog="Example: lotkeeper-central recipe withdraw VS-100/C:1 --user li.na --reason 'wrong' --password-stdin"
)
def withdraw(
    recipe: Recipe,
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that lines no longer make the product by this recipe; the version approved before it holds again."""
    answer = _decide("withdraw", recipe, user, reason, password_stdin, config)
    say(json, answer, f"{recipe} is withdrawn")
