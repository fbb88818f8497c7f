"""The reader's language: gettext catalogues, read from the ``.po`` files themselves.

The ``.po`` files, and ``records.texts`` for what the agent's page says, too, are the only sources: they are
compiled in memory at start, so no compiled file can be older than its text or be left out of a package. Only the
interface is translated; what a record holds is shown as it is. Message ids are the English texts, with
``%(name)s`` placeholders.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from records.texts import every_text

FOLDER = Path(__file__).parent / "translations"
LANGUAGES: Mapping[str, str] = {"en": "English", "zh-CN": "中文"}
"""Code (as in ``<html lang>``) -> the language's own name."""

DEFAULT = "en"


def N_(message: str) -> str:
    """Mark a message that is translated where it is shown."""
    return message


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: str
    catalogue: gettext.NullTranslations

    def __call__(self, message: str, **params: object) -> str:
        """The message in this language; ``params`` fill its ``%(name)s`` places."""
        text = self.catalogue.gettext(message) if message else ""
        return text % params if params else text

    def plural(self, one: str, many: str, n: int) -> str:
        return self.catalogue.ngettext(one, many, n)


@cache
def words(language: str) -> Words:
    """The catalogue of one of LANGUAGES, compiled once a process."""
    if language == DEFAULT:
        return Words(language, gettext.NullTranslations())
    path = FOLDER / language.replace("-", "_") / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language.replace("-", "_"))
    for text in every_text():
        catalogue.add(text.english, text.in_language(language))
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Words(language, gettext.GNUTranslations(compiled))


def preferred(cookie: str | None, accept_language: str | None) -> str:
    """The reader's choice; without one, the first language of the browser that we have; else English."""
    if cookie is not None and cookie in LANGUAGES:
        return cookie
    for asked in _by_weight(accept_language or ""):
        if asked.startswith("zh"):
            return "zh-CN"
        if asked.startswith("en"):
            return "en"
    return DEFAULT


def _by_weight(header: str) -> Iterable[str]:
    """Language ranges of an Accept-Language header, most wanted first; nonsense weighs nothing."""
    ranked: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        name, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((float(weight) if weight else 1.0, name.lower()))
        except ValueError:
            ranked.append((0.0, name.lower()))
    return [name for _, name in sorted(ranked, key=lambda pair: -pair[0]) if name]
