"""How a worker tells that what it is to store is refused, which its database may not let it note: at the broker.

Retained under a topic of its own, signed by central's key, and taken back when it is over, when the worker ends,
or by the broker when its connection ends. ``serve`` hears it (``central.worker_states``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pydantic import JsonValue
from structlog.typing import FilteringBoundLogger

from central.broker_connection import BrokerConnection, stop_loop
from central.settings import BrokerSettings
from central.worker_states import KIND, worker_topic
from records.clock import Clock
from records.errors import LotkeeperError
from records.keys import SigningKey
from records.wire import Document, sign

LAST_S = 2.0
"""So long the end of a worker waits until what it said is taken back."""


class Voice:
    """A connection to the broker of the worker ``name``. ``key``: asked for central's present one."""

    def __init__(
        self,
        settings: BrokerSettings,
        name: str,
        key: Callable[[], SigningKey],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._name, self._key, self._clock = name, key, clock
        self._topic = worker_topic(name)
        self._closing = threading.Event()
        self._saying = threading.Lock()
        self._refused: tuple[LotkeeperError, int] | None = None
        client_id = f"{settings.client_id}-worker-{name}"

        def mistaken(error: Exception) -> None:
            log.error("broker-connection-mistaken", error=repr(error), exc_info=error)

        self._client = BrokerConnection(settings, client_id, self._closing, mistaken)
        self._client.will_set(self._topic, b"", qos=1, retain=True)
        self._client.on_connect = lambda *_: self._say()

    def start(self) -> None:
        """Connect, and keep at it; returns at once."""
        self._client.begin()

    def tell(self, why: LotkeeperError | None) -> None:
        """What refuses the worker now, None: nothing does. Called all the time; only what is new is said."""
        before = self._refused
        if str(why) == str(before and before[0]):
            return
        since_us = self._clock.now_us() if before is None else before[1]
        self._refused = None if why is None else (why, since_us)
        self._say()

    def stop(self) -> None:
        self._closing.set()
        self._refused = None
        said = self._client.publish(self._topic, b"", qos=1, retain=True)
        if self._client.is_connected():
            said.wait_for_publish(LAST_S)
        self._client.disconnect()
        stop_loop(self._client)

    def _say(self) -> None:
        """Without an answer: what got lost with a connection is said anew by the next one, and nothing older."""
        with self._saying:
            self._client.publish(self._topic, self._payload(), retain=True)

    def _payload(self) -> bytes:
        refused = self._refused
        if refused is None:
            return b""
        why, since_us = refused
        told: JsonValue = {"kind": why.kind, "why": str(why)}
        return sign(Document(KIND, self._name, self._clock.now_us(), since_us, told), self._key())
