"""The network between agent, broker and central: cut, half open, slow, repeating; processes that stand still."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulators.faults.dice import Dice
from simulators.faults.kills import SETTLING_S
from simulators.faults.leg import Leg
from simulators.faults.mqtt_bytes import Replayer
from simulators.faults.plant import Plant
from simulators.faults.proxy import FaultProxy, Meddle, Mode

SHORTEST_S, LONGEST_S = 0.2, 3.0
"""How long the network is bad."""
LONG_S = 25.0
"""Now and then so long: more than the keep-alive of a connection."""
SELDOM = 20
DELAY_S = 0.3
PAUSE_S = (0.2, 5.0)
REPLAY_S = 1.0


class RunningProxy:
    """A fault proxy in a thread of its own, told from the harness's."""

    def __init__(self, port: int, meddler: Callable[[], Meddle] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.proxy = FaultProxy("127.0.0.1", port, meddler=meddler)
        asyncio.run_coroutine_threadsafe(self.proxy.start(), self._loop).result()
        self.url = f"mqtt://127.0.0.1:{self.proxy.port}"

    def set_mode(self, mode: Mode, *, delay_s: float = 0.0) -> None:
        async def tell() -> None:
            self.proxy.set_mode(mode, delay_s=delay_s)

        asyncio.run_coroutine_threadsafe(tell(), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def _behind_proxies(
    leg: Leg, meddler: Callable[[], Meddle] | None = None
) -> Iterator[tuple[Plant, RunningProxy, RunningProxy]]:
    """A plant at work whose agent and central each reach the broker through a proxy."""
    plant = leg.plant()
    proxies: list[RunningProxy] = []
    try:
        for made in (meddler, None):
            proxies.append(RunningProxy(plant.broker.port, made))
        plant.agent_broker, plant.central_broker = (proxy.url for proxy in proxies)
        plant.begin()
        yield plant, proxies[0], proxies[1]
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()
        for proxy in proxies:
            proxy.close()


def partition(leg: Leg) -> None:
    """Pulled cable, closed, reset, byte by byte, late: on the agent's side, on central's, or on both."""
    bad = (Mode.BLACK_HOLE, Mode.DROP, Mode.RST, Mode.TRICKLE, Mode.DELAY)
    with _behind_proxies(leg) as (plant, agents, centrals):
        for _ in range(leg.cycles):
            chosen = leg.dice.choose(((agents,), (centrals,), (agents, centrals)))
            mode = leg.dice.choose(bad)
            long = leg.dice.below(SELDOM) == 0
            for proxy in chosen:
                proxy.set_mode(mode, delay_s=DELAY_S)
            plant.supervisor.pause(LONG_S if long else leg.dice.between(SHORTEST_S, LONGEST_S))
            for proxy in chosen:
                proxy.set_mode(Mode.PASS)
            plant.supervisor.pause(SETTLING_S)
            leg.outcome.recovery_s.append(SETTLING_S + plant.committed_beyond(plant.committed()))
            leg.count(mode.value)
            leg.cycle_done()


def duplicate(leg: Leg) -> None:
    """What the agent publishes arrives twice, in another order, or once more when it is long past."""
    past: list[bytes] = []
    made = 0

    def meddler() -> Meddle:
        nonlocal made
        made += 1
        return Replayer(Dice(leg.outcome.scenario, leg.outcome.seed, made), past, leg.outcome.counts)

    with _behind_proxies(leg, meddler) as (plant, agents, _):
        for _ in range(leg.cycles):
            plant.supervisor.pause(REPLAY_S)
            if leg.dice.below(4) == 0:
                agents.set_mode(Mode.RST)  # a new connection, into which the old one's publishes come again
                agents.set_mode(Mode.PASS)
                leg.count("connection reset")
            leg.outcome.recovery_s.append(plant.committed_beyond(plant.committed()))
            leg.cycle_done()


def pause(leg: Leg) -> None:
    """A process stands still, as in a virtual machine that was frozen, and goes on as if nothing had been."""
    plant = leg.plant()
    try:
        plant.begin()
        for _ in range(leg.cycles):
            name = leg.dice.choose(("agent", "central", "broker"))
            _signal(plant, name, signal.SIGSTOP)
            long = leg.dice.below(SELDOM) == 0
            plant.supervisor.pause(LONG_S if long else leg.dice.between(*PAUSE_S))
            before = plant.committed() if name != "central" else 0
            _signal(plant, name, signal.SIGCONT)
            leg.outcome.recovery_s.append(plant.committed_beyond(max(before, plant.committed())))
            leg.count(f"{name} stood still")
            leg.cycle_done()
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        for name in ("agent", "central", "broker"):
            _signal(plant, name, signal.SIGCONT)
        plant.close()


def _signal(plant: Plant, name: str, number: signal.Signals) -> None:
    if name == "broker":
        plant.broker.send(number)
        return
    process = plant.agent if name == "agent" else plant.central
    if process is not None:
        plant.supervisor.signal(process, number)
