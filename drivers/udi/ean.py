"""EAN-8, UPC-A, EAN-13 and the 14 digits of ITF-14: a GTIN and nothing else.

UPC-E is read as the 13 digits that its symbology identifier promises (``]E0``); its short printed form is not
taken, since the same eight digits may be an EAN-8.
"""

from __future__ import annotations

from drivers.udi.gs1 import check_digit
from drivers.udi.words import Fields, Wrong

_CARRIERS = {"]E0": (12, 13), "]E4": (8,), "]I1": (14,)}
"""Symbology identifiers that may carry a GTIN, and in how many digits."""
_ANY = (8, 12, 13, 14)


def parse(text: str, symbology: str | None) -> Fields:
    """``gtin`` in 14 digits.

    Raises:
        Wrong: not_ean_carrier, charset, length or check_digit.
    """
    if symbology is not None and symbology not in _CARRIERS:
        raise Wrong("not_ean_carrier")
    if not (text.isascii() and text.isdigit()):
        raise Wrong("charset")
    if len(text) not in (_ANY if symbology is None else _CARRIERS[symbology]):
        raise Wrong("length")
    if check_digit(text[:-1]) != text[-1]:
        raise Wrong("check_digit")
    return {"gtin": text.zfill(14)}
