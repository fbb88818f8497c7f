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
"""Now and then so long: an agent's connection has ended by its keep-alive of 10 s then, at both its ends."""
SELDOM = 20
DELAY_S = 0.3
BAD = (Mode.BLACK_HOLE, Mode.SWALLOW, Mode.DROP, Mode.RST, Mode.TRICKLE, Mode.DELAY, Mode.CORRUPT)
PAUSE_S = (0.2, 5.0)
REPLAY_S = 1.0
THREE = ("agent", "central", "broker")


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
def behind_proxies(
    leg: Leg, plant: Plant, meddler: Callable[[], Meddle] | None = None
) -> Iterator[tuple[Plant, RunningProxy, RunningProxy]]:
    """A plant at work whose agent and central each reach the broker through a proxy; judged after it."""
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
    """Pulled cable, swallowed, closed, reset, byte by byte, late, altered: agent's side, central's, or both."""
    with behind_proxies(leg, leg.plant()) as (plant, agents, centrals):
        for _ in range(leg.cycles):
            be_bad(leg, plant, agents, centrals)
            leg.cycle_done()


def be_bad(leg: Leg, plant: Plant, agents: RunningProxy, centrals: RunningProxy) -> None:
    """Once, for a while."""
    chosen = leg.dice.choose(((agents,), (centrals,), (agents, centrals)))
    mode = leg.dice.choose(BAD)
    long = leg.dice.below(SELDOM) == 0
    for proxy in chosen:
        proxy.set_mode(mode, delay_s=DELAY_S)
    plant.supervisor.pause(LONG_S if long else leg.dice.between(SHORTEST_S, LONGEST_S))
    for proxy in chosen:
        if mode is Mode.CORRUPT:
            proxy.set_mode(Mode.RST)  # as TLS ends what was altered: a subscription that was is altered for good
        proxy.set_mode(Mode.PASS)
    plant.supervisor.pause(SETTLING_S)
    leg.outcome.recovery_s.append(SETTLING_S + plant.committed_beyond(plant.committed()))
    leg.count(mode.value)


def replaying(leg: Leg) -> Callable[[], Meddle]:
    """Makes a replayer for each connection; what one has seen another may send."""
    past: list[bytes] = []
    made = 0

    def meddler() -> Meddle:
        nonlocal made
        made += 1
        return Replayer(Dice(leg.outcome.scenario, leg.outcome.seed, made), past, leg.outcome.counts)

    return meddler


def duplicate(leg: Leg) -> None:
    """What the agent publishes arrives twice, in another order, or once more when it is long past."""
    with behind_proxies(leg, leg.plant(), replaying(leg)) as (plant, agents, _):
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
            stand_still(leg, plant)
            leg.cycle_done()
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        go_on(plant)
        plant.close()


def stand_still(leg: Leg, plant: Plant) -> None:
    """Once, one of the three."""
    name = leg.dice.choose(THREE)
    _signal(plant, name, signal.SIGSTOP)
    long = leg.dice.below(SELDOM) == 0
    plant.supervisor.pause(LONG_S if long else leg.dice.between(*PAUSE_S))
    before = plant.committed() if name != "central" else 0
    _signal(plant, name, signal.SIGCONT)
    leg.outcome.recovery_s.append(plant.committed_beyond(max(before, plant.committed())))
    leg.count(f"{name} stood still")


def go_on(plant: Plant) -> None:
    """Whoever stands still."""
    for name in THREE:
        _signal(plant, name, signal.SIGCONT)


def _signal(plant: Plant, name: str, number: signal.Signals) -> None:
    if name == "broker":
        plant.broker.send(number)
        return
    process = plant.agent if name == "agent" else plant.central
    if process is not None:
        plant.supervisor.signal(process, number)
