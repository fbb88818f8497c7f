"""The JSON Schemas for editors: what ships is fine, what is wrong is marked, other tools' words are deprecated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.settings import load_line
from records.errors import ConfigurationError
from records.yaml.tree import parse

ROOT = Path(__file__).resolve().parents[3]
CONFIG = ROOT / "config"
FILES = sorted(path for path in CONFIG.rglob("*.yaml"))


def schema(name: str) -> Draft202012Validator:
    found = json.loads((CONFIG / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


LINE_SCHEMA = schema("line")


def data(text: str) -> Any:
    return parse(text.encode(), "line.yaml").root.data()


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_shipped_file_names_its_schema_and_is_fine_by_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema="), f"{file.name} names no schema in its first line"
    named = (file.parent / first.partition("$schema=")[2]).resolve()
    assert named.parent == CONFIG / "schema"
    errors = list(schema(named.name.removesuffix(".schema.json")).iter_errors(data(text)))
    assert errors == []


LINE = """\
agent: a-1
site: s
line: l
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    security: {policy: None, allow_insecure: true}
    defaults: {poll_interval: 1s}
    tags: [{name: a, node_id: i=1}]
    groups: [{name: g, unit: N, tags: [{name: b, node_id: i=2}]}]
  meter: {driver: modbus_tcp, host: h, tags: [{name: a, address: 1, data_type: float32}]}
  gun: {driver: serial_scanner, port: COM3}
stations:
  seal:
    equipment: E
    operation: O
    order: {scan: gun, pattern: W.*}
    trigger: {tag: plc.a}
    subject: {kind: carrier, tag: plc.b}
"""


def test_the_line_of_these_tests_is_fine() -> None:
    assert list(LINE_SCHEMA.iter_errors(data(LINE))) == []


WRONG = [
    ("agent: a-1\n", ""),
    ("agent: a-1", "agent: A 1"),
    ("site: s", "sight: s"),
    ("driver: opcua", "driver: opc_ua"),
    ("driver: opcua\n", ""),
    ("endpoint: opc.tcp", "entpoint: opc.tcp"),
    ("poll_interval: 1s", "poll_interval: 1"),
    ("poll_interval: 1s", "poll_interval: fast"),
    ("{poll_interval: 1s}", "{name: x}"),
    ("{name: a, node_id: i=1}", "{node_id: i=1}"),
    ("{name: a, node_id: i=1}", "{name: a, node_id: i=1, rolle: record}"),
    ("{name: a, node_id: i=1}", "{name: a, node_id: i=1, role: recorder}"),
    ("name: g, unit: N,", "name: g, unt: N,"),
    ("[{name: b, node_id: i=2}]", "[{name: b, node_id: i=2, deadband: -1}]"),
    ("address: 1, data_type: float32", "address: 1, data_type: flaot32"),
    ("address: 1, data_type: float32", "data_type: float32"),
    ("address: 1, data_type: float32", "address: -1"),
    ("name: g, unit: N, tags: [{name: b,", "name: g, unit: N, tags: [{name: b.c,"),
    ("port: COM3", "port: COM3, terminator: CRLFLF"),
    ("kind: carrier", "kind: carriage"),
    ("    trigger: {tag: plc.a}\n", ""),
    ("trigger: {tag: plc.a}", "trigger: {tag: plc.a, timeout: 2}"),
]


@pytest.mark.parametrize(("old", "new"), WRONG)
def test_what_an_editor_marks_the_check_refuses_too(tmp_path: Path, old: str, new: str) -> None:
    assert old in LINE
    text = LINE.replace(old, new, 1)
    assert list(LINE_SCHEMA.iter_errors(data(text)))
    (tmp_path / "line.yaml").write_text(text)
    with pytest.raises(ConfigurationError):
        load_line(tmp_path / "line.yaml")


def test_words_of_other_tools_are_taken_and_marked_as_deprecated() -> None:
    text = LINE.replace("address: 1, data_type: float32", "startingAddress: 1, type: float32, divider: 10")
    assert list(LINE_SCHEMA.iter_errors(data(text))) == []
    tag = LINE_SCHEMA.schema["$defs"]["ModbusTag"]["properties"]
    assert tag["divider"]["deprecated"] is True
    assert tag["divider"]["description"] == "Write `scale`."
    assert "deprecated" not in tag["scale"]


@pytest.mark.parametrize(
    "text",
    [
        "extends: a.yaml\n",
        "extends: a.yaml\ndevices: {plc: {endpoint: opc.tcp://h:4840}}\n",
        "extends: a.yaml\nuplink: null\ndevices: {plc: null, meter: {port: 503, byte_order: null}}\n",
        "extends: a.yaml\ndevices: {plc: {tags: [{name: a, remove: true}, {name: b, unit: null}]}}\n",
    ],
)
def test_a_file_that_extends_says_only_what_differs(text: str) -> None:
    assert list(LINE_SCHEMA.iter_errors(data(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "extends: [a.yaml]\n",
        "extends: a.yaml\nagnt: b\n",
        "extends: a.yaml\ndevices: {plc: {tags: [{unit: N}]}}\n",
        "extends: a.yaml\ndevices: {plc: {tags: [{name: a, remove: 1}]}}\n",
        "extends: a.yaml\nstations: {seal: {trigger: {timeout: 3}}}\n",
    ],
)
def test_what_it_says_is_held_to_the_same_words(text: str) -> None:
    assert list(LINE_SCHEMA.iter_errors(data(text)))


def test_the_command_prints_it_for_those_who_have_only_the_program() -> None:
    result = CliRunner().invoke(app, ["check", "--schema"])
    assert result.exit_code == 0
    assert json.loads(result.output) == LINE_SCHEMA.schema
    assert CliRunner().invoke(app, ["check"]).exit_code == 2


def test_every_key_of_a_line_has_a_text_for_the_editor() -> None:
    """Hovering over a key must say what it is; ``driver`` says it by its value."""
    parts = {"(file)": LINE_SCHEMA.schema["else"], **LINE_SCHEMA.schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, told in part.get("properties", {}).items()
        if key != "driver" and "description" not in told and "$ref" not in told
    ]
    assert silent == []
