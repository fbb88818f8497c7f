"""Defaults of a device and of groups of tags, and the words of other tools."""

from __future__ import annotations

import pytest

from drivers.tags import ALIASES, Devices, ModbusSerialDevice, ModbusTcpDevice, OpcUaDevice, expand_devices
from records.errors import ConfigurationError
from records.yaml import Loaded, Settings, parse


class File(Settings):
    devices: Devices


def read(text: str) -> Loaded[File]:
    return parse(text.encode(), File, file="line.yaml", aliases=ALIASES, expand=expand_devices)


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def modbus(text: str) -> ModbusTcpDevice:
    device = read(text).value.devices["x"]
    assert isinstance(device, ModbusTcpDevice)
    return device


GROUPS = """\
devices:
  x:
    driver: modbus_tcp
    host: h
    defaults: {poll_interval: 1s, unit: bar}
    tags:
      - {name: plain, address: 1}
      - {name: own, address: 2, unit: kPa}
    groups:
      - name: oven
        description: zones
        register: input
        unit: degC
        scale: 0.1
        tags:
          - {name: t1, address: 0}
          - {name: t2, address: 1, scale: 1, poll_interval: 2s}
      - {data_type: float32, tags: [{name: flow, address: 40}]}
"""


def test_a_tags_own_key_comes_before_its_groups_and_that_before_its_devices() -> None:
    tags = modbus(GROUPS).tags
    assert [(tag.name, tag.table, tag.unit, tag.scale, tag.poll_interval, tag.raw_type) for tag in tags] == [
        ("plain", "holding", "bar", 1.0, 1.0, "uint16"),
        ("own", "holding", "kPa", 1.0, 1.0, "uint16"),
        ("t1", "input", "degC", 0.1, 1.0, "uint16"),
        ("t2", "input", "degC", 1.0, 2.0, "uint16"),
        ("flow", "holding", "bar", 1.0, 1.0, "float32"),
    ]
    assert tags[2].description is None


