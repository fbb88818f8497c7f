"""What a scan says: GS1, HIBC and EAN codes with every check that identification needs, or plain text.

A plain text may fit one of the patterns that the line file names (``schemes``); its named groups are the fields
then. So are read a plant's own serials, and the Chinese UDIs that are neither GS1 nor HIBC: MA codes of ZIIOT
(``MA.156.M0...``) and AHM codes of Ali Health, kept raw as printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivers.udi import ean, gs1, hibc
from drivers.udi.gs1 import check_digit
from drivers.udi.hibc import check_character
from drivers.udi.words import GS, MAX_LENGTH, Barcode, Expect, Fields, Kind, Wrong

__all__ = ["GS", "NO_SCHEMES", "Barcode", "Expect", "check_character", "check_digit", "parse"]

_IDENTIFIER = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_MA = "MA.156."
NO_SCHEMES: Mapping[str, re.Pattern[str]] = {}


def parse(
    scan: str,
    *,
    expect: Expect = "auto",
    paired_with: str | None = None,
    schemes: Mapping[str, re.Pattern[str]] = NO_SCHEMES,
) -> Barcode:
    """What a scan says; never raises.

    ``auto``: the symbology identifier decides; without one a leading ``+`` is HIBC, a leading 01 or 02 is GS1, all
    else is plain and valid. A pattern of ``schemes`` is tried before that, but not on a GS1 carrier.
    ``paired_with`` is the HIBC primary that a secondary belongs to: its link must be that one's check character.
    """
    symbology = scan[:3] if _IDENTIFIER.match(scan) else None
    text = scan[3:] if symbology else scan
    scheme = _scheme(text, symbology, schemes) if expect in ("auto", "plain") else None
    kind: Kind = "plain" if scheme else _kind(text, symbology) if expect == "auto" else expect
    try:
        if len(text) > MAX_LENGTH:
            raise Wrong("length")
        if not text.strip(GS + " "):
            raise Wrong("empty")
        if symbology is not None and _IDENTIFIER.search(text):
            raise Wrong("glued")  # a scanner that sends identifiers sent two codes, and what parts them was lost
        if kind == "plain":
            fields = _plain(text, scheme, schemes)
        elif kind == "gs1":
            fields = gs1.parse(text, symbology)
        elif kind == "ean":
            fields = ean.parse(text, symbology)
        else:
            if symbology in gs1.CARRIERS:
                raise Wrong("gs1_carrier")
            fields = hibc.parse(text, None if paired_with is None else paired_with[-1:])
    except Wrong as wrong:
        return Barcode(kind, text, symbology, error=str(wrong), scheme=scheme)
    return Barcode(kind, text, symbology, fields, _udi_di(kind, fields), scheme=scheme)


def _kind(text: str, symbology: str | None) -> Kind:
    if symbology in gs1.CARRIERS:
        return "gs1"
    if symbology is not None and symbology.startswith("]E"):
        return "ean"
    if text.startswith("+"):
        return "hibc"
    return "gs1" if symbology is None and text.lstrip(GS).startswith(("01", "02")) else "plain"


def _scheme(text: str, symbology: str | None, schemes: Mapping[str, re.Pattern[str]]) -> str | None:
    """The name of the first pattern that describes the text; an MA code is one also without a pattern."""
    if symbology in gs1.CARRIERS or not text.isprintable():
        return None
    fitting = (name for name, pattern in schemes.items() if pattern.fullmatch(text))
    return next(fitting, "ma" if text.startswith(_MA) else None)


def _plain(text: str, scheme: str | None, schemes: Mapping[str, re.Pattern[str]]) -> Fields:
    if not text.isprintable():
        raise Wrong("charset")
    if text.startswith(_MA) and _MA in text[1:]:
        raise Wrong("glued")
    pattern = None if scheme is None else schemes.get(scheme)
    found = None if pattern is None else pattern.fullmatch(text)
    if found is None:
        return {}
    patterns = tuple(schemes.values())
    for at in range(1, len(text)):
        if any(p.fullmatch(text, 0, at) for p in patterns) and any(p.fullmatch(text, at) for p in patterns):
            raise Wrong("glued")
    return {name: value for name, value in found.groupdict().items() if value is not None}


def _udi_di(kind: Kind, fields: Fields) -> str | None:
    if kind == "hibc":
        return f"{fields['lic']}{fields['pcn']}{fields['unit_of_measure']}" if "lic" in fields else None
    found = fields.get({"gs1": "01", "ean": "gtin"}.get(kind, "di"))
    return None if found is None else str(found)
