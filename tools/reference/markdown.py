"""The few forms of Markdown that the reference pages use."""

from __future__ import annotations

from collections.abc import Sequence

NOTE = "<!-- Written by `make docs` from the code: change it there. -->"


def document(title: str, *parts: str) -> str:
    """One page: note, title and its parts, with one empty line between and one line end at the end."""
    return "\n\n".join([NOTE, f"# {title}", *(part.strip() for part in parts if part.strip())]) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; pipes and line ends in cells are made harmless."""
    lines = [head, ["---"] * len(head), *([cell(text) for text in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: str) -> str:
    """On one line; what Markdown would take for a column or a tag is made harmless, code in backticks is kept."""
    pieces = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(piece if n % 2 else piece.replace("<", "&lt;") for n, piece in enumerate(pieces))


def code(text: str) -> str:
    return f"`{text}`" if text else ""
