"""Parameters of codes for people: what each is called, which belong side by side, and all of them in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from central.web.i18n import N_, Words
from central.web.show import DASH, figure, unit_text

LABELS: Mapping[str, str] = {
    "address": N_("Address"),
    "agent": N_("Agent"),
    "badge": N_("Badge"),
    "bytes": N_("Bytes"),
    "carrier": N_("Carrier"),
    "characteristic": N_("Characteristic"),
    "chart": N_("Chart"),
    "code": N_("Code"),
    "age_s": N_("Age in seconds"),
    "agents": N_("Agents"),
    "attempt": N_("Attempt"),
    "attempts": N_("Attempts"),
    "by": N_("By"),
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
    "grade": N_("Certificate"),
    "hash": N_("Hash"),
    "have": N_("Present"),
    "held": N_("Held"),
    "host": N_("Host"),
    "id": N_("Number"),
    "item": N_("Item"),
    "kind": N_("Kind"),
    "last": N_("Last"),
    "limit_version": N_("Version of the limits"),
    "line": N_("Line"),
    "link": N_("Connection"),
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
    "product": N_("Product"),
    "quantity": N_("Quantity"),
    "raw": N_("Raw data"),
    "reason": N_("Reason"),
    "recorded": N_("Recorded"),
    "records": N_("Records"),
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
    "total": N_("Total"),
    "unit": N_("Unit of measure"),
    "upper": N_("Upper limit"),
    "user": N_("User"),
    "value": N_("Value"),
    "verified": N_("Read back"),
    "version": N_("Version"),
    "was": N_("Before"),
    "what": N_("What"),
    "why": N_("Why"),
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

_BRIEF_LIMIT = 80


@dataclass(frozen=True, slots=True)
class Side:
    """One of the values to compare, as text."""

    label: str
    value: str
    note: str = ""


def value_text(value: JsonValue) -> str:
    """One parameter's value, in one line."""
    if value is None:
        return DASH
    if isinstance(value, list):
        return ", ".join(value_text(v) for v in value) or DASH
    if isinstance(value, dict):
        return ", ".join(f"{k} {value_text(v)}" for k, v in value.items()) or DASH
    return figure(value)


def label(words: Words, name: str) -> str:
    """What a parameter is called; one that is not known here keeps its own name."""
    found = LABELS.get(name)
    return words(found) if found else name.replace("_", " ")


def labelled(words: Words, params: Mapping[str, JsonValue]) -> list[tuple[str, str]]:
    return [(label(words, name), value_text(value)) for name, value in params.items()]


def pair(params: Mapping[str, JsonValue]) -> tuple[Side, ...]:
    """The values that disagree, side by side, by the names of their labels; empty when there are no two sides."""
    unit = params.get("unit")
    note = unit_text(unit) if isinstance(unit, str) else ""
    if "value" in params and ("lower" in params or "upper" in params):
        low, high = params.get("lower"), params.get("upper")
        allowed = f"{value_text(low) if low is not None else ''} … {value_text(high) if high is not None else ''}"
        return (Side("expected", allowed.strip(), note), Side("value", value_text(params["value"]), note))
    for first, second in PAIRS:
        if first in params and second in params:
            return (Side(first, value_text(params[first]), note), Side(second, value_text(params[second]), note))
    return ()


def brief(words: Words, params: Mapping[str, JsonValue]) -> str:
    """The parameters in one line, for lists."""
    sides = pair(params)
    shown = [f"{label(words, s.label)} {s.value} {s.note}".strip() for s in sides]
    used = {s.label for s in sides} | {"lower", "upper", "unit", "value"} if sides else set()
    for name, value in params.items():
        if name not in used and name not in ("run_id", "raw", "hash", "epoch") and value not in (None, "", []):
            shown.append(f"{label(words, name)} {value_text(value)}")
    text = " · ".join(shown)
    return text if len(text) <= _BRIEF_LIMIT * 2 else text[: _BRIEF_LIMIT * 2 - 1] + "…"
