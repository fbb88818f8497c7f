"""Somebody who owns central's database changes history with SQL; the verification must name every kind of it.

The guards are taken away before and put back after, so that only the content can give it away.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from records import chain
from records.durable import open_writer
from simulators.faults.leg import Leg
from simulators.faults.plant import AGENT, Plant

CYCLES_BEFORE = 40


class Session(Protocol):
    """What is needed of a connection."""

    def execute(self, sql: str, parameters: tuple[object, ...] = ..., /) -> Cursor: ...


class Cursor(Protocol):
    def fetchall(self) -> list[tuple[object, ...]]: ...


def _run(db: Session) -> tuple[int, bytes]:
    """A record of the agent in the middle of its chain: its id and its body."""
    ((number, body),) = db.execute(
        "SELECT id, body FROM envelope JOIN body ON envelope_id = id "
        "WHERE agent = ? AND stream = 'records' AND kind = 'operation_record' ORDER BY seq LIMIT 1 OFFSET 9",
        (AGENT,),
    ).fetchall()
    if not isinstance(number, int) or not isinstance(body, bytes):
        raise TypeError("a record without id or body")
    return number, body


def edit_row(db: Session) -> None:
    """A value is changed, and nothing else."""
    number, body = _run(db)
    _put(db, number, _other(body))


def edit_row_and_digest(db: Session) -> None:
    """A value is changed with the digest that goes with it."""
    number, body = _run(db)
    _put(db, number, _other(body))
    db.execute("UPDATE envelope SET digest = ? WHERE id = ?", (chain.digest(_other(body)), number))


def back_date(db: Session) -> None:
    """A record is said to be from a year before, with the chain computed anew from there."""
    number, body = _run(db)
    told = json.loads(body)
    told["header"]["at_us"] = str(int(told["header"]["at_us"]) - 365 * 86_400_000_000)
    _put(db, number, json.dumps(told, separators=(",", ":")).encode())
    _compute_anew(db)


def rewrite_chain(db: Session) -> None:
    """A value is changed, every digest and hash computed anew, and the watermark set to the new end."""
    edit_row(db)
    _compute_anew(db)


def delete_row(db: Session) -> None:
    """A record in the middle is taken out with what the index says of it."""
    number, _ = _run(db)
    _forget(db, f"= (SELECT seq FROM envelope WHERE id = {number})")  # noqa: S608


def delete_tail(db: Session) -> None:
    """The last records are cut off, with their frames, and the watermark is set back."""
    ((last,),) = db.execute(
        "SELECT max(last) FROM frame WHERE agent = ? AND stream = 'records' AND last < "
        "(SELECT max(last) FROM frame WHERE agent = ? AND stream = 'records') - 20",
        (AGENT, AGENT),
    ).fetchall()
    _forget(db, f"> {last}")
    db.execute("DELETE FROM frame WHERE agent = ? AND stream = 'records' AND last > ?", (AGENT, last))
    db.execute(
        "UPDATE watermark SET committed_through = ?, hash = "
        "(SELECT hash FROM envelope WHERE agent = ? AND seq = ? AND stream = 'records') "
        "WHERE agent = ? AND stream = 'records'",
        (last, AGENT, last, AGENT),
    )


def swap_signatures(db: Session) -> None:
    """Two frames of the agent bear each other's signature."""
    (one, two, *_) = db.execute(
        "SELECT id, signature FROM frame WHERE agent = ? AND stream = 'records' ORDER BY id LIMIT 2", (AGENT,)
    ).fetchall()
    for (number, _), (_, signature) in ((one, two), (two, one)):
        db.execute("UPDATE frame SET signature = ? WHERE id = ?", (signature, number))


def edit_index(db: Session) -> None:
    """The record is left alone, and what the pages are made from says another order."""
    db.execute(
        "UPDATE fact_index SET work_order = 'WO-OTHER' WHERE envelope_id = "
        "(SELECT max(envelope_id) FROM fact_index WHERE kind = 'operation_record')"
    )


def edit_own_fact(db: Session) -> None:
    """Central's own statement is changed and its chain computed anew (without its key)."""
    ((number, body),) = db.execute(
        "SELECT id, body FROM envelope JOIN body ON envelope_id = id "
        "WHERE agent = 'central' AND stream = 'audit' ORDER BY seq LIMIT 1 OFFSET 1"
    ).fetchall()
    if not (isinstance(number, int) and isinstance(body, bytes)):
        raise TypeError("a fact without id or body")
    changed = body.replace(b'"site":"suzhou"', b'"site":"kunshan"')
    _put(db, number, changed)
    _compute_anew(db, "central", "audit")


