"""The lint that knows what a tag is used for, devices that cannot stand beside each other, every error at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.tags import ModbusRtuOverTcpDevice, ModbusSerialDevice, ModbusTcpDevice, SerialScannerDevice
from edge_agent.device_check import check_devices
from edge_agent.line_view import LineView
from edge_agent.settings import load_line
from records.errors import ConfigurationError, Problem
from tests.rigs.examples import examples

LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    security: {policy: None, allow_insecure: true}
    tags:
      - {name: done, node_id: "ns=2;s=D", data_type: bool}
      - {name: ack, node_id: "ns=2;s=A", data_type: bool, access: write}
      - {name: cycle, node_id: "ns=2;s=C", data_type: uint32}
      - {name: serial, node_id: "ns=2;s=S", data_type: string}
      - {name: order, node_id: "ns=2;s=O", data_type: string}
      - {name: torque, node_id: "ns=2;s=T", data_type: float64}
      - {name: idle, node_id: "ns=2;s=I", data_type: float64}
  meter:
    driver: modbus_tcp
    host: 10.0.0.6
    tags:
      - {name: leak, address: 100, data_type: float32}
      - {name: label, address: 200, data_type: string, length: 10}
  scanner: {driver: serial_scanner, port: /dev/ttyUSB0}
stations:
  seal:
    equipment: PRESS-01
    operation: OP10
    order: {tag: plc.order}
    operator: {scan: scanner, pattern: "B[0-9]{6}"}
    trigger: {tag: plc.done, acknowledge: plc.ack, cycle: plc.cycle}
    subject: {kind: unit, tag: plc.serial}
    capture: [plc.torque, meter.leak]
characteristics:
  torque: {tag: plc.torque, specification: {lsl: 1, usl: 2}}
"""


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = LINE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file = folder / "line.yaml"
    file.write_text(text)
    return file


def found(folder: Path, *changes: tuple[str, str]) -> tuple[Problem, ...]:
    try:
        load_line(write(folder, *changes))
    except ConfigurationError as error:
        return error.problems
    return ()


def warned(folder: Path, *changes: tuple[str, str]) -> list[str]:
    loaded = load_line(write(folder, *changes), advise=True)
    return [f"{warning.path}: {warning.message}" for warning in loaded.warnings]


