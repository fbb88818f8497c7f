"""Values as people read them, the same in every language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from edge_agent.document_ages import in_words
from edge_agent.hold_view import rule_template, stream_text
from edge_agent.prompts import prompt_says
from edge_agent.reaction_settings import RANGE
from edge_agent.report import TOMBSTONE
from edge_agent.web.words import Words
from records.reasons import Catalogue
from records.texts import event_title, parameter_name
from records.texts.statuses import status_text
from records.trouble import trouble_text
from records.wire import PLANT

Json = Mapping[str, Any]
_SEPARATOR = re.compile(r"<GS>|\\x1d", re.IGNORECASE)
_LONGEST = 48
MOST_UNITS = 60
MOST_TAGS = 250
"""So many tags of a device are on the page."""
KINDS = {
    "operation_record": "Run",
    "operations_event": "Event",
    "decision": "Decision",
    "epoch_opened": "Record series opened",
    "configuration": "Configuration",
    "telemetry": "Telemetry",
}
"""What a record's kind is called."""
DOCUMENTS = {
    "work-order": "Work order",
    "lots": "Component lots",
    "recipe": "Recipe",
    "limit-sets": "Limit sets",
    "people": "People",
    "equipment": "Machines",
    "lot-quantities": "What is left of lots",
    "route-status": "Progress of pieces",
    "holds": "Holds of quality",
    "configuration": "Approval of the line file",
    "reasons": "Reasons to choose from",
}
"""What central tells, by the document's kind."""
BEYOND = {"warn": "warns", "refuse": "does not start", "go_on": "goes on"}
"""What a station does beyond the longest age."""


def with_separators(text: str) -> str:
    """A typed barcode with its group separators, which no keyboard has."""
    return _SEPARATOR.sub("\x1d", text)


def value(found: JsonValue) -> str:
    """A reading's value; a curve by its beginning and its length."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:.6g}"
    if isinstance(found, list):
        begin = ", ".join(value(each) for each in found[:3])
        return f"[{begin}{', …' if len(found) > 3 else ''}] {len(found)}"
    text = str(found)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def age(seconds: float | None) -> str:
    """How old something is, in the largest unit that says enough."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def old(seconds: float | None) -> str:
    """The age of what central told, finer than the longest age that stands beside it."""
    return "–" if seconds is None else in_words(seconds)


def hours(left: float) -> str:
    """Hours that are left; of few of them a decimal counts."""
    return f"{left:.1f}" if left < 10 else f"{left:.0f}"


def long(left_h: float | None) -> str:
    """How long something lasts, from hours: days where they are many; nothing is known where nothing happens."""
    if left_h is None:
        return "–"
    return f"{min(left_h / 24, 9999):.0f} d" if left_h >= 72 else f"{hours(left_h)} h"


def since(at: str | None, now: str) -> str:
    """The age of an ISO moment."""
    if at is None:
        return "–"
    return age(max((_moment(now) - _moment(at)).total_seconds(), 0.0))


def moment(at: str | None, now: str, zone: str) -> str:
    """The same, without the date when it is today's."""
    full, today = clock(at, zone), clock(now, zone)
    return full[11:] if full[:10] == today[:10] else full


def clock(at: str | None, zone: str) -> str:
    """An ISO moment in the line's own time."""
    return "–" if at is None else f"{_moment(at).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def zoned(at: str | None, zone: str) -> str:
    """The same with the name of the zone, where it stands alone."""
    return f"{clock(at, zone)} {zone}"


def count(number: int | str) -> str:
    """A count with thin spaces between thousands."""
    return f"{int(number):,}".replace(",", "\u2009")


def size(number: int) -> str:
    """Bytes."""
    for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f} {unit}"
    return f"{number} B"


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at)


def trouble(told: Json, words: Words) -> str | None:
    """What is wrong with a device or the way to central, in the reader's language where it is told for any."""
    error: str | None = told.get("error", told.get("why"))
    return trouble_text(told.get("trouble"), words.language) or error


def refused(told: Json, words: Words) -> list[str]:
    """What is wrong with a line file that is not taken."""
    problems: list[str] = told["problems"]
    texts = [trouble_text(each, words.language) for each in told.get("troubles") or ()]
    return [text or problem for text, problem in zip(texts, problems, strict=True)] if texts else problems


def status(code: str, words: Words) -> str:
    """A reading's status with what it means, where that is known."""
    said = status_text(code, words.language)
    return code if said is None else words("%(name)s: %(value)s", name=code, value=said)


# -- what restores of central asked for ---------------------------------------------------------------------

MOST_RESTORES = 3
MOST_GAPS = 4
"""So many restores, and gaps of each, are on the page."""


def restores(gaps: Iterable[Json]) -> list[tuple[str, int, list[Json]]]:
    """Each restore that left gaps, the newest first: when it was told of here, how many records, which."""
    found: dict[str, list[Json]] = {}
    for gap in gaps:
        found.setdefault(gap["at"], []).append(gap)
    told = [(at, sum(int(g["last"]) - int(g["first"]) + 1 for g in each), each) for at, each in found.items()]
    return sorted(told, key=lambda each: each[0], reverse=True)


# -- files that were set aside ------------------------------------------------------------------------------

