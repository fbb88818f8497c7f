"""Which partitions this process takes in: leases in the database, an even share for each process that is alive.

Every process that takes records in announces itself by a lease of its own. Of the partitions each has at most
its share; one that has more, because another process came, gives the rest back when what is under
way is committed. However long that takes, the leases that it keeps are renewed meanwhile. One that dies
keeps its leases until they end; then whoever has room takes them. It counts as gone when its lease had ended
already at this process' own last turn: a server or a machine that stood still for a while has made all of them
late, and they do not take from each other what they still work on. A partition has a session of its own at the
broker (client id ``CLIENT-PARTITION``) which moves with the lease: what the former holder had not acknowledged
comes to the next one.

A process that lost a lease without knowing it, because it was paused or the network was, cannot commit under
it: the lease's token is compared in each transaction (``central.store.leases``). One that can write no lease any
more, on a full disk, looks whether another has taken it, and leaves the session to that one.

Central's signing key may be changed meanwhile, by ``serve`` or in the folder of keys: each turn asks for it, and
whoever takes a partition in signs with it from the next turn on. By then its announcement, which agents need to
believe it, is on its way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from central.recurring import Recurring
from central.store import agents, leases
from central.store.engine import Connection, Store
from records.clock import SystemClock, new_id
from records.errors import LotkeeperError, StorageFailed
from records.keys import SigningKey

PARTITION = "partition/"
WORKER = "worker/"
SERVE = "serve"
"""The name of ``serve`` among those that take records in."""
TURNS = 4
"""Turns in the time of a lease."""
GRACE_S = 0.3
"""So long a turn waits for those that end, so that what is given back is free at once."""


class Consumer(Protocol):
    """Takes one partition in. ``lost``: it has seen by itself that another does."""

    @property
    def lost(self) -> bool: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def sign_with(self, key: SigningKey) -> None: ...


Open = Callable[[str, int, SigningKey], Consumer]
"""Makes the consumer of a partition under a lease's token, signing with a key."""


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A partition that is not taken in any more; its lease is kept until ``ending`` is through."""

    token: int
    why: str
    ending: threading.Thread


@dataclass(frozen=True, slots=True)
class _Turn:
    """Partitions whose lease is ``lost``, that are ``over`` the share, and that were ``taken``, with their tokens.

    ``own``: the token of the process' own lease. ``at_us``: the database's clock then.
    """

    own: int | None
    at_us: int
    lost: list[str]
    over: list[str]
    taken: dict[str, int]


class Shares:
    """``name`` is this process' own among all that take records in; ``signing`` gives central's present key."""

    def __init__(
        self,
        store: Store,
        name: str,
        make: Open,
        signing: Callable[[], SigningKey],
        lease_s: float,
        log: FilteringBoundLogger,
        on_failure: Callable[[StorageFailed], None],
    ) -> None:
        self._store = store
        self._name = name
        self._holder = f"{name} {new_id()}"
        self._make = make
        self._signing = signing
        self._key = self._next_key = signing()
        self._lease_s = lease_s
        self._log = log
        self._trouble = Recurring("shares", log, SystemClock())
        self._on_failure = on_failure
        self._held: dict[str, tuple[int, Consumer]] = {}  # partition -> token, who takes it in
        self._leaving: dict[str, _Leaving] = {}
        self._own: int | None = None
        self._looked_us: int | None = None  # the database's clock at the last turn
        self._waiting = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="central shares", daemon=True)

    @property
    def partitions(self) -> list[str]:
        """Those that this process takes in now."""
        return sorted(self._held)

    def start(self) -> None:
        """Begin; returns at once. While another process has this name, or a killed one still had, it waits."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way and give everything back. Safe to call twice."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._leave(list(self._held), "stopped")
        self._let_go(None)
        name, own = WORKER + self._name, self._own
        if own is not None:
            self._own = None
            self._store.write(lambda c: leases.release(c, name, own))

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self.turn()
            except StorageFailed as error:
                self._on_failure(error)
                return
            except LotkeeperError as error:
                self._trouble.met(str(error))
                self._yield()
            else:
                self._trouble.over()
            self._ending.wait(self._lease_s / TURNS)

    def turn(self) -> None:
        """Renew what is held, give back what is too much, take what is free; the thread does so all the time."""
        self._leave([name for name, (_, consumer) in self._held.items() if consumer.lost], "lost")
        turn = self._store.write(self._renew)
        if turn.own is None and not self._waiting:
            self._log.warning("worker-name-taken", name=self._name, hint="does another process have this --name?")
        self._own, self._waiting = turn.own, turn.own is None
        self._looked_us = turn.at_us
        self._leave(turn.lost, "lost")
        self._leave(turn.over, "given back")
        for partition, token in turn.taken.items():
            consumer = self._make(partition, token, self._key)
            self._held[partition] = (token, consumer)
            consumer.start()
            self._log.info("partition-taken", partition=partition, token=token)
        self._let_go(GRACE_S)
        self._follow_key()  # last: a folder of keys that cannot be read costs no lease

    def _yield(self) -> None:
        """Leave what another took while no lease could be written: two with one session end each other's."""
        with suppress(LotkeeperError):
            with self._store.read() as connection:
                known = leases.known(connection)
            for partition, (token, _) in list(self._held.items()):
                lease = known[PARTITION + partition]
                if lease.token != token:
                    self._log.warning("partition-taken-away", partition=partition, by=lease.holder.split()[0])
                    self._leave([partition], "lost")

    def _follow_key(self) -> None:
        due, self._next_key = self._next_key, self._signing()
        if due.id == self._key.id:
            return
        self._key = due
        for _, consumer in self._held.values():
            consumer.sign_with(due)
        self._log.info("signing-key-followed", key=due.id)

    def _renew(self, connection: Connection) -> _Turn:
        name, own = WORKER + self._name, self._own
        at_us = leases.now_us(connection)
        if own is None or not leases.renew(connection, name, own, self._lease_s):
            own = leases.take(connection, name, self._holder, self._lease_s)
        if own is None:
            return _Turn(None, at_us, list(self._held), [], {})
        lost = [
            partition
            for partition, (token, _) in self._held.items()
            if not leases.renew(connection, PARTITION + partition, token, self._lease_s)
        ]
        for partition, leaving in self._leaving.items():
            leases.renew(connection, PARTITION + partition, leaving.token, self._lease_s)
        kept = sorted(set(self._held) - set(lost))
        everywhere = agents.partitions(connection)
        looked_us = at_us if self._looked_us is None else min(self._looked_us, at_us)  # it may be set back
        held = {each for each, lease in leases.known(connection).items() if lease.until_us > looked_us}
        alive = sorted(each for each in held if each.startswith(WORKER))  # by name: who gets one of the rest
        share = len(everywhere) // len(alive) + (alive.index(name) < len(everywhere) % len(alive))
        taken: dict[str, int] = {}
        for partition in everywhere:
            if PARTITION + partition not in held and len(kept) + len(taken) < share:
                token = leases.take(connection, PARTITION + partition, self._holder, self._lease_s)
                if token is not None:
                    taken[partition] = token
        return _Turn(own, at_us, lost, kept[share:], taken)

    def _leave(self, partitions: list[str], why: str) -> None:
        """What is under way is committed, or fenced, in a thread of its own."""
        for partition in partitions:
            token, consumer = self._held.pop(partition)
            ending = threading.Thread(target=consumer.stop, name=f"leaving {partition}", daemon=True)
            self._leaving[partition] = _Leaving(token, why, ending)
            ending.start()

    def _let_go(self, wait_s: float | None) -> None:
        """Let anybody have those that have ended; ``wait_s`` None: all of them."""
        for leaving in self._leaving.values():
            leaving.ending.join(None if wait_s is None else wait_s / len(self._leaving))
        ended = {name: leaving for name, leaving in self._leaving.items() if not leaving.ending.is_alive()}
        if not ended:
            return

        def release(connection: Connection) -> None:
            for partition, leaving in ended.items():
                leases.release(connection, PARTITION + partition, leaving.token)

        self._store.write(release)
        for partition, leaving in ended.items():
            del self._leaving[partition]
            self._log.info("partition-left", partition=partition, why=leaving.why)
