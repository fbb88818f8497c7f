"""Telegraf configurations and CSV tag lists become line files; what was lost on the way is said with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from drivers.tags import ModbusSerialDevice, ModbusTag, ModbusTcpDevice, OpcUaDevice, OpcUaTag
from edge_agent.cli import app
from edge_agent.convert.toml_places import places
from edge_agent.settings import LineSettings, load_line
from records.errors import ConfigurationError
from tests.rigs.examples import examples


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["convert", str(file), *words])


def converted(folder: Path, text: str | bytes, name: str = "telegraf.conf") -> tuple[LineSettings, list[str]]:
    """The line that check takes, and the notes as LINE: SETTING: MESSAGE."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    out = folder / "line.yaml"
    result = run(file, "--out", str(out))
    assert result.exit_code == 0, result.output
    notes = [
        line.removeprefix(f"note: {file}:") for line in result.stderr.splitlines() if line.startswith("note: ")
    ]
    written = out.read_text(encoding="utf-8")
    for note in notes:
        assert note.partition(": ")[2].split("'")[0][:40] in written, "every note is a comment of the file too"
    return load_line(out).value, notes


def modbus(line: LineSettings, name: str) -> ModbusTcpDevice:
    device = line.devices[name]
    assert isinstance(device, ModbusTcpDevice)
    return device


def shown(tag: ModbusTag) -> tuple[object, ...]:
    return tag.name, tag.table, tag.address, tag.raw_type, tag.byte_order, tag.scale


REGISTER = """\
[agent]
  interval = "10s"
  hostname = "box"

[[inputs.modbus]]
  name = "press"
  slave_id = 7
  timeout = "500ms"
  controller = "tcp://10.0.0.9:1502"
  busy_retries = 3
  configuration_type = "register"
  holding_registers = [
    { name = "fixed",  byte_order = "AB",       data_type = "FIXED",        scale = 0.01, address = [8] },
    { name = "count",  byte_order = "CDAB",     data_type = "UFIXED",       scale = 1.0,  address = [3, 4] },
    { name = "force",  byte_order = "GHEFCDAB", data_type = "FLOAT64-IEEE", scale = 1.0,  address = [20, 21, 22, 23] },
    { name = "half",   byte_order = "BA",       data_type = "FLOAT16-IEEE", scale = 1.0,  address = [30] },
    { name = "low",    byte_order = "AB",       data_type = "INT8L",        scale = 1.0,  address = [31] },
    { name = "lamp",   byte_order = "AB",       data_type = "BIT", bit = 3,               address = [32] },
    { name = "text",   byte_order = "BADC",     data_type = "STRING",                     address = [40, 41, 42] },
    { name = "holes",  byte_order = "ABCD",     data_type = "INT32",        scale = 1.0,  address = [50, 52] },
    { name = "old",    byte_order = "CDAB",     data_type = "FLOAT32",      scale = 0.1,  address = [62, 63] },
    { name = "short",  byte_order = "AB",       data_type = "FLOAT32-IEEE", scale = 1.0,  address = [64] },
    { name = "real",   byte_order = "CDAB",     data_type = "FLOAT32-IEEE", scale = 1.0,  address = [66, 67] },
    { name = "strange", byte_order = "AB",      data_type = "INT24",        scale = 1.0,  address = [60] },
  ]
  input_registers = [{ name = "level", byte_order = "AB", data_type = "INT16", scale = 1.0, address = [0], measurement = "tank" }]
  coils = [{ name = "run", address = [5] }]
  discrete_inputs = [{ name = "door closed", address = [6] }]
  [inputs.modbus.workarounds]
    pause_between_requests = "20ms"
    one_request_per_field = true
    max_word_registers_per_request = 50
    close_connection_after_gather = true
"""  # noqa: E501


