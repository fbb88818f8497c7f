"""Real drivers with nothing at the other end: what they raise is said in Chinese, too, with what to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from drivers.factory import build_device, build_scanner
from drivers.supervise import DeviceEvent, Supervisor
from drivers.tags import AnyDevice, OpcUaDevice, SerialScannerDevice
from records.clock import SystemClock
from records.errors import LotkeeperError, Unreachable
from records.trouble import trouble_text

TCP = {"driver": "modbus_tcp", "host": "127.0.0.1", "timeout": "200ms", "retries": 0}
TAGS = {"tags": [{"name": "speed", "register": "holding", "address": 1}]}
OPC = {
    "driver": "opcua",
    "security": {"policy": "None", "mode": "None", "allow_insecure": True},
    "timeout": "200ms",
}


def raised(settings: Mapping[str, Any]) -> tuple[str, str]:
    """What a connect tells: the error itself, and in Chinese."""

    async def scenario() -> LotkeeperError:
        if settings["driver"] == "serial_scanner":
            scanner = build_scanner("gate", SerialScannerDevice.model_validate(settings), SystemClock())
            with pytest.raises(LotkeeperError) as found:
                await scanner.open()
        else:
            described: Any = TypeAdapter(AnyDevice).validate_python(settings)
            device = build_device("press", described, SystemClock(), lambda _: None)
            with pytest.raises(LotkeeperError) as found:
                await device.connect()
        return found.value

    error = asyncio.run(scenario())
    assert error.trouble is not None, error
    assert trouble_text(error.trouble.to_json(), "en") == str(error)
    return str(error), trouble_text(error.trouble.to_json(), "zh-CN") or ""


def test_where_nothing_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        told = raised(TCP | TAGS | {"port": port})
        opc = raised(OPC | {"endpoint": f"opc.tcp://127.0.0.1:{port}"})
    assert told == (
        f"press (127.0.0.1:{port} unit 1): nothing listens there (connection refused) "
        "(check cable, address and port, and that the device runs)",
        f"press (127.0.0.1:{port} unit 1)：该地址和端口没有程序监听（连接被拒绝）"
        "（请检查网线、地址和端口，以及设备是否在运行）",
    )
    assert opc == (
        f"press (opc.tcp://127.0.0.1:{port}): nothing listens there (connection refused) "
        "(check cable, address and port, and that the server runs)",
        f"press (opc.tcp://127.0.0.1:{port})：该地址和端口没有程序监听（连接被拒绝）"
        "（请检查网线、地址和端口，以及服务器是否在运行）",
    )


def test_where_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        _, modbus = raised(TCP | TAGS | {"port": port})
        _, opc = raised(OPC | {"endpoint": f"opc.tcp://127.0.0.1:{port}"})
    assert modbus.endswith("：无应答（限时 0.2 秒）（请检查设备是否在运行，以及 unit_id）")
    assert opc.endswith("：未在限定时间内应答（请检查网线、地址和端口，以及服务器是否在运行）")


def test_a_port_that_is_not_there(tmp_path: Path) -> None:
    port = str(tmp_path / "ttyUSB7")
    english, scanner = raised({"driver": "serial_scanner", "port": port})
    assert english == (
        f"gate ({port}): no such port (is it plugged in, may this user read it, does another program hold it?)"
    )
    assert scanner == f"gate ({port})：没有该端口（是否已插好？当前用户是否有读取权限？是否被其他程序占用？）"
    _, modbus = raised({"driver": "modbus_rtu", "port": port} | TAGS)
    assert modbus == f"press ({port} unit 1)：没有该端口（请检查端口是否存在，是否被其他程序占用）"


def test_an_event_of_a_lost_device_and_who_asks_meanwhile_are_told_the_same() -> None:
    """Bug: a Chinese page told in English what is wrong with a device."""
    told: list[DeviceEvent] = []

    async def scenario() -> Unreachable:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            settings = OpcUaDevice.model_validate(
                OPC | {"endpoint": f"opc.tcp://127.0.0.1:{closed.getsockname()[1]}"}
            )
            clock, lost = SystemClock(), asyncio.Event()

            def on_event(event: DeviceEvent) -> None:
                told.append(event)
                lost.set()

            supervisor = Supervisor(build_device("press", settings, clock, lambda _: None), clock, on_event)
            running = asyncio.ensure_future(supervisor.run())
            await asyncio.wait_for(lost.wait(), 30)
            with pytest.raises(Unreachable) as asked:
                await supervisor.read(["speed"])
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return asked.value

    asked = asyncio.run(scenario())
    (event,) = told
    assert event.trouble is not None
    assert (event.trouble.code, event.error) == ("away", str(event.trouble) + f" ({event.trouble.hint})")
    assert asked.trouble == event.trouble
