"""Values that people write with a unit or by reference: durations, sizes, secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from records.errors import ConfigurationError

_SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
}
DURATION_UNITS = "ms, s, min, h or d"
SIZE_UNITS = "B, kB, MB, GB, KiB, MiB or GiB"
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_AMOUNT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*")


class Settings(BaseModel):
    """Base of everything that is read from YAML: frozen, unknown keys are errors, no infinities.

    Texts below the fields are their descriptions in the JSON Schema and in the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)

    @classmethod
    def resolved_keys(cls) -> Mapping[str, Any]:
        """Keys that may be written and are resolved before the model is made (defaults, groups), with their types.

        They are known to "did you mean", to aliases and to the JSON Schema, and never reach the model.
        """
        return {}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        keys = cls.resolved_keys()
        if keys:
            properties = handler.resolve_ref_schema(found).setdefault("properties", {})
            for key, kind in keys.items():
                many: Any = tuple[kind, ...]  # type: ignore[valid-type]  # one entry of it is never inlined
                properties[key] = handler(TypeAdapter(many).core_schema)["items"]
        return found


def fault(message: str, *, at: str | tuple[str | int, ...] = (), hint: str | None = None) -> PydanticCustomError:
    """What a validator raises to name the place (``at``, below the value it validates) and to give a hint."""
    path = (at,) if isinstance(at, str) else at
    context = {"message": message, "at": list(path), "hint": hint}
    return PydanticCustomError("lotkeeper", "{message}", context)


def _shown(text: str) -> str:
    if not text.strip() or not text.isprintable():
        hint = "letters, digits and marks in one row, such as Sealing line 2"
        raise fault(f"{text!r} cannot be shown", hint=hint)
    return text


Shown = Annotated[str, AfterValidator(_shown)]
"""A name that stands in tables, logs and each record."""


def _duration(value: object) -> float:
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    unit = match.group(2) if match else ""
    if match is None or unit not in _SECONDS:
        raise _no_unit("duration", value, DURATION_UNITS, "200ms, 2s or 14d", "s")
    return float(Decimal(match.group(1)) * _SECONDS[unit])


def limit_like(written: str | None, limit: float) -> tuple[str, str] | None:
    """A limit with a unit, as a duration or size was written, and the units that may be; None: it is neither."""
    match = _AMOUNT.fullmatch(written or "")
    for units, told in ((_SECONDS, DURATION_UNITS), (_BYTES, SIZE_UNITS)):
        if match is not None and match.group(2) in units:
            whole = [unit for unit in units if limit and Decimal(str(limit)) % units[unit] == 0]
            best = max(whole, key=lambda unit: units[unit], default=match.group(2))
            return f"{Decimal(str(limit)) / units[best]:f}".removesuffix(".0") + best, told
    return None


def _size(value: object) -> int:
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    unit = match.group(2) if match else ""
    if match is None or unit not in _BYTES:
        raise _no_unit("size", value, SIZE_UNITS, "512MiB or 20GiB", "GiB")
    return int(Decimal(match.group(1)) * _BYTES[unit])


def _no_unit(what: str, value: object, units: str, examples: str, likely: str) -> PydanticCustomError:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return fault(f"a {what} needs a unit ({units})", hint=f"for example {value}{likely}")
    return fault(f"{value!r} is no {what}", hint=f"write a number and one of {units}, for example {examples}")


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9.]+\s*(us|ms|s|min|m|h|d)$", "examples": ["200ms", "14d"]}
    ),
]
"""``"200ms"``, ``"2s"``, ``"14d"`` in YAML, seconds as a float here; a bare number is an error."""

Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9.]+\s*([kMGT]?B|[KMGT]iB)$", "examples": ["512MiB", "20GiB"]}
    ),
]
"""``"20GiB"`` in YAML, bytes as an int here; a bare number is an error."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by reference: ``env:NAME`` or ``file:PATH`` (relative to the YAML file that names it)."""

    reference: str
    folder: Path | None = field(default=None, repr=False)

    def reveal(self) -> str:
        """The secret itself; ask for it where it is used and keep it nowhere.

        Raises:
            ConfigurationError: the variable or file is missing or empty.
        """
        kind, _, name = self.reference.partition(":")
        if kind == "env":
            value = os.environ.get(name, "")
        else:
            path = Path(name) if self.folder is None else self.folder / name
            try:
                value = path.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
                raise ConfigurationError(f"the secret {self.reference} cannot be read: {reason}") from None
        if not value:
            what = "environment variable" if kind == "env" else "file"
            raise ConfigurationError(
                f"the secret {self.reference} is empty or missing", hint=f"set the {what} {name}"
            )
        return value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=r"^(env|file):.+$")
        return core_schema.with_info_plain_validator_function(
            _secret,
            json_schema_input_schema=text,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: secret.reference),
        )


def _secret(value: object, info: core_schema.ValidationInfo) -> Secret:
    if isinstance(value, Secret):
        return value
    # the value is not repeated in the message: it may be the secret itself
    if not isinstance(value, str) or not re.fullmatch(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)", value):
        raise fault(
            "a secret is given by reference, never in the file itself",
            hint='write "env:NAME" (environment variable) or "file:PATH"',
        )
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return Secret(value, folder)
