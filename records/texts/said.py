"""One text in every language that people read: side by side, so that none can be left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A text. The English one is also the id under which a catalogue of translations knows it."""

    english: str
    chinese: str

    def in_language(self, language: str) -> str:
        """``language``: as in ``<html lang>``; English where we have no other."""
        return self.chinese if language == "zh-CN" else self.english


@dataclass(frozen=True, slots=True)
class EventText:
    """``title`` names an event, ``meaning`` says in a sentence what it tells."""

    title: Said
    meaning: Said
