"""What stands between a record and its release, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from central.domain import Blocker, Link, RequirementStatus
from central.web import states
from central.web.i18n import N_, Words
from records.reasons import NO_REASONS, Catalogue

TEXTS: Mapping[str, str] = {
    "operation-incomplete": N_("%(operation)s: %(have)s of %(need)s pieces have passed"),
    "material-incomplete": N_("%(item)s: %(have)s of %(need)s consumed"),
    "identification-incomplete": N_("%(have)s of %(need)s good pieces have a serial number"),
    "quantity-open": N_("%(have)s of %(need)s pieces are accounted for"),
    "certificate-open": N_("Gap certificate: %(grade)s"),
    "exceptions-open": N_("Open exceptions: %(open)s of %(total)s"),
    "discrepancies-open": N_("Open discrepancies: %(open)s of %(total)s"),
    "erp-not-confirmed": N_("Order %(order)s is not booked in the ERP: %(state)s"),
    "signature-missing": N_("Signature missing: %(meaning)s"),
    "signature-outdated": N_("The content has changed since %(user)s signed: %(meaning)s"),
    "order-unknown": N_("No work order is known for lot %(lot)s of %(product)s"),
    "already-decided": N_("Decided already: %(state)s"),
    "held-by-quality": N_("%(kind)s %(id)s is held by quality: %(reason)s (%(hold)s)"),
}
"""One text for every code of ``central.domain.BLOCKERS``."""


@dataclass(frozen=True, slots=True)
class BlockerText:
    text: str
    link: Link


def text(words: Words, blocker: Blocker, reasons: Catalogue = NO_REASONS) -> BlockerText:
    """The blocker as a sentence in the reader's language; a code of a later build stands for itself.

    ``reasons``: the plant's, whose codes the reason of a hold may begin with.
    """
    message = TEXTS.get(blocker.code)
    if message is None:
        return BlockerText(blocker.code, blocker.link)
    params = {name: _param(words, blocker.code, name, value) for name, value in blocker.params.items()}
    if blocker.code == "held-by-quality":
        params["reason"] = reasons.says("hold", params.get("reason", ""), words.language)
    return BlockerText(words(message, **params), blocker.link)


def _param(words: Words, code: str, name: str, value: object) -> str:
    group = {"grade": "grade", "meaning": "meaning"}.get(name)
    if name == "state":
        group = "posting" if code == "erp-not-confirmed" else "dhr"
    if code == "held-by-quality" and name == "kind":
        group = "held"
    if group is None:
        return str(value)
    code_word = "none" if value is None else str(value)
    return (
        states.name(words, group, code_word)
        if group in states.NAMES
        else states.status(words, group, code_word).word
    )


def requirement(words: Words, check: RequirementStatus) -> str:
    """What a requirement asks for, named."""
    asked = check.requirement
    kind = states.name(words, "requirement", "quantity" if asked.needs == "quantity" else asked.kind)
    if asked.kind == "signature":
        return f"{kind}: {states.name(words, 'meaning', asked.needs)}"
    if asked.kind == "discrepancy" and asked.needs == "erp":
        return words(N_("ERP agrees after booking"))
    return f"{kind} {asked.needs}" if asked.kind in ("operation", "bom") and asked.needs else kind
