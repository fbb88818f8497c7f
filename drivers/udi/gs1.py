"""GS1 element strings with every check that identification needs.

biip parses GS1; it leaves out what is added here: it takes a GTIN with a wrong check digit, carriers that are no
GS1 carriers (``]d1``, ``]C0``, ``]Q1``), repeated identifiers, a lot or serial without a GTIN, and it cuts a value
that is too long in two. A GS separator that the scanner swallowed cannot be seen in the data (a lot then eats what
follows): who needs an expiry date must ask for AI 17.

Sources: GS1 General Specifications (7.8, 7.12), GS1 syntax dictionary (repository gs1/gs1-syntax-dictionary).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drivers.udi.words import GS, Fields, Wrong

if TYPE_CHECKING:
    from biip.gs1_element_strings import GS1ElementString

CARRIERS = frozenset({"]d2", "]C1", "]Q3", "]e0", "]J1"})
"""Symbology identifiers of carriers with GS1 structure: DataMatrix, GS1-128, QR, DataBar, DotCode."""

_CSET_82 = re.compile(r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]*")
_DATES = frozenset({"11", "12", "13", "15", "16", "17"})
_NEEDS = {
    "10": ("01", "02", "03", "8006", "8026"),
    "11": ("01", "02", "03", "8006", "8026"),
    "13": ("01", "02", "03", "8006", "8026"),
    "15": ("01", "02", "03", "8006", "8026"),
    "16": ("01", "02", "03", "8006", "8026"),
    "17": ("01", "02", "03", "255", "8006", "8026"),
    "21": ("01", "03", "8006"),
    "30": ("01", "02"),
    "240": ("01", "02", "8006", "8026"),
    "241": ("01", "02", "8006", "8026"),
    "250": ("01", "8006"),
}
"""Identifiers that say nothing without one of these beside them (syntax dictionary, ``req``)."""


def parse(text: str, symbology: str | None = None) -> Fields:
    """The application identifiers of a message and their values.

    Raises:
        Wrong: not_gs1_carrier, hri_form, charset, length, format, date, check_digit, unknown_ai, duplicate_ai,
            missing_gtin or glued.
    """
    if symbology is not None and symbology not in CARRIERS:
        raise Wrong("not_gs1_carrier")
    if text.startswith("("):
        raise Wrong("hri_form")
    if not _CSET_82.fullmatch(text.replace(GS, "")):
        raise Wrong("charset")
    fields: Fields = {}
    rest = text.lstrip(GS)
    while rest:
        element = _element(rest)
        name = element.ai.ai
        after = rest[len(element) :]
        if element.ai.separator_required and after and not after.startswith(GS):
            raise Wrong("length")
        if name in fields:
            raise Wrong("duplicate_ai")
        fields[name] = _value(element)
        # a separator where none is needed is tolerated (General Specifications 7.8.6)
        rest = after.lstrip(GS)
    for name in fields:
        needed = _NEEDS.get(name)
        if needed is not None and not any(other in fields for other in needed):
            raise Wrong("missing_gtin")
    if any(_holds_another(str(value), fields) for value in fields.values()):
        raise Wrong("glued")
    return fields


def _holds_another(value: str, fields: Fields) -> bool:
    """Whether a second label of the same product was glued behind a short lot or serial, which then ate it."""
    return "01" in fields and len(value) > 16 and f"01{fields['01']}" in value


def _element(rest: str) -> GS1ElementString:
    from biip import ParseError  # loaded by who reads a code, not by who asks for a check digit
    from biip.gs1_application_identifiers import GS1ApplicationIdentifier
    from biip.gs1_element_strings import GS1ElementString

    try:
        name = GS1ApplicationIdentifier.extract(rest).ai
    except ParseError:
        raise Wrong("unknown_ai") from None
    try:
        return GS1ElementString.extract(rest)
    except ParseError:
        content = rest.split(GS, 1)[0][len(name) :]
        if name in _DATES and re.match(r"[0-9]{6}", content):
            raise Wrong("date") from None
        short = name in ("00", "01", "02", "03", *_DATES) and re.fullmatch(r"[0-9]*", content)
        raise Wrong("length" if short or not content else "format") from None


def _value(element: GS1ElementString) -> str:
    name, value = element.ai.ai, element.value
    if name in ("00", "01", "02", "03") and not _check_digit_holds(value):
        raise Wrong("check_digit")
    if element.date is not None and name in _DATES:
        return element.date.isoformat()
    if element.decimal is not None and name[:2] in ("31", "32", "33", "34", "35", "36"):
        return str(element.decimal)
    return value


def _check_digit_holds(digits: str) -> bool:
    """Modulo 10 with weights 3, 1, 3, ... from the right of the payload."""
    return check_digit(digits[:-1]) == digits[-1]


def check_digit(payload: str) -> str:
    """The GS1 check digit that belongs behind these digits."""
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(payload)))
    return str(-total % 10)