def test_a_modbus_configuration_of_style_register(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, REGISTER)
    device = modbus(line, "press")
    assert (device.host, device.port, device.unit_id, device.timeout) == ("10.0.0.9", 1502, 7, 0.5)
    assert (device.poll_interval, device.pause_between_requests, device.one_request_per_tag) == (10.0, 0.02, True)
    assert device.max_registers_per_request == 50
    assert [shown(tag) for tag in device.tags] == [
        ("fixed", "holding", 8, "int16", None, 0.01),
        ("count", "holding", 3, "uint32", "CDAB", 1.0),
        ("force", "holding", 20, "float64", "CDAB", 1.0),
        ("half", "holding", 30, "float16", "DCBA", 1.0),
        ("low", "holding", 31, "int8", None, 1.0),
        ("lamp", "holding", 32, "uint16", None, 1.0),
        ("text", "holding", 40, "string", "BADC", 1.0),
        ("old", "holding", 62, "uint32", "CDAB", 0.1),
        ("real", "holding", 66, "float32", "CDAB", 1.0),
        ("level", "input", 0, "int16", None, 1.0),
        ("run", "coil", 5, "bool", None, 1.0),
        ("door_closed", "discrete", 6, "bool", None, 1.0),
    ]
    by_name = {tag.name: tag for tag in device.tags}
    assert (by_name["low"].byte, by_name["lamp"].bit, by_name["text"].length) == ("low", 3, 3)
    assert by_name["door_closed"].description == "door closed"
    assert notes == [
        "3: agent.hostname: has no counterpart here: left out",
        "10: inputs.modbus.busy_retries: a machine that says that it is busy is read again at the next interval: "
        "left out",
        "20: inputs.modbus.holding_registers holes: [50, 52] is no row of addresses: the tag is left out of press",
        "21: inputs.modbus.holding_registers old: FLOAT32 is Telegraf's old word for UFIXED, an unsigned integer; "
        "a float is FLOAT32-IEEE",
        "22: inputs.modbus.holding_registers short: FLOAT32-IEEE does not lie in 1 registers: "
        "the tag is left out of press",
        "24: inputs.modbus.holding_registers strange: INT24 is not known here: the tag is left out of press",
        "26: inputs.modbus.input_registers.measurement: values have no measurement here, only DEVICE.TAG: left "
        "out",
        "28: inputs.modbus.discrete_inputs door closed: the name 'door closed' is door_closed here",
        "33: inputs.modbus.workarounds.close_connection_after_gather: the connection stays open: left out; test a "
        "machine that allows only one",
    ]


REQUEST = """\
[[inputs.modbus]]
  name = "line"
  controller = "tcp://plc:502"
  interval = "1s500ms"
  configuration_type = "request"
  [[inputs.modbus.request]]
    slave_id = 1
    byte_order = "CDAB"
    register = "holding"
    measurement = "line"
    fields = [
      { address = 0, name = "voltage", type = "INT16", scale = 0.1 },
      { address = 1, name = "skipped", type = "UINT32", omit = true },
      { address = 3, name = "energy", type = "FLOAT32", output = "FLOAT64" },
    ]
    [inputs.modbus.request.tags]
      hall = "A"
  [[inputs.modbus.request]]
    slave_id = 2
    register = "coil"
    fields = [{ address = 0, name = "run" }]
  [[inputs.modbus.request]]
    slave_id = 1
    register = "input"
    fields = [{ address = 9, name = "energy", type = "UINT64" }]
"""


def test_a_modbus_configuration_of_style_request(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, REQUEST)
    first, second = modbus(line, "line"), modbus(line, "line_unit2")
    assert (first.unit_id, second.unit_id, first.poll_interval) == (1, 2, 1.5)
    assert [shown(tag) for tag in first.tags] == [
        ("voltage", "holding", 0, "int16", "CDAB", 0.1),
        ("energy", "holding", 3, "float32", "CDAB", 1.0),
        ("energy_2", "input", 9, "uint64", None, 1.0),
    ]
    assert [shown(tag) for tag in second.tags] == [("run", "coil", 0, "bool", None, 1.0)]
    assert [note.partition(": ")[2].partition(":")[0] for note in notes] == [
        "agent.interval",
        "inputs.modbus.request.measurement",
        "inputs.modbus.request.fields.output",
        "inputs.modbus.request.tags",
        "inputs.modbus.request.fields energy",
    ]
    assert [note.partition(":")[0] for note in notes] == ["1", "10", "14", "16", "25"]


