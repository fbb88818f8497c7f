"""What the doctor says of one thing that it looked at: shared by ``central.doctor`` and its parts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import JsonValue

State = Literal["fine", "warning", "bad", "unreachable"]


@dataclass(frozen=True, slots=True)
class Told:
    """``check``: what was looked at; ``says``: what was found; ``do``: what to do about it, None when fine."""

    check: str
    state: State
    says: str
    do: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return asdict(self)
