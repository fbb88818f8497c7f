"""``lotkeeper-central recompute``: what the line computed of a lot, computed again."""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import JsonValue

from central.cli_common import DEFAULT_CONFIG, Config, Json, load_settings, typed
from records.console import print_json
from records.progress import Progress

SHOWN = 20
"""Most differences that a person is shown of each kind; --json tells more."""


def recompute(
    lot: Annotated[str, typer.Argument(metavar="LOT", help="The lot, as its records name it.")],
    product: Annotated[str | None, typer.Option(help="Its product, where several have such a lot.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Scale raw registers and judge charts again, and compare with the records; exit 1 on a difference."""
    from central.recompute import recompute as again
    from central.store.engine import reading

    settings = load_settings(config).value
    with reading(settings.database) as connection, typed(), Progress("records read") as progress:
        result = again(connection, lot, product, progress)
    told = result.to_json()
    if json:
        print_json(told)
    else:
        for line in _lines(told, differing=result.differing):
            typer.echo(line)
    raise typer.Exit(0 if result.ok else 1)


def _lines(told: dict[str, JsonValue], *, differing: bool) -> list[str]:
    """The result for people."""
    verdict = "equal" if told["ok"] else "NOT EQUAL" if differing else "NOTHING COULD BE COMPARED"
    lines = [f"{verdict}: lot {told['lot']} of {told['product'] or 'no product'}, {told['records']} records"]
    for kind in ("readings", "verdicts"):
        part = told[kind]
        if not isinstance(part, dict):
            continue
        lines.append(
            f"  {kind}: {part['equal']} of {part['compared']} equal, {part['not_comparable']} not comparable"
        )
        reasons = part["reasons"]
        for reason, count in reasons.items() if isinstance(reasons, dict) else ():
            lines.append(f"    not comparable, {reason}: {count}")
        differ = part["differ"]
        for one in (differ if isinstance(differ, list) else [])[:SHOWN]:
            if isinstance(one, dict):
                lines.append(f"    differs: {_difference(one)}")
    return lines


def _difference(one: dict[str, JsonValue]) -> str:
    record = str(one["record"])[:12]
    if "tag" in one:
        return f"{one['tag']} of {one['run_id']} ({record}): {one['recorded']} recorded, {one['recomputed']} again"
    fields = one["fields"]
    told = [
        f"{name} {pair['recorded']} recorded, {pair['recomputed']} again"
        for name, pair in (fields.items() if isinstance(fields, dict) else ())
        if isinstance(pair, dict)
    ]
    return f"{one['characteristic']} point {one['subgroup']} ({record}): {'; '.join(told)}"
