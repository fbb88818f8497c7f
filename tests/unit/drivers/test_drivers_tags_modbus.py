"""Modbus in tag maps: types, parts of registers, Modicon numbers, and what is refused with which words."""

from __future__ import annotations

import pytest

from drivers.tags import Devices, ModbusTcpDevice
from records.errors import ConfigurationError
from records.yaml import Settings, parse


class File(Settings):
    devices: Devices


TCP = "driver: modbus_tcp, host: h"
DIGITS = "0 coil, 1 discrete, 3 input, 4 holding, then the number from 1 on"


def device_of(text: str) -> ModbusTcpDevice:
    device = parse(f"devices:\n  x: {{{text}}}\n".encode(), File).value.devices["x"]
    assert isinstance(device, ModbusTcpDevice)
    return device


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        device_of(text)
    return [f"{p.path}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in caught.value.problems]


def test_every_type_names_its_registers_and_what_its_values_are() -> None:
    kinds = {
        "int8, byte: high": ("int8", 1),
        "uint8, byte: low": ("uint8", 1),
        "float16": ("float32", 1),
        "bcd16": ("uint16", 1),
        "bcd32": ("uint32", 2),
        "bcd64": ("uint64", 4),
        "uint32, bits: {start: 16, count: 3}": ("uint32", 2),
        "uint16, enumeration: {0: idle, 1: run}": ("string", 1),
        "int16, scale: 0.1, invalid: [0x8000, -1]": ("float64", 1),
    }
    tags = ", ".join(f"{{name: t{n}, address: {n * 4}, data_type: {kind}}}" for n, kind in enumerate(kinds))
    device = device_of(f"{TCP}, tags: [{tags}]")
    assert [(tag.type_name, tag.count) for tag in device.tags] == list(kinds.values())


def test_modicon_numbers_name_table_and_place() -> None:
    numbers = ["40001", "'400017'", "465536", "30010", "10003", "7", "'010001'", "00002"]
    tags = ", ".join(f"{{name: t{n}, address: {number}}}" for n, number in enumerate(numbers))
    device = device_of(f"{TCP}, address_style: modicon, tags: [{tags}]")
    assert [(tag.table, tag.address - device.first_address) for tag in device.tags] == [
        ("holding", 0),
        ("holding", 16),
        ("holding", 65_535),
        ("input", 9),
        ("discrete", 2),
        ("coil", 6),
        ("coil", 10_000),
        ("coil", 1),
    ]


def test_addresses_may_be_hexadecimal() -> None:
    device = device_of(f"{TCP}, tags: [{{name: a, address: 0x1F}}, {{name: b, address: '0x001f'}}]")
    assert [tag.address for tag in device.tags] == [31, 31]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (
            "register: input, address: 40011",
            "address: 40011 is holding 11, but `register` says input "
            "(input 11 is 30011 (PDU address 10); leave `register` out where the number names the table)",
        ),
        (
            "register: holding, address: 11",
            "address: 00011 is coil 11, but `register` says holding "
            "(holding 11 is 40011 (PDU address 10); leave `register` out where the number names the table)",
        ),
        (
            "address: 40000",
            f"address: 40000 is no Modicon number ({DIGITS})",
        ),
        (
            "address: 20001",
            f"address: 20001 is no Modicon number ({DIGITS})",
        ),
        ("address: 0x9C41x", "address: '0x9C41x' is no Modicon number (for example 40001 or 400001)"),
    ],
)
def test_modicon_numbers_that_disagree_are_told_in_both_notations(tag: str, expected: str) -> None:
    assert refused(f"{TCP}, address_style: modicon, tags: [{{name: a, {tag}}}]") == [
        f"devices.x.tags.0.{expected}"
    ]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("data_type: int8", "byte: `byte` and data_type int8 do not fit (byte: low or byte: high)"),
        ("byte: low", "byte: `byte` and data_type uint16 do not fit (only int8 and uint8 are half a register)"),
        (
            "data_type: float32, bits: {start: 0, count: 2}",
            "bits: `bits` picks some bits of an unsigned value (use data_type uint16)",
        ),
        ("bits: {start: 12, count: 5}", "bits: a uint16 has 16 bits"),
        (
            "data_type: float32, enumeration: {0: off}",
            "enumeration: only whole numbers have names (for example {0: idle, 1: run})",
        ),
        ("enumeration: {0: off, 1: off}", "enumeration: each number needs a name of its own"),
        ("enumeration: {0: off}, scale: 2", "scale: a named value has no scale and no offset"),
        ("enumeration: {0: off}, role: characteristic", "role: a characteristic is a number, string is none"),
        ("invalid: [0x10000]", "invalid.0: 65536 is no value of uint16"),
        ("data_type: string, length: 4, invalid: [0]", "invalid: a string has no `invalid` values"),
        (
            "bit: 3, access: write",
            "access: a part of a register cannot be written alone "
            "(write the whole register, or add read_modify_write: true where nobody else changes it)",
        ),
        ("read_modify_write: true", "read_modify_write: nothing is written here (add access: write)"),
        (
            "access: write, read_modify_write: true",
            "read_modify_write: the value is a whole register (leave it out)",
        ),
        ("sequence: {tag: none}", "sequence.tag: this device has no tag 'none'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tag: str, expected: str) -> None:
    assert refused(f"{TCP}, tags: [{{name: a, address: 1, {tag}}}]") == [f"devices.x.tags.0.{expected}"]


def test_a_device_says_what_guards_its_values() -> None:
    tags = "tags: [{name: n, address: 1}, {name: a, address: 2}, {name: b, address: 3, sequence: {tag: a}}]"
    device = device_of(f"{TCP}, sequence: {{tag: n, odd_while_writing: true}}, {tags}")
    found = [device.sequence_of(tag) for tag in device.tags]
    assert [check and (check.tag, check.odd_while_writing) for check in found] == [None, ("n", True), ("a", False)]
    assert refused(f"{TCP}, sequence: {{tag: a}}, tags: [{{name: a, address: 1, data_type: float32}}]") == [
        "devices.x.sequence.tag: a is no whole number, the machine cannot count on it"
    ]


def test_modicon_numbers_begin_with_one_by_themselves() -> None:
    assert refused(f"{TCP}, address_style: modicon, address_base: 1") == [
        "devices.x.address_base: Modicon numbers always begin with 1 (leave address_base out)"
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("10.0.0.6:502", "'10.0.0.6:502' holds a port"),
        ("${PLC}", "'${PLC}' is no name or address of a machine"),
        ("tcp://10.0.0.6", "'tcp://10.0.0.6' is no name or address of a machine"),
        ("fe80::1%eth0", None),
        ("plc_1.local", None),
    ],
)
def test_a_host_is_a_host_and_nothing_more(host: str, expected: str | None) -> None:
    text = f'driver: modbus_tcp, host: "{host}"'
    if expected is None:
        assert device_of(text).host == host
    else:
        assert expected in str(refused(text))
