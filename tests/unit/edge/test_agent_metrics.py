"""The agent's numbers as Prometheus reads them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drivers.supervise import Supervisor
from edge_agent.buffer_watch import Standing
from edge_agent.clock_offset import Offset
from edge_agent.counters import Counters, Counts
from edge_agent.holds import Cause, Hold
from edge_agent.outbox import Place
from edge_agent.outbox.fill import Fill
from edge_agent.report import Parts
from edge_agent.uplink.status import StreamStatus, UplinkStatus
from edge_agent.web.metrics import metrics
from records.clock import FakeClock
from tests.rigs.fake_device import FakeDevice, opcua

PLACE = Place("e1", 3, b"x" * 32)


def numbers(text: str) -> dict[tuple[str, str], float]:
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_overload_loss_and_what_waits_are_told() -> None:
    clock = FakeClock()
    supervisor = Supervisor(FakeDevice("plc", opcua([{"name": "a"}]), clock), clock, lambda _: None)
    supervisor.meter.polls, supervisor.meter.late, supervisor.meter.skipped, supervisor.meter.values = (
        90,
        7,
        10,
        1800,
    )
    counters = Counters()
    counters.add(telemetry_lost=5, chunks_acknowledged=3)
    counters.add(telemetry_lost=1)
    cause = Cause("torque", "", "nelson1")
    holds = (
        Hold("h-1", "hold_station", cause, 1, 0),
        Hold("h-2", "hold_unit", cause, 1, 0, None, ("a", "b")),
        Hold("h-3", "hold_unit", cause, 1, 0, None, ("b",)),
        Hold("h-4", "alarm", cause, 1, 0),
    )
    runners = [SimpleNamespace(name="seal", holds=holds), SimpleNamespace(name="wash", holds=())]
    parts = SimpleNamespace(
        counts=lambda: counters.snapshot().to_json(),
        supervisors=lambda: {"plc": supervisor},
        runners=lambda: runners,
        room=lambda: Standing(full=True, fill=Fill(1000, 900, 900, 7, 100, 25.0, 4.0)),
        clock_offset=lambda: Offset(-1.5, 0.01, 30.0),
    )
    way = UplinkStatus(True, "b", 4, 2.5, PLACE, None, 1, 0, 0, StreamStatus(70, None, PLACE, None, 1, 0))
    said = numbers(metrics(cast(Parts, parts), way).decode())
    assert said["lotkeeper_edge_clock_offset_seconds", ""] == -1.5
    assert said["lotkeeper_edge_device_late_total", "plc"] == 7
    assert (said["lotkeeper_edge_line_stopped", "records"], said["lotkeeper_edge_line_stopped", "disk"]) == (1, 0)
    assert (said["lotkeeper_edge_buffer_hours_left", ""], said["lotkeeper_edge_buffer_room_bytes", ""]) == (4, 100)
    assert said["lotkeeper_edge_device_skipped_total", "plc"] == 10
    assert said["lotkeeper_edge_device_polls_total", "plc"] == 90
    assert said["lotkeeper_edge_device_values_total", "plc"] == 1800
    assert said["lotkeeper_edge_device_connected", "plc"] == 0
    assert said["lotkeeper_edge_telemetry_lost_total", ""] == 6
    assert said["lotkeeper_edge_chunks_acknowledged_total", ""] == 3
    for name, seal in (("station_held", 1), ("alarms", 1), ("units_held", 2)):
        assert said[f"lotkeeper_edge_{name}", "seal"] == seal
        assert said[f"lotkeeper_edge_{name}", "wash"] == 0
    assert said["lotkeeper_edge_pending", "records"] == 4
    assert said["lotkeeper_edge_pending", "telemetry"] == 70
    assert said["lotkeeper_edge_oldest_pending_seconds", "records"] == 2.5
    for name in Counts().to_json():
        assert (f"lotkeeper_edge_{name}_total", "") in said


def test_what_nobody_counts_cannot_be_added_to() -> None:
    with pytest.raises(KeyError):
        Counters().add(misspelt=1)
