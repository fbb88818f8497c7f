"""Quantities: exact decimals that travel as strings, never as floats."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from records.errors import Invalid


def quantity(text: str | int | Decimal) -> Decimal:
    """An exact, finite decimal.

    Raises:
        Invalid: when the text is no finite decimal number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise Invalid(f"{text!r} is no quantity", hint="write a decimal number such as 2 or 0.125")
    return value


def quantity_text(value: Decimal) -> str:
    """The shortest plain notation (``2``, ``0.125``, never ``2E+2`` or ``2.000``)."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
