"""Tag maps: what is taken, what is refused, and with which words."""

from __future__ import annotations

import pytest

from drivers.tags import ALIASES, Devices, ModbusTcpDevice, OpcUaDevice, SerialScannerDevice
from records.errors import ConfigurationError
from records.yaml import Loaded, Settings, parse


class File(Settings):
    devices: Devices


GOOD = """
devices:
  sealer:
    driver: opcua
    endpoint: opc.tcp://10.0.0.5:4840
    security: {policy: None, allow_insecure: true}
    tags:
      - {name: seal_temp, namespace_uri: "urn:sealer", identifier: "s=Seal.Temp", data_type: float64,
         unit: degC, mode: poll, role: characteristic}
      - {name: cycle_ack, node_id: "ns=2;s=Cycle.Ack", data_type: bool, access: write}
  leak_tester:
    driver: modbus_tcp
    host: 10.0.0.6
    tags:
      - {name: leak_rate, register: holding, address: 100, data_type: float32, byte_order: CDAB,
         unit: mL/min, role: characteristic}
      - {name: result, register: input, address: 7, data_type: uint16, bit: 3, role: record}
      - {name: carrier, address: 10, length: 8, data_type: string}
      - {name: count, address: 0x14, data_type: uint32, role: counter}
      - {name: level, address: 3, scale: 0.1, unit: bar}
      - {name: lamp, register: coil, address: 5, access: write}
  scanner: {driver: serial_scanner, port: /dev/ttyUSB0, baudrate: 9600, terminator: CRLF}
"""


def read(text: str) -> Loaded[File]:
    return parse(text.encode(), File, file="line.yaml", aliases=ALIASES)


