"""The driver over a bus in memory: whole images read back, holes learned and healed, torn values, busy devices."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus import Modbus
from drivers.modbus import device as device_module
from drivers.modbus.frames import Ask
from drivers.modbus.plan import HOLE_AGAIN_S
from drivers.tags import REGISTER_COUNT, ModbusTcpDevice
from records.clock import SystemClock
from records.errors import Refused

TABLES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


class MemoryBus:
    """A device's memory; ``holes`` are places that it does not have, ``most`` the longest read that it takes."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, int], int] = {}
        self.holes: dict[tuple[str, int], int] = {}
        self.most = 125
        self.asked: list[tuple[int, int, int]] = []
        self.before: Callable[[], None] = lambda: None
        self.busy = 0
        self.acknowledged: tuple[int, int] | None = None
        self.slow = False
        self.urgent: list[bool] = []

    async def join(self, member: object, settings: object) -> None:
        pass

    def leave(self, member: object) -> None:
        pass

    def has_failed(self, settings: object) -> bool:
        return False

    async def ask(self, member: object, ask: Ask, *, urgent: bool = False) -> bytes:
        await asyncio.sleep(0)
        self.before()
        function, start, count = ask.function, *struct.unpack(">HH", ask.pdu[1:5])
        self.asked.append((function, start, count))
        self.urgent.append(urgent)
        if self.busy:
            self.busy -= 1
            return bytes([function | 0x80, 6])
        if self.acknowledged is not None and function == 3 and len(self.asked) % 3 == 0:
            self.memory["holding", self.acknowledged[0]] = self.acknowledged[1]
        if function == 6 and self.slow:
            self.acknowledged = start, count
            return bytes([function | 0x80, 5])
        if function == 6:
            self.memory["holding", start] = count
            return ask.pdu
        table = TABLES[function]
        code = max((self.holes.get((table, start + n), 0) for n in range(count)), default=0)
        if code or (function > 2 and count > self.most):
            return bytes([function | 0x80, code or 3])
        words = [self.memory.get((table, start + n), 0) for n in range(count)]
        if function > 2:
            return bytes([function, 2 * count]) + struct.pack(f">{count}H", *words)
        packed = sum(bool(word) << n for n, word in enumerate(words))
        return bytes([function, (count + 7) // 8]) + packed.to_bytes((count + 7) // 8, "little")


def made(bus: MemoryBus, tags: list[dict[str, Any]], **settings: Any) -> Modbus:
    device = ModbusTcpDevice.model_validate({"driver": "modbus_tcp", "host": "h", "tags": tags, **settings})
    return Modbus("plc", device, SystemClock(), lambda _: None, bus)  # type: ignore[arg-type]


def run(job: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(_awaited(job), 20))  # type: ignore[arg-type]


async def _awaited(job: Callable[[], Awaitable[None]]) -> None:
    await job()


places = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.sampled_from(("uint16", "uint32", "float64", "bcd16")),
        st.sampled_from(("holding", "input", "coil", "discrete")),
    ),
    min_size=1,
    max_size=30,
)
holes = st.sets(st.tuples(st.sampled_from(("holding", "input", "coil")), st.integers(0, 310)), max_size=12)


@given(places, holes, st.integers(4, 125), st.integers(0, 60), st.booleans())
def test_every_value_that_is_there_is_read_whole_whatever_the_holes(
    found: list[tuple[int, str, str]], missing: set[tuple[str, int]], most: int, max_gap: int, one: bool
) -> None:
    bus = MemoryBus()
    bus.most = most
    bus.holes = dict.fromkeys(missing, 2)
    bus.memory = {(table, at): (at * 7919 + 13) % 65_536 for table in TABLES.values() for at in range(320)}
    bus.memory |= {("coil", at): at % 3 == 0 for at in range(320)} | {
        ("discrete", at): at % 5 == 0 for at in range(320)
    }
    tags = []
    for n, (address, kind, table) in enumerate(found):
        bit = table in ("coil", "discrete")
        tags.append({"name": f"t{n}", "address": address, "register": table, "data_type": None if bit else kind})
    device = made(bus, tags, max_gap=max_gap, one_request_per_tag=one)

    async def job() -> None:
        for _ in range(12):
            bus.asked.clear()
            block = await device.read([tag["name"] for tag in tags])
            refused = 0
            for at, (address, kind, table) in enumerate(found):
                count = 1 if table in ("coil", "discrete") else REGISTER_COUNT[kind]
                there = all((table, address + n) not in missing for n in range(count))
                words = [bus.memory[table, address + n] for n in range(count)]
                raw = (
                    bytes(words)
                    if count == 1 and table in ("coil", "discrete")
                    else struct.pack(f">{count}H", *words)
                )
                assert block.raw[at] == (raw if there else None)
                assert (block.words()[at] == "BadIllegalAddress") is not there
                refused += not there
        # by now nothing is asked that is refused, and nothing that is not there
        for function, start, count in bus.asked:
            assert not any((TABLES[function], start + n) in missing for n in range(count))
            assert function <= 2 or count <= most

    run(job)


