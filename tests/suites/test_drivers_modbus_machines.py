"""What Modbus machines do to a driver, tried with one that is not ours, on three kinds of line (F15)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driver_rigs import device_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.base import Device
from drivers.status import BAD_SEVERITY
from tests.rigs.examples import examples
from tests.rigs.libmodbus_server import LibmodbusServer

pytestmark = pytest.mark.libmodbus
KINDS = ("tcp", "rtu-tcp", "pty")
TIMEOUT_MS = 150
IMAGE = 600


class Machine:
    """One server on one kind of line. ``device`` makes a driver from the words of a tag map."""

    def __init__(self, kind: Any, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "line"
        self.server = LibmodbusServer(kind, path=self.path if kind == "pty" else None)
        self.server.set(1, "holding", 0, [n * 7 % 65_536 for n in range(IMAGE)])

    @property
    def text(self) -> str:
        words = {
            "tcp": f"driver: modbus_tcp, host: 127.0.0.1, port: {self.server.port}",
            "rtu-tcp": f"driver: modbus_rtu_over_tcp, host: 127.0.0.1, port: {self.server.port}",
            "pty": f"driver: modbus_rtu, port: {self.path}, parity: none",
        }[self.kind]
        rest = "" if self.kind == "tcp" else f", late_answer_wait: {2 * TIMEOUT_MS}ms"
        return f"{words}, timeout: {TIMEOUT_MS}ms, poll_interval: 20ms{rest}"

    def device(self, tags: list[str], more: str = "") -> Device:
        text = f"devices:\n  plc: {{{self.text}{more}, tags: [{', '.join(tags)}]}}\n"
        rig: Any = self
        return device_of(rig, text)

    def run(self, tags: list[str], job: Callable[[Device], Awaitable[None]], more: str = "") -> None:
        """Run a test with a connected driver, on a machine that is well."""

        async def whole() -> None:
            self.server.heal()
            device = self.device(tags, more)
            await device.connect()
            try:
                await job(device)
            finally:
                await device.close()
                self.server.heal()

        asyncio.run(whole())


def words(*addresses: int) -> list[str]:
    return [f"{{name: r{n}, address: {n}}}" for n in addresses]


def truth(*addresses: int) -> tuple[int, ...]:
    return tuple(n * 7 % 65_536 for n in addresses)


@pytest.fixture(scope="module", params=KINDS)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine(request.param, tmp_path_factory.mktemp("line"))
    yield found
    found.server.stop()


@pytest.mark.parametrize("code", [2, 3, 4])
def test_what_a_machine_refuses_is_bad_and_the_rest_is_read(machine: Machine, code: int) -> None:
    async def job(device: Device) -> None:
        machine.server.fail(1, "holding", 20, 29, code)
        for _ in range(2):
            block = await device.read(["r1", "r19", "r25", "r30"])
            assert block.listed() == (7, 133, None, 210)
            assert block.words()[2].startswith("Bad")

    machine.run(words(1, 19, 25, 30), job)


@pytest.mark.parametrize("code", [1, 7, 8])
def test_an_exception_that_is_not_of_an_address_never_gives_a_value(machine: Machine, code: int) -> None:
    async def job(device: Device) -> None:
        machine.server.fail(1, "holding", 20, 29, code)
        block = await device.read(["r1", "r19", "r25", "r30", "r300"])
        assert block.listed()[2] is None
        for told, true in zip(block.listed(), truth(1, 19, 25, 30, 300), strict=True):
            assert told in (None, true)

    machine.run(words(1, 19, 25, 30, 300), job)


@pytest.mark.parametrize("code", [5, 6])
def test_a_machine_that_is_busy_is_asked_again_later(machine: Machine, code: int) -> None:
    async def job(device: Device) -> None:
        machine.server.fail(1, "holding", 20, 29, code)
        block = await device.read(["r25"])
        assert block.listed() == (None,)
        machine.server.heal()
        assert (await device.read(["r25"])).listed() == truth(25)

    machine.run(words(25), job)


def test_values_that_change_while_they_are_read_are_taken_together_or_not_at_all(machine: Machine) -> None:
    """Registers 400 to 549 always hold the number of the sequence word, and three requests are needed for them."""
    tags = [f"{{name: t{n}, address: {n}}}" for n in (400, 420, 449, 500, 549)]
    tags.append("{name: sequence, address: 599}")
    names = ["t400", "t420", "t449", "t500", "t549"]

    async def job(device: Device) -> None:
        server = machine.server
        server.set(1, "holding", 400, [0] * 200)
        seen, torn = 0, 0
        for every in (1, 4, 50):
            server.torn(1, 400, 150, 599, every)
            for _ in range(2):
                block = await device.read(names)
                good = [value for value in block.listed() if value is not None]
                assert len(set(good)) <= 1, f"half of one state and half of another: {block.listed()}"
                seen += len(good) == len(names)
                torn += not good
        assert seen, "when the machine is calm the values are read"
        assert torn, "when it is not they are bad"

    machine.run(tags, job, ", max_registers_per_request: 60, sequence: {tag: sequence}")


# -- the planner against a whole image --------------------------------------------------------------------------

_ORDERS = {
    4: {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)},
    8: {
        "ABCD": (0, 1, 2, 3, 4, 5, 6, 7),
        "CDAB": (6, 7, 4, 5, 2, 3, 0, 1),
        "BADC": (1, 0, 3, 2, 5, 4, 7, 6),
        "DCBA": (7, 6, 5, 4, 3, 2, 1, 0),
    },
}
"""Where each byte of the value, most significant first, stands among the bytes of the registers."""

_tag = st.tuples(
    st.integers(0, 60) | st.integers(0, IMAGE - 4),
    st.sampled_from(["uint16", "uint32", "uint64"]),
    st.sampled_from(list(_ORDERS[4])),
)
_hole = st.tuples(st.integers(0, IMAGE - 1), st.integers(1, 60))


def _expected(image: list[int], holes: list[tuple[int, int]], tag: tuple[int, str, str]) -> int | None:
    address, kind, order = tag
    count = {"uint16": 1, "uint32": 2, "uint64": 4}[kind]
    if any(first < address + count and address < first + size for first, size in holes):
        return None
    raw = b"".join(image[n].to_bytes(2, "big") for n in range(address, address + count))
    if count == 1:
        return int.from_bytes(raw[::-1] if order in ("BADC", "DCBA") else raw, "big")
    return int.from_bytes(bytes(raw[at] for at in _ORDERS[2 * count][order]), "big")


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tags=st.lists(_tag, min_size=1, max_size=40),
    holes=st.lists(_hole, max_size=4),
    most=st.sampled_from([4, 7, 125]),
    gap=st.integers(0, 60),
    seed=st.integers(0, 2**32),
)
def test_any_tag_map_reads_what_the_machine_holds_whatever_it_refuses(
    tcp: Machine, tags: list[tuple[int, str, str]], holes: list[tuple[int, int]], most: int, gap: int, seed: int
) -> None:
    image = [(n * 40_503 + seed * (n + 1)) % 65_521 for n in range(IMAGE)]
    described = [
        f"{{name: t{n}, address: {address}, data_type: {kind}, byte_order: {order}}}"
        for n, (address, kind, order) in enumerate(tags)
    ]

    async def job(device: Device) -> None:
        server = tcp.server
        server.set(1, "holding", 0, image)
        server.limit(1, most)
        for first, size in holes:
            server.fail(1, "holding", first, first + size - 1)
        expected = tuple(_expected(image, holes, tag) for tag in tags)
        names = [f"t{n}" for n in range(len(tags))]
        for _ in range(2):  # the second time with what was learned
            block = await device.read(names)
            assert block.listed() == expected
            assert ((block.status >= BAD_SEVERITY) == [value is None for value in expected]).all()
        for asked in server.log():
            assert asked.function == 3
            assert asked.count <= most

    tcp.run(described, job, f", max_registers_per_request: {most}, max_gap: {gap}")


@pytest.fixture(scope="module")
def tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine("tcp", tmp_path_factory.mktemp("line"))
    yield found
    found.server.stop()
