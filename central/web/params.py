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
from records.model import OperationsEvent
from records.texts import PARAMETER_NAMES
from records.trouble import trouble_text

LABELS: Mapping[str, str] = {
    **{name: said.english for name, said in PARAMETER_NAMES.items()},
    # and those of findings
    "allowed": N_("Allowed"),
    "carrier": N_("Carrier"),
    "agents": N_("Agents"),
    "attempt": N_("Attempt"),
    "counter": N_("Machine counter"),
    "from_cycle": N_("From machine cycle"),
    "machine": N_("Machine"),
    "meaning": N_("Meaning"),
    "next": N_("Next operation"),
    "parts": N_("Parts of the chart"),
    "run": N_("Run"),
    "stations": N_("Stations"),
    "tests": N_("Tests"),
    "to_cycle": N_("To machine cycle"),
    "unaccounted": N_("Not accounted for"),
    "cycles": N_("Machine cycles"),
    "difference": N_("Difference"),
    "equipment": N_("Equipment"),
    "erp": N_("ERP"),
    "grade": N_("Certificate"),
    "have": N_("Present"),
    "line": N_("Line"),
    "missing": N_("Missing"),
    "need": N_("Needed"),
    "operation": N_("Operation"),
    "ordered": N_("Ordered"),
    "ours": N_("Our records"),
    "piece": N_("Piece"),
    "pieces": N_("Pieces"),
    "quantity": N_("Quantity"),
    "recorded": N_("Recorded"),
    "result": N_("Result"),
    "runs": N_("Runs"),
    "started": N_("Begun"),
    "station": N_("Station"),
    "subject": N_("Subject"),
    "total": N_("Total"),
    "unit": N_("Unit of measure"),
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


def _troubles_told(words: Words, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """What is wrong in the reader's language, where it was told for any."""
    if "troubles" in params:
        return _problems_told(words, params)
    if "trouble" not in params:
        return params
    said = trouble_text(params["trouble"], words.language)
    told = {name: value for name, value in params.items() if name != "trouble"}
    return told if said is None else told | {"why" if "why" in told else "error": said}


def _problems_told(words: Words, params: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """The same for each of what is wrong with a line file."""
    troubles, problems = params["troubles"], params.get("problems")
    told = {name: value for name, value in params.items() if name != "troubles"}
    if not isinstance(troubles, list) or not isinstance(problems, list) or len(troubles) != len(problems):
        return told
    texts = [trouble_text(each, words.language) for each in troubles]
    return told | {"problems": [text or said for text, said in zip(texts, problems, strict=True)]}


def labelled(
    words: Words, params: Mapping[str, JsonValue], without: Collection[str] = ()
) -> list[tuple[str, str]]:
    """(label, value) of every parameter that says something."""
    params = _troubles_told(words, params)
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


def event_told(words: Words, event: OperationsEvent) -> str:
    """What an event tells, in one line; of a finding that was opened what it is."""
    told = {name: value for name, value in event.params.items() if name != "content"}
    if event.code not in ("exception-opened", "discrepancy-opened"):
        return brief(words, told)
    inner = told.get("params")
    title = words(texts.finding_text(str(told.get("code", ""))).title)
    return " · ".join(filter(None, (title, brief(words, inner if isinstance(inner, dict) else {}))))


def brief(words: Words, params: Mapping[str, JsonValue]) -> str:
    """What matters of the parameters, in one line, for lists."""
    params = _troubles_told(words, params)
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
