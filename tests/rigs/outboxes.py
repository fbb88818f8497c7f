"""Facts, identities and outboxes for tests, and a writer that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from edge_agent.outbox import Batch, IdentityIndex, KeptDocument, Outbox, RunIndex, schema
from records.clock import Clock, FakeClock, SystemClock
from records.keys import Identity, IdentityFile, PublicKey, SigningKey
from records.model import Fact, Header, OperationsEvent
from records.wire import Envelope, Watermark

AGENT = "press-1"


def header(clock: Clock) -> Header:
    return Header(clock.now_us(), 480, "suzhou", "valve-1", "assemble", "test", None)


def fact(number: int, clock: Clock | None = None, text: str = "") -> Fact:
    """A fact that can be told from all others by its number."""
    return Fact(
        header(clock or FakeClock()), OperationsEvent("order-started", {"order": f"WO-{number}", "text": text})
    )


def number_of(body: bytes) -> int | None:
    """The number of a fact made by ``fact``; None for what the outbox wrote itself."""
    order = json.loads(body).get("data", {}).get("params", {}).get("order")
    return None if order is None else int(order.removeprefix("WO-"))


def batch(number: int, clock: Clock | None = None) -> Batch:
    return Batch(
        (fact(number, clock),),
        {"last": number},
        (RunIndex("WO-1", "assemble", f"piece {number % 10}"),),
        (IdentityIndex("VS-100", "gs1", str(number), f"carrier {number}"),),
    )


def open_outbox(
    folder: Path,
    clock: Clock | None = None,
    *,
    agent: str = AGENT,
    keep_acknowledged_s: float = 1000.0,
    max_bytes: int | None = None,
    failpoint: Callable[[str], None] = lambda _: None,
) -> Outbox:
    used = clock or FakeClock()
    return Outbox(
        folder,
        agent,
        used,
        context=lambda: header(used),
        keep_acknowledged_s=keep_acknowledged_s,
        max_bytes=max_bytes,
        failpoint=failpoint,
    )


def held(outbox: Outbox, behind: int = 0) -> list[Envelope]:
    """Every row that stands behind a position, as the uplink would read it."""
    rows: list[Envelope] = []
    while (run := outbox.next_run(behind, 100, 1 << 20)) is not None:
        rows += run.envelopes
        behind = run.position
    return rows


def mark(row: Envelope, generation: int = 1) -> Watermark:
    """The watermark that says central has everything through a row."""
    return Watermark(row.agent, row.epoch, row.stream, row.seq, row.hash.hex(), generation)


def make_identity(folder: Path, central: SigningKey, *, agent: str = AGENT, user: str | None = None) -> Identity:
    file = IdentityFile(agent, "p0", (PublicKey("central", central.public.hex()),), user)
    Identity.write(folder, file, SigningKey.generate(), "secret" if user else None)
    return Identity.open(folder)


def numbers(outbox: Outbox, behind: int = 0) -> list[int]:
    """The numbers of the facts that stand behind a position, in order."""
    found = [number_of(row.body or b"{}") for row in held(outbox, behind)]
    return [number for number in found if number is not None]


def fill(outbox: Outbox, first: int, last: int) -> None:
    """Commit numbered facts, waiting for all of them at once."""
    for future in [outbox.commit(batch(number)) for number in range(first, last + 1)]:
        future.result()


def prepared(tmp_path: Path, through: int = 10, acknowledged: int = 4) -> str:
    """A closed outbox with facts 1 to ``through`` and one document, acknowledged so far; its epoch."""
    outbox = open_outbox(tmp_path)
    fill(outbox, 1, through)
    outbox.documents.put(KeptDocument("lots", "SR-20", 1, b"signed", 5)).result()
    outbox.apply(mark(held(outbox)[acknowledged - 1]))
    epoch = outbox.head().epoch
    outbox.close()
    return epoch


def unguarded(connection: sqlite3.Connection, statement: str) -> None:
    """What somebody does who owns the file: take the guard away, change a row, put the guard back."""
    for name in schema.TRIGGERS:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement)
    for trigger in schema.TRIGGERS.values():
        connection.execute(trigger)


def write_until_killed(folder: Path, failpoint: str, nth: int, promised: Connection) -> None:
    """Commit numbered facts until the ``nth`` time that ``failpoint`` is reached, and be gone by SIGKILL then.

    Each number is sent to ``promised`` once its commit was promised. Meant for a process of its own.
    """
    left = nth

    def die(name: str) -> None:
        nonlocal left
        if name == failpoint:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    clock = SystemClock()
    outbox = open_outbox(folder, clock, failpoint=die)
    last = outbox.state("last")
    number = int(last) if isinstance(last, int) else 0
    while True:
        futures = [(n, outbox.commit(batch(n, clock))) for n in range(number + 1, number + 4)]
        for n, future in futures:
            future.result()
            promised.send(n)
        number += 3
