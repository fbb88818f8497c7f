"""The audit trail: who did what, when, to what, and why; the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import JsonValue

from central.access import Capability
from central.audit import AuditEntry
from central.web import decided, states, texts
from central.web import params as params_of
from central.web.i18n import Words
from central.web.visit import Visit, needs
from records.model import Act
from records.reasons import NO_REASONS, Catalogue

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
    """One entry as a person reads it. ``change``: before and after, where something was changed."""

    entry: AuditEntry
    who: str
    what: str
    tone: str
    target: str
    href: str | None
    reason: str
    change: tuple[str, ...]
    details: tuple[tuple[str, JsonValue], ...]


@router.get("/audit")
def audit(
    visit: Annotated[Visit, Depends(needs(Capability.VIEW_AUDIT))],
    user: str = "",
    code: str = "",
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    entries = visit.desk.audit(user=user or None, code=code or None, before=before, limit=PAGE + 1)
    reasons = visit.desk.reasons()
    return visit.page(
        "audit.html",
        rows=[audit_row(visit.words, entry, reasons) for entry in entries[:PAGE]],
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


def audit_row(words: Words, entry: AuditEntry, reasons: Catalogue = NO_REASONS) -> AuditRow:
    """An entry of the trail as a row: what it was about apart from its details. ``reasons``: the plant's."""
    params = dict(entry.params)
    kind, identity = str(params.pop("kind", None) or ""), params.pop("id", None)
    target = params.pop("target", None)
    reason, old, new = params.pop("reason", None), params.pop("old", None), params.pop("new", None)
    shown = params.pop("user", None)
    if shown is not None and shown != entry.user:
        params["user"] = shown
    params.pop("by", None)
    if params.get("meaning") == entry.code:  # a signature that means the act itself
        del params["meaning"]
    if identity is None:
        about, why = decided.of_target(words, str(target or "")), params_of.spoken(words, "reason", reason)
    else:
        about = decided.about(words, kind, str(identity))
        why = decided.reason(words, reasons, entry.code, kind, str(reason or ""))
    changed = old is not None or new is not None
    return AuditRow(
        entry,
        entry.user or "central",
        what(words, entry.code),
        TONES.get(entry.code, "idle"),
        about,
        None if identity is None else decided.href(kind, str(identity), entry.agent),
        why if reason else "",
        tuple(decided.state(words, kind, value) for value in (old, new)) if changed else (),
        tuple((k, v) for k, v in params.items() if v is not None),
    )
