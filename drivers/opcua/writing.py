"""Writes and method calls: never without ``access: write``, always read back, each told once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import variant_to_binary
from pydantic import JsonValue

from drivers.base import OnNotice, ReadingBlock
from drivers.opcua import binary
from drivers.opcua.asking import Ask
from drivers.opcua.definitions import key_of, learn
from drivers.opcua.nodes import Point, browse_path
from drivers.opcua.reading import Reader
from drivers.opcua.session import Session
from drivers.opcua.structures import Structures
from drivers.opcua.values import status_text, value_of, variant_of
from drivers.tags import OpcUaTag
from drivers.written import told_as_written
from records.errors import Invalid, Refused
from records.trouble import Trouble

Value = bool | int | float | str
_LOOK_AGAIN_S = 0.05


class Writer:
    """Writes one session's tags; every write and call ends in one ``plc-write`` notice, refused ones too."""

    def __init__(self, session: Session, reader: Reader, tell: OnNotice, timeout_s: float) -> None:
        self._session, self._reader, self._tell, self._timeout_s = session, reader, tell, timeout_s

    async def write(self, tag: OpcUaTag, value: Value) -> None:
        """Write the tag and read it back; a tag with a method is written by calling it.

        Raises:
            Unreachable, Refused, Invalid: as ``Device.write``.
        """
        point = self._point(tag)
        with told_as_written(self._tell, self._name(tag), value):
            if tag.method is not None:
                wanted = await self._arguments(point, (value,), or_none=True)
                await self._called(point, wanted)
                await self._held(point, value)
            else:
                await self._written(point, value)

    async def call(self, tag: OpcUaTag, arguments: Sequence[Value]) -> tuple[JsonValue, ...]:
        """Call the tag's method with these arguments; its output values.

        Raises:
            Unreachable: there is no answer; the machine may or may not have done it.
            Refused: the machine says no. Invalid: no method, or arguments that do not fit it.
        """
        point = self._point(tag)
        told = ", ".join(str(argument) for argument in arguments)
        with told_as_written(self._tell, self._name(tag), told, read_back=False):
            if tag.method is None:
                raise Invalid(f"{self._name(tag)} has no method", hint="give the tag `method`")
            return await self._called(point, await self._arguments(point, arguments))

    # -- inside ----------------------------------------------------------------------------------------------

    def _name(self, tag: OpcUaTag) -> str:
        return f"{self._session.name}.{tag.name}"

    def _point(self, tag: OpcUaTag) -> Point:
        if tag.access != "write":
            raise Invalid(f"{self._name(tag)} is not writable", hint="give the tag `access: write`")
        _ = self._session.client
        return self._reader.points[tag.name]

    def _node(self, point: Point) -> ua.NodeId:
        if point.node is None:
            missing = status_text(point.problem)
            where = self._session.where
            raise Refused.of(Trouble.of("no-node", where=where, tag=point.tag.name, status=missing))
        return point.node

    async def _written(self, point: Point, value: Value) -> None:
        tag, node = point.tag, self._node(point)
        variant = await self._variant(point, value)
        wanted = ua.WriteValue(NodeId=node, AttributeId=AttributeIds.Value, Value=ua.DataValue(variant))
        session = self._session.client.uaclient.session
        (status,) = await self._session.call(session.write(ua.WriteParameters(NodesToWrite=[wanted])))
        if not status.is_good():
            said = {"where": self._session.where, "tag": tag.name, "status": status_text(status.value)}
            raise Refused.of(Trouble("write-refused", said))
        block = await self._reader.read((tag.name,))
        if block.raw[0] != variant_to_binary(variant):
            raise self._other(tag, value, block)

    async def _variant(self, point: Point, value: Value) -> ua.Variant:
        """The value as what the node holds; the server is asked where the tag map does not say it."""
        data_type, words = point.take.type_name, point.take.words
        if words is not None:
            value = _number(words, value, self._name(point.tag))
        if not data_type:
            raw = (await self._reader.read((point.tag.name,))).raw[0]
            data_type = binary.NAMES.get(raw[0] & 0x3F, "") if raw else ""
        try:
            return variant_of(value, data_type)
        except Invalid as error:
            raise Invalid(f"{self._name(point.tag)}: {error.message}") from None

    def _other(self, tag: OpcUaTag, value: Value, block: ReadingBlock) -> Refused:
        told = {"where": self._session.where, "value": repr(value), "tag": tag.name, "held": repr(block.at(0))}
        other = Trouble("other-value", {**told, "status": block.words()[0]})
        return Refused.of(other.hinted(Trouble.of("machine-writes-too", place=Trouble.of("node"))))

    async def _held(self, point: Point, value: Value) -> None:
        """Wait until the tag holds the value that its method was called with."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        while True:
            block = await self._reader.read((point.tag.name,))
            if block.at(0) == value:
                return
            if loop.time() > deadline:
                raise self._other(point.tag, value, block)
            await asyncio.sleep(_LOOK_AGAIN_S)

    # -- methods ---------------------------------------------------------------------------------------------

    def _method(self, tag: OpcUaTag) -> ua.NodeId:
        method = self._reader.nodes.node_id(tag.method or "", tag.namespace_uri)
        if method is None:
            raise Refused(f"{self._session.where} has no namespace {tag.namespace_uri} for {tag.name}")
        return method

    async def _called(self, point: Point, arguments: list[ua.Variant]) -> tuple[JsonValue, ...]:
        tag, ask = point.tag, Ask(self._session)
        method = self._method(tag)
        owners = await ask.linked(method, ObjectIds.HasComponent, inverse=True)
        if len(owners) != 1:
            raise Refused(f"{self._session.where}: {tag.method} of {tag.name} belongs to {len(owners)} objects")
        request = ua.CallMethodRequest(ObjectId=owners[0], MethodId=method, InputArguments=arguments)
        (result,) = await self._session.call(self._session.client.uaclient.session.call([request]))
        if not result.StatusCode.is_good():
            why = status_text(result.StatusCode.value)
            raise Refused(f"{self._session.where} refused to call {tag.method} of {tag.name}: {why}")
        return tuple(value_of(variant) for variant in result.OutputArguments or [])

    async def _arguments(self, point: Point, given: Sequence[Value], *, or_none: bool = False) -> list[ua.Variant]:
        """The arguments in the types that the method names; with ``or_none``, none for one that takes none."""
        ask = Ask(self._session)
        path = browse_path(self._method(point.tag), [ua.QualifiedName("InputArguments", ua.UInt16(0))])
        (found,) = await ask.followed([path])
        told: Any = await ask.attribute(found[0], AttributeIds.Value) if found else None
        wanted = told if isinstance(told, list) else []
        if or_none and not wanted:
            return []
        if len(wanted) != len(given):
            count = f"takes {len(wanted)} arguments, not {len(given)}"
            raise Invalid(f"{self._name(point.tag)}: {point.tag.method} {count}")
        known = Structures()
        return [await self._argument(point.tag, known, w, v) for w, v in zip(wanted, given, strict=True)]

    async def _argument(self, tag: OpcUaTag, known: Structures, wanted: ua.Argument, value: Value) -> ua.Variant:
        await learn(known, wanted.DataType, Ask(self._session))
        kind = known.kinds.get(key_of(wanted.DataType), 0)
        try:
            return variant_of(value, binary.NAMES.get(kind, "") + ("[]" if wanted.ValueRank >= 0 else ""))
        except Invalid as error:
            raise Invalid(f"{self._name(tag)}: {wanted.Name}: {error.message}") from None


def _number(words: Mapping[int, str], value: Value, name: str) -> int:
    for number, word in words.items():
        if word == value:
            return int(number)
    raise Invalid(f"{name}: {value!r} is none of {', '.join(words.values())}")
