"""Codes within parameters, in the reader's words: documents, what bars a start, gaps of a certificate.

Whatever is not known here stands for itself. What a certificate names one by one is told as stretches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from pydantic import JsonValue

from central.web import states
from central.web.i18n import N_, Words
from records.clock import iso_z
from records.texts.statuses import STATUSES
from records.wire import PLANT

WHYS: Mapping[str, str] = {
    "document-too-old": N_("What central told is too old"),
    "held-by-quality": N_("Held by quality"),
    "operator-not-qualified": N_("The person is not qualified"),
    "equipment-blocked": N_("The machine is blocked"),
    "calibration-overdue": N_("The calibration is overdue"),
    "operation-skipped": N_("An earlier operation is missing or has failed"),
    "operation-not-known": N_("The earlier operations are not known yet"),
    "holds-not-known": N_("What quality holds is not known yet"),
    "lot-expired": N_("The lot has expired"),
    "lot-used-up": N_("Too little is left of the lot"),
    "step-back": N_("The counter went back"),
    "records": N_("Central took records"),
    "disk": N_("The disk has room"),
}
"""What barred a start, began another counter period, or let a line go on."""
MOST_STRETCHES = 12
"""Most stretches of cycles that are named; more are counted."""


def document(words: Words, key: str) -> str:
    """A document by its key: ``Work order WO-1`` of ``work-order/WO-1``; one for the whole plant by its kind."""
    kind, _, name = key.partition("/")
    title = states.NAMES["document"].get(kind)
    if title is None:
        return key
    return words(title) if name in ("", PLANT) else f"{words(title)} {name}"


def why(words: Words, value: str) -> str:
    """One of ``WHYS``, with what it is about where that is told: ``The lot has expired: SR-20 SR-2025-114``."""
    code, _, about = value.partition(" ")
    if code not in WHYS:
        return value
    return f"{words(WHYS[code])}: {document(words, about)}" if about else words(WHYS[code])


def stretches(words: Words, numbers: Iterable[int]) -> str:
    """``78–80, 85`` of 78, 79, 80, 85; the numbers beyond ``MOST_STRETCHES`` stretches are only counted."""
    found = list(_stretches(sorted(numbers)))
    named = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in found[:MOST_STRETCHES])
    rest = sum(last - first + 1 for first, last in found[MOST_STRETCHES:])
    return words(N_("%(named)s and %(n)s more"), named=named, n=rest) if rest else named


def _stretches(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    begin: int | None = None
    last = 0
    for number in numbers:
        if begin is not None and number > last + 1:
            yield begin, last
            begin = None
        begin, last = (number if begin is None else begin), number
    if begin is not None:
        yield begin, last


def _records(words: Words, value: JsonValue) -> str:
    """``[[agent, first, last, missing], ...]`` of a certificate; none is missing where it is broken otherwise."""
    rows = [row for row in value if isinstance(row, list)] if isinstance(value, list) else []
    missing = N_("%(agent)s: %(n)s of the records %(first)s to %(last)s")
    broken = N_("%(agent)s: before the records %(first)s to %(last)s, or contents of these")
    return "; ".join(
        words(missing if n else broken, agent=a, first=first, last=last, n=n) for a, first, last, n in rows
    )


def _cycles(words: Words, value: JsonValue) -> str:
    """``[[station, cycles without a record, cycles recorded twice], ...]`` of a certificate."""
    said = []
    for row in value if isinstance(value, list) else []:
        station, *both = row if isinstance(row, list) else [""]
        absent, twice = (stretches(words, _whole(each)) for each in both)
        said += [f"{station}: {absent}"] if absent else []
        said += [words(N_("%(station)s: %(cycles)s twice"), station=station, cycles=twice)] if twice else []
    return "; ".join(said)


def _whole(value: JsonValue) -> list[int]:
    return [each for each in value if isinstance(each, int)] if isinstance(value, list) else []


def _texts(say: Callable[[Words, str], str]) -> Callable[[Words, JsonValue], str]:
    """The same of one text and of several."""

    def said(words: Words, value: JsonValue) -> str:
        every = value if isinstance(value, list) else [value]
        return "; ".join(say(words, each) for each in every if isinstance(each, str))

    return said


def _status(words: Words, value: JsonValue) -> str:
    """Of a reading, with what it means where that is known."""
    said = STATUSES.get(value) if isinstance(value, str) else None
    return "" if said is None else f"{value}: {words(said.english)}"


def _moment(_words: Words, value: JsonValue) -> str:
    """Microseconds since 1970, as central's facts bear them in digits."""
    digits = value if isinstance(value, str) and value.isdigit() else "0"
    return iso_z(int(digits)) or "" if int(digits) else ""  # 0: none, which is no moment


def _carried(words: Words, value: JsonValue) -> str:
    """What a restore did not undo: its holds, its revocations, and whether that is all."""
    told = value if isinstance(value, dict) else {}
    parts = (
        (N_("holds set since: %(names)s"), told.get("holds")),
        (N_("held again until a person decides: %(names)s"), told.get("holds_again")),
        (N_("revoked since: %(names)s"), told.get("revoked")),
    )
    said_ = [
        words(text, names=", ".join(map(str, names))) for text, names in parts if isinstance(names, list) and names
    ]
    if told.get("unknown"):
        said_.append(words(N_("nobody knows what else was decided since the backup")))
    return "; ".join(said_) or words(N_("nothing"))


_SAID: Mapping[str, Callable[[Words, JsonValue], str]] = {
    "about": _texts(document),
    "anchors_lost_after": _moment,
    "at_us": _moment,
    "carried_over": _carried,
    "document": _texts(document),
    "held_until": _moment,
    "kind": _texts(document),
    "missing": _records,
    "since_us": _moment,
    "status": _status,
    "unaccounted": _cycles,
    "until": _moment,
    "why": _texts(why),
}


def said(words: Words, name: str, value: JsonValue) -> str | None:
    """A parameter's value in words; None where this module has none for it."""
    if isinstance(value, bool):
        return words(N_("yes")) if value else words(N_("no"))
    say = _SAID.get(name)
    try:
        return None if say is None or value is None else say(words, value) or None
    except ValueError:  # of a later build, in another shape
        return None