METRIC = """\
[[inputs.modbus]]
  name = "m"
  controller = "tcp://plc:502"
  configuration_type = "metric"
  optimization = "max_insert"
  optimization_max_register_fill = 20
  [[inputs.modbus.metric]]
    slave_id = 3
    fields = [
      { register = "coil", address = 0, name = "open" },
      { address = 1, name = "current", type = "INT32", scale = 0.001 },
      { address = 9, name = "firmware", type = "STRING", length = 8 },
      { address = 9, name = "flag", type = "BIT", bit = 15 },
    ]
"""


def test_a_modbus_configuration_of_style_metric(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, METRIC)
    device = modbus(line, "m")
    assert (device.unit_id, device.max_gap) == (3, 20)
    assert [shown(tag) for tag in device.tags] == [
        ("open", "coil", 0, "bool", None, 1.0),
        ("current", "holding", 1, "int32", None, 0.001),
        ("firmware", "holding", 9, "string", None, 1.0),
        ("flag", "holding", 9, "uint16", None, 1.0),
    ]
    assert len(notes) == 2


OPCUA = """\
[[inputs.opcua]]
  name = "sealer"
  endpoint = "opc.tcp://10.0.0.5:4840"
  request_timeout = "3s"
  session_timeout = "20m"
  interval = "1s"
  security_policy = "None"
  auth_method = "Anonymous"
  nodes = [
    {name = "temperature", id = "ns=3;s=Seal.Temp"},
    {name = "pressure", id = "nsu=urn:sealer;i=1002"},
    {name = "old", namespace = "3", identifier_type = "i", identifier = "1003"},
    {name = "broken", namespace = "3", identifier = "1003"},
  ]
  [[inputs.opcua.group]]
    name = "zone"
    namespace_uri = "urn:zone"
    identifier_type = "s"
    default_tags = { hall = "A" }
    [[inputs.opcua.group.nodes]]
      name = "temperature"
      identifier = "Zone1"
  [inputs.opcua.browse]
    depth = 3

[[inputs.opcua_listener]]
  endpoint = "opc.tcp://10.0.0.5:4840"
  subscription_interval = "250ms"
  security_policy = "None"
  [[inputs.opcua_listener.nodes]]
    name = "force"
    id = "ns=3;s=Force"
    [inputs.opcua_listener.nodes.monitoring_params]
      sampling_interval = "50ms"
      queue_size = 100
      discard_oldest = false
      [inputs.opcua_listener.nodes.monitoring_params.data_change_filter]
        trigger = "StatusValue"
        deadband_type = "Absolute"
        deadband_value = 0.5

[[inputs.cpu]]
  percpu = true
[[outputs.influxdb_v2]]
  urls = ["http://127.0.0.1:8086"]
"""


def test_both_opc_ua_inputs_of_one_endpoint_become_one_device(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, OPCUA)
    (device,) = line.devices.values()
    assert isinstance(device, OpcUaDevice)
    assert (device.endpoint, device.timeout, device.poll_interval) == ("opc.tcp://10.0.0.5:4840", 3.0, 1.0)
    assert device.publish_interval == 0.25
    assert device.security is not None
    assert device.security is not None
    assert (device.security.policy, device.security.allow_insecure) == ("None", True)

    def address(tag: OpcUaTag) -> tuple[object, ...]:
        return tag.name, tag.node_id, tag.namespace_uri, tag.identifier, tag.mode

    assert [address(tag) for tag in device.tags] == [
        ("temperature", "ns=3;s=Seal.Temp", None, None, "poll"),
        ("pressure", None, "urn:sealer", "i=1002", "poll"),
        ("old", "ns=3;i=1003", None, None, "poll"),
        ("zone_temperature", None, "urn:zone", "s=Zone1", "poll"),
        ("force", "ns=3;s=Force", None, None, "subscribe"),
    ]
    force = device.tags[-1]
    assert (force.sampling_interval, force.queue_size, force.deadband) == (0.05, 100, 0.5)
    assert [note.partition(": ")[2].partition(":")[0] for note in notes] == [
        "agent.interval",
        "inputs.opcua.session_timeout",
        "inputs.opcua.security_policy",
        "inputs.opcua.nodes broken",
        "inputs.opcua.group.default_tags",
        "inputs.opcua.browse",
        "inputs.opcua_listener.security_policy",
        "inputs.opcua_listener.nodes.monitoring_params.discard_oldest",
        "inputs.opcua_listener.nodes.monitoring_params.data_change_filter.trigger",
        "inputs.opcua_listener.nodes.monitoring_params.data_change_filter.deadband_type",
        "inputs.cpu",
        "outputs",
    ]


