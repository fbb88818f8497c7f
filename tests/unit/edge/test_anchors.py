"""Central's anchors stand in the agent's own chain: at most one an hour, and only when something moved."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.anchors import EVERY_S, KEY, to_keep
from records.wire import Document

NOW_US = 1_795_000_000_000_000
CONTENT: dict[str, JsonValue] = {
    "at": "2026-11-18T00:00:00Z",
    "heads": [{"epoch": "ab", "stream": "records", "last": "7", "hash": "0f" * 32}],
    "root": "aa" * 32,
}


def anchor(**changes: Any) -> Document:
    return Document("anchor", "central", 1, 1, {**CONTENT, **changes})


def test_the_first_is_kept_as_it_is_and_the_next_after_an_hour_when_it_moved() -> None:
    first = to_keep(anchor(), None, NOW_US)
    assert first is not None
    params, state = first
    assert params == CONTENT
    last = state[KEY]
    hour_us = int(EVERY_S * 1e6)
    assert to_keep(anchor(root="bb" * 32), last, NOW_US + hour_us - 1) is None
    assert to_keep(anchor(), last, NOW_US + hour_us) is None
    assert to_keep(anchor(root="bb" * 32), last, NOW_US + hour_us) is not None
    assert to_keep(anchor(root="bb" * 32), last, NOW_US - 1) is not None, (
        "a clock that was set back keeps none away"
    )


@pytest.mark.parametrize(
    "document",
    [
        None,
        Document("anchor", "other", 1, 1, CONTENT),
        Document("anchor", "central", 1, 1, None),
        anchor(heads=None),
        anchor(heads=[{"epoch": 1}]),
        anchor(heads=CONTENT["heads"] * 1001),  # type: ignore[operator]
        anchor(root=None),
    ],
)
def test_what_is_no_anchor_is_none(document: Document | None) -> None:
    assert to_keep(document, None, NOW_US) is None
