"""The broker that the demo brings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulators import brokers
from simulators.sockets import free_port


def test_a_broker_that_does_not_end_in_time_keeps_nobody_from_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the demo ended with a fault of its broker's, told to end a second time, and not with its judgement."""
    broker = brokers.Amqtt(tmp_path, free_port(), {"agent": "password"})
    broker.start()
    monkeypatch.setattr(brokers, "START_LIMIT_S", 0.1)
    monkeypatch.setattr(broker._broker, "shutdown", lambda: asyncio.sleep(60))
    broker.stop()
    broker.stop()
    assert broker._thread is not None
    assert not broker._thread.is_alive()
