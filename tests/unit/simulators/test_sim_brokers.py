"""The broker that the demo brings."""

from __future__ import annotations

import socket
from pathlib import Path
from queue import SimpleQueue
from time import sleep

import pytest
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from records.clock import SystemClock
from records.errors import Unreachable
from simulators.brokers import Amqtt
from simulators.processes import Processes
from simulators.sockets import free_port

START_LIMIT_S = 60.0


def listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def answer(port: int, password: str) -> bool:
    """Whether it takes an agent with this password."""
    told: SimpleQueue[bool] = SimpleQueue()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, reconnect_on_failure=False)
    client.username_pw_set("agent", password)

    def met(_: Client, __: object, ___: ConnectFlags, reason: ReasonCode, ____: Properties | None) -> None:
        told.put(not reason.is_failure)

    def left(_: Client, __: object, ___: DisconnectFlags, ____: ReasonCode, _____: Properties | None) -> None:
        told.put(False)

    client.on_connect, client.on_disconnect = met, left
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        return told.get(timeout=START_LIMIT_S)
    finally:
        client.loop_stop()


def test_it_takes_who_has_the_password_and_ends_when_it_is_told(tmp_path: Path) -> None:
    """Bug: as a thread of the demo's it could end the demo with a fault of its own, and not with its judgement."""
    clock = SystemClock()
    processes = Processes(tmp_path / "logs", clock, sleep)
    broker = Amqtt(tmp_path, free_port(), {"agent": "right"}, processes)
    broker.start()
    try:
        processes.wait_for("the broker", lambda: listens(broker.port), START_LIMIT_S)
        assert answer(broker.port, "right")
        assert not answer(broker.port, "wrong")
        broker.restart()
        processes.wait_for("the broker", lambda: listens(broker.port), START_LIMIT_S)
        assert answer(broker.port, "right")
    finally:
        broker.stop()
    broker.stop()
    assert not listens(broker.port)


def test_without_amqtt_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(Unreachable, match="amqtt is not installed"):
        Amqtt(tmp_path, free_port(), {}, Processes(tmp_path, SystemClock(), sleep))