def test_security_is_never_weakened_and_a_password_is_never_copied(tmp_path: Path) -> None:
    text = """\
[[inputs.opcua]]
  endpoint = "opc.tcp://h:4840"
  security_policy = "auto"
  security_mode = "Sign"
  auth_method = "UserName"
  username = "line"
  password = "hunter2"
  nodes = [{name = "a", id = "i=1"}]
"""
    line, notes = converted(tmp_path, text)
    (device,) = line.devices.values()
    assert isinstance(device, OpcUaDevice)
    assert device.security is not None
    assert device.security.auth is not None
    assert (device.security.policy, device.security.mode) == ("Basic256Sha256", "Sign")
    assert device.security.auth.password is not None
    assert device.security.auth.password.reference == "env:OPCUA_PASSWORD"
    assert "hunter2" not in (tmp_path / "line.yaml").read_text()
    assert any("`auto` takes what the server offers" in note for note in notes)
    assert any("is not copied" in note for note in notes)


def test_what_still_has_to_be_filled_in_is_told_and_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "telegraf.conf"
    file.write_text(
        '[[inputs.opcua]]\n  endpoint = "opc.tcp://h:4840"\n  security_policy = "None"\n'
        '  auth_method = "UserName"\n  username = "u"\n  password = "$PLC_PASSWORD"\n'
        '  nodes = [{name = "a", id = "i=1"}]\n'
    )
    result = run(file)
    assert result.exit_code == 1
    assert "env:PLC_PASSWORD" in result.stdout
    assert "fill in: line.yaml:" in result.stderr
    assert "devices.h.security.auth" in result.stderr


@pytest.mark.parametrize(
    ("controller", "more"),
    [("tcp://h:502", 'transmission_mode = "ASCIIoverTCP"'), ("udp://h:502", "")],
)
def test_a_line_that_we_cannot_speak_on_is_told(tmp_path: Path, controller: str, more: str) -> None:
    file = tmp_path / "telegraf.conf"
    file.write_text(
        f'[[inputs.modbus]]\n  controller = "{controller}"\n  {more}\n'
        '  coils = [{ name = "a", address = [1] }]\n'
    )
    result = run(file)
    assert isinstance(result.exception, ConfigurationError)
    assert "says nothing that can be read from a machine" in str(result.exception)
    assert "is not supported here" in str(result.exception)


def test_a_tag_that_our_models_refuse_is_left_out_with_the_reason(tmp_path: Path) -> None:
    text = METRIC.replace("address = 1, name", "address = 70000, name")
    line, notes = converted(tmp_path, text)
    assert [tag.name for tag in line.devices["m"].tags] == ["open", "firmware", "flag"]
    assert any("12: inputs.modbus.metric.fields current: " in f"{note}" or "11:" in note for note in notes)
    assert "# - m.current (line 11)" in (tmp_path / "line.yaml").read_text()


def test_wrong_toml_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "telegraf.conf"
    file.write_text('[[inputs.modbus]]\nname = "a"\nslave_id = ${UNIT}\n')
    result = run(file)
    assert isinstance(result.exception, ConfigurationError)
    assert f"{file}:3:12: (file): this is no valid TOML" in str(result.exception)


