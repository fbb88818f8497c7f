"""The uplink over a network that is slow, cut, reset or changes bytes: everything arrives once, in order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agent.outbox import Outbox
from edge_agent.uplink import Uplink
from records.clock import SystemClock
from records.keys import Identity, SigningKey
from simulators.faults.proxy import FaultProxy, Meddle, Mode
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, fill, make_identity, number_of, open_outbox
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import quick, ring_of, until

pytestmark = pytest.mark.mosquitto
CENTRAL = SigningKey.generate()
CLOCK = SystemClock()


def corrupting() -> Meddle:
    """Changes one byte of the first large chunk, and of each third one."""
    seen = [0]

    def meddle(data: bytes) -> bytes:
        if len(data) < 100:
            return data
        seen[0] += 1
        if seen[0] % 3 != 1:
            return data
        return data[:-20] + bytes((data[-20] ^ 0x55,)) + data[-19:]

    return meddle


class Network:
    """A broker behind a proxy whose loop runs in a thread of its own, and a central beside it."""

    def __init__(self, folder: Path, closing: ExitStack) -> None:
        self.broker = Mosquitto(folder / "broker").start()
        closing.callback(self.broker.kill)
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        closing.callback(self._loop.close)
        closing.callback(thread.join)
        closing.callback(lambda: self._loop.call_soon_threadsafe(self._loop.stop))
        self._meddle: Meddle | None = None
        self.proxy = FaultProxy("127.0.0.1", self.broker.port, meddler=lambda: self._meddled)
        asyncio.run_coroutine_threadsafe(self.proxy.start(), self._loop).result()
        closing.callback(lambda: asyncio.run_coroutine_threadsafe(self.proxy.stop(), self._loop).result())
        self.identity: Identity = make_identity(folder / "identity", CENTRAL)
        self.outbox: Outbox = open_outbox(folder / "buffer", CLOCK)
        closing.callback(self.outbox.close)
        self.central = TinyCentral(self.broker.port, CENTRAL, ring_of(self.identity), AGENT)
        closing.enter_context(self.central)
        self.central.wait(lambda: self.central.subscribed)
        settings = quick(f"mqtt://127.0.0.1:{self.proxy.port}", max_frame_bytes=2000, keepalive_s=1.0)
        self.uplink = Uplink(self.outbox, self.identity, settings, CLOCK)
        self.uplink.start()
        closing.callback(self.uplink.stop)
        until(lambda: self.uplink.status().connected)

    def _meddled(self, data: bytes) -> bytes:
        return data if self._meddle is None else self._meddle(data)

    def set(self, mode: Mode, meddle: Meddle | None = None) -> None:
        self._meddle = meddle
        self._loop.call_soon_threadsafe(self.proxy.set_mode, mode)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with ExitStack() as closing:
        yield Network(tmp_path, closing)


def cut(network: Network) -> None:
    until(lambda: not network.uplink.status().connected)


def slow(network: Network) -> None:
    network.central.wait(lambda: len(network.central.records) > 40)


def changed(network: Network) -> None:
    network.central.wait(lambda: network.central.refused or network.proxy.connections > 1)


@pytest.mark.parametrize(
    ("mode", "meddle", "felt"),
    [
        (Mode.BLACK_HOLE, None, cut),
        (Mode.SWALLOW, None, cut),
        (Mode.RST, None, cut),
        (Mode.DROP, None, cut),
        (Mode.TRICKLE, None, slow),
        (Mode.PASS, corrupting(), changed),
    ],
    ids=["pulled cable", "swallowed", "reset", "closed", "byte by byte", "changed bytes"],
)
def test_everything_arrives_once_whatever_the_network_does(
    network: Network, mode: Mode, meddle: Meddle | None, felt: Callable[[Network], None]
) -> None:
    fill(network.outbox, 1, 20)
    until(lambda: network.uplink.status().pending == 0)
    network.set(mode, meddle)
    fill(network.outbox, 21, 80)
    felt(network)
    network.set(Mode.PASS)
    fill(network.outbox, 81, 90)
    until(lambda: network.uplink.status().pending == 0 and network.uplink.status().connected)
    found = [number_of(body) for body in network.central.bodies()]
    assert [number for number in found if number is not None] == list(range(1, 91))
    assert len(network.central.epochs) == 1, "no disk was taken for a rolled-back one"
