"""What central's keys folder holds is changed: the signing key, announced by the former one, both believed for 30
days; the certificate of its own authority, for the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import JsonValue

from central.access import Actor
from central.authority import renewed_authority
from central.facts import Facts
from central.keys import CentralKeys, as_content
from central.store.engine import Connection, Store
from records.certificates import AUTHORITY, certificate_of
from records.clock import Clock, iso_z
from records.errors import ConfigurationError
from records.files import replace_file
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

    def renew_authority(self, reason: str, *, by: Actor) -> str:
        """Give central's own authority another certificate of ten years; until when it is good.

        Agents are given it with their next certificate. Stated first: killed before the file is there, it is done
        again.

        Raises:
            ConfigurationError: no reason, or the authority is missing. Invalid: this clock is behind.
        """
        if not reason.strip():
            raise ConfigurationError("renewing central's authority needs a reason", hint="--reason TEXT")
        fresh = renewed_authority(self._keys.folder, self._clock.now_us())
        found = certificate_of(fresh)
        until = str(iso_z(found.until_us))
        params: dict[str, JsonValue] = {
            "serial": found.serial,
            "fingerprint": found.fingerprint,
            "until": until,
            "reason": reason,
            "by": by.user,
            "origin": by.origin,
        }
        event = OperationsEvent("authority-renewed", params)
        self._store.write(lambda connection: self._facts.state(connection, event, stream="audit"))
        replace_file(self._keys.folder / AUTHORITY, fresh)
        return until
