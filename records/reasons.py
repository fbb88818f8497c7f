"""The plant's catalogue of reasons: why people hold, release, scrap, reject or lift a hold at a station.

A reason is told as ``code`` or ``code: own words``. Records hold that and the version of the catalogue, never a
text of it: texts are made where they are shown, in the reader's language. A group that the catalogue lacks takes
free words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import JsonValue, TypeAdapter, ValidationError

from records.errors import Invalid
from records.wire import Document

Group = Literal["hold", "release", "scrap", "rejection", "override"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""``hold``, ``release``: of holds that quality sets; ``scrap``: of pieces; ``rejection``: of a lot; ``override``:
a hold of a station or an alarm is ended at the line."""

Texts = dict[str, str]
"""Language -> text."""
_CONTENT = TypeAdapter(dict[str, dict[str, dict[str, Texts]]])


@dataclass(frozen=True, slots=True)
class Told:
    """A reason as a record holds it. ``version``: of the catalogue that has its code; None: there is none."""

    reason: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One version. ``groups``: group -> code -> texts."""

    version: int
    groups: Mapping[str, Mapping[str, Texts]]

    @classmethod
    def of(cls, document: Document) -> Catalogue:
        """Raises Invalid: the document is no catalogue."""
        try:
            content = _CONTENT.validate_python(document.content)
        except ValidationError as error:
            raise Invalid(f"{document.kind} version {document.version}: {error.errors()[0]['msg']}") from error
        return cls(document.version, content.get("reasons", {}))

    def told(self, group: Group, reason: str) -> Told:
        """What a record is to hold.

        Raises:
            Invalid: the code is none of the group; the message lists them.
        """
        known = self.groups.get(group)
        if not known:
            return Told(reason.strip())
        code, _, words = (part.strip() for part in reason.partition(":"))
        if code not in known:
            raise Invalid(
                f"{code!r} is no reason of the group {group}",
                hint=f"give one of {', '.join(known)}; own words may follow after a colon",
            )
        return Told(f"{code}: {words}" if words else code, self.version)

    def choices(self, group: str, language: str) -> list[tuple[str, str]]:
        """Every code of a group with its text."""
        return [(code, _text(code, texts, language)) for code, texts in self.groups.get(group, {}).items()]

    def says(self, group: str, reason: str, language: str) -> str:
        """A recorded reason in the reader's language; what is no code of the group stands for itself."""
        code, colon, words = reason.partition(":")
        texts = self.groups.get(group, {}).get(code.strip())
        return reason if texts is None else f"{_text(code.strip(), texts, language)}{colon}{words}"


NO_REASONS = Catalogue(0, {})


def _text(code: str, texts: Texts, language: str) -> str:
    return texts.get(language) or texts.get("en") or next(iter(texts.values()), code)


def as_json(catalogue: Catalogue) -> JsonValue:
    """Group -> code -> texts."""
    return {group: {code: {**texts} for code, texts in codes.items()} for group, codes in catalogue.groups.items()}
