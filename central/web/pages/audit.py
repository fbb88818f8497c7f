"""The audit trail: who did what, when, to what, and why; the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import JsonValue

from central.access import Capability
from central.audit import AuditEntry
from central.web import params as params_of
from central.web import states, texts
from central.web.i18n import Words
from central.web.visit import Visit, needs
from records.model import Act

router = APIRouter(include_in_schema=False)

PAGE = 100

CODES = (
    "signed-in",
    "signed-out",
    "sign-in-refused",
    "signature-refused",
    "account-locked",
    "user-added",
    "user-disabled",
    "password-changed",
    "token-created",
    "token-revoked",
    "central-started",
    "chain-verified",
)
"""Event codes of the audit stream that the list can be narrowed to."""

TONES = {
    "sign-in-refused": "warning",
    "signature-refused": "bad",
    "account-locked": "bad",
    "reject": "bad",
    "release": "ok",
    "review": "ok",
}


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as a person reads it. ``old`` and ``new`` only where something was changed."""

    entry: AuditEntry
    who: str
    what: str
    tone: str
    target: str
    href: str | None
    reason: str
    old: JsonValue
    new: JsonValue
    details: tuple[tuple[str, JsonValue], ...]


@router.get("/audit")
def audit(
    visit: Annotated[Visit, Depends(needs(Capability.VIEW_AUDIT))],
    user: str = "",
    code: str = "",
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    entries = visit.desk.audit(user=user or None, code=code or None, before=before, limit=PAGE + 1)
    return visit.page(
        "audit.html",
        rows=[audit_row(visit.words, entry) for entry in entries[:PAGE]],
        wanted={"user": user, "code": code},
        codes=sorted(
            [(code, what(visit.words, code)) for code in (*CODES, *(act.value for act in Act))],
            key=lambda pair: pair[1],
        ),
        older=entries[PAGE - 1].cursor if len(entries) > PAGE else None,
        before=before,
    )


def what(words: Words, code: str) -> str:
    """What an entry's code means: an event's title, or the name of a decision's act."""
    if code in texts.EVENT_TEXTS:
        return words(texts.event_text(code).title)
    return states.name(words, "kind" if code in states.NAMES["kind"] else "act", code)


def audit_row(words: Words, entry: AuditEntry) -> AuditRow:
    """An entry of the trail as a row: what it was about apart from its details."""
    params = dict(entry.params)
    kind, identity = params.pop("kind", None), params.pop("id", None)
    target = params.pop("target", None)
    reason, old, new = params.pop("reason", None), params.pop("old", None), params.pop("new", None)
    shown = params.pop("user", None)
    if shown is not None and shown != entry.user:
        params["user"] = shown
    params.pop("by", None)
    about = f"{kind} {identity}" if identity is not None else str(target or "")
    return AuditRow(
        entry,
        entry.user or "central",
        what(words, entry.code),
        TONES.get(entry.code, "idle"),
        about,
        target_href(str(kind), str(identity)) if identity is not None else None,
        params_of.spoken(words, "reason", reason) if reason else "",
        old,
        new,
        tuple((k, v) for k, v in params.items() if v is not None),
    )


def target_href(kind: str, identity: str) -> str | None:
    """The page of what a decision is about."""
    pages = {
        "discrepancy": "findings",
        "exception": "findings",
        "dhr": "dhrs",
        "order": "orders",
        "record": "records",
    }
    return f"/{pages[kind]}/{identity}" if kind in pages else None
