"""Who asks, and a signature as a person gives it."""

from __future__ import annotations

from dataclasses import dataclass

from central.access import Capability


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: a person with a session, or a program with a token. ``name`` is the printed name.

    A program never signs by itself: with ``may_bring`` it may hand over a signature that a person gives with user
    and password.
    """

    id: str
    name: str
    role: str
    rights: frozenset[Capability]
    origin: str
    program: bool = False
    may_bring: bool = True

    def may(self, right: Capability) -> bool:
        return right in self.rights

    @property
    def may_close(self) -> bool:
        return self.may(Capability.CLOSE_FINDING)

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class Signing:
    """A signature as a person gives it: who, with which password, what it means, why, and what was shown."""

    user: str
    password: str
    meaning: str
    reason: str
    content_hash: str
    origin: str
