"""Why something was not done, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from central.access import SignInRefused
from central.findings import FindingChanged
from central.signature import SignatureRefused
from central.store.engine import is_away
from central.web import blockers
from central.web.i18n import N_, Words
from records.errors import LotkeeperError
from records.reasons import NO_REASONS, Catalogue

TEXTS: Mapping[str, str] = {
    "wrong": N_("Nothing was done: user or password is wrong. Type both again."),
    "locked": N_("Nothing was done: this account is locked for a while after several wrong passwords."),
    "not-allowed": N_("Nothing was signed: the role of this user may not give this signature."),
    "same-person": N_(
        "Nothing was signed: whoever reviewed or proposed this may not release or approve it too. "
        "Ask somebody else."
    ),
    "signed-already": N_("Nothing was signed: this person has signed this content with this meaning already."),
    "released-already": N_("Nothing was signed: this hold was released already. This page says by whom and when."),
    "content-changed": N_("Nothing was signed: it is not as it was shown. Look at it again."),
    "unsound": N_("Nothing was signed: the bytes of this line file do not have its hash."),
    "blocked": N_("Nothing was signed: something must be done first."),
}

CHANGED = N_("Nothing was decided: this finding says something else than when it was shown. Look at it again.")

PARTS: Mapping[str, str] = {
    "certificate": N_("gap certificate"),
    "configurations": N_("configuration"),
    "equipment": N_("equipment"),
    "expiry": N_("expiry date"),
    "findings": N_("exceptions and discrepancies"),
    "materials": N_("material"),
    "operations": N_("operations"),
    "orders": N_("work orders"),
    "people": N_("people"),
    "quantities": N_("quantities"),
    "records": N_("records"),
    "requirements": N_("completeness"),
    "revisions": N_("revision"),
    "udi_di": N_("UDI-DI"),
    "units": N_("units"),
}
"""Parts of a record's signed content."""


def text(words: Words, error: LotkeeperError, reasons: Catalogue = NO_REASONS) -> str:
    """The refusal; one without a code is shown as it was raised. ``reasons``: the plant's, of holds that stand.

    Raises the error where it is no refusal: the database could not be used, and what was sent may be stored.
    """
    if is_away(error):
        raise error
    if isinstance(error, SignInRefused):
        return words(TEXTS[error.reason])
    if isinstance(error, SignatureRefused) and error.code in TEXTS:
        against = [blockers.text(words, blocker, reasons).text for blocker in error.blockers]
        return " ".join([words(TEXTS[error.code]), *(f"{one}." for one in against)])
    return words(CHANGED) if isinstance(error, FindingChanged) else str(error)


def changed_parts(words: Words, error: LotkeeperError) -> list[str] | None:
    """The parts of a record that are not as they were shown; None: the refusal has another reason."""
    if not isinstance(error, SignatureRefused) or error.code != "content-changed":
        return None
    return [words(PARTS[part]) if part in PARTS else part for part in error.changed]
