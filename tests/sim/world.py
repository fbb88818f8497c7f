"""A plant in one thread, driven by a seed: agents, broker, central, and everything that goes wrong between them.

Every choice is a number that belongs to (seed, step): the same seed gives the same story, and a seed that fails
tells it again with ``python -m tests.sim --seed N``. After the story everything is healed and drained; then the
machines' own ledgers are compared with what central holds, and both ends must prove their chains.

Real: outbox, uplink's decisions, frames, ingest, store, SQLite's files. Not real: sockets, the broker, time. The
threads that outbox and store have are waited for at each step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from records.keys import Identity, SigningKey
from records.wire import CENTRAL
from simulators.noise import uniform
from tests.rigs.outboxes import make_identity
from tests.sim.bus import Bus
from tests.sim.centre import Centre, expected
from tests.sim.edge import Edge

STEPS = 80
DRAIN_ROUNDS = 400
"""Rounds of a healed plant until everything must have arrived."""
MEMORY = Path("/dev/shm")
"""Where syncing costs nothing, on Linux; only for speed."""


@dataclass
class Told:
    """The story of a seed and what was wrong at its end. ``counts``: how often each thing happened."""

    seed: int
    lines: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def say(self, what: str) -> None:
        self.lines.append(what)
        name = what.split(":", 1)[0]
        self.counts[name] = self.counts.get(name, 0) + 1


class World:
    """One seed's plant."""

    def __init__(self, root: Path, seed: int, told: Told) -> None:
        self.root, self.seed, self.told = root, seed, told
        self.step = 0
        self._asked = 0
        self.bus = Bus()
        key = SigningKey.generate()
        names = ["press-1", "press-2"][: 1 + (self.chance("agents") < 0.3)]
        identities: list[Identity] = [make_identity(root / f"id-{name}", key, agent=name) for name in names]
        self.centre = Centre(root, key, identities, self.bus)
        self.edges = [Edge(root, identity, self.bus) for identity in identities]
        self.images: dict[str, Path] = {}
        self.backup: Path | None = None

    # -- chance ------------------------------------------------------------------------------------------------

    def chance(self, what: str) -> float:
        """The next number of this step, in (0, 1)."""
        self._asked += 1
        return uniform(self.seed, self.step, self._asked, what)

    def pick(self, count: int, what: str) -> int:
        return int(self.chance(what) * count)

    # -- the story ---------------------------------------------------------------------------------------------

    def live(self, steps: int) -> None:
        actions = self._actions()
        total = sum(weight for weight, _ in actions)
        for self.step in range(1, steps + 1):
            self._asked = 0
            at = self.chance("action") * total
            for weight, act in actions:
                at -= weight
                if at < 0:
                    act()
                    break
            self._connect_some()

    def _actions(self) -> Sequence[tuple[float, Callable[[], None]]]:
        return (
            (30, self.produce),
            (50, self.move),
            (25, self.wait),
            (3, self.crash_edge),
            (2, self.cut_power),
            (3, self.crash_in_commit),
            (3, self.crash_central),
            (3, self.break_connection),
            (2, self.wipe_broker),
            (2, self.take_image),
            (1, self.put_image_back),
            (2, self.back_up),
            (1, self.restore),
            (1, self.jump_clock),
            (2, self.tamper),
        )

    def _edge(self) -> Edge:
        return self.edges[self.pick(len(self.edges), "edge")]

    def produce(self) -> None:
        edge = self._edge()
        for _ in range(1 + self.pick(5, "cycles")):
            edge.run_cycle()
        self.told.say(f"cycles: {edge.name} has run {edge.cycle}")
        edge.turn()

    def move(self) -> None:
        """One packet goes one step further; now and then another than the oldest, or twice."""
        moved = 0
        for _ in range(1 + self.pick(6, "packets")):
            moved += self._move_one()
        self.told.say(f"packets: {moved}")

    def _move_one(self) -> int:
        ways: list[str] = [f"up {name}" for name, queue in self.bus.up.items() if queue]
        ways += [f"down {name}" for name, queue in self.bus.down.items() if queue]
        if self.bus.kept and self.centre.connected:
            ways += ["central", "central"]
        if not ways:
            return 0
        way = ways[self.pick(len(ways), "way")]
        odd = self.chance("odd")
        if way == "central":
            position = self.pick(len(self.bus.kept), "position") if odd < 0.05 else 0
            crash = "before" if odd > 0.985 else "after" if odd > 0.97 else None
            result = self.centre.receive(self.bus.for_central(position=position), crash)
            self.told.say(f"central {result}")
            return 1
        direction, name = way.split()
        if direction == "up":
            queue = self.bus.up[name]
            position = self.pick(len(queue), "position") if odd < 0.05 else 0
            self.bus.arrive(name, position=position, again=odd > 0.95)
            return 1
        packet = self.bus.down[name].popleft()
        edge = next((edge for edge in self.edges if edge.name == name), None)
        if edge is not None:
            edge.receive(packet)
            edge.turn()
        return 1

    def wait(self) -> None:
        seconds = 0.1 + 12 * self.chance("seconds") ** 3
        if self.chance("long") < 0.03:
            seconds = 300.0
        self._pass(seconds)
        self.told.say(f"wait: {seconds:.1f} s")

    def _pass(self, seconds: float) -> None:
        for clock in (self.centre.clock, *(edge.clock for edge in self.edges)):
            clock.advance(seconds)
        for edge in self.edges:
            edge.turn()

    def _connect_some(self) -> None:
        for edge in self.edges:
            if edge.link is None and self.chance("connect") < 0.3:
                edge.connect()
        if not self.centre.connected and self.chance("connect") < 0.3:
            self.centre.connect()

    # -- what goes wrong ---------------------------------------------------------------------------------------

    def crash_edge(self) -> None:
        edge = self._edge()
        edge.crash()
        self.told.say(f"edge crash: {edge.name}")

    def cut_power(self) -> None:
        edge = self._edge()
        edge.power_cut()
        self.told.say(f"power cut: {edge.name}")

    def crash_in_commit(self) -> None:
        edge = self._edge()
        edge.crash_at = ("outbox.before_commit", "outbox.after_commit")[self.pick(2, "place")]
        self.told.say(f"crash in commit: {edge.name} at {edge.crash_at}")
        edge.run_cycle()

    def crash_central(self) -> None:
        self.centre.crash()
        self.told.say("central crash")

    def break_connection(self) -> None:
        who = self.pick(len(self.edges) + 1, "who")
        if who == len(self.edges):
            self.centre.disconnect()
            self.told.say("connection lost: central")
        else:
            self.edges[who].disconnect()
            self.told.say(f"connection lost: {self.edges[who].name}")

    def wipe_broker(self) -> None:
        for edge in self.edges:
            edge.disconnect()
        self.centre.disconnect()
        self.bus.wipe()
        self.told.say("broker wiped")

    def take_image(self) -> None:
        edge = self._edge()
        if edge.name in self.images:
            shutil.rmtree(self.images[edge.name])
        self.images[edge.name] = edge.snapshot()
        self.told.say(f"image taken: {edge.name} at {edge.cycle}")

    def put_image_back(self) -> None:
        edge = self._edge()
        image = self.images.get(edge.name)
        if image is not None:
            edge.put_back(image, set(self.centre.held(edge.name)))
            self.told.say(f"image put back: {edge.name}, {len(edge.ledger.lost)} lost with the disk")

    def back_up(self) -> None:
        if self.backup is not None:
            shutil.rmtree(self.backup)
        self.backup = self.centre.backup()
        self.told.say("backup")

    def restore(self) -> None:
        if self.backup is not None:
            self.centre.restore(self.backup)
            for edge in self.edges:
                edge.ledger.lost |= edge.ledger.off_disk - set(self.centre.held(edge.name))
            self.told.say("restore")

    def tamper(self) -> None:
        edge = self._edge()
        before = self.bus.tampered
        if edge.link is not None:
            self.bus.tamper(edge.name)
        self.told.say(f"tampered: {self.bus.tampered - before}")

    def jump_clock(self) -> None:
        clocks = [self.centre.clock, *(edge.clock for edge in self.edges)]
        clock = clocks[self.pick(len(clocks), "clock")]
        seconds = 7200.0 if self.chance("forward") < 0.5 else -7200.0
        clock.jump(seconds)
        self.told.say(f"clock jump: {seconds:+.0f} s")

    # -- the end -----------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing goes wrong any more, until everything has arrived."""
        for _ in range(DRAIN_ROUNDS):
            for edge in self.edges:
                if edge.link is None:
                    edge.connect()
            if not self.centre.connected:
                self.centre.connect()
            self._pass(1.0)
            self._move_all()
            if all(edge.drained for edge in self.edges) and not any((*self.bus.up.values(), self.bus.kept)):
                return
        self.told.wrong.append("the healed plant does not come to rest")

    def _move_all(self) -> None:
        for name in tuple(self.bus.up):
            while self.bus.up[name]:
                self.bus.arrive(name)
        while self.bus.kept:
            self.centre.receive(self.bus.for_central())
        for name in [CENTRAL, *(edge.name for edge in self.edges)]:
            while self.bus.up[name]:
                self.bus.arrive(name)
        for edge in self.edges:
            while self.bus.down[edge.name]:
                edge.receive(self.bus.down[edge.name].popleft())
            edge.turn()
        self.bus.down[CENTRAL].clear()

    def compare(self) -> None:
        """Ledger against central, and both chains."""
        for edge in self.edges:
            held, ledger = self.centre.held(edge.name), edge.ledger
            answered = set(ledger.answered)
            missing = answered - ledger.lost - set(held)
            doubled = {cycle for cycle, bodies in held.items() if len(bodies) > 1}
            if (
                missing and not doubled
            ):  # acknowledged, pruned after its time, and restored away: then it has a name
                named = self.centre.names(edge.name)
                gone = {cycle for cycle in missing if any(map(named, ledger.numbers[cycle]))}
                missing -= gone - edge.holds()
            self._wrong(edge, "missing", missing)
            self._wrong(edge, "extra", set(held) - answered)
            self._wrong(edge, "doubled", doubled)
            self._wrong(edge, "altered", {c for c, bodies in held.items() if set(bodies) != {expected(c)}})
            self.told.wrong += edge.close()
        self.told.wrong += self.centre.close()

    def _wrong(self, edge: Edge, what: str, cycles: set[int]) -> None:
        if cycles:
            self.told.wrong.append(f"{edge.name}: {what} {sorted(cycles)[:10]} of {edge.cycle}")


def run(seed: int, steps: int = STEPS) -> Told:
    """Live one seed's story, heal, compare."""
    told = Told(seed)
    base = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="lotkeeper-sim-", dir=base) as folder:
        world = World(Path(folder), seed, told)
        world.live(steps)
        world.heal()
        world.compare()
    return told
