"""What a decision was about, what it changed and why, in the reader's words, with the page of its target."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import JsonValue

from central.judgement import opaque_id
from central.web import params, states, told
from central.web.i18n import N_, Words
from central.web.show import short_hash
from records.model import Act
from records.reasons import Catalogue
from records.wire import CENTRAL

PAGES: Mapping[str, str] = {
    "discrepancy": "findings",
    "exception": "findings",
    "dhr": "dhrs",
    "order": "orders",
    "record": "records",
    "configuration": "configurations",
    "hold": "holds",
}
"""Kind of a target -> where its page is."""
OPAQUE = frozenset({"discrepancy", "exception", "dhr", "record"})
"""Kinds whose ids say nothing to a person; the beginning of one tells it from the next."""
LISTS = "ground"
"""Kind of the lists of people, machines and reasons."""
STATES_OF: Mapping[str, str] = {
    "discrepancy": "finding",
    "exception": "finding",
    "dhr": "dhr",
    "hold": "hold",
    "configuration": "configuration",
    "recipe": "proposal",
    "limit-set": "proposal",
}
"""Kind of a target -> the set of words of its states."""
REASONS_OF: Mapping[tuple[str, str], str] = {
    (Act.HOLD.value, "hold"): "hold",
    (Act.RELEASE.value, "hold"): "release",
    (Act.OVERRIDE.value, "hold"): "override",
    (Act.REJECT.value, "dhr"): "rejection",
    (Act.SCRAP.value, "exception"): "scrap",
    (Act.SCRAP.value, "discrepancy"): "scrap",
}
"""(Act, kind of its target) -> the group of the plant's reasons that its reason is one of."""


def about(words: Words, kind: str, identity: str) -> str:
    """``Hold H-66b5a6ee``, ``Line file assembly-1 4f1c4f1c4f1c``."""
    if kind == LISTS:
        every = words(N_("Lists of people, machines and reasons"))
        return told.document(words, identity) if identity else every
    if kind == "configuration":
        agent, _, digest = identity.partition("/")
        identity = f"{agent} {short_hash(digest)}"
    elif kind == "limit-set":
        identity = params.version_text(identity)
    elif kind in OPAQUE:
        identity = short_hash(identity)
    return f"{states.name(words, 'target', kind)} {identity}".strip()


def of_target(words: Words, target: str) -> str:
    """The same of an event's ``target``, which names both in one text; another one stands for itself."""
    kind, _, identity = target.partition(" ")
    return about(words, kind, identity) if kind == LISTS or kind in states.NAMES["target"] else target


def href(kind: str, identity: str, agent: str = CENTRAL) -> str | None:
    """The page of what it is about; a hold of a station, which an ``agent`` states, has none."""
    if kind == "recipe":
        key, _, version = identity.rpartition(":")
        return f"/recipes/{opaque_id(kind, key, version)}"
    page = PAGES.get(kind)
    if page is None or not identity or (kind == "hold" and agent != CENTRAL):
        return None
    return f"/{page}/{quote(identity, safe='/:')}"


def state(words: Words, kind: str, value: JsonValue) -> str:
    """What it was, or became: a word where a state is told, else its parameters."""
    if isinstance(value, dict) and isinstance(value.get("state"), str):
        value = value["state"]
    group = states.STATES.get(STATES_OF.get(kind, ""), {})
    if isinstance(value, str) and value in group:
        return words(group[value].word)
    if isinstance(value, dict):
        return " · ".join(f"{label} {text}" for label, text in params.labelled(words, value))
    return params.value_text(value)


def reason(words: Words, reasons: Catalogue, act: str, kind: str, text: str) -> str:
    """The reason as the plant's catalogue says it; own words stand for themselves."""
    group = REASONS_OF.get((act, kind))
    return text if group is None else reasons.says(group, text, words.language)