def test_a_hole_is_asked_again_after_ten_minutes_and_after_a_reconnect() -> None:
    bus = MemoryBus()
    bus.holes = {("holding", 1): 2}
    device = made(bus, [{"name": name, "address": at} for at, name in enumerate("abc")])

    async def job() -> None:
        for _ in range(3):
            assert (await device.read(["a", "b", "c"])).listed() == (0, None, 0)
        assert bus.asked.count((3, 1, 1)) == 1  # not again
        await device.connect()
        bus.asked.clear()
        await device.read(["a", "b", "c"])
        assert (3, 1, 1) in bus.asked  # a program may have been loaded meanwhile
        bus.asked.clear()
        bus.holes.clear()
        await device.read(["a", "b", "c"])
        assert (3, 1, 1) not in bus.asked
        (hole,) = device._learned.holes.values()
        assert 0 < hole.again_at - asyncio.get_running_loop().time() <= HOLE_AGAIN_S
        hole.again_at -= HOLE_AGAIN_S
        assert (await device.read(["a", "b", "c"])).listed() == (0, 0, 0)
        bus.asked.clear()
        await device.read(["a", "b", "c"])
        assert bus.asked == [(3, 0, 3)]  # one request again

    run(job)


def test_a_gap_that_cannot_be_read_parts_its_neighbours_for_good() -> None:
    bus = MemoryBus()
    bus.holes = {("holding", 2): 2}
    device = made(bus, [{"name": name, "address": at} for name, at in (("a", 0), ("b", 1), ("c", 4), ("d", 5))])

    async def job() -> None:
        assert (await device.read(["a", "b", "c", "d"])).listed() == (0, 0, 0, 0)
        assert bus.asked == [(3, 0, 6), (3, 0, 2), (3, 4, 2)]
        await device.connect()
        bus.asked.clear()
        await device.read(["a", "b", "c", "d"])
        await device.read(["c", "a"])
        assert bus.asked == [(3, 0, 2), (3, 4, 2), (3, 0, 1), (3, 4, 1)]

    run(job)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 8])
def test_an_exception_is_a_bad_reading_of_its_own_tag(code: int) -> None:
    bus = MemoryBus()
    bus.holes = {("holding", 1): code}
    words = {1: "IllegalFunction", 2: "IllegalAddress", 3: "IllegalValue", 4: "DeviceFailure"}
    word = "Bad" + {**words, 7: "NegativeAcknowledge", 8: "MemoryParity"}[code]
    device = made(bus, [{"name": "a", "address": 0}, {"name": "b", "address": 1}], one_request_per_tag=True)

    async def job() -> None:
        for _ in range(2):
            block = await device.read(["a", "b"])
            assert (block.listed(), block.words()) == ((0, None), ("Good", word))
        # 1, 2 and 3 do not change by asking; the others may
        assert bus.asked.count((3, 1, 1)) == (1 if code < 4 else 2)

    run(job)


def test_a_busy_device_is_asked_again_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_PATIENCE_S", (0.0, 0.0, 0.0, 0.0))
    bus = MemoryBus()
    device = made(bus, [{"name": "a", "address": 0, "access": "write"}])

    async def job() -> None:
        bus.busy = 4
        assert (await device.read(["a"])).words() == ("Good",)
        bus.busy = 5
        assert (await device.read(["a"])).words() == ("BadDeviceBusy",)
        bus.busy = 4
        await device.write("a", 7)
        assert bus.memory["holding", 0] == 7
        bus.busy = 5
        with pytest.raises(Refused, match="refused to write a: BadDeviceBusy"):
            await device.write("a", 8)
        assert bus.memory["holding", 0] == 7

    run(job)