def refused(device: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(f"devices:\n  x: {{{device}}}\n")
    return [f"{p.path}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in caught.value.problems]


def test_the_example_with_its_defaults() -> None:
    devices = read(GOOD).value.devices
    sealer, leak, scanner = devices["sealer"], devices["leak_tester"], devices["scanner"]
    assert isinstance(sealer, OpcUaDevice)
    assert (sealer.poll_interval, sealer.timeout, sealer.tags[1].role) == (0.2, 2.0, "telemetry")
    assert isinstance(leak, ModbusTcpDevice)
    assert (leak.port, leak.unit_id, leak.address_base, leak.byte_order) == (502, 1, 0, "ABCD")
    assert [(tag.type_name, tag.raw_type, tag.count) for tag in leak.tags] == [
        ("float32", "float32", 2),
        ("bool", "uint16", 1),
        ("string", "string", 8),
        ("uint32", "uint32", 2),
        ("float64", "uint16", 1),
        ("bool", "bool", 1),
    ]
    assert leak.tags[3].address == 20
    assert isinstance(scanner, SerialScannerDevice)
    assert (scanner.terminator, scanner.acknowledge, scanner.tags) == ("CRLF", False, ())


def test_words_of_other_tools_are_taken_with_a_warning() -> None:
    loaded = read(
        "devices:\n  x: {driver: modbus_tcp, host: h, slave_id: 3, tags: [{name: a, address: 1, type: int16}]}"
    )
    device = loaded.value.devices["x"]
    assert isinstance(device, ModbusTcpDevice)
    assert (device.unit_id, device.tags[0].raw_type) == (3, "int16")
    assert [warning.hint for warning in loaded.warnings] == ["write `unit_id`", "write `data_type`"]


UA = 'driver: opcua, endpoint: "opc.tcp://h:4840"'
OPEN = f"{UA}, security: {{policy: None, allow_insecure: true}}"
SECURE = (
    '(write security: {policy: Basic256Sha256, server_fingerprint: "sha256:..."} (the first connection tells the'
    " fingerprint), or {policy: None, allow_insecure: true} where the network is trusted)"
)


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (UA, f"devices.x.security: `security` is missing {SECURE}"),
        (
            "driver: opcua, endpoint: 10.0.0.5, security: {policy: None, allow_insecure: true}",
            "devices.x.endpoint: '10.0.0.5' is no OPC UA endpoint (for example opc.tcp://10.0.0.5:4840)",
        ),
        (
            f"{OPEN}, tags: [{{name: a}}]",
            "devices.x.tags.0: `node_id` is missing (or namespace_uri together with identifier, or browse_path)",
        ),
        (
            f'{OPEN}, tags: [{{name: a, node_id: "ns=2;Cycle"}}]',
            "devices.x.tags.0.node_id: 'ns=2;Cycle' is no node_id (for example ns=2;s=Cycle.Done; "
            "i=, s=, g= and b= are known)",
        ),
        (
            f"{OPEN}, tags: [{{name: a, node_id: i=1}}, {{name: a, node_id: i=2}}]",
            "devices.x.tags.1.name: a second tag is called a",
        ),
        (
            f"{OPEN}, tags: [{{name: a.b, node_id: i=1}}]",
            "devices.x.tags.0.name: 'a.b' is no name (a letter, then letters, digits, _ and -, at most 63; "
            "a tag is called DEVICE.TAG elsewhere)",
        ),
        (
            f"{OPEN}, tags: [{{name: a, node_id: i=1, data_type: flaot64}}]",
            "devices.x.tags.0.data_type: 'flaot64' is no data type here (did you mean `float64`?)",
        ),
        (
            f"{OPEN}, tags: [{{name: a, node_id: i=1, data_type: string, role: characteristic}}]",
            "devices.x.tags.0.role: a characteristic is a number, string is none",
        ),
        (
            f"{OPEN}, poll_interval: 1ms",
            "devices.x.poll_interval: 0.001 s is out of range (from 5ms to 1d)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, data_type: string}]",
            "devices.x.tags.0.length: `length` and data_type string do not fit (its number of registers)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, data_type: float32, bit: 3}]",
            "devices.x.tags.0.bit: `bit` picks one bit of one register (use data_type uint16)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, register: input, address: 1, access: write}]",
            "devices.x.tags.0.access: input registers cannot be written (holding or coil can)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, register: coil, address: 1, data_type: float32}]",
            "devices.x.tags.0.data_type: a coil is one bit, not float32 (leave data_type out)",
        ),
        (
            "driver: modbus_tcp, host: h, address_base: 1, tags: [{name: a, address: 0}]",
            "devices.x.tags.0.address: address 0 is outside of the table",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 65535, data_type: float32}]",
            "devices.x.tags.0.address: address 65535 is outside of the table",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, mode: subscribe}]",
            "devices.x.tags.0.mode: Modbus has no subscriptions (use mode: poll)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, role: record, deadband: 0.5}]",
            "devices.x.tags.0.deadband: `deadband` thins telemetry, a record tag keeps every value "
            "(take it out, or give the tag role: telemetry)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, role: characteristic, average: 1s}]",
            "devices.x.tags.0.average: `average` thins telemetry, a characteristic tag keeps every value "
            "(take it out, or give the tag role: telemetry)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, register: coil, address: 1, deadband: 0.5}]",
            "devices.x.tags.0.deadband: a bool has no deadband (use on_change: true)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, heartbeat: 10s}]",
            "devices.x.tags.0.heartbeat: nothing is left out, so there is no heartbeat (add on_change: true)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, average: 10s, on_change: true}]",
            "devices.x.tags.0.average: a mean is kept for each span, changed or not (give one of the two)",
        ),
        (
            "driver: modbus_tcp, host: h, tags: [{name: a, address: 1, stale_after: 1ms}]",
            "devices.x.tags.0.stale_after: 0.001 s is out of range (from 5ms to 1d)",
        ),
        ("driver: serial_scanner", "devices.x.port: `port` is missing"),
        (
            "driver: serial_scanner, port: p, terminator: cr",
            "devices.x.terminator: 'cr' is not one of CR, LF, CRLF, STX_ETX, idle (did you mean `CR`?)",
        ),
        (
            "driver: modbus_tc",
            "devices.x.driver: 'modbus_tc' is no known driver (did you mean `modbus_tcp`?)",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(device: str, expected: str) -> None:
    assert refused(device) == [expected]


@pytest.mark.parametrize(
    ("endpoint", "fine"),
    [
        ("opc.tcp://plc_1.local:4840/UA/Server", True),
        ("opc.tcp://[fe80::1]:4840", True),
        ("opc.tcp://plc", True),
        ("opc.tcp://${PLC}:4840", False),
        ("opc.tcp://plc:48x0", False),
        ("opc.tcp://plc:99999", False),
        ("opc.tcp://plc:0", False),
        ("opc.tcp://", False),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(endpoint: str, fine: bool) -> None:
    security = "security: {policy: None, allow_insecure: true}"
    content = f'devices:\n  x: {{driver: opcua, endpoint: "{endpoint}", {security}}}\n'.encode()
    if fine:
        parse(content, File)
    else:
        with pytest.raises(ConfigurationError, match="is no OPC UA endpoint"):
            parse(content, File)