ASIDE_DONE = (
    "%(file)s was set aside; nothing of it is missing elsewhere. Move it away once central has everything."
)
ASIDE_UNKNOWN = (
    "%(file)s was set aside, and what of it central lacks cannot be told. Keep it and the disk, and tell quality."
)
ASIDE_DAMAGED = (
    "%(file)s was set aside as damaged: %(count)s records of %(agent)s in it prove themselves no more and are "
    "nowhere else. Keep it and the disk, and tell quality."
)
ASIDE_FOREIGN = (
    "%(file)s was set aside, since another agent was at work here: %(count)s records of %(agent)s in it have not "
    "come to central. Run lotkeeper-edge buffer export --folder with this file and the identity of %(agent)s, "
    "import that at central, then move the file away."
)


def aside(file: Json) -> str:
    """What is said of such a file."""
    if file["left"] is None:
        return ASIDE_UNKNOWN
    if file["left"] == 0:
        return ASIDE_DONE
    return ASIDE_DAMAGED if file["why"] == "damaged" else ASIDE_FOREIGN


# -- the last records --------------------------------------------------------------------------------------

GONE = "Content of a record is gone; its number and its hash stay"

_LONGEST_TOLD = 320


def record_title(record: Json, words: Words) -> str:
    """What a record is, in the reader's language."""
    code = record["code"]
    if code == TOMBSTONE:
        return words(GONE)
    if code is not None and record["kind"] == "operations_event":
        return event_title(code, words.language)
    kind = str(record["kind"])
    return words(KINDS.get(kind, kind))


def record_told(record: Json, words: Words) -> str:
    """The first of what an event tells: each value with its name, codes in words, in one line."""
    if record["kind"] != "operations_event":
        return ""
    params = record.get("params", {})
    told = {name: each for name, each in params.items() if name not in ("trouble", "troubles")}
    if "troubles" in params:
        told["problems"] = refused(params, words)
    if "trouble" in params:
        told["error" if "error" in told else "why"] = trouble(params, words)
    pair = words("%(name)s: %(value)s")
    text = " · ".join(
        pair % {"name": parameter_name(name, words.language), "value": _spoken(name, each, words)}
        for name, each in told.items()
    )
    return text if len(text) <= _LONGEST_TOLD else f"{text[: _LONGEST_TOLD - 1]}…"


def _spoken(name: str, told: JsonValue, words: Words) -> str:
    """One value; where it is a code that has words, those."""
    if isinstance(told, bool):
        return words("yes" if told else "no")
    if not isinstance(told, str):
        return value(told)
    if name == "status":
        return status(told, words)
    if name == "kind":
        return words(DOCUMENTS.get(told, told))
    if name in ("about", "document"):
        return about(told, words)
    if name in ("why", "reason"):
        code, _, rest = told.partition(" ")
        said = prompt_says(code)
        return told if said == code else f"{words(said)} {about(rest, words)}".strip()
    return words(BEYOND[told]) if name == "beyond" and told in BEYOND else told


# -- what stands after signals -----------------------------------------------------------------------------

TITLES = {"hold_station": "Lift the hold", "hold_unit": "Release the units", "alarm": "Acknowledge the alarm"}
CONSEQUENCES = {
    "hold_station": "The machine may run again at once, unless something else is missing.",
    "hold_unit": "The units may be worked on again at this line; quality decides about them all the same.",
    "alarm": "The alarm ends. The next signal raises it again.",
}
"""What follows, said before the button."""
DONE = {
    "hold_station": "The hold is lifted and recorded.",
    "hold_unit": "The units are released and the release is recorded.",
    "unit": "The unit is released and the release is recorded; others are still held.",
    "alarm": "The alarm is acknowledged and recorded.",
    "chart": "The chart begins anew, and that is recorded.",
}
SPREAD = "%(rule)s, on the chart of spread"


def act_title(hold: Json | None) -> str:
    """What a person does about it, as a button says it."""
    return "After signals" if hold is None else TITLES[hold["action"]]


def consequence(hold: Json) -> str:
    return CONSEQUENCES[hold["action"]]


def about(told: str, words: Words) -> str:
    """What a barrier is about: a document in words, everything else as it is."""
    kind, slash, name = told.partition("/")
    if not slash or kind not in DOCUMENTS:
        return told
    return words(DOCUMENTS[kind]) if name == PLANT else f"{words(DOCUMENTS[kind])} {name}"


def done(what: str | None) -> str | None:
    """What has just been done; None for what no form of ours says."""
    return DONE.get(what or "")


def rule(hold: Json, words: Words) -> str:
    """Why it stands, in the reader's language."""
    template, places = rule_template(hold["rule"], {name: hold[name] for name in ("points", "window", "sigmas")})
    said = words(template).format(**places)
    return words(SPREAD, rule=said) if hold["part"] == RANGE else said


def stream(told: str | None) -> str:
    """What a chart is of, apart from its characteristic."""
    return stream_text(told)


def chart_value(station: str, characteristic: str, told: str) -> str:
    """A chart as the value of a choice."""
    return urlencode({"station": station, "characteristic": characteristic, "stream": told})


def holds(stations: Iterable[Json]) -> list[tuple[str, Json]]:
    """Everything that stands anywhere: the station held first, then units, then alarms, oldest first."""
    order = list(TITLES)
    found = [(each["name"], hold) for each in stations for hold in each["holds"]]
    return sorted(found, key=lambda pair: (order.index(pair[1]["action"]), pair[1]["since"]))


def find_hold(stations: Iterable[Json], station: str, name: str) -> Json | None:
    """What is meant, None where it does not stand any more."""
    return next((hold for each, hold in holds(stations) if (each, hold["hold"]) == (station, name)), None)


def reasons(report: Json, group: str, language: str) -> list[tuple[str, str]]:
    """The plant's reasons of a group to choose from: code and text."""
    return Catalogue(0, report.get("reasons", {})).choices(group, language)