def test_a_write_that_takes_its_time_is_sent_once_and_read_until_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_module, "_PATIENCE_S", (0.0, 0.0, 0.0, 0.0))
    bus = MemoryBus()
    bus.slow = True
    device = made(bus, [{"name": "a", "address": 0, "access": "write"}])

    async def job() -> None:
        await device.write("a", 7)
        assert [function for function, _, _ in bus.asked] == [6, 3, 3]
        bus.acknowledged, bus.asked = None, []
        bus.holes = {("holding", 0): 4}
        with pytest.raises(Refused, match="took 8 for a, but holds None"):
            await device.write("a", 8)
        assert [function for function, _, _ in bus.asked].count(6) == 1

    run(job)


SEQUENCED = [
    {"name": "count", "address": 50},
    {"name": "a", "address": 0},
    {"name": "b", "address": 100},
    {"name": "alone", "address": 10, "sequence": None},
]


@pytest.mark.parametrize("odd", [False, True])
def test_values_that_change_while_they_are_read_are_read_again(odd: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "_PATIENCE_S", (0.0, 0.0))
    bus = MemoryBus()
    rounds = iter(range(1, 1000))
    calm = [3]

    def step() -> None:
        """The machine writes a and b in two steps; between them its count is odd."""
        n = next(rounds)
        if calm[0]:
            calm[0] -= 1
            bus.memory["holding", 50] = n
            bus.memory["holding", 0 if n % 2 else 100] = n - n % 2 + 2 * (n % 2)

    device = made(bus, SEQUENCED, sequence={"tag": "count", "odd_while_writing": odd}, max_gap=0)

    async def job() -> None:
        bus.before = step
        block = await device.read(["a", "b"])
        if odd:
            assert block.words() == ("BadTorn", "BadTorn")  # the machine stays in the middle of its writing
        else:
            assert block.words() == ("Good", "Good")
        calm[0] = 1000
        block = await device.read(["a", "b", "count"])
        assert block.words() == ("BadTorn", "BadTorn", "Good")
        assert block.listed()[:2] == (None, None)

    run(job)


def test_a_guard_that_cannot_be_read_proves_nothing() -> None:
    bus = MemoryBus()
    bus.holes = {("holding", 50): 2}
    device = made(bus, SEQUENCED, sequence={"tag": "count"})

    async def job() -> None:
        assert (await device.read(["a", "b"])).words() == ("BadIllegalAddress", "BadIllegalAddress")

    run(job)


def test_one_answer_of_an_atomic_device_needs_no_guard() -> None:
    bus = MemoryBus()
    tags = [{"name": "count", "address": 2}, {"name": "a", "address": 0}, {"name": "b", "address": 1}]
    device = made(bus, tags, sequence={"tag": "count"}, atomic_requests=True)

    async def job() -> None:
        bus.before = lambda: bus.memory.update({("holding", 2): len(bus.asked)})
        assert (await device.read(["a", "b"])).words() == ("Good", "Good")
        assert bus.asked == [(3, 0, 2)]

    run(job)


def test_writes_and_captures_go_before_polls() -> None:
    bus = MemoryBus()
    tags = [{"name": "count", "address": 9}, {"name": "a", "address": 0, "access": "write"}]
    device = made(bus, tags, sequence={"tag": "count"})

    async def job() -> None:
        await device.read(["a", "count"])
        assert not any(bus.urgent)
        bus.urgent.clear()
        await device.read(["a", "count"], urgent=True)
        await device.write("a", 1)
        assert all(bus.urgent)

    run(job)


def test_named_values_and_bits_are_written_into_their_registers() -> None:
    bus = MemoryBus()
    extra = {"access": "write", "read_modify_write": True}
    tags = [
        {
            "name": "mode",
            "address": 0,
            "bits": {"start": 4, "count": 2},
            "enumeration": {0: "idle", 1: "run"},
            **extra,
        },
        {"name": "lamp", "address": 0, "bit": 0, **extra},
        {"name": "low", "address": 1, "data_type": "int8", "byte": "low", **extra},
    ]
    device = made(bus, tags)

    async def job() -> None:
        bus.memory = {("holding", 0): 0xFF0E, ("holding", 1): 0x7F00}
        await device.write("mode", "run")
        await device.write("lamp", True)
        await device.write("low", -2)
        assert bus.memory == {("holding", 0): 0xFF1F, ("holding", 1): 0x7FFE}
        assert (await device.read(["mode", "lamp", "low"])).listed() == ("run", True, -2)

    run(job)
