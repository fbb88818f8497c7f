"""What central said between a backup and its restore, as far as the database that is set aside still tells it.

A restore goes back to the backup, the plant does not. A hold set since must not be lifted, and an agent revoked
since must not be believed, because central's disk died. Both stand until a person decides: they are stated with
their source, never as the signed decision that is lost. What was released since stands again: a release is a
signature, and is made again.

The database that is set aside is believed for what keeps the plant safe, and for nothing else. It knows all of the
lost time when it holds the end of the backup and everything that was anchored last. Where it does not, or where
there is none, the lines may know more of holds (``central.document_sync``); of revocations nobody does.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from central import holds
from central.facts import Facts
from central.holds import Hold
from central.store import agents, documents, snapshots
from central.store.agents import Revoked
from central.store.engine import Connection, reading
from central.witness import DOCUMENTS_FROM, HOLDS_AFTER, RESTORED
from records.errors import LotkeeperError
from records.model import OperationsEvent
from records.wire import Head

REVOCATION = "revocation-carried-over"
"""Code of the fact that a revocation which a restore had lost stands again, in the audit stream."""


@dataclass(frozen=True, slots=True)
class Former:
    """What the former database tells. ``whole``: it knows all of the lost time. ``version``: below it lie all of
    its documents for the lines.
    """

    source: Path
    holds: tuple[Hold, ...]
    revoked: tuple[Revoked, ...]
    version: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Carried:
    """Holds and agents by name. ``again``: holds that were released in the lost time, and stand again.
    ``unknown``: whether more may have been said in that time than anything here tells.
    """

    holds: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    unknown: bool = True

    def told(self) -> list[str]:
        """For who restores: what stands on, and what nobody knows."""
        lines = []
        if self.holds:
            lines.append(f"holds set after the backup stand until they are released: {', '.join(self.holds)}")
        if self.again:
            lines.append(f"holds released after the backup stand again: {', '.join(self.again)}")
        if self.agents:
            lines.append(f"agents revoked after the backup are not believed: {', '.join(self.agents)}")
        if self.unknown:
            lines.append(
                "not known: who was revoked after the backup (revoke again), and what was held but for the above: "
                "lines that still hold it show it when they compare notes, see lotkeeper-central hold list"
            )
        return lines

    def to_json(self) -> dict[str, JsonValue]:
        return {
            "holds": [*self.holds],
            "holds_again": [*self.again],
            "revoked": [*self.agents],
            "unknown": self.unknown,
        }


def read(database: Path, name: Path, ends: Iterable[Head], floor: int) -> Former | None:
    """What a database tells; None: it cannot be read. ``name``: what facts call it. ``ends``: what it holds if it
    knows everything, but for restores since the backup, whose ``floor`` this is, that did not.
    """
    try:
        with reading(database) as connection:
            whole = all(snapshots.held_through(connection, head) is None for head in ends)
            whole = whole and all(each.stop <= floor for each in unknown(connection))
            known, revoked = tuple(holds.known_in(connection)), tuple(agents.revoked(connection))
            version = max(documents.highest(connection), documents.floor(connection)) + 1
            return Former(name, known, revoked, version, whole)
    except LotkeeperError:
        return None


def unknown(connection: Connection) -> list[range]:
    """Versions of the lines' document of holds that were issued in a lost time of which nobody knows all."""
    found = []
    for item in snapshots.coded(connection, RESTORED, "audit"):
        said = snapshots.said_by(item)
        with suppress(KeyError, TypeError, ValueError):
            if said is not None:
                found.append(range(int(said.params[HOLDS_AFTER]) + 1, int(said.params[DOCUMENTS_FROM])))
    return found


def carry(connection: Connection, facts: Facts, former: Former | None) -> Carried:
    """Let what the former database tells stand in the restored one, inside its write job."""
    if former is None:
        return Carried()
    source = str(former.source)
    released = {one.id for one in former.holds if not one.stands}
    again = tuple(one.id for one in holds.known_in(connection) if one.stands and one.id in released)
    carried = holds.carry(connection, facts, (one for one in former.holds if one.stands), source)
    names = _revoke(connection, facts, former, source)
    return Carried(tuple(one.id for one in carried), again, tuple(names), not former.whole)


def _revoke(connection: Connection, facts: Facts, former: Former, source: str) -> list[str]:
    """Believe no key that was revoked since; whose they are."""
    known = {each.key for each in agents.revoked(connection)}
    present = {key.id for key in agents.keys(connection)}
    lost = [each for each in former.revoked if each.key in present - known]
    for each in lost:
        agents.keep_revoked(connection, each)
        params: dict[str, JsonValue] = {"agent": each.owner, "key": each.key, "reason": each.reason}
        params |= {"by": each.by, "at_us": str(each.at_us), "source": source}
        facts.state(connection, OperationsEvent(REVOCATION, params), stream="audit")
    return list(dict.fromkeys(each.owner for each in lost))
