"""Central's anchors in this agent's own chain: who rewrites central's records would have to change it, too.

An anchor is a document of central (kind ``anchor``): the heads of its own chains and one hash over those of all.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from records.clock import MICROSECONDS
from records.fields import Int64
from records.wire import CENTRAL, Document

ANCHOR = "anchor"
"""Kind of the document; its id is ``central``."""
KEPT = "anchor-kept"
KEY = "anchor"
"""Under it the buffer has which one was kept last."""
EVERY_S = 3600.0
MOST_HEADS = 1000


class _Head(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    epoch: str
    stream: str
    last: Int64
    hash: str


class _Anchor(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    at: str
    heads: tuple[_Head, ...] = Field(max_length=MOST_HEADS)
    root: str


def to_keep(
    document: Document | None, last: JsonValue, now_us: int
) -> tuple[dict[str, JsonValue], Mapping[str, JsonValue]] | None:
    """The event's parameters and the state to store with it; None: nothing moved, or the last one is young.

    ``last`` is what was stored under ``KEY``. What is no anchor is none.
    """
    content = None if document is None or document.id != CENTRAL else document.content
    try:
        anchor = _Anchor.model_validate(content)
    except ValidationError:
        return None
    kept = last if isinstance(last, dict) else {}
    since_us = kept.get("at_us")
    young = isinstance(since_us, str) and 0 <= now_us - int(since_us) < EVERY_S * MICROSECONDS
    if young or kept.get("root") == anchor.root or not isinstance(content, dict):
        return None
    return {**content}, {KEY: {"at_us": str(now_us), "root": anchor.root}}
