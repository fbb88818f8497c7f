"""Structures by their server's definitions: nested, optional, unions, lists; two servers that number alike."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.common.structures104 import load_data_type_definitions, new_enum, new_struct, new_struct_field
from asyncua.ua.ua_binary import extensionobject_to_binary
from driver_rigs import LineFile

from drivers.opcua import OpcUa, binary
from drivers.opcua.structures import Field, Form, Plan, Structures
from records.clock import SystemClock
from records.yaml import parse
from simulators import standard_nodes
from simulators.sockets import free_port

T = ua.VariantType
URI = "urn:structures"


class Machine:
    """A server with structures of its own; ``Inner`` has other fields on each and the same id."""

    def __init__(self, **inner: tuple[ua.VariantType, Any]) -> None:
        self.inner = inner
        self.port = free_port()
        self.server = Server()

    async def start(self) -> None:
        server = self.server
        await standard_nodes.load_into(server)
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(URI)
        mode = await new_enum(server, ua.NodeId(7100, index), "Mode", ["idle", "run"])
        fields = [new_struct_field(name, kind) for name, (kind, _) in self.inner.items()]
        inner, _ = await new_struct(server, ua.NodeId(7200, index), "Inner", fields)
        outer, _ = await new_struct(
            server,
            ua.NodeId(7300, index),
            "Outer",
            [
                new_struct_field("Inner", inner),
                new_struct_field("Several", inner, array=True),
                new_struct_field("Mode", mode),
                new_struct_field("Numbers", T.Int16, array=True),
                new_struct_field("Maybe", T.Double, optional=True),
                new_struct_field("Also", T.String, optional=True),
                new_struct_field("Span", ua.NodeId(290, 0)),
                new_struct_field("Any", ua.NodeId(24, 0)),
            ],
        )
        choice, _ = await new_struct(
            server,
            ua.NodeId(7400, index),
            "Choice",
            [new_struct_field("Number", T.Int32), new_struct_field("Text", T.String)],
            is_union=True,
        )
        await load_data_type_definitions(server, overwrite_existing=True)
        one = ua.Inner(**{name: value for name, (_, value) in self.inner.items()})
        held = ua.Outer(
            Inner=one,
            Several=[one, one],
            Mode=ua.Mode.run,
            Numbers=[1, 2],
            Also="x",
            Span=1.5,
            Any=ua.Variant(7, T.UInt32),
        )
        chosen = ua.Choice()
        chosen.Text = "b"
        objects = server.nodes.objects
        await objects.add_variable(ua.NodeId("outer", index), "outer", held, datatype=outer.nodeid)
        await objects.add_variable(ua.NodeId("inner", index), "inner", one, datatype=inner.nodeid)
        await objects.add_variable(ua.NodeId("choice", index), "choice", chosen, datatype=choice.nodeid)
        # declared as any structure: what it holds tells
        await objects.add_variable(ua.NodeId("any", index), "any", one, datatype=ua.NodeId(22, 0))
        await objects.add_variable(ua.NodeId("mode", index), "mode", 1, T.Int32, datatype=mode.nodeid)
        await objects.add_variable(ua.NodeId("standard", index), "standard", ua.Range(1.0, 2.0))
        await server.start()

    async def start_inner(self, body: bytes) -> None:
        """The inner structure only, its value by its bytes: the library knows one ``Inner`` in a process."""
        server = self.server
        await standard_nodes.load_into(server)
        server.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(URI)
        fields = [new_struct_field(name, kind) for name, (kind, _) in self.inner.items()]
        inner, (encoding,) = await new_struct(server, ua.NodeId(7200, index), "Inner", fields)
        held = ua.ExtensionObject(TypeId=encoding.nodeid, Body=body)
        node = ua.NodeId("inner", index)
        await server.nodes.objects.add_variable(node, "inner", held, datatype=inner.nodeid)
        # declared as any structure: what it holds tells
        await server.nodes.objects.add_variable(ua.NodeId("any", index), "any", held, datatype=ua.NodeId(22, 0))
        await server.start()

    def device(self, *tags: str) -> OpcUa:
        lines = "".join(f"      - {{{tag}}}\n" for tag in tags)
        text = f"""
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:{self.port}/
    security: {{policy: None, allow_insecure: true}}
    tags:
{lines}"""
        settings: Any = parse(text.encode(), LineFile).value.devices["plc"]
        return OpcUa("plc", settings, SystemClock(), lambda _: None, "sealing-1")


def whole(name: str) -> str:
    return f'name: {name}, namespace_uri: "{URI}", identifier: s={name}, data_type: structure, role: record'


def field(name: str, path: str) -> str:
    return f'name: {path.replace(".", "_")}, namespace_uri: "{URI}", identifier: s={name}, field: {path}'


def test_structures_of_two_machines_that_number_alike() -> None:
    async def job() -> None:
        first = Machine(Torque=(T.Double, 2.5), Good=(T.Boolean, True))
        await first.start()
        device = first.device(
            whole("outer"),
            whole("choice"),
            whole("any"),
            whole("standard"),
            field("outer", "Inner.Torque"),
            field("outer", "Mode"),
            field("outer", "Numbers"),
            field("outer", "Span"),
            field("outer", "Maybe"),
            field("outer", "Several.Torque"),
            f'name: mode, namespace_uri: "{URI}", identifier: s=mode, data_type: enum',
        )
        await device.connect()
        block = await device.read([tag.name for tag in device.settings.tags])
        one = {"Torque": 2.5, "Good": True}
        assert dict(zip(block.tags, block.listed(), strict=True)) == {
            "outer": {
                "Inner": one,
                "Several": [one, one],
                "Mode": 1,
                "Numbers": [1, 2],
                "Also": "x",
                "Span": 1.5,
                "Any": 7,
            },
            "choice": {"Text": "b"},
            "any": one,
            "standard": None,  # the server holds a structure that it does not define
            "Inner_Torque": 2.5,
            "Mode": 1,
            "Numbers": [1, 2],
            "Span": 1.5,
            "Maybe": None,  # an optional field that is not there
            "Several_Torque": None,
            "mode": "run",
        }
        words = dict(zip(block.tags, block.words(), strict=True))
        assert {name: word for name, word in words.items() if word != "Good"} == {
            "standard": "BadDataTypeIdUnknown",
            "Maybe": "BadNoData",
            "Several_Torque": "BadTypeMismatch",
        }
        types = dict(zip(block.tags, block.types, strict=True))
        assert (types["Inner_Torque"], types["Numbers"], types["Span"]) == ("float64", "int16[]", "float64")

        second = Machine(Count=(T.UInt32, 7), Code=(T.UInt16, 9))  # in the same process, with the same ids
        await second.start_inner(struct.pack("<IH", 7, 9))
        other = second.device(whole("any"))
        await other.connect()
        assert (await other.read(["any"])).listed() == ({"Count": 7, "Code": 9},)
        await other.close()
        other = second.device(whole("inner"))
        await other.connect()
        assert (await other.read(["inner"])).listed() == ({"Count": 7, "Code": 9},)
        assert (await device.read(["any"])).listed() == (one,)
        for opened in (device, other):
            await opened.close()
        for machine in (first, second):
            await machine.server.stop()

    asyncio.run(job())


NODE = ua.NodeId(5001, 2)


def known(*fields: Field, form: Form = Form.PLAIN) -> Structures:
    structures = Structures()
    structures.plans["ns=2;i=3001"] = Plan(form, fields)
    structures.encodings["ns=2;i=5001"] = "ns=2;i=3001"
    return structures


def decode(structures: Structures, body: bytes) -> Any:
    data = extensionobject_to_binary(ua.ExtensionObject(TypeId=NODE, Body=body))
    type_id, begin, end, _ = binary.extension_object(data, 0)
    plan = structures.plan_of(type_id)
    assert plan is not None
    return structures.decode(plan, data, begin, end)


def test_a_body_that_is_not_what_its_definition_says_is_malformed() -> None:
    structures = known(Field("A", 6, None, False, False), Field("B", 11, None, True, False))
    body = b"\7\0\0\0" + b"\1\0\0\0" + b"\0" * 8
    assert decode(structures, body) == {"A": 7, "B": [0.0]}
    for wrong in (body[:-1], body + b"\0", body[:4] + b"\xff\xff\xff\x7f" + body[8:], b""):
        with pytest.raises(binary.Malformed):
            decode(structures, wrong)
    with pytest.raises(binary.Malformed, match="holds number 3"):
        decode(known(Field("A", 6, None, False, False), form=Form.UNION), b"\3\0\0\0" + b"\0" * 4)


def test_a_structure_that_holds_itself_ends() -> None:
    structures = known(Field("Child", 22, "ns=2;i=3001", False, False))
    with pytest.raises(binary.Malformed):
        decode(structures, b"\0" * 4)
    several = known(Field("Children", 22, "ns=2;i=3001", True, False))
    assert decode(several, b"\1\0\0\0" + b"\0\0\0\0") == {"Children": [{"Children": []}]}
    with pytest.raises(binary.Malformed, match="too deep"):
        decode(several, b"\1\0\0\0" * 99)
