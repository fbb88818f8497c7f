"""``lotkeeper-central limits``: control limits as versioned records, from points or given by numbers."""

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
    moment,
    say,
    signed,
)
from central.requests import LimitsGive, LimitsStudy, ProposalDecide, ProposalList
from records.console import print_json
from records.errors import ConfigurationError, Unknown

app = typer.Typer(no_args_is_help=True, help="Control limits: studies, proposals and their approval.")

LimitId = Annotated[str, typer.Argument(metavar="ID", help="A limit set's id or KEY:VERSION, as `list` shows.")]
KEY = ("line", "product", "revision", "tool", "position")


@app.command("list", epilog="Example: lotkeeper-central limits list --characteristic torque")
def list_(
    characteristic: Annotated[str | None, typer.Option(help="Of this one only.")] = None,
    state: Annotated[str | None, typer.Option(help="proposed, approved, superseded or withdrawn only.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Every limit set: what it is for, its version, state, author and approver."""
    found = [
        one
        for one in _all(config)
        if characteristic in (None, _content(one).get("characteristic")) and state in (None, one["state"])
    ]
    if json:
        print_json([*found])
        return
    for one in found:
        content = _content(one)
        told = {"line": content.get("line"), **_object(content.get("key"))}
        key = " ".join(f"{part}={told[part]}" for part in KEY if told.get(part) is not None)
        approved = f", approved by {one['approved_by']}" if one["approved_by"] else ""
        typer.echo(
            f"{one['id']}  {content['characteristic']} v{one['version']}  {one['state']!s:10} "
            f"{content['chart']} [{key}] by {one['author']}{approved}"
        )


@app.command(epilog="Example: lotkeeper-central limits show 5f0c1e2d3a4b5c6d7e8f9a0b")
def show(id_: LimitId, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """One limit set: its limits, how they were computed, from what, and who signed."""
    one = next((one for one in _all(config) if id_ in (one["id"], f"{one['key']}:{one['version']}")), None)
    if one is None:
        raise Unknown(f"there is no limit set {id_}", hint="lotkeeper-central limits list shows them")
    if json:
        print_json(one)
        return
    for line in _lines(one):
        typer.echo(line)


@app.command(
    epilog="Example: lotkeeper-central limits propose assembly-1/assemble/torque?product=VS-100 --first 1 "
    "--last 50 --by eva --reason 'phase I of lot L1'\n\n"
    "Example: lotkeeper-central limits propose --file limits.yaml --by eva --reason 'drawing 4711'"
)
def propose(
    by: Annotated[str, typer.Option("--by", help="Who proposes them; an engineer or a quality role.")],
    reason: Reason,
    chart: Annotated[
        str | None, typer.Argument(metavar="[CHART]", help="AGENT/STATION/CHARACTERISTIC?STREAM, or its id.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Instead of CHART: limits by numbers, YAML or JSON.")] = None,
    first: Annotated[int | None, typer.Option(min=1, help="First point of the study.")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Last point of the study.")] = None,
    begin: Annotated[str | None, typer.Option("--from", help="Points from this time on, ISO with Z.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Points to before this time, ISO with Z.")] = None,
    sigma: Annotated[
        str | None, typer.Option(help="mean_mr, median_mr, sd, sd/c4, rbar, sbar or pooled; left out: usual.")
    ] = None,
    centre: Annotated[str, typer.Option(help="Of single values: mean or median.")] = "mean",
    constants: Annotated[str, typer.Option(help="exact or textbook.")] = "exact",
    confidence: Annotated[float | None, typer.Option(help="Of T squared.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Compute limits from stored points (excluded ones stay out), or take them from a file; another approves."""
    if (chart is None) is (file is None):
        raise ConfigurationError("propose needs CHART or --file", hint="see --help")
    request: LimitsStudy | LimitsGive
    if file is not None:
        from central.limit_files import GivenSettings
        from records.yaml import load

        given = load(file, GivenSettings).value
        request = LimitsGive(by=me(), user=by, reason=reason, content=given.model_dump(mode="json"))
    else:
        request = LimitsStudy(
            by=me(),
            user=by,
            reason=reason,
            chart=chart or "",
            first=first,
            last=last,
            from_us=None if begin is None else moment(begin),
            to_us=None if end is None else moment(end),
            method={"sigma": sigma, "centre": centre, "constants": constants, "confidence": confidence},
        )
    answer = administer(load_settings(config), request)
    if json or not isinstance(answer, dict):
        print_json(answer)
        return
    for line in _lines(answer):
        typer.echo(line)


def _decide(
    act: Literal["approve", "withdraw"],
    id_: str,
    user: str,
    reason: str,
    stdin: bool,
    config: Config,
    effective: str | None = None,
) -> JsonValue:
    effective_us = None if effective is None else moment(effective)

    def request(password: str) -> ProposalDecide:
        return ProposalDecide(
            by=me(),
            kind="limit-set",
            id=id_,
            act=act,
            user=user,
            password=password,
            reason=reason,
            effective_us=effective_us,
        )

    return signed(config, stdin, request)


@app.command(
    epilog="Example: lotkeeper-central limits approve 5f0c1e2d3a4b5c6d7e8f9a0b --user li.na "
    "--reason 'study checked' --password-stdin"
)
def approve(
    id_: LimitId,
    user: Decider,
    reason: Reason,
    effective_from: Annotated[
        str | None, typer.Option(help="From when on they hold, ISO with Z; left out: from now.")
    ] = None,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that lines judge by these limits; whoever proposed them may not."""
    answer = _decide("approve", id_, user, reason, password_stdin, config, effective_from)
    say(json, answer, f"{id_} is approved and told to the lines")


@app.command(
    epilog="Example: lotkeeper-central limits withdraw 5f0c1e2d3a4b5c6d7e8f9a0b --user li.na "
    "--reason 'wrong tool' --password-stdin"
)
def withdraw(
    id_: LimitId,
    user: Decider,
    reason: Reason,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign that lines no longer judge by these limits; a version approved before them holds again."""
    answer = _decide("withdraw", id_, user, reason, password_stdin, config)
    say(json, answer, f"{id_} is withdrawn")


# -- within ------------------------------------------------------------------------------------------------


def _all(config: Path) -> list[dict[str, JsonValue]]:
    found = administer(load_settings(config), ProposalList(by=me(), kind="limit-set"))
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _content(one: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return _object(one.get("content"))


def _lines(one: dict[str, JsonValue]) -> list[str]:
    """A limit set for people."""
    content = _content(one)
    limits, basis = _object(content.get("limits")), _object(content.get("basis"))
    told = {"line": content.get("line"), **_object(content.get("key"))}
    lines = [f"{one['id']}  {content['characteristic']} version {one['version']}: {one['state']}"]
    lines += [f"  {part:10} {told[part]}" for part in KEY if told.get(part) is not None]
    lines.append(f"  {'chart':10} {content['chart']}, subgroups of {content['subgroup']}")
    for name in ("centre", "lower", "upper", "range_centre", "range_lower", "range_upper", "sigma_within"):
        value = limits.get(name)
        if isinstance(value, int | float):
            lines.append(f"  {name:12} {value:.6g}")
    if basis.get("kind") == "study":
        window, method = _object(basis.get("window")), _object(basis.get("method"))
        left = basis.get("left_out")
        left_out = left if isinstance(left, list) else []
        of = f"{basis['agent']}/{basis['station']}"
        lines.append(
            f"  from {basis['points']} points, {window['first']} to {window['last']} of the chart at {of}"
        )
        lines.append(
            f"  sigma {method['sigma'] or 'as usual'}, centre {method['centre']}, {method['constants']} constants"
        )
        for left_one in left_out:
            each = _object(left_one)
            why = " ".join(str(each[name]) for name in ("why", "cause", "reason") if each.get(name))
            lines.append(f"  left out: point {each['number']}: {why}")
    else:
        lines.append("  given by numbers")
    lines.append(f"  proposed by {one['author']} at {one['proposed_at']}: {one['proposal_reason']}")
    if one.get("decided_by"):
        lines.append(f"  {one['state']} by {one['decided_by']} at {one['decided_at']}: {one['decision_reason']}")
    if one.get("effective_from"):
        lines.append(f"  in effect from {one['effective_from']}")
    return lines
