"""The agents' keys that are believed, kept in memory and read again when the database holds others."""

from __future__ import annotations

from dataclasses import dataclass

from central.store import agents
from central.store.engine import Store
from records.keys import KeyRing


@dataclass(frozen=True, slots=True)
class Keys:
    """``stamp`` is that of the database when these were read."""

    ring: KeyRing
    owners: frozenset[str]
    stamp: str


class Believed:
    """Used from one thread. Another process may change the keys at any time: only a stamp that was read later
    shows that these are still the ones.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: Keys | None = None

    def last(self) -> Keys:
        """As they were when they were last read."""
        return self._keys or self.now()

    def now(self) -> Keys:
        """As they are now."""
        with self._store.read() as connection:
            stamp = agents.keys_stamp(connection)
            if self._keys is None or self._keys.stamp != stamp:
                found = agents.keys(connection)
                self._keys = Keys(KeyRing(found), frozenset(key.owner for key in found), stamp)
        return self._keys
