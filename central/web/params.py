"""Parameters of codes for people: what each is called, which belong side by side, and all of them in one line."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from pydantic import JsonValue

from central.judgement import opaque_id
from central.web import rules, states, texts, told
from central.web.i18n import N_, Words
from central.web.show import DASH, figure, unit_text

LABELS: Mapping[str, str] = {
    "action": N_("Action"),
    "address": N_("Address"),
    "agent": N_("Agent"),
    "allowed": N_("Allowed"),
    "authority": N_("Authority"),
    "badge": N_("Badge"),
    "bytes": N_("Bytes"),
    "cap": N_("Cap in bytes"),
    "free": N_("Bytes free"),
    "hours": N_("Hours left"),
    "path": N_("Folder"),
    "pending": N_("Records that wait for central"),
    "began": N_("Began"),
    "ended": N_("Ended"),
    "chunks": N_("Chunks"),
    "limit_s": N_("Limit in seconds"),
    "within_s": N_("Sure within seconds"),
    "readings": N_("Readings"),
    "bucket_s": N_("Extremes kept of each so many seconds"),
    "carrier": N_("Carrier"),
    "cause": N_("Cause"),
    "characteristic": N_("Characteristic"),
    "chart": N_("Chart"),
    "charts": N_("Charts that begin anew"),
    "code": N_("Code"),
    "about": N_("About"),
    "at": N_("At"),
    "heads": N_("Heads of the chains"),
    "root": N_("Hash over all chains"),
    "age_s": N_("Age in seconds"),
    "max_age_s": N_("Longest age in seconds"),
    "beyond": N_("What the line does then"),
    "refuses": N_("Keeps the station from starting"),
    "asked": N_("Asked for"),
    "fingerprint": N_("Fingerprint"),
    "firmware": N_("Firmware"),
    "hardware": N_("Hardware version"),
    "accepted": N_("Accepted although"),
    "until": N_("Until"),
    "whose": N_("Whose"),
    "given": N_("Given"),
    "manufacturer": N_("Manufacturer"),
    "model": N_("Model"),
    "setting": N_("Setting"),
    "late": N_("Late"),
    "offset_s": N_("Offset in seconds"),
    "polls": N_("Polls"),
    "skipped": N_("Skipped"),
    "span_s": N_("Span in seconds"),
    "values": N_("Values"),
    "agents": N_("Agents"),
    "attempt": N_("Attempt"),
    "attempts": N_("Attempts"),
    "by": N_("By"),
    "configuration": N_("Configuration"),
    "count": N_("Number of times"),
    "counter": N_("Machine counter"),
    "document": N_("Document"),
    "from_cycle": N_("From machine cycle"),
    "machine": N_("Machine"),
    "meaning": N_("Meaning"),
    "next": N_("Next operation"),
    "origin": N_("From where"),
    "parts": N_("Parts of the chart"),
    "run": N_("Run"),
    "stations": N_("Stations"),
    "tests": N_("Tests"),
    "to_cycle": N_("To machine cycle"),
    "unaccounted": N_("Not accounted for"),
    "cycle": N_("Machine cycle"),
    "cycles": N_("Machine cycles"),
    "detail": N_("Detail"),
    "digest": N_("Hash of the content"),
    "device": N_("Device"),
    "difference": N_("Difference"),
    "epoch": N_("Record series"),
    "equipment": N_("Equipment"),
    "erp": N_("ERP"),
    "error": N_("Error"),
    "expected": N_("Expected"),
    "expiry": N_("Expiry date"),
    "field": N_("Field"),
    "file": N_("File"),
    "first": N_("First"),
    "found": N_("Found"),
    "generation": N_("Generation"),
    "conflicts": N_("Conflicts"),
    "damage": N_("Damage"),
    "holes": N_("Behind a gap"),
    "known": N_("Known before"),
    "new": N_("New"),
    "quarantined": N_("In quarantine"),
    "held_until": N_("Holds records until"),
    "made": N_("Made"),
    "backup": N_("Backup"),
    "through": N_("Chains held through"),
    "grade": N_("Certificate"),
    "hash": N_("Hash"),
    "have": N_("Present"),
    "held": N_("Held"),
    "hold": N_("Hold"),
    "holds": N_("Holds"),
    "host": N_("Host"),
    "id": N_("Number"),
    "instance": N_("Start of the agent"),
    "item": N_("Item"),
    "keys": N_("Keys"),
    "kept": N_("Start that was kept"),
    "kind": N_("Kind"),
    "last": N_("Last"),
    "limit": N_("Limit"),
    "limit_version": N_("Version of the limits"),
    "left_set": N_("Left set at the machine"),
    "line": N_("Line"),
    "link": N_("Connection"),
    "lost": N_("Lost records"),
    "lost_first": N_("First lost record"),
    "lost_last": N_("Last lost record"),
    "lot": N_("Lot"),
    "lower": N_("Lower limit"),
    "message": N_("Message"),
    "missing": N_("Missing"),
    "name": N_("Name"),
    "need": N_("Needed"),
    "now": N_("Now"),
    "offered": N_("Offered"),
    "ok": N_("Verified"),
    "operation": N_("Operation"),
    "order": N_("Work order"),
    "ordered": N_("Ordered"),
    "ours": N_("Our records"),
    "part": N_("Part of the chart"),
    "partition": N_("Partition"),
    "piece": N_("Piece"),
    "pieces": N_("Pieces"),
    "previous": N_("Previous"),
    "problems": N_("Problems"),
    "product": N_("Product"),
    "quantity": N_("Quantity"),
    "raw": N_("Raw data"),
    "reason": N_("Reason"),
    "reasons": N_("Version of the reasons"),
    "recorded": N_("Recorded"),
    "records": N_("Records"),
    "table_part": N_("Part of a table"),
    "telemetry": N_("Telemetry chunks"),
    "replaced": N_("Replaced"),
    "result": N_("Result"),
    "role": N_("Role"),
    "rule": N_("Rule"),
    "rules": N_("Rules"),
    "run_id": N_("Run"),
    "runs": N_("Runs"),
    "scanner": N_("Scanner"),
    "scope": N_("Scope"),
    "seconds": N_("Seconds"),
    "seq": N_("Record number"),
    "serial": N_("Serial number"),
    "software": N_("Software"),
    "started": N_("Begun"),
    "state": N_("State"),
    "station": N_("Station"),
    "status": N_("Status"),
    "step": N_("Step"),
    "stream": N_("Stream"),
    "subgroup": N_("Subgroup"),
    "subject": N_("Subject"),
    "symbology": N_("Symbology"),
    "tag": N_("Tag"),
    "target": N_("Target"),
    "text": N_("Text"),
    "to": N_("To whom"),
    "topic": N_("Topic"),
    "total": N_("Total"),
    "unit": N_("Unit of measure"),
    "units": N_("Units"),
    "upper": N_("Upper limit"),
    "user": N_("User"),
    "value": N_("Value"),
    "verified": N_("Read back"),
    "version": N_("Version"),
    "was": N_("Before"),
    "watermark": N_("Watermark"),
    "what": N_("What"),
    "why": N_("Why"),
    "size": N_("Counts of the counter"),
    "left_out": N_("Pieces not named"),
    "centre": N_("Centre line"),
    "closed_by": N_("Closed by"),
    "points": N_("Points"),
    "provisional": N_("Provisional"),
    "range_centre": N_("Centre of the spread"),
    "range_lower": N_("Lower limit of the spread"),
    "range_rules": N_("Rules of the spread"),
    "range_statistic": N_("Plotted spread"),
    "range_upper": N_("Upper limit of the spread"),
    "sample": N_("Size of the sample"),
    "segment": N_("Segment"),
    "sigmas": N_("Distance in sigmas"),
    "source": N_("Source"),
    "statistic": N_("Plotted value"),
    "window": N_("Window of points"),
}

PAIRS: tuple[tuple[str, str], ...] = (
    ("expected", "found"),
    ("ordered", "found"),
    ("ours", "erp"),
    ("records", "machine"),
    ("held", "offered"),
    ("was", "now"),
)
"""Parameters that are two sides of one thing, the one that ought to be first."""

_VALUES: Mapping[str, str] = {
    "action": "action",
    "beyond": "beyond",
    "chart": "chart",
    "grade": "grade",
    "machine": "result",
    "meaning": "meaning",
    "purpose": "purpose",
    "reason": "reason",
    "result": "result",
    "role": "role",
    "what": "what",
}
"""Parameters whose values are codes themselves -> the set of words that they belong to."""

_NOT_BRIEF = frozenset(
    {"attempt", "bytes", "chart", "from_cycle", "hash", "limit_version", "lower", "machine", "operation", "parts"}
    | {"points", "raw", "run", "runs", "run_id", "scanner", "segment", "sigmas", "statistic", "subgroup", "text"}
    | {"to_cycle", "unit", "upper", "window"}
)
_BRIEF_LIMIT = 160
_CENTRALS = re.compile(r"([0-9a-f]{24}):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the values to compare, as text."""

    label: str
    value: str
    note: str = ""


