"""Engineering units as OPC UA servers tell them (OPC 10000-8, 5.6.3), to text."""

from __future__ import annotations

from types import MappingProxyType

from asyncua import ua

_TEXTS = MappingProxyType(
    {
        "CEL": "degC",
        "FAH": "degF",
        "KEL": "K",
        "BAR": "bar",
        "MBR": "mbar",
        "PAL": "Pa",
        "KPA": "kPa",
        "MPA": "MPa",
        "PS": "psi",
        "NEW": "N",
        "B47": "kN",
        "NU": "N.m",
        "MTR": "m",
        "CMT": "cm",
        "MMT": "mm",
        "4H": "um",
        "KGM": "kg",
        "GRM": "g",
        "LTR": "L",
        "MLT": "mL",
        "41": "mL/min",
        "L2": "L/min",
        "SEC": "s",
        "C26": "ms",
        "MIN": "min",
        "HUR": "h",
        "P1": "%",
        "C62": "1",
        "VLT": "V",
        "AMP": "A",
        "4K": "mA",
        "WTT": "W",
        "KWT": "kW",
        "HTZ": "Hz",
        "RPM": "r/min",
        "DD": "deg",
        "C81": "rad",
        "MTS": "m/s",
    }
)
"""Common codes of UN/CEFACT Recommendation 20 that lines use."""


def unit_text(told: ua.EUInformation) -> str | None:
    """The unit's display name; where the server has none, its UN/CEFACT code told in words or as it is.

    The number of a unit is its code's up to four letters, one octet each, most significant first.
    """
    shown = (told.DisplayName.Text or "").strip() if told.DisplayName is not None else ""
    if shown:
        return shown
    number = int(told.UnitId or 0)
    if number <= 0:
        return None
    code = number.to_bytes(4, "big").lstrip(b"\0").decode("ascii", errors="replace")
    return _TEXTS.get(code, code) if code.isprintable() else None
