"""Asks a server what its structures and enumerations are (attribute DataTypeDefinition), for ``structures``."""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import nodeid_to_binary

from drivers.opcua import binary
from drivers.opcua.asking import Ask
from drivers.opcua.structures import Field, Form, Plan, Structures

_ENUMERATION, _ANY = 29, frozenset((24, 26, 27, 28))
_DEEPEST = 16
_FORMS = {
    ua.StructureType.Structure: Form.PLAIN,
    ua.StructureType.StructureWithOptionalFields: Form.OPTIONAL,
    ua.StructureType.Union: Form.UNION,
}


def key_of(node: ua.NodeId) -> str:
    """A node id as text, the same for all its encodings."""
    return binary.node_id_text(nodeid_to_binary(node), 0)


async def learn(known: Structures, data_type: ua.NodeId, ask: Ask, depth: int = 0) -> None:
    """Ask the server for this data type and for all that its fields need.

    Raises:
        what ``ask`` raises.
    """
    key = key_of(data_type)
    if key in known.plans or key in known.kinds or depth > _DEEPEST:
        return
    if data_type.NamespaceIndex == 0 and isinstance(data_type.Identifier, int) and data_type.Identifier <= 29:
        number = int(data_type.Identifier)
        known.kinds[key] = 24 if number in _ANY else 6 if number == _ENUMERATION else number
        return
    definition = await ask.attribute(data_type, AttributeIds.DataTypeDefinition)
    if isinstance(definition, ua.StructureDefinition):
        known.plans[key] = None  # known by name while its own fields are learned: a tree holds itself
        known.plans[key] = await _plan(known, definition, ask, depth)
        encoding = definition.DefaultEncodingId
        found = [encoding] if not encoding.is_null() else await ask.linked(data_type, ObjectIds.HasEncoding)
        known.encodings.update({key_of(node): key for node in found})
        return
    if isinstance(definition, ua.EnumDefinition):
        known.words[key] = {int(field.Value): field.Name or str(field.Value) for field in definition.Fields}
    for base in await ask.linked(data_type, ObjectIds.HasSubtype, inverse=True):
        await learn(known, base, ask, depth + 1)
        if (kind := known.kinds.get(key_of(base))) is not None:
            known.kinds[key] = kind


async def learn_encoding(known: Structures, encoding: ua.NodeId, ask: Ask) -> None:
    """Ask for the data type whose values carry this id."""
    if key_of(encoding) not in known.encodings:
        for data_type in await ask.linked(encoding, ObjectIds.HasEncoding, inverse=True):
            await learn(known, data_type, ask)


async def _plan(known: Structures, definition: ua.StructureDefinition, ask: Ask, depth: int) -> Plan | None:
    fields: list[Field] = []
    for told in definition.Fields:
        await learn(known, told.DataType, ask, depth + 1)
        key = key_of(told.DataType)
        kind = known.kinds.get(key)
        if (kind is None and key not in known.plans) or told.ValueRank > 1:
            return None
        structure = key if kind is None else None
        fields.append(Field(str(told.Name), kind or 22, structure, told.ValueRank >= 0, bool(told.IsOptional)))
    form = _FORMS.get(ua.StructureType(definition.StructureType))
    return None if form is None else Plan(form, tuple(fields))