def test_places_of_toml_keys() -> None:
    text = """\
# comment [not.a.table]
"quoted key" = 'a [string] # no comment'
multi = '''
[still.a.string]
'''
[a.b] # comment
x = [ # one
  1,
  { y = 2, z = "}" }, # two
]
[[c]]
d.e = 1
[[c]]
  [c.f]
  g = "\\"[h]\\""
  [[c.k]]
  l = 1979-05-27T07:32:00Z
"""
    found = places(text)
    assert found == {
        ("quoted key",): 2,
        ("multi",): 3,
        ("a",): 6,
        ("a", "b"): 6,
        ("a", "b", "x"): 7,
        ("a", "b", "x", 0): 8,
        ("a", "b", "x", 1): 9,
        ("a", "b", "x", 1, "y"): 9,
        ("a", "b", "x", 1, "z"): 9,
        ("c",): 11,
        ("c", 0): 11,
        ("c", 0, "d"): 12,
        ("c", 0, "d", "e"): 12,
        ("c", 1): 13,
        ("c", 1, "f"): 14,
        ("c", 1, "f", "g"): 15,
        ("c", 1, "k"): 16,
        ("c", 1, "k", 0): 16,
        ("c", 1, "k", 0, "l"): 17,
    }


def test_a_tag_list_with_our_words(tmp_path: Path) -> None:
    text = (
        "device,host,name,register,address,data_type,scale,unit,owner\n"
        "oven,10.0.0.7,t1,input,0,int16,0.1,degC,Ann\n"
        "oven,,t2,input,1,int16,0.1,degC,\n"
        "\n"
        "press,10.0.0.8,force,holding,100,float32,,N,\n"
    )
    line, notes = converted(tmp_path, text, "tags.csv")
    assert [shown(tag) for tag in modbus(line, "oven").tags] == [
        ("t1", "input", 0, "int16", None, 0.1),
        ("t2", "input", 1, "int16", None, 0.1),
    ]
    assert (modbus(line, "press").host, modbus(line, "oven").host) == ("10.0.0.8", "10.0.0.7")
    order = "press: the list does not say the byte order: ABCD, the high word first, counts; CDAB is as common"
    assert notes == [
        "1: owner: column 9 is nothing that a tag has here: left out",
        f"5: {order} (lotkeeper-edge decode shows all four)",
    ]


def test_a_tag_list_of_another_tool_from_a_spreadsheet(tmp_path: Path) -> None:
    text = (
        "Tag Name;Slave ID;Address;Type;Divider;Comment\nDruck 1;3;40001;INT16;10;Kessel\nTemp;3;30002;UINT16;;\n"
    )
    line, notes = converted(tmp_path, text.encode("utf-8-sig"), "tags.csv")
    device = modbus(line, "device")
    assert (device.unit_id, device.address_style) == (3, "modicon")
    assert [(tag.name, tag.table, tag.address, tag.raw_type, tag.scale) for tag in device.tags] == [
        ("Druck_1", "holding", 1, "int16", 0.1),
        ("Temp", "input", 2, "uint16", 1.0),
    ]
    assert device.tags[0].description == "Kessel"
    assert [note.partition(": ")[2] for note in notes] == [
        "row 2 (Druck 1): the name 'Druck 1' is Druck_1 here",
        "device: the list does not say host: fill it in for 127.0.0.1",
        "device: the addresses look like 40001: address_style: modicon is written",
    ]


def test_a_chinese_tag_list_in_its_own_encoding(tmp_path: Path) -> None:
    text = "名称\t地址\t数据类型\t系数\t单位\t备注\n温度\t10\tint16\t0.1\tdegC\t炉温\n"
    line, notes = converted(tmp_path, text.encode("gb18030"), "tags.tsv")
    (tag,) = modbus(line, "device").tags
    assert (tag.name, tag.address, tag.scale, tag.unit, tag.description) == ("tag", 10, 0.1, "degC", "炉温")
    assert any("GB 18030" in note for note in notes)
    assert any("the name '温度' is tag here" in note for note in notes)


SERVER = """\
Tag Name,Address,Data Type,Client Access,Scan Rate,Scaling,Raw Low,Raw High,Scaled Low,Scaled High,Eng Units
Temp,400001,Float,R/W,100,,,,,,
Count,400003,DWord,RO,100,None,,,,,
Level,300005,Word,RO,1000,Linear,0,32000,-10,310,degC
Root,300006,Word,RO,1000,Square Root,0,32767,0,100,
Run,000001,Boolean,RO,100,,,,,,
Bit,400010.3,Boolean,RO,100,,,,,,
Serial,400020.15L,String,RO,100,,,,,,
"""


