"""How values are written for people: times with their zone, figures with their unit, hashes that can be read.

Pure functions; nothing here knows a page. Times come as UTC microseconds, quantities as decimal strings.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from markupsafe import Markup

from central.web.i18n import N_, Words
from records.clock import from_us, iso_z
from records.quantity import quantity_text

DASH = "–"

UNITS = {"N.m": "N·m", "degC": "°C", "deg": "°", "uS/cm": "µS/cm", "u": "", "1": ""}
"""Unit codes of records -> how they are printed; others are printed as they are."""

_AGES = (
    (60, 1, N_("%(n)s s")),
    (3600, 60, N_("%(n)s min")),
    (172_800, 3600, N_("%(n)s h")),
    (math.inf, 86_400, N_("%(n)s d")),
)


def unit_text(unit: str | None) -> str:
    return "" if unit is None else UNITS.get(unit, unit)


def decimals_for(values: Iterable[object], figures: int = 4) -> int:
    """Decimals that show ``figures`` significant figures of the largest value: one number for a whole column."""
    sizes = [abs(v) for v in values if isinstance(v, float) and math.isfinite(v) and v != 0]
    if not sizes:
        return 0
    return min(9, max(0, figures - 1 - math.floor(math.log10(max(sizes)))))


def figure(value: object, decimals: int | None = None) -> str:
    """A value of a record: a number with ``decimals`` (4 significant figures when None), else its text."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        places = decimals_for([value]) if decimals is None else decimals
        return f"{value:.{places}f}".replace("-", "−")
    if isinstance(value, list):
        return f"[{len(value)}]"
    return str(value)


def exact(value: object) -> str:
    """A value as it is held, every digit of it."""
    return repr(value) if isinstance(value, float) else figure(value)


def short_hash(text: str | None) -> str:
    """The first 12 hexadecimal digits, without the name of the algorithm."""
    return DASH if not text else text.removeprefix("sha256:")[:12]


def percent(part: float, whole: float) -> int:
    """Rounded down: 100 only when nothing is missing."""
    return 100 if whole <= 0 else max(0, min(100, math.floor(100 * part / whole)))


@dataclass(frozen=True, slots=True)
class Show:
    """Writes times in one zone and language; made once a request."""

    zone: str
    words: Words
    now_us: int
    dated: bool = False
    """Every time with its date: for paper, on which nobody sees when it was printed beside a row."""

    def _local(self, at_us: int) -> datetime:
        return from_us(at_us).astimezone(ZoneInfo(self.zone))

    def offset(self, at_us: int) -> str:
        """``+08:00``."""
        text = self._local(at_us).strftime("%z")
        return f"{text[:3]}:{text[3:]}"

    def time(self, at_us: int | None, *, fine: bool = False) -> Markup:
        """``2026-11-20 18:20:31 +08:00``; ``fine`` adds microseconds."""
        if at_us is None:
            return Markup('<span class="none">{}</span>').format(DASH)
        local = self._local(at_us)
        text = local.strftime("%Y-%m-%d %H:%M:%S.%f" if fine else "%Y-%m-%d %H:%M:%S")
        return Markup('<time datetime="{}">{} <span class="zone">{}</span></time>').format(
            iso_z(at_us), text, self.offset(at_us)
        )

    def clock(self, at_us: int | None, *, fine: bool = False) -> Markup:
        """Date only when it is not today, year only of another one; for dense tables whose head names the zone.

        With ``dated`` always the whole date; ``fine`` adds microseconds.
        """
        if at_us is None:
            return Markup('<span class="none">{}</span>').format(DASH)
        local = self._local(at_us)
        today = self._local(self.now_us).date()
        if self.dated:
            day = "%Y-%m-%d "
        else:
            day = "" if local.date() == today else "%m-%d " if local.year == today.year else "%Y-%m-%d "
        text = local.strftime(f"{day}%H:%M:%S.%f" if fine else f"{day}%H:%M:%S")
        return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
            iso_z(at_us), local.strftime("%Y-%m-%d %H:%M:%S.%f"), self.offset(at_us), text
        )

    def instant(self, at_us: int | None) -> Markup:
        """Time of day with microseconds; the date and zone on hover."""
        if at_us is None:
            return Markup('<span class="none">{}</span>').format(DASH)
        local = self._local(at_us)
        return Markup('<time datetime="{}" title="{} {}">{}</time>').format(
            iso_z(at_us), local.strftime("%Y-%m-%d"), self.offset(at_us), local.strftime("%H:%M:%S.%f")
        )

    def span(self, seconds: float) -> str:
        """A duration in its largest sensible unit: ``42 s``, ``7 min``, ``31 h``, ``12 d``."""
        seconds = max(0.0, seconds)
        for below, size, text in _AGES:
            if seconds < below:
                return self.words(text, n=math.floor(seconds / size))
        raise ValueError(f"{seconds} s is no duration")

    def age(self, at_us: int | None) -> str:
        """How long ago."""
        return DASH if at_us is None else self.span((self.now_us - at_us) / 1e6)


def quantity(value: object) -> str:
    """A count or exact decimal in its shortest notation, with its unit left to the column's head."""
    if isinstance(value, Decimal):
        return quantity_text(value)
    return DASH if value is None else str(value)
