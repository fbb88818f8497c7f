"""Values as Telegraf writes them, in our words."""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
}
_TYPES = {
    "INT8L": ("int8", {"byte": "low"}),
    "INT8H": ("int8", {"byte": "high"}),
    "UINT8L": ("uint8", {"byte": "low"}),
    "UINT8H": ("uint8", {"byte": "high"}),
    **{f"{kind}INT{bits}": (f"{kind.lower()}int{bits}", {}) for kind in ("", "U") for bits in (16, 32, 64)},
    **{f"FLOAT{bits}": (f"float{bits}", {}) for bits in (16, 32, 64)},
    **{f"FLOAT{bits}-IEEE": (f"float{bits}", {}) for bits in (16, 32, 64)},
    "STRING": ("string", {}),
}
_ORDERS = {
    "AB": "ABCD",
    "ABCD": "ABCD",
    "ABCDEFGH": "ABCD",
    "MSW": "ABCD",
    "MSW-BE": "ABCD",
    "BA": "DCBA",
    "DCBA": "DCBA",
    "HGFEDCBA": "DCBA",
    "LSW": "DCBA",
    "LSW-LE": "DCBA",
    "BADC": "BADC",
    "BADCFEHG": "BADC",
    "MSW-LE": "BADC",
    "CDAB": "CDAB",
    "GHEFCDAB": "CDAB",
    "LSW-BE": "CDAB",
}


def seconds(value: object) -> Fraction | None:
    """Telegraf's durations: ``"1m30s"``, ``"500ms"``, a number of seconds; None for another value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return Fraction(value)
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)", str(value))
    if not parts or "".join(number + unit for number, unit in parts) != str(value).strip():
        return None
    return sum((Fraction(number) * _UNITS[unit] for number, unit in parts), Fraction(0))


def duration(value: Fraction) -> str:
    """Ours: a number and one unit."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if value >= size and value % size == 0:
            return f"{value // size}{unit}"
    if value >= 1:
        return f"{float(value):g}s"
    return f"{float(value * 1000):g}ms"


def data_type(name: str, registers: int) -> tuple[str, dict[str, str]] | None:
    """Our data type and the keys beside it; ``FIXED`` is an integer of as many registers as are given."""
    if name in ("FIXED", "UFIXED") and registers in (1, 2, 4):
        return f"{'u' if name == 'UFIXED' else ''}int{16 * registers}", {}
    return _TYPES.get(name)


def byte_order(name: str) -> str | None:
    """Our byte order of one of the many names."""
    return _ORDERS.get(name)