def test_the_line_of_these_tests_is_fine(tmp_path: Path) -> None:
    assert found(tmp_path) == ()
    assert warned(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        # what thins telemetry, on a tag that is kept or judged
        ("s=T\", data_type: float64", "s=T\", data_type: float64, deadband: 0.5", "devices.plc.tags.5.deadband",
         "`deadband` thins telemetry, but plc.torque is used by a station (stations.seal.capture.0)"),
        ("s=T\", data_type: float64", "s=T\", data_type: float64, average: 1s", "devices.plc.tags.5.average",
         "`average` thins telemetry, but plc.torque is used"),
        ("data_type: float32", "data_type: float32, on_change: true", "devices.meter.tags.0.on_change",
         "`on_change` thins telemetry, but meter.leak is used by a station (stations.seal.capture.1)"),
        ("s=D\", data_type: bool", "s=D\", data_type: bool, on_change: true", "devices.plc.tags.0.on_change",
         "plc.done is used by a station (stations.seal.trigger.tag)"),
        ("s=T\", data_type: float64", "s=T\", data_type: float64, role: characteristic, deadband: 1",
         "devices.plc.tags.5.deadband", "`deadband` thins telemetry, a characteristic tag keeps every value"),
        # a serial that cannot be one
        ("s=S\", data_type: string", "s=S\", data_type: float64", "stations.seal.subject.tag",
         "plc.serial is a float64, which cannot hold an identity without loss"),
        ("s=S\", data_type: string", "s=S\", data_type: uint32", "stations.seal.subject.tag",
         "plc.serial is a uint32: leading zeros are lost, and 007 and 7 would be one piece"),
        ("s=S\", data_type: string", "s=S\", data_type: \"string[]\"", "stations.seal.subject.tag",
         "cannot hold an identity"),
        ("{kind: unit, tag: plc.serial}", "{kind: carrier, tag: meter.leak}", "stations.seal.subject.tag",
         "meter.leak is a float32, which cannot hold an identity"),
        ("order: {tag: plc.order}", "order: {tag: meter.leak}", "stations.seal.order.tag",
         "meter.leak is a float32, which cannot hold an identity"),
        ("s=S\", data_type: string", "s=S\", data_type: datetime", "stations.seal.subject.tag",
         "plc.serial is a datetime, which cannot hold an identity"),
        ("cycle: plc.cycle}", "cycle: plc.cycle, running: plc.done}\n"
         "    counters: {total: plc.order}", "stations.seal.counters.total", "plc.order is no number"),
        # a measurement that we write
        ("s=T\", data_type: float64", "s=T\", data_type: float64, access: write", "characteristics.torque.tag",
         "plc.torque may be written"),
        # devices beside each other
        ("  scanner:", "  twin: {driver: opcua, endpoint: \"opc.tcp://127.0.0.1/\","
         " security: {policy: None, allow_insecure: true}}\n  scanner:", "devices.twin.endpoint",
         "plc is at this endpoint already"),
        ("  scanner:", "  gun: {driver: serial_scanner, port: /dev/ttyUSB0}\n  scanner:", "devices.scanner.port",
         "gun is on this port already"),
        # intervals
        ("data_type: float32", "data_type: float32, stale_after: 200ms", "devices.meter.tags.0.stale_after",
         "`stale_after` of 0.2 s is not longer than the poll interval of 0.2 s"),
        ("s=I\", data_type: float64", "s=I\", data_type: float64, average: 1s, poll_interval: 2s",
         "devices.plc.tags.6.average", "`average` of 1 s is not longer than the poll interval of 2 s"),
    ],
)  # fmt: skip
def test_what_would_spoil_a_record_is_refused(tmp_path: Path, old: str, new: str, path: str, message: str) -> None:
    (problem,) = found(tmp_path, (old, new))
    assert problem.path == path
    assert message in problem.message
    assert problem.hint
    line = (tmp_path / "line.yaml").read_text().splitlines()[problem.line - 1]
    assert line[problem.col - 1 :].strip()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("s=O\", data_type: string", "s=O\", data_type: uint32",
         "stations.seal.order.tag: plc.order is a uint32: leading zeros are lost"),
        ("s=S\", data_type: string", "s=S\"",
         "stations.seal.subject.tag: plc.serial has no data_type: if the server changes it, it is another "
         "identity"),
        ("s=I\", data_type: float64", "s=I\", data_type: float64, role: record",
         "devices.plc.tags.6.role: plc.idle has role record, but no station captures it: it is in no record"),
        ("length: 10}", "length: 10}\n      - {name: flow, address: 101, data_type: uint16}",
         "devices.meter.tags.2.address: flow and leak read the same holding 101 as different things"),
        ("s=I\", data_type: float64}", "s=T\", data_type: float32}",
         "devices.plc.tags.6.node_id: idle and torque read the same node as different things"),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant_is_a_warning(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert warned(tmp_path, (old, new)) == [expected]


def test_two_tags_by_browse_path_or_of_one_array_are_two_places(tmp_path: Path) -> None:
    more = """
      - {name: b1, browse_path: "/Objects/2:A", data_type: float64}
      - {name: b2, browse_path: "/Objects/2:B", data_type: uint16}
      - {name: e1, node_id: "ns=2;s=Z", array_index: 0, data_type: float64}
      - {name: e2, node_id: "ns=2;s=Z", array_index: 1, data_type: uint16}"""
    place = 's=I", data_type: float64}'
    assert warned(tmp_path, (place, place + more)) == []
    assert warned(tmp_path, (place, place + more.replace("2:B", "2:A"))) == [
        "devices.plc.tags.8.browse_path: b2 and b1 read the same node as different things"
    ]


def test_a_string_that_could_cut_a_serial_is_a_warning(tmp_path: Path) -> None:
    changes = (("tag: plc.serial", "tag: meter.label"), ("length: 10}", "length: 8}"))
    assert warned(tmp_path, *changes) == [
        "stations.seal.subject.tag: meter.label holds 16 characters, a GS1 serial or lot has up to 20"
    ]
    assert warned(tmp_path, changes[0]) == []


@pytest.mark.parametrize("more", ["", ", byte_order: CDAB"])
def test_the_same_value_twice_is_fine_and_in_another_order_is_not(tmp_path: Path, more: str) -> None:
    twice = f"length: 10}}\n      - {{name: leak2, address: 100, data_type: float32{more}}}"
    assert len(warned(tmp_path, ("length: 10}", twice))) == (1 if more else 0)


def test_filters_are_fine_on_what_nobody_records(tmp_path: Path) -> None:
    new = 's=I", data_type: float64, deadband: 0.5, heartbeat: 1min, stale_after: 10s, poll_interval: 1s'
    assert found(tmp_path, ('s=I", data_type: float64', new)) == ()


def test_wrong_parts_do_not_hide_what_is_wrong_across_the_file(tmp_path: Path) -> None:
    problems = found(
        tmp_path,
        ("agent: press-1", "agent: Press 1"),  # a value of its own
        ("data_type: uint32", "data_type: uint33"),  # a tag that others name: it is there, only wrong
        ("tag: plc.order", "tag: plc.ordre"),  # a reference across the file
        ("data_type: float32", "data_type: float32, on_change: true"),  # a use across the file
        ("  torque: {tag: plc.torque", "  torque: {tug: plc.torque"),  # a part that falls out
    )
    assert [problem.path for problem in problems] == [
        "agent",
        "devices.plc.tags.2.data_type",
        "devices.meter.tags.0.on_change",
        "stations.seal.order.tag",
        "characteristics.torque.tug",
    ]


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        ("driver: modbus_tcp", "driver: modbuss_tcp", ["devices.meter.driver"]),
        ("driver: serial_scanner", "driver: serial_scaner", ["devices.scanner.driver"]),
        ("operation: OP10", "operaton: OP10", ["stations.seal.operation", "stations.seal.operaton"]),
        ("- {name: torque,", "- {nam: torque,", ["devices.plc.tags.5.name", "devices.plc.tags.5.nam"]),
    ],
)
def test_a_wrong_part_brings_no_errors_that_only_follow_from_it(
    tmp_path: Path, old: str, new: str, paths: list[str]
) -> None:
    assert [problem.path for problem in found(tmp_path, (old, new))] == paths


