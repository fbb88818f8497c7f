"""``read`` and ``status``: what the machines say now, and how the agent is, running or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import JsonValue

from edge_agent.aside_words import aside_says
from edge_agent.asking import Answered, ask
from edge_agent.cli_line import load_line
from edge_agent.cli_station import hold_lines
from edge_agent.prompts import barrier_says, missing_says, prompt_says
from edge_agent.sizes import hours_text, size
from records.clock import SystemClock
from records.console import print_json
from records.errors import LotkeeperError
from records.files import is_held

if TYPE_CHECKING:
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The line file.")]
ANSWER_S = 5.0
READ_S = 40.0


def register(app: typer.Typer) -> None:
    """Add the commands to ``lotkeeper-edge``."""
    app.command(epilog="Example: lotkeeper-edge read line.yaml sealer.seal_temp leak_tester")(read)
    app.command(epilog="Example: lotkeeper-edge status line.yaml")(status)


def read(
    line: LineFile,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE.TAG]...", help="All tags when none is named.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The answer is JSON in any case.")] = False,
) -> None:
    """Read tags once, now. Exit 0 none is bad, 1 some are, 3 a device was not reached."""
    from edge_agent import bad_words, read_once  # the drivers are loaded only here

    loaded = load_line(line)
    names = read_once.wanted(loaded.value, tags or [])
    answer = _ask_to_read(loaded, names)
    if answer is None:
        found = asyncio.run(read_once.read_once(loaded.value, names, SystemClock()))
        readings = [read_once.reading_json(reading) for reading in found.readings]
        errors = dict(found.errors)
        settings = ((reading, loaded.value.tag(reading.tag)) for reading in found.readings)
        types = {one.tag: (tag.type_name if tag else "", one.data_type) for one, tag in settings}
    else:
        readings, errors, types = answer["readings"], answer["errors"], {}
    print_json([*readings])
    for error in errors.values():
        typer.echo(f"error: {error}", err=True)
    for text in bad_words.explained(readings, types, errors):
        typer.echo(text, err=True)
    raise typer.Exit(read_once.exit_code(readings, errors))


def status(
    line: LineFile,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")] = False,
) -> None:
    """How the agent is; while it is down, what its buffer holds.

    Exit 1: a device is away, central is not reached or takes nothing, or clock, identity or buffer need
    a person. 3: the agent does not run.
    """
    loaded = load_line(line)
    report = _told(ask(loaded, "GET", "/api/v1/status", ANSWER_S)) or _while_down(loaded)
    if json:
        print_json(report)
    else:
        for text in _lines(report):
            typer.echo(text)
    raise typer.Exit(_exit_code(report))


# -- asking a running agent ----------------------------------------------------------------------------------


def _ask_to_read(loaded: Loaded[LineSettings], names: tuple[str, ...]) -> Any:
    """A reading through the sessions of the running agent: many machines allow only one. None without it."""
    asked: dict[str, JsonValue] = {"tags": [*names], "configuration": loaded.hash}
    return _told(ask(loaded, "POST", "/api/v1/read", READ_S, asked))


def _told(answer: Answered | None) -> dict[str, Any] | None:
    """What the agent said; None when it does not run, or does not know what is asked."""
    return answer.body if answer is not None and answer.status == 200 else None


def _while_down(loaded: Loaded[LineSettings]) -> dict[str, Any]:
    """What file and buffer tell; ``running`` is true when somebody holds the buffer and only does not answer."""
    from edge_agent import report
    from edge_agent.outbox import records_of
    from edge_agent.space import budget, room

    found: dict[str, Any] = report.identity_of(loaded) | {"running": False, "buffer": None, "records": []}
    found["identity"] = report.identity_of_line(loaded.value, SystemClock().now_us())
    buffer = loaded.value.buffer
    if buffer is None:
        return found | {"why": "the file has no buffer: an agent that runs needs one"}
    held = is_held(buffer.path / "records.lock")
    why: str | None = None
    try:
        path = records_of(buffer.path, loaded.value.agent)
        cap = budget(room(buffer.path), buffer.records_max, buffer.telemetry_max, buffer.ballast).records
        found |= report.buffer_report(path, cap, SystemClock().now_us())
    except LotkeeperError as error:
        why = str(error)
    if held:
        page = loaded.value.status
        why = (
            "the agent runs; add status: {port: 8765} to the file and it can be asked"
            if page is None
            else f"the agent runs, but not its page on port {page.port}; its log says why"
        )
    return found | {"running": held, "why": why}


# -- telling a person ----------------------------------------------------------------------------------------


def _exit_code(report: Mapping[str, Any]) -> int:
    if not report["running"]:
        return 3
    away = [each for each in (*report.get("devices", ()), *report.get("scanners", ())) if not each["connected"]]
    wrong = (report.get("identity") or {}).get("problems")
    buffer = report["buffer"] or {}
    proof = (buffer.get("proof") or {}).values()
    wrong = wrong or any(each["left"] != 0 for each in buffer.get("set_aside") or ())
    way = report.get("central") or {}
    clock = way.get("clock")
    wrong = wrong or any(found and found["wrong"] for found in proof) or (clock and clock["wrong"])
    if away or wrong or "devices" not in report:
        return 1
    return 0 if way["connected"] and not way["error"] and not way.get("unanswered_s") else 1


def _lines(report: Mapping[str, Any]) -> list[str]:
    state = f"runs since {report['started_at']}" if "started_at" in report else "is not running"
    if report["running"] and "started_at" not in report:
        state = "runs, but does not answer"
    lines = [f"agent {report['agent']} {state}; configuration {report['configuration']}"]
    if report.get("why"):
        lines.append(f"  {report['why']}")
    if report.get("refused"):
        lines.append("  the line file on disk is refused, the agent works by the one before:")
        lines += [f"    {problem}" for problem in report["refused"]["problems"]]
    for each in (*report.get("devices", ()), *report.get("scanners", ())):
        lines.append(f"device   {each['name']:<20} {_here(each)}")
        for tag in each.get("tags", ()):
            lines.append(f"  {tag['tag']:<30} {_value(tag)}")
    for each in report.get("stations", ()):
        missing = ", ".join(map(missing_says, each["missing"])) or "nothing"
        lines.append(
            f"station  {each['name']:<20} {each['phase']}, order {each['order'] or '-'}, operator "
            f"{each['operator'] or '-'}, last cycle {each['last_cycle'] or '-'}, missing {missing}"
            + ("" if each["approved"] else "; line file not approved: set-up runs only")
            + ("; another line file from the end of this run on" if each["waits_to_change"] else "")
        )
        lines += [f"  {barrier_says(each_one)}" for each_one in each.get("barriers", ())]
        if each["prompt"]:
            lines.append(f"  {prompt_says(each['prompt'])}")
        lines += [f"  {text}" for text in hold_lines(each["holds"])]
    if "central" in report:
        lines += _central_lines(report["central"])
    lines += _document_lines(report.get("documents", ()))
    lines += _identity_lines(report.get("identity"))
    buffer = report["buffer"]
    if buffer is not None:
        oldest = f", the oldest since {buffer['oldest_pending']}" if buffer["oldest_pending"] else ""
        lines.append(
            f"buffer   {buffer['committed']} records committed, {buffer['acknowledged_records']} acknowledged, "
            f"{buffer['pending']} pending{oldest}"
        )
        lines += _space_lines(buffer["space"])
        lines += _gap_lines(report["agent"], buffer.get("gaps") or ())
        lines += _aside_lines(buffer.get("set_aside") or ())
        lines += _proof_lines(buffer.get("proof") or {})
    counts = report.get("counts")
    if counts:
        lines.append(
            f"values   {counts['values_captured']} captured for runs; telemetry {counts['telemetry_values']}, "
            f"{counts['telemetry_committed']} committed, {counts['telemetry_thinned']} thinned, "
            f"{counts['telemetry_lost']} lost; {counts['chunks_committed']} chunks, "
            f"{counts['chunks_acknowledged']} acknowledged, {counts['chunks_thinned']} kept as extremes, "
            f"{counts['chunks_given_up']} given up"
        )
    for record in report["records"]:
        what = " ".join(str(record[key]) for key in ("station", "code", "result") if record[key])
        lines.append(f"  {record['seq']:>8} {record['at'] or '-'} {record['kind']} {what}")
    return lines


def _reach(way: Mapping[str, Any]) -> str:
    """How the way to central is; a connection alone brings no record there."""
    if not way["connected"]:
        return f"not connected: {way['error'] or 'not yet'}"
    return f"connected, but WRONG: {way['error']}" if way["error"] else "connected"


def _space_lines(space: Mapping[str, Any]) -> list[str]:
    """The room of the buffer, and what is wrong with it first."""
    lines = []
    if space["line_stopped_for"] == "disk":
        lines.append(f"  THE LINE IS STOPPED: the disk is full, {size(space['free'])} are free; free space on it")
    elif space["line_stopped_for"] == "records":
        lines.append(
            "  THE LINE IS STOPPED: the buffer is full until central takes records; see how-to full-buffer"
        )
    if space["cap"] is None:
        return lines
    hours = "" if space["hours_left"] is None else f", about {hours_text(space['hours_left'])} at the rate of late"
    low = "LOW: " if space["low"] else ""
    lines.append(f"  {low}room for {size(space['left'])} of {size(space['cap'])} more without central{hours}")
    return lines


def _aside_lines(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """What starts have set aside, until somebody moves it away."""
    return [f"  {'' if each['left'] == 0 else 'SET ASIDE: '}{aside_says(each)}" for each in files]


def _gap_lines(agent: str, gaps: Sequence[Mapping[str, Any]]) -> list[str]:
    """What restores of central asked for and this buffer no longer had, each restore by itself; and what to do."""
    lines = []
    for at in dict.fromkeys(gap["at"] for gap in gaps):
        lines.append(f"  GAP: central was restored (told at {at}) and misses what this buffer no longer has:")
        lines += [
            f"    records {gap['first']} to {gap['last']} of epoch {gap['epoch']}"
            for gap in gaps
            if gap["at"] == at
        ]
    if gaps:
        lines.append(
            f"    at central, certificate --agent {agent} says what of it is lost, and the lots that it concerns "
            "wait for QA; back up more often than keep_acknowledged lasts: see how-to back-up-and-restore"
        )
    return lines


def _central_lines(way: Mapping[str, Any]) -> list[str]:
    """Whether central is reached, and answers."""
    lines = [f"central  {way['broker']:<20} {_reach(way)}"]
    if way.get("unanswered_s"):
        lines.append(
            f"  WRONG: central has not answered for {way['unanswered_s'] / 60:.0f} min: new orders and holds are "
            "not known here; does it run? Look at both clocks, and ask its doctor (lotkeeper-central doctor)"
        )
    return lines + _clock_lines(way.get("clock"))


def _clock_lines(clock: Mapping[str, Any] | None) -> list[str]:
    if clock is None:
        return []
    wrong = "WRONG: " if clock["wrong"] else ""
    side = "ahead of" if clock["offset_s"] > 0 else "behind"
    return [
        f"  {wrong}this clock is {abs(clock['offset_s']):.3f} s {side} central's, "
        f"within {clock['within_s']:.3f} s, as of {clock['age_s']:.0f} s ago"
    ]


def _proof_lines(proof: Mapping[str, Any]) -> list[str]:
    """How far the background check is."""
    lines = []
    for stream, found in proof.items():
        if found is None:
            continue
        ended = f"all was proven at {found['last_ended']}" if found["last_ended"] else "never proven whole yet"
        now = f"; a pass has proven {found['rows']} rows, through {found['through']} of {found['until']}"
        if found["wrong"]:
            lines.append(f"  NOT FINE: {stream}: {found['wrong']}: run lotkeeper-edge buffer verify")
        lines.append(f"  chain of {stream}: {ended}{now if found['running'] else ''}")
        if found["buried"]:
            lines.append(f"  {found['buried']} damaged bodies of {stream} are tombstones now: look at the disk")
    return lines


def _document_lines(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """How old what central told is."""
    from edge_agent.document_ages import in_words

    return [
        f"told     {one['kind']:<20} {'TOO OLD: ' if one['too_old'] else ''}{one['count']} held, the oldest "
        f"{'of unknown age' if one['age_s'] is None else in_words(one['age_s'])}, at most "
        f"{in_words(one['max_age_s'])}, then {one['beyond']}"
        for one in documents
    ]


def _identity_lines(identity: Mapping[str, Any] | None) -> list[str]:
    if identity is None:
        return []
    until = identity["certificate_until"]
    lines = [f"identity signing key {identity['signing_key'] or '-'}, certificate until {until or '-'}"]
    return lines + [f"  WRONG: {problem['what']}: {problem['why']}" for problem in identity["problems"]]


def _here(each: Mapping[str, Any]) -> str:
    if each["connected"]:
        late = f", {each['late']} of {each['polls']} polls late" if each.get("late") else ""
        return f"connected{late}"
    return f"AWAY: {each['error'] or 'not connected yet'}"


def _value(tag: Mapping[str, Any]) -> str:
    if tag["quality"] is None:
        return "not read yet"
    shown = f"{tag['value']} {tag['unit'] or ''}".strip() if tag["quality"] != "bad" else "-"
    return f"{shown:<24} {tag['quality']} {tag['status']}, {tag['age_s']:.1f} s old"