def test_groups_alone_are_enough() -> None:
    device = read(
        "devices: {x: {driver: opcua, endpoint: 'opc.tcp://h:4840',\n"
        "  security: {policy: None, allow_insecure: true},\n"
        "  groups: [{namespace_uri: 'urn:a', mode: subscribe, tags: [{name: a, identifier: s=A}]}]}}"
    ).value.devices["x"]
    assert isinstance(device, OpcUaDevice)
    assert (device.tags[0].namespace_uri, device.tags[0].identifier, device.tags[0].mode) == (
        "urn:a",
        "s=A",
        "subscribe",
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "{poll_interval: 1s, unit",
            "{pol_interval: 1s, unit",
            ["line.yaml:5:16: devices.x.defaults.pol_interval: unknown key `pol_interval` "
             "(did you mean `poll_interval`?)"],
        ),
        (
            "defaults: {poll_interval: 1s",
            "defaults: {name: a",
            ["line.yaml:5:16: devices.x.defaults.name: unknown key `name` (each tag has its own name)"],
        ),
        (
            "{poll_interval: 1s,",
            "{poll_interval: 5,",
            ["line.yaml:5:31: devices.x.defaults.poll_interval: a duration needs a unit (ms, s, min, h or d) "
             "(for example 5s)"],
        ),
        (
            "        scale: 0.1",
            "        scael: 0.1",
            ["line.yaml:14:9: devices.x.groups.0.scael: unknown key `scael` (did you mean `scale`?)"],
        ),
        (
            "name: t1,",
            "name: own,",
            ["line.yaml:16:20: devices.x.groups.0.tags.0.name: a second tag is called own"],
        ),
        (
            "{data_type: float32, tags: [{name: flow, address: 40}]}",
            "{data_type: float32}",
            ["line.yaml:18:9: devices.x.groups.1: a group has a list of tags (tags: [{name: ...}])"],
        ),
        (
            "    groups:\n      - name: oven\n",
            "    groups:\n        name: oven\n",
            None,
        ),
        (
            "    defaults: {poll_interval: 1s, unit: bar}",
            "    defaults: 1s",
            ["line.yaml:5:15: devices.x.defaults: a mapping (lines of `key: value`) is needed here"],
        ),
        (
            "modbus_tcp",
            "modbus_tpc",
            ["line.yaml:3:13: devices.x.driver: 'modbus_tpc' is no known driver (did you mean `modbus_tcp`?)"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_them_is_told_where_it_stands(old: str, new: str, expected: list[str] | None) -> None:
    assert old in GROUPS
    found = refused(GROUPS.replace(old, new))
    assert found == expected if expected else "(file): this is no valid YAML" in found[0]


def test_a_scanner_has_neither() -> None:
    (found,) = refused("devices: {x: {driver: serial_scanner, port: p, defaults: {unit: N}}}")
    assert "unknown key `defaults`" in found


def test_groups_that_are_no_list_are_told() -> None:
    (found,) = refused("devices: {x: {driver: modbus_tcp, host: h, groups: {tags: []}}}")
    assert found.endswith("devices.x.groups: groups are a list (- {name: ..., tags: [...]})")


DEVICE = "devices:\n  x: {{driver: modbus_tcp, {0}, tags: [{{name: a, {1}}}]}}"


@pytest.mark.parametrize(
    ("device", "tag", "hint", "expected"),
    [
        ("host: h", "address: 1, divider: 10", "write `scale: 0.1`", {"scale": 0.1}),
        ("host: h", "address: 1, multiplier: 0.5", "write `scale`", {"scale": 0.5}),
        ("host: h", "address: 1, bias: -3", "write `offset`", {"offset": -3.0}),
        ("host: h", "address: 1, type: UINT32", "write `data_type: uint32`", {"raw_type": "uint32"}),
        ("host: h", "address: 1, type: 32float", "write `data_type: float32`", {"raw_type": "float32"}),
        ("host: h", "address: 1, swap: word", "write `byte_order: CDAB`", {"byte_order": "CDAB"}),
        ("host: h", "address: 1, isByteSwap: true", "write `byte_order: BADC`", {"byte_order": "BADC"}),
        ("host: h", "address: 1, isWordSwap: false", "leave it out", {"byte_order": None}),
        ("host: h", "startingAddress: 7", "write `address`", {"address": 7}),
        ("host: h", "address: 1, input_type: discrete_input", "write `register: discrete`", {"table": "discrete"}),
        ("host: h", "address: 1, functionCode: 4", "write `register: input`", {"table": "input"}),
        ("host: h", "address: 1, primaryTable: HOLDING_REGISTERS", "write `register: holding`",
         {"table": "holding"}),
        ("host: h", "address: 1, pollPeriod: 500", "write `poll_interval: 500ms`", {"poll_interval": 0.5}),
        ("host: h", "address: 1, scan_interval: 30", "write `poll_interval: 30s`", {"poll_interval": 30.0}),
    ],
)  # fmt: skip
def test_words_of_other_tools_say_the_same_here(
    device: str, tag: str, hint: str, expected: dict[str, object]
) -> None:
    loaded = read(DEVICE.format(device, tag))
    assert [warning.hint for warning in loaded.warnings] == [hint]
    found = loaded.value.devices["x"].tags[0]
    assert {key: getattr(found, key) for key in expected} == expected


def test_a_controller_is_host_and_port() -> None:
    loaded = read(DEVICE.format('controller: "tcp://plc.line:1502", slave_id: 7', "address: 1"))
    device = loaded.value.devices["x"]
    assert isinstance(device, ModbusTcpDevice)
    assert (device.host, device.port, device.unit_id) == ("plc.line", 1502, 7)
    assert loaded.warnings[0].hint == "write `host: plc.line, port: 1502`"


def test_a_transmission_mode_is_a_driver() -> None:
    text = "devices: {x: {transmission_mode: RTU, controller: 'file:///dev/ttyUSB0', baud_rate: 9600}}"
    loaded = read(text)
    device = loaded.value.devices["x"]
    assert isinstance(device, ModbusSerialDevice)
    assert (device.driver, device.port, device.baudrate) == ("modbus_rtu", "/dev/ttyUSB0", 9600)
    assert [warning.hint for warning in loaded.warnings] == [
        "write `driver: modbus_rtu`",
        "write `port: /dev/ttyUSB0`",
        "write `baudrate`",
    ]


@pytest.mark.parametrize(
    ("device", "tag", "expected"),
    [
        ("host: h", "address: 1, divider: 0", "this `divider` cannot be said as `scale` (write `scale`)"),
        ("host: h", "address: 1, swap: some", "this `swap` cannot be said as `byte_order` (write `byte_order`)"),
        ("host: h", "address: 1, isByteSwap: true, isWordSwap: true",
         "`isWordSwap` means `byte_order`, which stands here too (keep one)"),
        ("controller: 'udp://x', host: h", "address: 1",
         "this `controller` cannot be said as `host` and `port` (write `host` and `port`)"),
        ("host: h", "address: 1, type: INT17", "'INT17' is no data type here (did you mean `int16`?)"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_said_in_our_words_is_an_error(device: str, tag: str, expected: str) -> None:
    (found,) = refused(DEVICE.format(device, tag))
    assert expected in found
