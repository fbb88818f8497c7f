"""F16: a machine that is as fast as it can be, whose counter wraps, and one that does not wait for the agent."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from records.model import OperationRecord
from tests.rigs.agent import OneAgent
from tests.rigs.libmodbus_server import LibmodbusServer
from tests.rigs.uplinks import until

pytestmark = [pytest.mark.timeout(240), pytest.mark.libmodbus]
DONE, ACK, COUNT, CARRIER, LEAK_RATE = 0, 1, 2, 10, 100
WRAP = 2**32
YES = b"\x06"


class Press:
    """A machine whose every cycle has a leak rate and a carrier of its own, so that mixed readings show."""

    def __init__(self, port: int) -> None:
        self.server = LibmodbusServer("tcp", port=port)
        self._put(CARRIER, "".ljust(16, "\0").encode())
        self._put(LEAK_RATE, bytes(4))

    def shows(self, cycle: int) -> None:
        """The values of a cycle, low words first, and then that it is done."""
        self._put(CARRIER, carrier_of(cycle).ljust(16, "\0").encode())
        self._put(LEAK_RATE, _swapped(struct.pack(">f", leak_rate_of(cycle))))
        self._put(COUNT, _swapped(struct.pack(">I", cycle)))
        self._put(DONE, b"\0\1")

    def makes(self, cycle: int) -> None:
        """One cycle with its handshake, without a moment between."""
        self.shows(cycle)
        self.waits_for(1)
        self._put(DONE, b"\0\0")
        self.waits_for(0)

    def skips(self, cycle: int) -> None:
        """One cycle of a machine that does not wait for anybody."""
        self._put(COUNT, _swapped(struct.pack(">I", cycle)))

    def waits_for(self, acknowledge: int) -> None:
        deadline = time.monotonic() + 60
        while self.server.get(1, "holding", ACK, 1) != [acknowledge]:
            assert time.monotonic() < deadline, f"the acknowledge did not become {acknowledge}"
            time.sleep(0.001)

    def _put(self, address: int, raw: bytes) -> None:
        self.server.set(1, "holding", address, list(struct.unpack(f">{len(raw) // 2}H", raw)))


def _swapped(raw: bytes) -> bytes:
    return raw[2:] + raw[:2]


def carrier_of(cycle: int) -> str:
    return f"C-{cycle}"


def leak_rate_of(cycle: int) -> float:
    return float(cycle % 4096)


def test_no_cycle_of_a_fast_machine_is_missed_and_those_of_a_careless_one_are_counted(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    press = Press(agent.ports["near"])
    burst = [(WRAP - 8 + n) % WRAP for n in range(16)]
    try:
        with agent:
            until(lambda: len(agent.events("device-connected")) == 2)  # the press and the scanner
            assert agent.sign_on("WO-1") == YES
            for cycle in burst:
                press.makes(cycle)
            until(lambda: len(agent.cycles("near")) == len(burst))
            for cycle in range(8, 12):
                press.skips(cycle)
            press.makes(12)
            until(lambda: agent.events("cycles-missed"))
            until(lambda: len(agent.cycles("near")) == len(burst) + 1)
            assert agent.stop() == 0
    finally:
        press.server.stop()
    assert agent.cycles("near") == [*burst, 12]
    assert [event.params for event in agent.events("counter-wrapped")] == [
        {"was": str(WRAP - 1), "now": "0", "size": str(WRAP)}
    ]
    assert agent.events("counter-period") == []
    assert [event.params for event in agent.events("cycles-missed")] == [{"first": "8", "last": "11"}]
    for fact in agent.facts():
        if isinstance(fact, OperationRecord) and fact.cycle is not None:
            told = {reading.tag: reading.value for reading in fact.readings}
            assert told["near.leak_rate"] == leak_rate_of(fact.cycle)
            assert [subject.subject.id for subject in fact.subjects] == [carrier_of(fact.cycle)]