def test_an_export_of_an_opc_server_says_types_bits_texts_and_ranges(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, SERVER, "tags.csv")
    tags = {tag.name: tag for tag in modbus(line, "device").tags}
    assert {name: (t.table, t.address, t.raw_type) for name, t in tags.items()} == {
        "Temp": ("holding", 1, "float32"),
        "Count": ("holding", 3, "uint32"),
        "Level": ("input", 5, "uint16"),
        "Run": ("coil", 1, "bool"),
        "Bit": ("holding", 10, "uint16"),
        "Serial": ("holding", 20, "string"),
    }
    assert (tags["Level"].scale, tags["Level"].offset, tags["Level"].unit) == (0.01, -10.0, "degC")
    assert (tags["Bit"].bit, tags["Serial"].length, tags["Serial"].byte_order) == (3, 8, "BADC")
    assert all(tag.access == "read" for tag in tags.values())
    told = [note.partition(": ")[2] for note in notes]
    assert "access: R/W is not taken over: access: write is yours to give" in told
    assert "row 5 (Root): scaling Square Root from 0 32767 0 100 cannot be said here: the tag is left out" in told
    assert "data_type: 'DWord' is uint32 here" in told
    assert any("the list does not say the byte order" in each for each in told)


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("REAL", "float32"),
        ("LReal", "float64"),
        ("UDINT", "uint32"),
        ("Int16", "int16"),
        ("LBCD", "bcd32"),
        ("INT", "int16"),
        ("Word", "uint16"),
        ("float 32", "float32"),
        ("BOOL", "bool"),
        ("DOUBLE", "float64"),
    ],
)
@pytest.mark.parametrize("head", ["data_type", "Type"])
def test_data_types_by_the_words_of_plants(tmp_path: Path, head: str, word: str, ours: str) -> None:
    line, _ = converted(tmp_path, f"name,address,{head}\na,1,{word}\n", "tags.csv")
    assert [tag.raw_type for tag in modbus(line, "device").tags] == [ours]


def test_addresses_with_the_digit_of_the_table_that_stands_beside_them_are_modicon(tmp_path: Path) -> None:
    line, notes = converted(tmp_path, "name,register,address\na,holding,40003\nb,input,30001\n", "tags.csv")
    assert [(t.table, t.address) for t in modbus(line, "device").tags] == [("holding", 3), ("input", 1)]
    assert any("address_style: modicon is written" in note for note in notes)
    (tmp_path / "line.yaml").unlink()
    line, _ = converted(tmp_path, "name,register,address\na,holding,40003\nb,input,40001\n", "tags.csv")
    assert [(t.table, t.address) for t in modbus(line, "device").tags] == [("holding", 40003), ("input", 40001)]


def test_a_list_of_which_no_tag_could_be_taken_is_not_fine(tmp_path: Path) -> None:
    (tmp_path / "tags.csv").write_text("name,address,data_type\na,1,INT24\n")
    result = run(tmp_path / "tags.csv")
    assert result.exit_code == 1
    assert "'int24' is no data type here: the tag is left out of device" in result.stderr


def test_an_opc_ua_tag_list(tmp_path: Path) -> None:
    text = 'name,node_id,endpoint\nplc.temp,"ns=2;s=T",opc.tcp://10.0.0.5:4840\nplc.force,ns=2;s=F,\n'
    line, _ = converted(tmp_path, text, "tags.csv")
    device = line.devices["plc"]
    assert isinstance(device, OpcUaDevice)
    assert device.security is not None
    assert (device.security.policy, device.security.allow_insecure) == ("Basic256Sha256", False)
    assert [(tag.name, tag.node_id) for tag in device.tags] == [("temp", "ns=2;s=T"), ("force", "ns=2;s=F")]


