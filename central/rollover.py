"""Central's signing key is changed: announced by the former one, both believed for 30 days."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from central.access import Actor
from central.facts import Facts
from central.keys import CentralKeys, as_content
from central.store.engine import Connection, Store
from records.clock import Clock, iso_z
from records.errors import ConfigurationError
from records.keys import OVERLAP_US, SigningKey
from records.model import OperationsEvent
from records.wire import CENTRAL, CENTRAL_KEYS, Document


class Rollover:
    """``publish`` gives a document to every agent; each of ``signers`` signs with the key that it is given."""

    def __init__(
        self,
        keys: CentralKeys,
        store: Store,
        facts: Facts,
        clock: Clock,
        publish: Callable[[str, Document], None],
        signers: Sequence[Callable[[SigningKey], None]],
    ) -> None:
        self._keys = keys
        self._store = store
        self._facts = facts
        self._clock = clock
        self._publish = publish
        self._signers = signers

    def roll(self, reason: str, *, by: Actor, clock_was_ahead: bool = False) -> dict[str, JsonValue]:
        """Sign with a new key from now on; the new key's id, the former one's, and until when that is believed.
        ``clock_was_ahead``: as in ``CentralKeys.prepare``.

        Raises:
            ConfigurationError: no reason. Refused: the last change is less than 30 days ago.
        """
        if not reason.strip():
            raise ConfigurationError("changing central's key needs a reason", hint="--reason TEXT")
        now_us, former = self._clock.now_us(), self._keys.signing
        fresh, public = self._keys.prepare(now_us, clock_was_ahead=clock_was_ahead)
        until = iso_z(now_us + OVERLAP_US)
        told: dict[str, JsonValue] = {"key": fresh.id, "replaced": former.id, "until": until}

        def job(connection: Connection) -> Document:
            params = {**told, "reason": reason, "by": by.user, "origin": by.origin}
            self._facts.state(connection, OperationsEvent("central-key-changed", params), stream="audit")
            return self._facts.issue(connection, CENTRAL_KEYS, CENTRAL, as_content(public))

        document = self._store.write(job)
        self._keys.change(fresh, public, document)
        self._publish("*", document)  # before anything that the new key signs
        for sign_with in self._signers:
            sign_with(fresh)
        return told
