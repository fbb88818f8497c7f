"""Central's word on two agents with one identity, as both sides read it (a document of kind ``fence``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from records.wire import Document


@dataclass(frozen=True, slots=True)
class Fenced:
    """``instances``: starts that must not send, nor any after them. ``kept``: the start that goes on, and why."""

    instances: tuple[str, ...] = ()
    kept: str | None = None
    why: str = ""

    @classmethod
    def of(cls, document: Document | None) -> Fenced:
        """What a document says; no document, and one that was withdrawn, fences nobody."""
        content = None if document is None else document.content
        named = content.get("instances") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(named, list):
            return cls()
        kept = content.get("kept")
        return cls(tuple(map(str, named)), kept if isinstance(kept, str) else None, str(content.get("why", "")))

    def to_json(self) -> JsonValue:
        """The document's content; None withdraws it."""
        if not self.instances:
            return None
        return {"instances": list[JsonValue](self.instances), "kept": self.kept, "why": self.why}

    def names(self, starts: Sequence[str]) -> str | None:
        """By which of its starts an agent is fenced: its own and those before it, the newest first; None: by none.

        A copy of a disk has the starts of the one that it was copied from before its own. So which of both goes on
        is told by the newest of its starts that is named.
        """
        for start in starts:
            if start == self.kept:
                return None
            if start in self.instances:
                return start
        return None
