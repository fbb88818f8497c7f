"""What another configuration changes, as a pure comparison: only what works otherwise is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.reload import NEEDS_RESTART, Parts, Plan, devices_of, plan
from edge_agent.settings import LineSettings, load_line

LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: modbus_tcp
    host: 127.0.0.1
    tags:
      - {name: done, address: 0}
      - {name: ack, address: 1, access: write}
      - {name: count, address: 2, data_type: uint32}
      - {name: carrier, address: 10, data_type: string, length: 8}
      - {name: force, address: 20, data_type: float32}
  oven:
    driver: modbus_tcp
    host: 127.0.0.2
    tags: [{name: done, address: 0}, {name: carrier, address: 4, data_type: string, length: 8}]
  wand: {driver: serial_scanner, port: COM3, terminator: CR}
stations:
  press:
    equipment: PRESS-01
    operation: OP10
    order: {scan: wand, pattern: "WO-.*"}
    trigger: {tag: plc.done, acknowledge: plc.ack, cycle: plc.count}
    subject: {kind: carrier, tag: plc.carrier}
    capture: [plc.force]
  bake:
    equipment: OVEN-01
    operation: OP20
    order: {scan: wand, pattern: "WO-.*"}
    trigger: {tag: oven.done}
    subject: {kind: carrier, tag: oven.carrier}
characteristics:
  force: {tag: plc.force, chart: imr, rules: [nelson1], limits: {from: phase1, subgroups: 25}}
uplink: {broker: "mqtt://127.0.0.1:1883", identity: identity}
buffer: {path: buffer}
"""
BOTH = ("plc", "oven"), ("press", "bake")


def line(tmp_path: Path, *changes: tuple[str, str]) -> LineSettings:
    text = LINE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "line.yaml").write_text(text)
    return load_line(tmp_path / "line.yaml").value


def planned(tmp_path: Path, *changes: tuple[str, str]) -> Plan:
    return plan(line(tmp_path), line(tmp_path, *changes))


def test_a_comment_touches_nothing(tmp_path: Path) -> None:
    found = planned(tmp_path, ("line: valve-1", "line: valve-1  # the left one"))
    assert found == Plan(Parts(BOTH[0]), Parts(("wand",)), Parts(BOTH[1]))


def test_what_a_default_says_anyway_touches_nothing(tmp_path: Path) -> None:
    found = planned(tmp_path, ("host: 127.0.0.2", "host: 127.0.0.2\n    port: 502"))
    assert found.devices.same == BOTH[0]


def test_a_device_takes_only_its_stations_with_it(tmp_path: Path) -> None:
    found = planned(tmp_path, ("host: 127.0.0.2", "host: 127.0.0.3"))
    assert found.devices == Parts(("plc",), ("oven",))
    assert found.stations == Parts(("press",), ("bake",))
    assert found.scanners == Parts(("wand",))


@pytest.mark.parametrize(
    "change",
    [
        ("subgroups: 25", "subgroups: 30"),
        ("rules: [nelson1]", "rules: [nelson1, nelson2]"),
        ("chart: imr, ", "chart: imr, specification: {lsl: 1}, "),
        ("capture: [plc.force]", "capture: [plc.force, plc.carrier]"),
        ("operation: OP10", "operation: OP11"),
    ],
)
def test_a_station_is_another_when_its_part_or_its_characteristics_are(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    found = planned(tmp_path, change)
    assert found.stations == Parts(("bake",), ("press",))
    assert found.devices == Parts(BOTH[0])


def test_a_scanner_is_no_part_of_a_station(tmp_path: Path) -> None:
    found = planned(tmp_path, ("port: COM3", "port: COM4"))
    assert (found.scanners, found.stations) == (Parts((), ("wand",)), Parts(BOTH[1]))
    found = planned(tmp_path, ("line: valve-1", "line: valve-1\ntime_zone: Asia/Shanghai"))
    assert found.scanners == Parts((), ("wand",))


def test_what_comes_and_what_goes(tmp_path: Path) -> None:
    start = LINE.index("  bake:")
    without = LINE[:start] + LINE[LINE.index("characteristics:") :]
    found = planned(tmp_path, (LINE, without))
    assert found.stations == Parts(("press",), (), (), ("bake",))
    back = plan(line(tmp_path, (LINE, without)), line(tmp_path))
    assert back.stations == Parts(("press",), (), ("bake",))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("agent", ("agent: press-1", "agent: press-2")),
        ("site", ("site: suzhou", "site: wuxi")),
        ("buffer", ("path: buffer", "path: other")),
        ("uplink", ("identity: identity", "identity: other")),
    ],
)
def test_some_things_need_a_restart(tmp_path: Path, key: str, change: tuple[str, str]) -> None:
    assert planned(tmp_path, change).restart == (key,)
    assert key in NEEDS_RESTART


def test_a_station_works_with_the_devices_that_it_reads_and_writes(tmp_path: Path) -> None:
    found = line(tmp_path, ("capture: [plc.force]", "capture: [plc.force, oven.done]"))
    assert devices_of(found.stations["press"]) == ("plc", "oven")
    assert devices_of(found.stations["bake"]) == ("oven",)
