"""Which of the processes that take records in are refused what they are to store, or are not heard of any more.

A worker that is refused can often write nothing at all, so it tells that at the broker, for as long as it lasts
(``central.worker_voice``). One that tells nothing either is known by its lease: it has ended while others renewed
theirs. Where all have ended alike the database stood still, and that is not told of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from central.shares import WORKER
from central.store import leases
from central.store.engine import Connection
from records.clock import MICROSECONDS
from records.errors import Invalid
from records.keys import KeyRing
from records.wire import CENTRAL, Document, state_topic, unsign

KIND = "worker"
"""Of the document by which a worker tells; ``issued_us``: since when, by its clock."""
FORGOTTEN_US = 86_400 * MICROSECONDS
"""One that was killed for good, or got another name, is told of for a day."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How one does. ``silent``: it was heard of last at ``since_us``; ``refused``: since then, by an error of this
    ``kind``, ``why`` in full.
    """

    name: str
    state: Literal["taking", "refused", "silent"]
    since_us: int | None = None
    kind: str | None = None
    why: str | None = None


def worker_topic(name: str) -> str:
    """Where a worker tells how it does; what MQTT forbids in a topic is percent-encoded."""
    return f"{state_topic(CENTRAL)}/{quote(name, safe='')}"


class Heard:
    """What workers have told at the broker since this process was connected to it; safe to ask from any thread."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._refused: dict[str, WorkerState] = {}

    def take(self, topic: str, payload: bytes) -> None:
        """What a worker has said; nothing: it is not refused any more, or has ended.

        Raises:
            Invalid, Damaged: central's key has not signed that.
        """
        if not payload:
            self._refused.pop(topic, None)
            return
        document = unsign(Document, payload, self._ring, CENTRAL)
        told = document.content
        if document.kind != KIND or not isinstance(told, dict):
            raise Invalid("that is no worker's word")
        kind, why = str(told.get("kind")), str(told.get("why"))
        self._refused[topic] = WorkerState(document.id, "refused", document.issued_us, kind, why)

    def forget(self) -> None:
        """A new connection: what still holds is retained, and comes again."""
        self._refused.clear()

    def refused(self) -> list[WorkerState]:
        return list(self._refused.values())


def look(connection: Connection, lease_s: float) -> list[WorkerState]:
    """Those that are alive or were so within a day, by name, ``serve`` among them, as their leases tell; who ended
    in order is left out.

    ``lease_s``: for how long a lease is held.
    """
    now_us, lease_us = leases.moment_us(connection), round(lease_s * MICROSECONDS)
    own = {name: one.until_us for name, one in leases.known(connection).items() if name.startswith(WORKER)}
    newest_us = max(own.values(), default=0)
    found = []
    for key, until_us in own.items():
        name = key.removeprefix(WORKER)
        if until_us >= now_us:
            found.append(WorkerState(name, "taking"))
        elif until_us + lease_us < newest_us and now_us - until_us < FORGOTTEN_US:
            found.append(WorkerState(name, "silent", until_us - lease_us))
    return found
