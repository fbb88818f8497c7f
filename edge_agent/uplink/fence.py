"""Two agents with one identity: this one's marks, and central's word on which of them may send.

An instance is one start of one agent. It says hello with its own id and those of the starts before it in the same
buffer, so that central can tell a restart from a second agent. Who is named in central's signed ``fence``
document (``records.fence``) goes on recording and stops sending, until central takes the name away.
"""

from __future__ import annotations

import structlog
from pydantic import JsonValue

from edge_agent.documents import Documents
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink.incoming import OnEvent
from records.clock import Clock, new_id
from records.errors import Refused
from records.fence import Fenced
from records.keys import Identity
from records.trouble import Trouble
from records.wire import FENCE

STATE = "uplink.instances"
MOST_BEFORE = 50
"""How many earlier starts are named: a central that was away for more takes the next one as it comes."""
FENCED = Trouble.of("kept-to-another")


class Fence:
    """``instance`` is this start's id. Without documents there is no fence."""

    def __init__(
        self, outbox: Outbox, identity: Identity, clock: Clock, documents: Documents | None, on_event: OnEvent
    ) -> None:
        self._outbox, self._identity, self._documents, self._on_event = outbox, identity, documents, on_event
        self._started_us = clock.now_us()
        self._told: str | None = None
        self.instance = new_id(16)
        stored = outbox.state(STATE)
        self._before = [each for each in stored if isinstance(each, str)] if isinstance(stored, list) else []

    def begin(self) -> None:
        """Put this start's id on disk, before anything is sent; also where the buffer is at its cap."""
        try:
            starts = list[JsonValue]([self.instance, *self._before][:MOST_BEFORE])
            self._outbox.commit(Batch(state={STATE: starts}), urgent=True).result()
        except Refused as error:  # a full disk: the next start is then taken for a stranger's until it is heard
            structlog.get_logger().warning("instance-not-kept", reason=str(error))

    def hello(self, key: str) -> JsonValue:
        """What central is told at each connection; ``key``: the id of the key that signs it."""
        return {
            "instance": self.instance,
            "before": list[JsonValue](self._before),
            "epoch": self._outbox.head().epoch,
            "started_us": str(self._started_us),
            "key": key,
        }

    @property
    def closed(self) -> bool:
        """Whether central has told this agent not to send. The first time that there are two, it is recorded."""
        document = None if self._documents is None else self._documents.get(FENCE, self._identity.file.agent)
        fenced = Fenced.of(document)
        named = fenced.names((self.instance, *self._before))
        if named is not None:
            self._tell(named, fenced)
        elif fenced.instances and fenced.kept == self.instance:  # a later start of it has nothing new to tell
            self._tell(fenced.instances[0], fenced)
        return named is not None

    def _tell(self, start: str, fenced: Fenced) -> None:
        """Record once that there are two, whichever of them this is."""
        if self._told != start:
            self._told = start
            params: dict[str, JsonValue] = {"agent": self._identity.file.agent, "instance": start}
            self._on_event("agent-doubled", {**params, "kept": fenced.kept, "reason": fenced.why})
