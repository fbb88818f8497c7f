"""What a scan says: GS1 element strings with every check that identification needs, or plain text.

biip parses GS1; it leaves out what is added here: it takes a GTIN with a wrong check digit, carriers that are no
GS1 carriers (``]d1``, ``]C0``, ``]Q1``), repeated identifiers, a lot or serial without a GTIN, and it cuts a value
that is too long in two. A GS separator that the scanner swallowed cannot be seen in the data (a lot then eats what
follows): who needs an expiry date must ask for AI 17.

Sources: GS1 General Specifications (7.8, 7.12), GS1 syntax dictionary (repository gs1/gs1-syntax-dictionary).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from biip import ParseError
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from biip.gs1_element_strings import GS1ElementString

GS = "\x1d"
MAX_LENGTH = 4096
GS1_CARRIERS = frozenset({"]d2", "]C1", "]Q3", "]e0", "]J1"})
"""Symbology identifiers of carriers with GS1 structure: DataMatrix, GS1-128, QR, DataBar, DotCode."""

Expect = Literal["auto", "gs1", "plain"]

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


@dataclass(frozen=True, slots=True)
class Barcode:
    """What a scan says.

    ``text`` is the content without symbology identifier. ``fields`` are GS1 identifiers and their values: dates as
    YYYY-MM-DD, measures (31nn to 36nn) as decimal strings, all else as printed, leading zeros kept; empty when
    the code is plain or wrong. ``udi_di`` is the GTIN (AI 01) in 14 digits. ``error`` is a code: empty, length,
    charset, not_gs1_carrier, hri_form, unknown_ai, date, format, check_digit, duplicate_ai, missing_gtin.
    """

    kind: Literal["gs1", "plain"]
    text: str
    symbology: str | None
    fields: Mapping[str, str] = field(default_factory=dict)
    udi_di: str | None = None
    error: str | None = None

    @property
    def valid(self) -> bool:
        return self.error is None


class _Wrong(Exception):
    """The code of what is wrong."""


def parse(scan: str, *, expect: Expect = "auto") -> Barcode:
    """What a scan says; never raises.

    ``auto`` without a symbology identifier: a leading 01 or 02 is GS1, all else is plain and valid.
    """
    symbology = scan[:3] if re.match(r"\][A-Za-z][0-9A-Za-z]", scan) else None
    text = scan[3:] if symbology else scan
    kind: Literal["gs1", "plain"] = "plain"
    if expect == "gs1" or (expect == "auto" and _looks_like_gs1(text, symbology)):
        kind = "gs1"
    try:
        if len(text) > MAX_LENGTH:
            raise _Wrong("length")
        if not text.strip(GS + " "):
            raise _Wrong("empty")
        if kind == "plain":
            if not text.isprintable():
                raise _Wrong("charset")
            return Barcode(kind, text, symbology)
        if symbology is not None and symbology not in GS1_CARRIERS:
            raise _Wrong("not_gs1_carrier")
        fields = _gs1(text)
    except _Wrong as wrong:
        return Barcode(kind, text, symbology, error=str(wrong))
    return Barcode(kind, text, symbology, fields, fields.get("01"))


def _looks_like_gs1(text: str, symbology: str | None) -> bool:
    if symbology is not None:
        return symbology in GS1_CARRIERS
    return text.lstrip(GS).startswith(("01", "02"))


def _gs1(text: str) -> dict[str, str]:
    if text.startswith("("):
        raise _Wrong("hri_form")
    if not _CSET_82.fullmatch(text.replace(GS, "")):
        raise _Wrong("charset")
    fields: dict[str, str] = {}
    rest = text.lstrip(GS)
    while rest:
        element = _element(rest)
        name = element.ai.ai
        after = rest[len(element) :]
        if element.ai.separator_required and after and not after.startswith(GS):
            raise _Wrong("length")
        if name in fields:
            raise _Wrong("duplicate_ai")
        fields[name] = _value(element)
        # a separator where none is needed is tolerated (General Specifications 7.8.6)
        rest = after.lstrip(GS)
    for name in fields:
        needed = _NEEDS.get(name)
        if needed is not None and not any(other in fields for other in needed):
            raise _Wrong("missing_gtin")
    return fields


def _element(rest: str) -> GS1ElementString:
    try:
        name = GS1ApplicationIdentifier.extract(rest).ai
    except ParseError:
        raise _Wrong("unknown_ai") from None
    try:
        return GS1ElementString.extract(rest)
    except ParseError:
        content = rest.split(GS, 1)[0][len(name) :]
        if name in _DATES and re.match(r"[0-9]{6}", content):
            raise _Wrong("date") from None
        short = name in ("00", "01", "02", "03", *_DATES) and re.fullmatch(r"[0-9]*", content)
        raise _Wrong("length" if short or not content else "format") from None


def _value(element: GS1ElementString) -> str:
    name, value = element.ai.ai, element.value
    if name in ("00", "01", "02", "03") and not _check_digit_holds(value):
        raise _Wrong("check_digit")
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
