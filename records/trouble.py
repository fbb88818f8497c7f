"""What is wrong with a device, a message or the way to central, for people in any language: a code and what fills
the places of its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from records.texts.file_troubles import FILE_TROUBLES
from records.texts.message_troubles import MESSAGE_TROUBLES
from records.texts.said import Said
from records.texts.troubles import TROUBLES
from records.texts.way_troubles import WAY_TROUBLES

ALL: Mapping[str, Said] = {**TROUBLES, **WAY_TROUBLES, **FILE_TROUBLES, **MESSAGE_TROUBLES}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One of ``ALL``; as a text it is the English one. ``hint`` says what to do."""

    code: str
    params: Mapping[str, str | int | float | Trouble]
    hint: Trouble | None = None

    @classmethod
    def of(cls, code: str, **params: str | int | float | Trouble) -> Trouble:
        return cls(code, params)

    def hinted(self, hint: Trouble | None) -> Trouble:
        return replace(self, hint=hint)

    def __str__(self) -> str:
        return ALL[self.code].english % self.params

    @property
    def whole(self) -> str:
        """The English text with what to do."""
        return str(self) if self.hint is None else f"{self} ({self.hint})"

    def to_json(self) -> dict[str, JsonValue]:
        """For records and programs: ``trouble_text`` says it in the reader's language."""
        params: dict[str, JsonValue] = {
            name: value.to_json() if isinstance(value, Trouble) else value for name, value in self.params.items()
        }
        return {"code": self.code, **params} | ({} if self.hint is None else {"hint": self.hint.to_json()})


def trouble_text(told: JsonValue, language: str) -> str | None:
    """A trouble's JSON in words with what to do; None where it is none, or one of a later build."""
    if not isinstance(told, dict):
        return None
    said = ALL.get(str(told.get("code")))
    if said is None:
        return None
    places = {
        name: (trouble_text(value, language) or value.get("code")) if isinstance(value, dict) else value
        for name, value in told.items()
    }
    try:
        text = said.in_language(language) % places
    except (KeyError, TypeError, ValueError):
        return None
    if (hint := trouble_text(told.get("hint"), language)) is None:
        return text
    return f"{text}（{hint}）" if language == "zh-CN" else f"{text} ({hint})"
