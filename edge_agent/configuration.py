"""The configuration as a record: the files' bytes, what they were taken to mean, and by which software.

It is committed once per epoch and software, in a transaction before (or with) the first record that names its
hash. What was committed is remembered in the outbox, in the same transaction.
"""

from __future__ import annotations

import hashlib

from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_agent.outbox import MAX_BODY, Outbox
from edge_agent.settings import LineSettings
from records.configuration import ConfigurationFile, ConfigurationRecord
from records.errors import ConfigurationError
from records.yaml import Loaded

STATE = "configurations"
REMEMBERED = 100
"""Most hashes that are remembered as committed; one that was forgotten is committed again."""
HEADER_BYTES = 4096
"""Room for the header in a record's body."""

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_KNOWN = TypeAdapter(dict[str, str | list[str]])


def record_of(loaded: Loaded[LineSettings], software: str, approval: str) -> ConfigurationRecord:
    """The record of a configuration. What does not fit into a record is left out, the resolved model first.

    Raises:
        ConfigurationError: the files alone are too large.
    """
    files = tuple(
        ConfigurationFile(name, hashlib.sha256(content).hexdigest(), content.decode())
        for name, content in loaded.sources
    )
    resolved: JsonValue = loaded.value.model_dump(mode="json", by_alias=True)
    room = MAX_BODY - HEADER_BYTES - sum(_size(file.text) for file in files)
    if room < 0:
        raise ConfigurationError(
            f"{loaded.file}: a configuration of {sum(len(content) for _, content in loaded.sources)} bytes "
            f"cannot be kept as a record of at most {MAX_BODY}",
            hint="give this agent fewer devices, or run two agents",
        )
    return ConfigurationRecord(
        loaded.hash, files, resolved if _size(resolved) <= room else None, software, approval
    )


def _size(value: JsonValue) -> int:
    return len(_JSON.dump_json(value))


class Committed:
    """Which configurations the present epoch holds already, as committed by this software."""

    def __init__(self, outbox: Outbox, software: str) -> None:
        self._outbox, self._software = outbox, software

    def _hashes(self) -> list[str]:
        try:
            known = _KNOWN.validate_python(self._outbox.state(STATE) or {})
        except ValidationError:
            return []
        same = (known.get("epoch"), known.get("software")) == (self._outbox.head().epoch, self._software)
        hashes = known.get("hashes", [])
        return list(hashes) if same and isinstance(hashes, list) else []

    def holds(self, hash_: str) -> bool:
        return hash_ in self._hashes()

    def with_(self, hash_: str) -> dict[str, JsonValue]:
        """The outbox state that remembers this one too; commit it with its record."""
        hashes: list[JsonValue] = [other for other in self._hashes() if other != hash_]
        kept = [*hashes[-REMEMBERED + 1 :], hash_]
        return {STATE: {"epoch": self._outbox.head().epoch, "software": self._software, "hashes": kept}}
