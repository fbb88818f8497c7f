"""Errors of the interface as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


def problem_of(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: Sequence[Any] = ()
) -> JSONResponse:
    """The document: ``errors`` are a validation's, each with the place of the wrong value and what is wrong."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [
            {"pointer": "/" + "/".join(str(part) for part in e["loc"]), "detail": str(e["msg"])} for e in errors
        ]
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


class Problem(HTTPException):
    """Raised by endpoints; becomes a problem document."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
    for status in (401, 403, 404, 409, 422, 503)
}
"""For the OpenAPI document: what every operation may answer besides its result."""
