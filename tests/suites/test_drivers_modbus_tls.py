"""Modbus over TLS and in ASCII, against pymodbus' own servers: the two that libmodbus does not speak."""

from __future__ import annotations

import asyncio
import os
import ssl
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from driver_rigs import LineFile
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.base import Device
from drivers.factory import build_device
from records.clock import SystemClock
from records.errors import Unreachable
from records.yaml import parse
from simulators.sockets import free_port
from tests.rigs.certificates import Authority

TAGS = (
    "{name: a, address: 0, access: write}, {name: wide, address: 2, data_type: uint32, access: write}, "
    "{name: lamp, register: coil, address: 1, access: write}"
)


def memory() -> SimDevice:
    registers = [SimData(0, values=[7, 0, 1, 2, 0, 0, 0, 0], datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    return SimDevice(1, simdata=(bits, list(bits), registers, list(registers)))


def device_of(text: str, folder: Path) -> Device:
    settings = parse(f"devices:\n  plc: {{{text}, tags: [{TAGS}]}}\n".encode(), LineFile, folder=folder).value
    return build_device("plc", settings.devices["plc"], SystemClock(), lambda _: None)  # type: ignore[arg-type]


async def works(device: Device) -> None:
    await device.connect()
    try:
        assert (await device.read(["a", "wide", "lamp"])).listed() == (7, 0x10002, False)
        await device.write("wide", 0xDEADBEEF)
        await device.write("lamp", True)
        await device.write("a", 8)
        assert (await device.read(["a", "wide", "lamp"])).listed() == (8, 0xDEADBEEF, True)
    finally:
        await device.close()


def with_tls(folder: Path, job: Callable[[str], Awaitable[None]]) -> None:
    """A job while a server that asks for certificates listens; it gets where."""
    authority = Authority(folder)
    server_certificate, server_key = authority.issue("plc", server=True)
    authority.issue("agent")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_certificate, server_key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED

    async def whole() -> None:
        port = free_port()
        server = ModbusTlsServer(memory(), sslctx=context, address=("127.0.0.1", port))
        await server.serve_forever(background=True)
        try:
            await job(f"driver: modbus_tls, host: 127.0.0.1, port: {port}, timeout: 5s")
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]

    asyncio.run(whole())


def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    async def job(where: str) -> None:
        await works(
            device_of(f"{where}, tls: {{ca: ca.crt, certificate: agent.crt, private_key: agent.key}}", tmp_path)
        )

    with_tls(tmp_path, job)


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ("", "its certificate is not accepted"),
        (", tls: {ca: other/ca.crt}", "its certificate is not accepted"),
        (", tls: {ca: ca.crt, server_name: another.plant}", "its certificate is not accepted .*another.plant"),
        (", tls: {ca: missing.crt}", "its certificates cannot be used"),
        (", tls: {ca: ca.crt, certificate: agent.crt, private_key: plc.key}", "its certificates cannot be used"),
    ],
)
def test_a_machine_that_is_not_who_it_should_be_is_not_read(tls: str, words: str, tmp_path: Path) -> None:
    Authority(tmp_path / "other")

    async def job(where: str) -> None:
        device = device_of(where + tls, tmp_path)
        with pytest.raises(Unreachable, match=rf"plc \(127.0.0.1:\d+ unit 1\): {words}"):
            await device.connect()

    with_tls(tmp_path, job)


def test_a_machine_that_wants_our_certificate_does_not_get_one(tmp_path: Path) -> None:
    async def job(where: str) -> None:
        device = device_of(f"{where}, tls: {{ca: ca.crt}}", tmp_path)
        with pytest.raises(Unreachable, match="plc"):  # TLS 1.3 tells with the first answer
            await device.connect()

    with_tls(tmp_path, job)


@pytest.mark.parametrize("framer", [FramerType.ASCII, FramerType.RTU])
def test_ascii_and_rtu_on_a_serial_line(framer: FramerType, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    far, far_end = os.openpty()
    tty.setraw(far)
    tty.setraw(far_end)

    async def whole() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, lambda: os.write(far, os.read(ours, 1024)))
        loop.add_reader(far, lambda: os.write(ours, os.read(far, 1024)))
        server = ModbusSerialServer(memory(), framer=framer, port=os.ttyname(far_end), baudrate=19_200, parity="N")
        await server.serve_forever(background=True)
        try:
            line = f"port: {os.ttyname(theirs)}, parity: none, timeout: 2s, late_answer_wait: 20ms"
            await works(device_of(f"driver: modbus_{framer.value}, {line}", tmp_path))
        finally:
            loop.remove_reader(ours)
            loop.remove_reader(far)
            await server.shutdown()  # type: ignore[no-untyped-call]

    try:
        asyncio.run(whole())
    finally:
        for end in (ours, theirs, far, far_end):
            os.close(end)
