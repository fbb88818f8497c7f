"""HIBC labels: primary, secondary, concatenated, with supplements (ANSI/HIBC 2.6 supplier labelling standard).

A primary is ``+``, labeller (4), product (1 to 18), unit of measure (1), check character. A secondary is ``+``,
quantity, date and lot or serial, the check character of its primary as link, check character. Concatenated, the
secondary stands behind the primary and ``/``, without ``+`` and link. Supplements follow, each behind ``/``: ``S``
serial, ``16D`` manufactured, ``14D`` expiry (both YYYYMMDD), ``Q`` quantity.

The check character (modulo 43 over everything before it) and the link may be any of the 43 characters, a space and
``/`` among them: nothing is ever stripped, and both are taken off before the rest is split. Lot and serial hold no
``+``, so a second label glued behind the first is no label.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from drivers.udi.words import Fields, Wrong

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"

_PRIMARY = re.compile(r"(?P<lic>[A-Z][A-Z0-9]{3})(?P<pcn>[A-Z0-9]{1,18})(?P<unit_of_measure>[0-9])")
_NUMBER = re.compile(r"[A-Z0-9.\-]{0,18}")
_QUANTITY = {"8": 2, "9": 5}
_DATES = {"2": "MMDDYY", "3": "YYMMDD", "4": "YYMMDDHH", "5": "YYJJJ", "6": "YYJJJHH", "7": ""}
"""What the digit behind ``$$`` says of the date; without one the date is MMYY."""


def parse(text: str, link_of: str | None = None) -> Fields:
    """The fields of a label; ``link_of`` is the check character that a secondary's link must be.

    Raises:
        Wrong: charset, length, check_character, link_character, format or date.
    """
    if any(character not in ALPHABET for character in text):
        raise Wrong("charset")
    if len(text) < 4:
        raise Wrong("length")
    if not text.startswith("+"):
        raise Wrong("format")
    if check_character(text[:-1]) != text[-1]:
        raise Wrong("check_character")
    body, check = text[1:-1], text[-1]
    if body[0] == "$" or body[0].isdigit():
        rest, link = body[:-1], body[-1]
        if link_of is not None and link != link_of:
            raise Wrong("link_character")
        secondary, *supplements = rest.split("/")
        return _supplemented(_secondary(secondary), supplements) | {"link": link, "check": check}
    primary, *others = body.split("/")
    found = _PRIMARY.fullmatch(primary)
    if found is None:
        raise Wrong("format")
    fields: Fields = {"lic": found["lic"], "pcn": found["pcn"], "unit_of_measure": int(found["unit_of_measure"])}
    if others and (others[0][:1] == "$" or re.match(r"[0-9]{5}", others[0])):
        fields |= _secondary(others.pop(0))
    return _supplemented(fields, others) | {"check": check}


def check_character(text: str) -> str:
    """The character that belongs behind this text, its ``+`` included: modulo 43 of the characters' places."""
    return ALPHABET[sum(ALPHABET.index(character) for character in text) % 43]


def _secondary(text: str) -> Fields:
    """Quantity, date, and lot or serial of a secondary without ``+``, link and check."""
    found = re.match(r"\$\$\+?|\$\+?|", text)
    flag = found[0] if found else ""
    rest, fields = text[len(flag) :], Fields()
    if flag.startswith("$$"):
        digits = _QUANTITY.get(rest[:1]) if flag == "$$" else None
        if digits is not None:
            fields["quantity"] = _whole(rest[1 : 1 + digits], digits)
            rest = rest[1 + digits :]
        if rest or digits is None:
            rest = _expiry(rest, fields)
    elif not flag:
        fields["expiry"] = _date("YYJJJ", rest[:5])
        rest = rest[5:]
    if not _NUMBER.fullmatch(rest):
        raise Wrong("format")
    if rest:
        fields["serial" if flag.endswith("+") else "lot"] = rest
    return fields


def _expiry(rest: str, fields: Fields) -> str:
    """Take the date that begins ``rest``; gives what stands behind it."""
    if rest[:1] in ("0", "1"):
        form = "MMYY"
    else:
        if rest[:1] not in _DATES:
            raise Wrong("format")
        form, rest = _DATES[rest[0]], rest[1:]
    if form:
        fields["expiry"] = _date(form, rest[: len(form)])
    return rest[len(form) :]


def _supplemented(fields: Fields, parts: list[str]) -> Fields:
    """The fields with those of the supplements; one that is said twice must say the same, or be more exact."""
    for part in parts:
        found = re.fullmatch(r"(?P<name>S|Q|16D|14D)(?P<value>[A-Z0-9.\-]{1,18})", part)
        if found is None:
            raise Wrong("format")
        name, value = found["name"], found["value"]
        key = {"S": "serial", "Q": "quantity", "16D": "manufactured", "14D": "expiry"}[name]
        new = value if name == "S" else _whole(value, len(value)) if name == "Q" else _date("YYYYMMDD", value)
        said = fields.get(key, new)
        if said != new and not (key == "expiry" and str(new).startswith(f"{said}-")):
            raise Wrong("format")
        fields[key] = new
    return fields


def _whole(text: str, digits: int) -> int:
    if len(text) != digits or not re.fullmatch(r"[0-9]{1,5}", text):
        raise Wrong("format")
    return int(text)


def _date(form: str, text: str) -> str:
    """A date as ISO text; two digits of a year are of this century, HIBC dates began in 2000."""
    if len(text) != len(form) or not text.isascii() or not text.isdigit():
        raise Wrong("date")
    part = {
        letter: int("".join(c for c, f in zip(text, form, strict=True) if f == letter)) for letter in set(form)
    }
    year = part["Y"] if "YYYY" in form else 2000 + part["Y"]
    try:
        if form == "MMYY":
            return f"{date(year, part['M'], 1):%Y-%m}"
        if "J" in form:
            if not 1 <= part["J"] <= 365 + calendar.isleap(year):
                raise Wrong("date")
            day = date(year, 1, 1) + timedelta(days=part["J"] - 1)
        else:
            day = date(year, part["M"], part["D"])
    except ValueError:
        raise Wrong("date") from None
    if "H" not in form:
        return day.isoformat()
    if part["H"] > 23:
        raise Wrong("date")
    return f"{day.isoformat()}T{part['H']:02d}"
