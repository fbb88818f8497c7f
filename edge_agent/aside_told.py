"""At each start: what earlier starts have set aside is said in the log, and once for each file in the record."""

from __future__ import annotations

from typing import Protocol

import structlog
from pydantic import JsonValue

from edge_agent.aside_words import aside_json, aside_says
from edge_agent.outbox import Outbox
from edge_agent.outbox.aside import set_aside

TOLD = "aside.told"
"""State: the names of the files that are in this agent's record."""

log = structlog.get_logger()


class Record(Protocol):
    """How an event of the agent is recorded."""

    def __call__(
        self, code: str, params: dict[str, JsonValue], *, state: dict[str, JsonValue], urgent: bool
    ) -> None: ...


def tell_set_aside(outbox: Outbox, record: Record) -> None:
    """What is told once is noted in the same transaction, so that a crash leaves nothing out."""
    stored = outbox.state(TOLD)
    known: list[JsonValue] = stored if isinstance(stored, list) else []
    for one in set_aside(outbox.path.parent):
        said = aside_says(aside_json(one))
        (log.error if one.concerns else log.warning)("buffer-set-aside", what=said)
        if one.path.name in known:
            continue
        known = [*known, one.path.name]
        params: dict[str, JsonValue] = {"file": one.path.name, "stream": one.stream, "why": one.why}
        params |= {"agent": one.agent} if one.agent is not None else {}
        params |= {"pending": one.left} if one.left is not None else {}
        record("buffer-set-aside", params, state={TOLD: known}, urgent=True)