def value_text(value: JsonValue) -> str:
    """One parameter's value in one line, numbers with six significant figures at most."""
    if value is None:
        return DASH
    if isinstance(value, list):
        return ", ".join(value_text(v) for v in value) or DASH
    if isinstance(value, dict):
        return _test_text(value) if "characteristic" in value else _pairs_text(value)
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", "−")
    return figure(value)


def _pairs_text(value: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{k} {value_text(v)}" for k, v in value.items()) or DASH


def _test_text(test: Mapping[str, JsonValue]) -> str:
    """A measured value with its specification: ``leak_rate 0.62 mL/min [0 … 0.5]``."""
    unit = test.get("unit")
    shown = unit_text(unit) if isinstance(unit, str) else ""
    text = f"{test['characteristic']} {value_text(test.get('value'))} {shown}"
    return f"{text.strip()} [{span_text(test.get('lower'), test.get('upper'))}]"


def version_text(version: str | None) -> str:
    """A version of limits as people say it: ``v2`` for one of central's, whose name begins with its key."""
    found = _CENTRALS.fullmatch(version or "")
    return f"v{found[2]}" if found else version or DASH


def limit_set_id(version: str | None) -> str:
    """For addresses: central's limit set of this name; empty where a line file or phase I gave the limits."""
    found = _CENTRALS.fullmatch(version or "")
    return opaque_id("limit-set", found[1], found[2]) if found else ""


def span_text(lower: JsonValue, upper: JsonValue) -> str:
    """``0.3 … 0.5``, one-sided where a side is missing."""
    low, high = (value_text(side) if side is not None else "" for side in (lower, upper))
    return f"{low} … {high}".strip()


def spoken(words: Words, name: str, value: JsonValue, params: Mapping[str, JsonValue] | None = None) -> str:
    """One parameter's value in the reader's language where it is a code. ``params``: all told with it."""
    if name == "rule" and isinstance(value, str) and value in texts.EXCEPTION_TEXTS:
        return words(texts.EXCEPTION_TEXTS[value].title)
    if name == "rule" and isinstance(value, str):
        return rules.text(words, value, params)
    if name == "limit_version" and isinstance(value, str):
        return version_text(value)
    if name == "stream" and isinstance(value, str) and "=" in value:
        return stream_text(value)
    if name == "reason" and isinstance(value, str) and value in texts.EXCEPTION_TEXTS:
        return words(texts.EXCEPTION_TEXTS[value].title)
    in_words = told.said(words, name, value)
    if in_words is not None:
        return in_words
    group = _VALUES.get(name)
    if group is not None and isinstance(value, str):
        known = states.NAMES.get(group, {}).get(value)
        if known is not None:
            return words(known)
        if group in states.STATES and value in states.STATES[group]:
            return words(states.STATES[group][value].word)
        if name == "meaning" and value in states.NAMES["act"]:
            return words(states.NAMES["act"][value])
    return value_text(value)


def stream_text(stream: str | None) -> str:
    """What a chart is of, apart from its characteristic: ``VS-100 C, T1, 2`` of a stream's query string."""
    told = dict(parse_qsl(stream or ""))
    product = " ".join(told[name] for name in ("product", "revision") if name in told)
    others = [value for name, value in told.items() if name not in ("product", "revision")]
    return ", ".join([*filter(None, [product]), *others])


def label(words: Words, name: str) -> str:
    """What a parameter is called; one that is not known here keeps its own name."""
    found = LABELS.get(name)
    return words(found) if found else name.replace("_", " ")


def labelled(
    words: Words, params: Mapping[str, JsonValue], without: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(label, value) of every parameter that says something."""
    of_rule = rules.PARAMETERS if "rule" in params else ()
    return [
        (label(words, name), spoken(words, name, value, params))
        for name, value in params.items()
        if name not in without and name not in of_rule and value not in (None, "", [])
    ]


def pair(words: Words, params: Mapping[str, JsonValue]) -> tuple[Side, ...]:
    """The values that disagree, side by side; empty when there are no two sides."""
    unit = params.get("unit")
    note = unit_text(unit) if isinstance(unit, str) else ""
    if "value" in params and ("lower" in params or "upper" in params):
        allowed = span_text(params.get("lower"), params.get("upper"))
        return (Side("allowed", allowed, note), Side("value", value_text(params["value"]), note))
    for names in PAIRS:
        if all(name in params for name in names):
            return tuple(Side(name, spoken(words, name, params[name]), note) for name in names)
    return ()


def paired(params: Mapping[str, JsonValue]) -> frozenset[str]:
    """Names of the parameters that ``pair`` shows."""
    if "value" in params and ("lower" in params or "upper" in params):
        return frozenset({"value", "lower", "upper", "unit"})
    return next((frozenset(names) for names in PAIRS if all(name in params for name in names)), frozenset())


def brief(words: Words, params: Mapping[str, JsonValue]) -> str:
    """What matters of the parameters, in one line, for lists."""
    shown: list[str] = []
    if "characteristic" in params and "value" in params:
        shown.append(_test_text(params))
    elif "characteristic" in params:
        shown.append(str(params["characteristic"]))
    else:
        shown += [f"{label(words, s.label)} {s.value} {s.note}".strip() for s in pair(words, params)]
    used = paired(params) | _NOT_BRIEF | {"characteristic"}
    for name, value in params.items():
        if name not in used and value not in (None, "", []):
            text = spoken(words, name, value, params)
            shown.append(text if name in ("rule", "tests", "what") else f"{label(words, name)} {text}")
    line = " · ".join(shown)
    return line if len(line) <= _BRIEF_LIMIT else line[: _BRIEF_LIMIT - 1] + "…"
