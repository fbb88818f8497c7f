"""OPC UA tags: how a node is named, what of it is taken, and what is refused with which words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.tags import Devices, OpcUaDevice, OpcUaTag
from drivers.tags.opcua import Step, browse_steps
from records.errors import ConfigurationError
from records.yaml import Settings, parse


class File(Settings):
    devices: Devices


def tag(words: str) -> OpcUaTag:
    text = f"""
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://h:4840
    security: {{policy: None, allow_insecure: true}}
    tags: [{{name: a, {words}}}]
"""
    device = parse(text.encode(), File).value.devices["plc"]
    assert isinstance(device, OpcUaDevice)
    return device.tags[0]


def refused(words: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        tag(words)
    (problem,) = caught.value.problems
    return f"{problem.path.removeprefix('devices.plc.tags.0')}: {problem.message}"


def test_browse_paths_are_names_in_namespaces() -> None:
    assert browse_steps("/Objects/2:Machine/nsu=http://maker.example/UA/;Unit/State") == (
        Step("Objects", None, 0),
        Step("Machine", None, 2),
        Step("Unit", "http://maker.example/UA/", 0),
        Step("State", None, 0),
    )
    assert browse_steps("/Objects/Line/0:State", "urn:a") == (
        Step("Objects", None, 0),
        Step("Line", "urn:a", 0),
        Step("State", None, 0),
    )
    assert browse_steps("/Objects/a&/b&&c")[1].name == "a/b&c"
    for wrong in ("", "Objects", "/", "/Objects/", "//Objects", "/a&"):
        with pytest.raises(ValueError, match="is no browse path"):
            browse_steps(wrong)


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(0, 65535))
def test_any_name_can_be_written(names: list[str], index: int) -> None:
    path = "".join(f"/{index}:" + n.replace("&", "&&").replace("/", "&/") for n in names)
    assert browse_steps(path) == tuple(Step(name, None, index) for name in names)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('browse_path: "Objects/a"', ".browse_path: 'Objects/a' is no browse path"),
        ('browse_path: /Objects/a, node_id: "i=1"', ".browse_path: give either browse_path or the node's id"),
        ('node_id: "i=1", array_index: 1, data_type: "float64[]"', ".array_index: one element has no such type"),
        ('node_id: "i=1", array_index: 1, field: A', ".array_index: one element has no such type"),
        ('node_id: "i=1", field: A..B', ".field: a field is one value"),
        ('node_id: "i=1", data_type: structure', ".data_type: a whole structure is kept with a record only"),
        ('node_id: "i=1", enumeration: {0: a, 1: a}', ".enumeration: each number needs a name of its own"),
        ('node_id: "i=1", data_type: float64, enumeration: {0: a}', ".enumeration: only whole numbers have names"),
        ('node_id: "i=1", range: [5, 1]', ".range: a range begins below its end"),
        ('node_id: "i=1", data_type: string, range: server', ".range: string has no range"),
        (
            'node_id: "i=1", data_type: enum, role: characteristic',
            ".role: a characteristic is a number, string is none",
        ),
        ('node_id: "i=1", data_type: guid, deadband: 1', ".deadband: a guid has no deadband"),
        ('node_id: "i=1", method: "s=Start"', ".method: a method is called to write"),
        ('node_id: "i=1", method: Start, access: write', ".method: 'Start' is no method"),
        ('node_id: "i=1", array_index: 1, access: write', ".access: a part of a value cannot be written alone"),
        (
            'node_id: "i=1", data_type: localized_text, access: write',
            ".access: a localized_text cannot be written",
        ),
        ('node_id: "i=1", data_type: "guid[]", access: write', ".access: an array cannot be written"),
        ('node_id: "i=1", data_type: flaot64', ".data_type: 'flaot64' is no data type here"),
    ],
)
def test_what_cannot_be_is_refused(words: str, expected: str) -> None:
    assert refused(words) == expected


def test_types_of_readings() -> None:
    for words, name in (
        ("data_type: float64", "float64"),
        ("data_type: enum", "string"),
        ("data_type: int32, enumeration: {0: idle}", "string"),
        ("array_index: 3", ""),
        ("field: A.B, data_type: uint16, role: characteristic", "uint16"),
        ("data_type: structure, role: record", "structure"),
    ):
        assert tag(f'node_id: "i=1", {words}').type_name == name
