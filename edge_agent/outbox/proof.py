"""The whole chain of a buffer, proven over again in the background: a little at a time, from where it stood.

A start proves what central does not have and the end of the chain only. Here every row is proven against its
digest and the row before it, as ``verify`` does, through a connection that can only read, some rows every half
second, about once a day. How far it is stands in a file beside the database, which proves nothing and may be lost.
A database that a start made anew or found to be an older copy is proven from its first row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from edge_agent.outbox import ledger, schema
from edge_agent.outbox.verify import BODY_DAMAGED, check, reading, state_digest
from records.clock import MICROSECONDS, Clock
from records.errors import Damaged, Refused, StorageFailed
from records.fields import Int64
from records.files import replace_file

ROWS = 50
"""Rows that are proven at once."""
EVERY_S = 0.5
"""Between two times: at most a hundred rows a second, so that nobody waits for it."""
LATER_S = 60.0
"""Where it cannot be done now."""
PASS_EVERY_S = 86_400.0
"""A pass begins a day after the one before began, or when that has ended."""
KEPT_EVERY = 60
"""How far it is goes to its file after so many times."""

Tell = Callable[[str, dict[str, JsonValue]], None]
Bury = Callable[[str, int], None]
"""Put a tombstone in the place of a damaged body (epoch, seq), and say so in a record."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a pass is, and what came of the last whole one.

    The pass that ``began_us`` has proven ``rows``, through ``position`` of ``until`` (the file's own order); it is
    over when it is not ``running``. ``ended_us``: when the last pass ended that found everything to hold;
    ``buried``: damaged bodies that tombstones were put in place of, of all passes; ``wrong``: what else does not
    hold, by this pass or the last.
    """

    began_us: Int64
    position: Int64 = 0
    until: Int64 = 0
    rows: int = 0
    running: bool = True
    ended_us: Int64 | None = None
    buried: int = 0
    found: str | None = None
    wrong: str | None = None


_STANDING = TypeAdapter(Standing)


def path_of(database: Path) -> Path:
    """``records.proof.json`` for ``records.db``."""
    return database.with_name(f"{database.stem}.proof.json")


def standing(database: Path) -> Standing | None:
    """What the file beside a database says; None when there is none."""
    try:
        return _STANDING.validate_json(path_of(database).read_bytes())
    except (OSError, ValueError):
        return None


class Prover:
    """Of one file. ``step`` is called again and again, in one thread at a time. ``anew``: what was noted is of
    another file than the one that is there.
    """

    def __init__(self, path: Path, clock: Clock, bury: Bury, tell: Tell, *, anew: bool = False) -> None:
        self._path, self._clock, self._bury, self._tell = path, clock, bury, tell
        self._steps = 0
        noted = None if anew else standing(path)
        self.standing = noted or Standing(clock.now_us())
        if anew:
            self.keep()

    def step(self) -> float:
        """Prove the next rows; seconds until there is something to do."""
        now_us = self._clock.now_us()
        if not self.standing.running:
            due_us = self.standing.began_us + round(PASS_EVERY_S * MICROSECONDS)
            if self.standing.began_us <= now_us < due_us:
                return (due_us - now_us) / MICROSECONDS
            self.standing = replace(
                self.standing, began_us=now_us, position=0, until=0, rows=0, running=True, found=None
            )
        try:
            damaged, proven = self._prove()
            for epoch, seq in damaged:
                self._bury(epoch, seq)
            self.standing = replace(proven, buried=proven.buried + len(damaged))
        except (Refused, StorageFailed):
            return LATER_S  # no room for the record of it, no file handle, a disk that the writer tells of
        except Damaged as error:
            self.standing = self._ended(self._wrong(self.standing, error.message))
        self._steps += 1
        if self._steps % KEPT_EVERY == 0 or not self.standing.running:
            self.keep()
        return EVERY_S

    def keep(self) -> None:
        """Note how far it is."""
        try:
            replace_file(path_of(self._path), _STANDING.dump_json(self.standing), sync=False)
        except OSError:
            return  # a full disk: another time

    def _prove(self) -> tuple[list[tuple[str, int]], Standing]:
        """Prove the next rows: which of them (epoch, seq) have lost their bodies, and what stands then."""
        with reading(self._path) as connection:
            epochs = ledger.epochs(connection)
            now, last = self.standing, epochs[-1]
            if now.until == 0:
                now = replace(now, until=last.position(last.last))
            rest = [one for one in epochs if one.position(one.last) > now.position and one.last > one.pruned]
            if not rest or now.position >= now.until:
                _whole(connection)
                return [], self._ended(now)
            epoch = rest[0]
            through = max(now.position - epoch.first_position + 1, epoch.pruned)
            proven = list(check(connection, epoch, through, min(through + ROWS, epoch.last)))
        damaged: list[tuple[str, int]] = []
        rows = 0
        for seq, reason in proven:
            if reason == BODY_DAMAGED:
                damaged.append((epoch.epoch, seq))
            elif reason is not None:
                now = self._wrong(now, reason, epoch.epoch, seq)
                through = epoch.last  # what is behind it in this epoch has nothing to follow
                break
            through, rows = seq, rows + 1
        return damaged, replace(now, position=epoch.position(through), rows=now.rows + rows)

    def _wrong(self, now: Standing, reason: str, epoch: str = "", seq: int | None = None) -> Standing:
        where = "" if seq is None else f"row {epoch}/{seq}: "
        params: dict[str, JsonValue] = {"stream": self._path.stem, "reason": reason}
        if seq is not None:
            params |= {"epoch": epoch, "seq": str(seq)}
        self._tell("buffer-damaged", params)
        return now if now.found is not None else replace(now, found=where + reason, wrong=where + reason)

    def _ended(self, now: Standing) -> Standing:
        ended_us = self._clock.now_us() if now.found is None else now.ended_us
        return replace(now, running=False, ended_us=ended_us, wrong=now.found)


def _whole(connection: sqlite3.Connection) -> None:
    """The guards of the file, and the state that stations go on from.

    Raises:
        Damaged: names what does not hold.
    """
    schema.assert_whole(connection)
    for key, value, digest in connection.execute("SELECT key, value, digest FROM state"):
        if state_digest(key, value) != digest:
            raise Damaged(f"the state {key} does not have its digest")