# F26: faults of a configuration; each is refused before anything is polled, with its place.
@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        (lambda text: text[: text.index("pattern:") + 12], "29:", "this is no valid YAML"),  # a half-written file
        (lambda text: text[:0], "1:1", "the file is empty"),
        (lambda text: text.replace("name: done", "name: ack", 1), "11:16", "a second tag is called ack"),
        (lambda text: text.replace("  meter:", "  plc:"), "17:3", "`plc` stands here twice"),
        (lambda text: text.replace("host: 10.0.0.6", "host: 10.0.0.6\n    timeout: 5"), "20:14", "needs a unit"),
        (lambda text: text.replace("host: 10.0.0.6", "host: 10.0.0.6\n    timeout: 5 furlongs"), "20:14",
         "is no duration"),
        (lambda text: text.replace("  meter:", "\tmeter:"), "17:1", "this is no valid YAML"),
        (lambda text: text.replace("site: suzhou", "site: [suzhou"), "3:", "this is no valid YAML"),
        (lambda text: text.replace("node_id: \"ns=2;s=D\"", "node_id: ns=2 s=D"), "10:31", "is no node_id"),
    ],
)  # fmt: skip
def test_faulty_files_are_refused_with_their_place(tmp_path: Path, change, place, message) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "line.yaml"
    file.write_text(change(LINE))
    with pytest.raises(ConfigurationError) as caught:
        load_line(file)
    assert any(f"{p.line}:{p.col}".startswith(place) and message in p.message for p in caught.value.problems), (
        caught.value.problems
    )


WORDS = LINE.replace("{", " { ").replace("}", " } ").replace(",", " , ").split()
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
KEYS = st.sampled_from([word.rstrip(":") for word in WORDS if word.endswith(":")]) | st.text(max_size=4)
DATA = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, DATA, max_size=6))
def test_no_data_breaks_the_check(tmp_path: Path, data: dict[str, object]) -> None:
    _only_configuration_errors(tmp_path, json.dumps(data).encode())


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_a_good_file_breaks_the_check(tmp_path: Path, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LINE)))
    cut = data.draw(st.integers(0, 40))
    put = data.draw(st.sampled_from(WORDS) | st.text(max_size=6))
    text = LINE[:at] + put + LINE[at + cut :]
    _only_configuration_errors(tmp_path, text.encode("utf-8", "surrogatepass"))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_break_the_check(tmp_path: Path, content: bytes) -> None:
    _only_configuration_errors(tmp_path, content)


def _only_configuration_errors(folder: Path, content: bytes) -> None:
    file = folder / "line.yaml"
    file.write_bytes(content)
    problems: tuple[Problem, ...] | None = None
    try:
        load_line(file)
    except ConfigurationError as error:
        problems = error.problems
    assert problems != ()
    assert all(problem.line >= 1 and problem.col >= 1 and problem.message for problem in problems or ())


def serial(**keys: object) -> ModbusSerialDevice:
    return ModbusSerialDevice.model_validate({"driver": "modbus_rtu", "port": "/dev/ttyS1", **keys})