def forge_tombstones(db: Session) -> None:
    """Every decision of central's and a record of the agent are said to have been given up, and are not there."""
    number, _ = _run(db)
    db.execute(
        'INSERT INTO tombstone (envelope_id, reason, "by") '
        "SELECT envelope_id, 'retention', 'anna' FROM fact_index "
        "WHERE envelope_id = ? OR (agent = 'central' AND kind = 'decision')",
        (number,),
    )
    db.execute("UPDATE fact_index SET readable = 0 WHERE envelope_id IN (SELECT envelope_id FROM tombstone)")
    db.execute("DELETE FROM body WHERE envelope_id IN (SELECT envelope_id FROM tombstone)")


ATTACKS: tuple[Callable[[Session], None], ...] = (
    edit_row,
    edit_row_and_digest,
    back_date,
    rewrite_chain,
    delete_row,
    delete_tail,
    swap_signatures,
    edit_index,
    edit_own_fact,
    forge_tombstones,
)


def tamper(leg: Leg) -> None:
    """Each attack on a copy of its own; a verification that finds nothing is the one thing that may not be."""
    plant = leg.plant()
    try:
        plant.begin()
        plant.answered_beyond(CYCLES_BEFORE)
        plant.line.hold()
        plant.settle()
        plant.supervisor.end(plant.running(plant.central))
        whole = plant.central_folder.with_name("central-whole")
        shutil.copytree(plant.central_folder, whole)
        for attack in ATTACKS[: leg.cycles]:
            _attack(plant.central_folder / "central.db", attack)
            _verdict(leg, plant, attack.__name__.replace("_", "-"))
            shutil.rmtree(plant.central_folder)
            shutil.copytree(whole, plant.central_folder)
            leg.cycle_done()
        plant.start_central()
        plant.central_serves()
        plant.line.go_on()
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()


def _verdict(leg: Leg, plant: Plant, name: str) -> None:
    answer = json.loads(plant.ask_central("verify", "--json", fine=(0, 1)))
    leg.count(f"{'not seen' if answer['ok'] else 'named'}: {name}")
    if answer["ok"]:
        leg.outcome.problems.append(f"{name}: the verification finds nothing")


def _attack(database: Path, attack: Callable[[Session], None]) -> None:
    with closing(open_writer(database)) as db:
        guards = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("PRAGMA foreign_keys = OFF")
        attack(db)
        for _, sql in guards:
            db.execute(sql)


def _other(body: bytes) -> bytes:
    """The same record with another result."""
    changed = body.replace(b'"pass"', b'"fail"')
    return changed if changed != body else body.replace(b'"fail"', b'"pass"')


def _put(db: Session, number: int, body: bytes) -> None:
    db.execute("UPDATE body SET body = ? WHERE envelope_id = ?", (body, number))


def _forget(db: Session, which: str) -> None:
    ids = f"SELECT id FROM envelope WHERE agent = '{AGENT}' AND stream = 'records' AND seq {which}"  # noqa: S608
    for table in ("fact_subject", "fact_index", "body"):
        db.execute(f"DELETE FROM {table} WHERE envelope_id IN ({ids})")  # noqa: S608
    db.execute(f"DELETE FROM envelope WHERE agent = '{AGENT}' AND stream = 'records' AND seq {which}")  # noqa: S608


def _compute_anew(db: Session, agent: str = AGENT, stream: str = "records") -> None:
    """Every digest and hash of the newest epoch, and the watermark at its end."""
    rows = db.execute(
        "SELECT id, epoch, seq, schema, kind, body FROM envelope LEFT JOIN body ON envelope_id = id "
        "WHERE agent = ? AND stream = ? ORDER BY id",
        (agent, stream),
    ).fetchall()
    link, epoch = b"", None
    for number, of, seq, schema, kind, body in rows:
        if not (
            isinstance(of, str) and isinstance(seq, int) and isinstance(schema, int) and isinstance(kind, str)
        ):
            raise TypeError("a row that is none")
        if of != epoch:
            epoch, link = of, chain.first_hash(agent, of, stream)
        digest = chain.digest(body if isinstance(body, bytes) else b"")
        link = chain.next_hash(agent, of, stream, seq, schema, kind, link, digest)
        db.execute("UPDATE envelope SET digest = ?, hash = ? WHERE id = ?", (digest, link, number))
    db.execute(
        "UPDATE watermark SET hash = ? WHERE agent = ? AND stream = ? AND epoch = ?", (link, agent, stream, epoch)
    )
