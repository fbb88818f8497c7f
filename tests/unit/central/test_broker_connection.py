"""Connections to the broker end with their thread, also in the very moment in which they are stopped."""

from __future__ import annotations

import threading
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from central.broker_connection import stop_loop
from edge_agent.uplink.link import _Client


class _Ending:
    """What paho keeps its thread in, at the moment in which the thread takes itself out of it."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __get__(self, client: object, _: type) -> threading.Thread | None:
        self.looks -= 1
        return threading.Thread() if self.looks >= 0 else None

    def __set__(self, client: object, thread: object) -> None:
        """As paho's constructor does."""


def ending(base: type[paho.Client]) -> Any:
    """A client whose thread ends between paho's second look and its third."""
    return type("Ending", (base,), {"_thread": _Ending(2)})(CallbackAPIVersion.VERSION2)


def test_a_connection_that_ends_while_it_is_stopped_is_stopped() -> None:
    with pytest.raises(AttributeError):
        ending(paho.Client).loop_stop()  # where this is mended in paho, ours can go
    stop_loop(ending(paho.Client))
    assert ending(_Client).loop_stop() == paho.MQTT_ERR_SUCCESS
