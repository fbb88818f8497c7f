"""Structures by the definitions that the server tells (attribute DataTypeDefinition, OPC UA 1.04 and later).

The library has a decoder too, but it registers every server's types in one place of the process: two machines that
number their types alike would decode each other's structures. Here each session has its own definitions.

What has no definition, or one that is not plain enough (fields of several dimensions, fields that allow subtypes),
is not decoded: its readings are bad with BadDataTypeIdUnknown. ``definitions`` asks the server; here it is pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pydantic import JsonValue

from drivers.opcua import binary

_DEEPEST = 16


class Form(Enum):
    """What stands before the fields: nothing, a mask of the optional ones that are there, the number of the
    one.
    """

    PLAIN = 0
    OPTIONAL = 1
    UNION = 2


@dataclass(frozen=True, slots=True)
class Field:
    """``kind`` is a built-in type; a structure is named by its data type instead."""

    name: str
    kind: int
    structure: str | None
    is_array: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """How a structure's body is laid out."""

    form: Form
    fields: tuple[Field, ...]


class Structures:
    """The data types of one session that are known so far, by their node ids as text.

    ``plans`` of structures (None: it cannot be decoded), ``kinds`` of all others, ``words`` of enumerations,
    ``encodings``: a structure's data type by the id that its values carry.
    """

    def __init__(self) -> None:
        self.plans: dict[str, Plan | None] = {}
        self.kinds: dict[str, int] = {}
        self.words: dict[str, dict[int, str]] = {}
        self.encodings: dict[str, str] = {}

    def plan_of(self, type_id: bytes) -> Plan | None:
        """The plan for an ExtensionObject's type id, None for an unknown one."""
        return self.plans.get(self.encodings.get(binary.node_id_text(type_id, 0), ""))

    def type_of(self, plan: Plan, path: Sequence[str]) -> str:
        """The data type at the end of a path of fields, empty when it leads nowhere."""
        name = ""
        at: Plan | None = plan
        for step in path:
            field = next((field for field in at.fields if field.name == step), None) if at else None
            if field is None:
                return ""
            name = (binary.NAMES[field.kind] if field.structure is None else "structure") + "[]" * field.is_array
            at = self.plans.get(field.structure) if field.structure and not field.is_array else None
        return name

    def decode(self, plan: Plan, data: bytes, at: int, end: int) -> dict[str, JsonValue]:
        """A structure's fields by name; an optional one that is not there is left out.

        Raises:
            Malformed: the body is not what its definition says. NotText.
        """
        value, reached = self._structure(plan, data[:end], at, 0)
        if reached != end:
            raise binary.Malformed(f"a structure's body of {end - at} bytes ends after {reached - at}")
        return value

    # -- inside ----------------------------------------------------------------------------------------------

    def _structure(self, plan: Plan, data: bytes, at: int, depth: int) -> tuple[dict[str, JsonValue], int]:
        if depth > _DEEPEST:
            raise binary.Malformed("a structure nested too deep")
        there: Sequence[Field] = plan.fields
        if plan.form is not Form.PLAIN:
            mask = binary.int32(data, at) & 0xFFFFFFFF
            at += 4
            there = _present(plan, mask)
        value: dict[str, JsonValue] = {}
        for field in there:
            value[field.name], at = self._field(field, data, at, depth)
        return value, at

    def _field(self, field: Field, data: bytes, at: int, depth: int) -> tuple[JsonValue, int]:
        if not field.is_array:
            return self._one(field, data, at, depth)
        count, at = binary.int32(data, at), at + 4
        if count < 0:
            return None, at
        if count > len(data) - at and field.kind:
            raise binary.Malformed(f"an array of {count}")
        values: list[JsonValue] = []
        for _ in range(count):
            value, at = self._one(field, data, at, depth)
            values.append(value)
        return values, at

    def _one(self, field: Field, data: bytes, at: int, depth: int) -> tuple[JsonValue, int]:
        if field.structure is not None:
            plan = self.plans.get(field.structure)
            if plan is None:
                raise binary.Malformed(f"no definition of {field.structure}")
            return self._structure(plan, data, at, depth + 1)
        end = binary.element_end(field.kind, data, at)
        if field.kind in binary.READABLE:
            return binary.element(field.kind, data, at), end
        if field.kind == binary.KINDS["variant"]:
            kind, is_array = binary.head(data, at)
            if kind in binary.READABLE:
                return binary.values(kind, is_array, data, at + 1), end
        if field.kind == binary.STRUCTURE:
            type_id, body, body_end, _ = binary.extension_object(data, at)
            plan = self.plan_of(type_id)
            if plan is not None:
                return self.decode(plan, data, body, body_end), end
        return None, end


def _present(plan: Plan, mask: int) -> Sequence[Field]:
    if plan.form is Form.UNION:
        if mask > len(plan.fields):
            raise binary.Malformed(f"a union of {len(plan.fields)} fields holds number {mask}")
        return plan.fields[mask - 1 : mask] if mask else ()
    optional = [field for field in plan.fields if field.optional]
    absent = {field.name for bit, field in enumerate(optional) if not mask >> bit & 1}
    return [field for field in plan.fields if field.name not in absent]