def tcp(**keys: object) -> ModbusTcpDevice:
    return ModbusTcpDevice.model_validate({"driver": "modbus_tcp", "host": "gw", **keys})


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([serial(), serial(unit_id=2)], []),
        ([serial(), serial(unit_id=2, port="/dev/ttyS2", baudrate=9600)], []),
        (
            [serial(), serial(unit_id=2, baudrate=9600)],
            ["devices.1.baudrate: 0 is on the same line with baudrate 19200, this one with 9600"],
        ),
        (
            [serial(), serial(unit_id=2, parity="none", stopbits=2)],
            ["devices.1.parity: 0 is on the same line with parity even, this one with none",
             "devices.1.stopbits: 0 is on the same line with stopbits 1, this one with 2"],
        ),
        (
            [serial(), SerialScannerDevice(driver="serial_scanner", port="/dev/ttyS1")],
            ["devices.1.port: 0 is on this port already"],
        ),
        ([tcp(), tcp(unit_id=2), tcp(unit_id=3, port=503)], []),
        (
            [tcp(), ModbusRtuOverTcpDevice(driver="modbus_rtu_over_tcp", host="GW", port=502)],
            ["devices.1.driver: 0 is on the same line with driver modbus_tcp, this one with modbus_rtu_over_tcp"],
        ),
        (
            [SerialScannerDevice(driver="serial_scanner", port=port) for port in ("COM3", "com3")],
            ["devices.1.port: 0 is on this port already"],
        ),
    ],
)  # fmt: skip
def test_devices_on_one_line_agree_on_it(devices: list[Any], expected: list[str]) -> None:
    def problem(path: Any, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        return Problem("line.yaml", 1, 1, ".".join(map(str, path)), message, hint)

    line = LineView({str(n): device for n, device in enumerate(devices)}, {}, {}, {}, problem)
    assert [f"{each.path}: {each.message}" for each in check_devices(line)] == expected


def test_a_literal_secret_is_refused_with_its_place_and_not_repeated(tmp_path: Path) -> None:
    security = 'security: {policy: Basic256Sha256, auth: {username: line, password: "hunter2"}}'
    (problem,) = found(tmp_path, ("security: {policy: None, allow_insecure: true}", security))
    assert (problem.path, problem.line) == ("devices.plc.security.auth.password", 8)
    assert "by reference" in problem.message
    assert "hunter2" not in str(problem)


def test_the_lines_of_the_how_to_guide_are_fine(tmp_path: Path) -> None:
    """The example of a second line, and that of defaults and groups, as they are printed."""
    root = Path(__file__).resolve().parents[3]
    guide = (root / "docs" / "how-to" / "connect-your-plc.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    second = next(block for block in blocks if block.startswith("extends:"))
    oven = next(block for block in blocks if "groups:" in block)
    base = root / "config" / "lines" / "valve-testing.yaml"
    (tmp_path / base.name).write_text(base.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "second.yaml").write_text(second, encoding="utf-8")
    assert load_line(tmp_path / "second.yaml").value.agent == "testing-2"
    (tmp_path / "oven.yaml").write_text(f"agent: a\nsite: s\nline: l\ndevices:\n{oven}", encoding="utf-8")
    assert [tag.unit for tag in load_line(tmp_path / "oven.yaml").value.devices["oven"].tags] == ["degC"] * 3


SECOND = """\
  seal:
    equipment: PRESS-02
    operation: OP20
    order: {tag: plc.order}
    trigger: {tag: plc.done, cycle: plc.cycle}
    subject: {kind: unit, tag: plc.serial}
"""


def test_a_tag_is_written_by_one_place_only(tmp_path: Path) -> None:
    second = SECOND.replace("seal:", "mark:").replace("done, cycle", "done, acknowledge: plc.ack, cycle")
    (problem,) = found(tmp_path, ("characteristics:\n", f"{second}characteristics:\n"))
    assert problem.path == "stations.mark.trigger.acknowledge"
    assert problem.message == "plc.ack is written for stations.seal.trigger.acknowledge too"
    watching = SECOND.replace("seal:", "mark:")
    assert found(tmp_path, ("characteristics:\n", f"{watching}characteristics:\n")) == ()


@pytest.mark.parametrize(
    ("result", "key", "message"),
    [
        ("pass: 1, fail: 1", "fail", "1 means pass already"),
        ("pass: true, fail: 1", "fail", "1 means pass already"),
        ("pass: 1, fail: 2, aborted: 2", "aborted", "2 means fail already"),
    ],
)
def test_no_value_of_the_machine_means_two_verdicts(tmp_path: Path, result: str, key: str, message: str) -> None:
    torque = "    capture: [plc.torque, meter.leak]\n"
    (problem,) = found(tmp_path, (torque, f"{torque}    result: {{tag: plc.cycle, {result}}}\n"))
    assert (problem.path, problem.message) == (f"stations.seal.result.{key}", message)


def test_a_gtin_that_no_label_can_hold_is_refused(tmp_path: Path) -> None:
    torque = "    capture: [plc.torque, meter.leak]\n"
    component = '    materials: [{item: SR-20, match: {gtin: "%s"}}]\n'
    (problem,) = found(tmp_path, (torque, torque + component % "04012345000024"))
    assert problem.path == "stations.seal.materials.0.match.gtin"
    assert "04012345000023" in problem.message
    assert found(tmp_path, (torque, torque + component % "04012345000023")) == ()
