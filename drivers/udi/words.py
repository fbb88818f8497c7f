"""What every kind of code shares: the answer, and how a parser says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import JsonValue

GS = "\x1d"
MAX_LENGTH = 4096

Kind = Literal["gs1", "hibc", "ean", "plain"]
Expect = Literal["auto", "gs1", "hibc", "ean", "plain"]
Fields: TypeAlias = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Barcode:
    """What a scan says.

    ``text`` is the content without symbology identifier. ``fields``, empty when the code is wrong:

    - gs1: application identifiers and their values; dates as YYYY-MM-DD, measures (31nn to 36nn) as decimal
      strings, all else as printed, leading zeros kept;
    - hibc: lic, pcn, lot, serial, link, check as printed, unit_of_measure and quantity as integers, expiry and
      manufactured as YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh;
    - ean: gtin in 14 digits;
    - plain: the named groups of the line's pattern that it fits; ``scheme`` is that pattern's name.

    ``udi_di`` is what names the product: the GTIN in 14 digits, HIBC's LIC, PCN and unit of measure, or the group
    ``di`` of a pattern. ``error`` is a code: empty, length, charset, glued, not_gs1_carrier, gs1_carrier,
    not_ean_carrier, hri_form, unknown_ai, date, format, check_digit, check_character, link_character,
    duplicate_ai, missing_gtin; of a scanner's frame also those of ``drivers.base.ScanFrame``.
    """

    kind: Kind
    text: str
    symbology: str | None
    fields: Mapping[str, str | int] = field(default_factory=dict)
    udi_di: str | None = None
    error: str | None = None
    scheme: str | None = None

    @property
    def valid(self) -> bool:
        return self.error is None

    @property
    def issuer(self) -> str:
        """By whose rules the fields are read: the pattern's name where one was used, else the kind."""
        return self.scheme or self.kind

    def to_json(self) -> dict[str, JsonValue]:
        """The answer of ``scan``; ``scheme`` is there only where a pattern was used."""
        answer: dict[str, JsonValue] = {
            "valid": self.valid,
            "kind": self.kind,
            "fields": dict(self.fields),
            "udi_di": self.udi_di,
            "error": self.error,
        }
        return answer if self.scheme is None else answer | {"scheme": self.scheme}

    def said(self, name: str) -> str | None:
        """A field as text, None where the code lacks it."""
        value = self.fields.get(name)
        return None if value is None else str(value)


class Wrong(Exception):
    """The code of what is wrong."""
