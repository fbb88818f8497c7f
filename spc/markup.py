"""SVG elements as text: everything that comes from outside is escaped here and nowhere else.

The attributes are what a chart looks like without its stylesheet; a class always overrides them.
"""

import re
from html import escape

__all__ = ["escaped", "label", "line", "path", "px"]

_FORBIDDEN = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def px(pixels: float) -> str:
    return f"{pixels:.1f}".removesuffix(".0")


def escaped(text: str) -> str:
    """Safe as element content and in double-quoted attributes; characters that XML forbids become U+FFFD."""
    return escape(_FORBIDDEN.sub("\ufffd", text), quote=True)


def line(name: str, x1: float, y1: float, x2: float, y2: float, look: str) -> str:
    place = f'x1="{px(x1)}" y1="{px(y1)}" x2="{px(x2)}" y2="{px(y2)}"'
    return f'<line class="{name}" {place} stroke="currentColor" {look}/>'


def path(name: str, d: str, look: str) -> str:
    return (
        f'<path class="{name}" d="{d}" fill="none" stroke="currentColor" stroke-linejoin="round" '
        f'stroke-linecap="round" {look}/>'
    )


def label(name: str, x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="{name}" x="{px(x)}" y="{px(y)}" text-anchor="{anchor}">{escaped(text)}</text>'