def test_wrong_cells_are_told_by_row_and_column(tmp_path: Path) -> None:
    file = tmp_path / "tags.csv"
    file.write_text("name,address,scale,bit\na,1,much,\n,2,,\nb,3,0.5,1.5\nc,4,1,2,9\n")
    result = run(file)
    assert isinstance(result.exception, ConfigurationError)
    assert [f"{p.line}:{p.col} {p.path}: {p.message}" for p in result.exception.problems] == [
        "2:3 scale: 'much' is no number (row 2, column 3)",
        "3:1 name: this row has no name (row 3, column 1)",
        "4:4 bit: '1.5' is no whole number (row 4, column 4)",
        "5:5 (row): more cells than the head row has (row 5, column 5)",
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("tags.csv", "", "there is no tag"),
        ("tags.csv", "address,unit\n1,N\n", "no column says the names of the tags"),
        ("tags.csv", "name,tag,address\na,b,1\n", "two columns say name"),
        ("t.conf", "[[outputs.file]]\n", "says nothing that can be read from a machine"),
    ],
)
def test_what_says_nothing_is_refused(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    result = run(tmp_path / name)
    assert isinstance(result.exception, ConfigurationError)
    assert expected in str(result.exception)


def test_one_json_document_with_everything(tmp_path: Path) -> None:
    (tmp_path / "t.conf").write_text(METRIC)
    result = run(tmp_path / "t.conf", "--json")
    answer = json.loads(result.stdout)
    assert (answer["devices"], answer["tags"], answer["problems"]) == (1, 4, [])
    assert answer["notes"][1] == {
        "file": str(tmp_path / "t.conf"),
        "line": 5,
        "setting": "inputs.modbus.optimization",
        "message": "requests are planned from the addresses (max_gap): left out",
    }
    assert answer["yaml"].startswith("# Converted from t.conf")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "t.conf").write_text(METRIC)
    (tmp_path / "line.yaml").write_text("mine")
    result = run(tmp_path / "t.conf", "--out", str(tmp_path / "line.yaml"))
    assert isinstance(result.exception, ConfigurationError)
    assert (tmp_path / "line.yaml").read_text() == "mine"


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_nothing_breaks_the_conversion(tmp_path: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([REGISTER, REQUEST, METRIC, OPCUA, "name,address,type\na,1,INT16\n"]))
    at = data.draw(st.integers(0, len(source)))
    cut = data.draw(st.integers(0, 20))
    put = data.draw(
        st.sampled_from(['""', "[", "]", "{}", "0", "-1", "true", '"x"', "\n", "[[a]]"]) | st.text(max_size=3)
    )
    file = tmp_path / data.draw(st.sampled_from(["t.conf", "t.csv"]))
    file.write_bytes((source[:at] + put + source[at + cut :]).encode("utf-8", "surrogatepass"))
    result = run(file)
    assert result.exit_code in (0, 1, 2)
    assert result.exception is None or isinstance(result.exception, ConfigurationError | SystemExit)


@pytest.mark.parametrize(
    ("controller", "mode", "driver", "more"),
    [
        ("file:///dev/ttyUSB0", "", "modbus_rtu", ("/dev/ttyUSB0", 9600, 8, "none", 2)),
        ("COM3", 'transmission_mode = "ASCII"', "modbus_ascii", ("COM3", 9600, 8, "none", 2)),
        ("tcp://10.0.0.4:4001", 'transmission_mode = "RTUoverTCP"', "modbus_rtu_over_tcp", None),
    ],
)
def test_every_line_that_both_speak_on(
    tmp_path: Path, controller: str, mode: str, driver: str, more: tuple[object, ...] | None
) -> None:
    text = f"""\
[[inputs.modbus]]
  name = "meter"
  slave_id = 5
  controller = "{controller}"
  {mode}
  stop_bits = 2
  coils = [{{ name = "run", address = [1] }}]
"""
    line, _ = converted(tmp_path, text)
    device = line.devices["meter"]
    assert device.driver == driver
    if more is not None:
        assert isinstance(device, ModbusSerialDevice)
        assert (device.port, device.baudrate, device.bytesize, device.parity, device.stopbits) == more
