"""The page of the HTTP interface, from the OpenAPI document that central itself serves."""

from __future__ import annotations

from typing import cast

from pydantic import JsonValue

from central.web.desk import Desk
from central.web.site import create_site
from tools.reference.markdown import cell, code, document, table
from tools.reference.models import Schema, in_order, keys, mapping, type_text

INTRODUCTION = """
The same as OpenAPI: `/api/v1/openapi.json` of a running central. A program sends `Authorization: Bearer TOKEN`
(`lotkeeper-central token create` prints one). Lists are `{"items": [...], "next": null}`; `next` is the `cursor`
of the next page. Errors are `application/problem+json` (RFC 9457). Writes take an `Idempotency-Key`: the same key
again gives the first answer again.
"""


PROBLEM = "application/problem+json"


def openapi() -> Schema:
    """The document; making it asks nothing of the desk behind the interface, so there is none."""
    return cast(Schema, create_site(cast(Desk, None)).openapi())


def page() -> str:
    """Every operation, then every form of data."""
    told = openapi()
    parts = mapping(mapping(told.get("components")).get("schemas"))
    sections = [INTRODUCTION]
    for path, item in mapping(told.get("paths")).items():
        for method, operation in mapping(item).items():
            sections += _operation(f"{method.upper()} {path}", mapping(operation), parts)
    sections.append("## Data")
    for name in in_order(told.get("paths"), parts):
        part = mapping(parts[name])
        if "properties" in part:
            sections += [f"### {name}", _text(part), keys(part, parts, nulls=True)]
    return document("HTTP interface", *sections)


def _operation(heading: str, operation: Schema, parts: Schema) -> list[str]:
    sections = [f"## {heading}", cell(str(operation.get("description") or operation.get("summary") or ""))]
    given = operation.get("parameters")
    rows = [_parameter(mapping(each), parts) for each in given] if isinstance(given, list) else []
    if rows:
        sections.append(table(("parameter", "in", "type", "what it is"), rows))
    body = _content(mapping(operation.get("requestBody")), parts)
    answers = mapping(operation.get("responses"))
    errors = [status for status, answer in answers.items() if PROBLEM in mapping(mapping(answer).get("content"))]
    told = [
        f"- {status}: {_content(mapping(answer), parts) or cell(str(mapping(answer).get('description', '')))}"
        for status, answer in answers.items()
        if status not in errors
    ]
    told += [f"- {', '.join(errors)}: `{PROBLEM}`"] if errors else []
    return [*sections, f"Body: {body}" if body else "", "Answers:\n\n" + "\n".join(told)]


def _parameter(given: Schema, parts: Schema) -> tuple[str, str, str, str]:
    kind = type_text(mapping(given.get("schema")), parts)
    needed = " (required)" if given.get("required") else ""
    return code(str(given["name"])), str(given["in"]), kind + needed, _text(given)


def _content(answer: Schema, parts: Schema) -> str:
    """The form of a body: its media type and what it holds."""
    found = [
        f"`{kind}` {type_text(mapping(mapping(value).get('schema')), parts)}"
        for kind, value in mapping(answer.get("content")).items()
    ]
    return " or ".join(text.removesuffix(" any") for text in found)


def _text(value: JsonValue) -> str:
    return cell(str(mapping(value).get("description") or "")).replace("``", "`")
