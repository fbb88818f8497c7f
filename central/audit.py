"""The audit trail as people read it: what was done with accounts and signatures, and every decision.

Also those that a person took at a line, such as the override of a hold: an agent's record says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from central.store import search
from central.store.engine import Store
from central.stored import StoredFact
from records.model import Decision, OperationsEvent
from records.wire import CENTRAL


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act. ``code`` is an event code of the audit stream or the act of a decision.

    ``user`` is who did it (or tried to), ``origin`` from where, as far as the entry says so (of what was
    decided at a line: agent and station); ``hash`` is its place in the chain (hexadecimal), ``cursor`` where to
    read on.
    """

    at_us: int
    user: str | None
    code: str
    origin: str | None
    params: dict[str, JsonValue]
    agent: str
    stream: str
    seq: int
    hash: str
    cursor: int


class Audit:
    """Lists the audit stream and all decisions together, newest first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(
        self, *, user: str | None = None, code: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[AuditEntry]:
        """Entries older than the cursor ``before``, newest first, at most ``limit``."""
        found: list[AuditEntry] = []
        while len(found) < limit:
            with self._store.read() as connection:
                facts = search.acts(connection, code=code, before=before, limit=limit)
            if not facts:
                break
            entries = [entry_of(fact) for fact in facts]
            found += [entry for entry in entries if user is None or entry.user == user]
            before = facts[-1].cursor
        return found[:limit]


def entry_of(stored: StoredFact) -> AuditEntry:
    """The entry that a fact of the audit stream, or a decision, is shown as."""
    data = stored.fact.data
    user: str | None = None
    origin: str | None = None
    params: dict[str, JsonValue] = {}
    code = stored.kind
    match data:
        case OperationsEvent():
            code = data.code
            params = {name: value for name, value in data.params.items() if name != "origin"}
            user, origin = (
                _text(data.params.get("by") or data.params.get("user")),
                _text(data.params.get("origin")),
            )
        case Decision():
            code, user = data.act.value, data.by.id
            if stored.agent != CENTRAL:
                origin = "/".join(filter(None, (stored.agent, stored.fact.header.station)))
            params = {
                "kind": data.target.kind,
                "id": data.target.id,
                "reason": data.reason,
                "old": data.old,
                "new": _state(data.new),
                "meaning": None if data.signature is None else data.signature.meaning,
            }
        case _:
            pass
    return AuditEntry(
        stored.fact.header.at_us,
        user,
        code,
        origin,
        params,
        stored.agent,
        stored.stream,
        stored.seq,
        stored.hash,
        stored.cursor,
    )


def _state(value: JsonValue) -> JsonValue:
    """What a decision made of its target; where it keeps more than a word, only the word."""
    return value.get("state") if isinstance(value, dict) else value


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
