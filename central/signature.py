"""Signing a device history record: who may, when, and exactly what the signature covers (21 CFR 11.50, 11.70).

Pure checks and the decision that holds the signature. The password is asked for elsewhere, each time. A signature
covers the SHA-256 of the record's content and carries that content, so that it can be read as it was signed for as
long as the chain exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central.access import Capability, User
from central.dhr import ACTS, DHR_TARGET
from central.domain import DECIDED, Blocker, DeviceHistoryRecord
from records.errors import Invalid, Refused
from records.model import Decision, Person, Signature, Target
from records.reasons import Told

REASON_MAX = 2000
NEEDED: dict[str, Capability] = {
    "reviewed": Capability.REVIEW,
    "released": Capability.RELEASE,
    "rejected": Capability.RELEASE,
}
"""Meaning -> what its signer must be allowed to do."""


@dataclass(frozen=True, slots=True)
class Rules:
    """``four_eyes``: whoever reviewed a record may not release it."""

    four_eyes: bool = True


class SignatureRefused(Refused):
    """Nothing was signed, and ``code`` says why.

    ``changed`` names the parts that are not as they were shown, ``blockers`` what must be done first.
    """

    def __init__(
        self,
        message: str,
        code: str,
        *,
        hint: str | None = None,
        changed: Sequence[str] = (),
        blockers: Sequence[Blocker] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.changed = tuple(changed)
        self.blockers = tuple(blockers)


def check(record: DeviceHistoryRecord, meaning: str, user: User, reason: str, rules: Rules) -> None:
    """Return quietly when this person may sign this record now with this meaning.

    Raises:
        Invalid: no such meaning, a reason that is missing or too long. SignatureRefused: not allowed, or not yet.
    """
    if meaning not in ACTS:
        raise Invalid(f"{meaning!r} is no meaning of a signature", hint=f"meanings: {', '.join(ACTS)}")
    if len(reason) > REASON_MAX or (meaning == "rejected" and not reason.strip()):
        raise Invalid(f"to reject needs a reason; at most {REASON_MAX} characters")
    if not user.may(NEEDED[meaning]):
        raise SignatureRefused(f"{user.id} ({user.role.value}) may not sign as {meaning}", "not-allowed")
    reviewers = {line.user for line in record.signatures if line.meaning == "reviewed" and line.current}
    if meaning == "released" and rules.four_eyes and user.id in reviewers:
        raise SignatureRefused(
            f"{user.id} reviewed lot {record.lot} and may not release it too",
            "same-person",
            hint="somebody else releases it",
        )
    if any((line.user, line.meaning, line.current) == (user.id, meaning, True) for line in record.signatures):
        raise SignatureRefused(
            f"{user.id} has signed this content of lot {record.lot} as {meaning}", "signed-already"
        )
    blockers = _blockers(record, meaning)
    if blockers:
        raise SignatureRefused(
            f"lot {record.lot} cannot be signed as {meaning}: {', '.join(b.code for b in blockers)}",
            "blocked",
            blockers=blockers,
        )


def _blockers(record: DeviceHistoryRecord, meaning: str) -> tuple[Blocker, ...]:
    if meaning == "released":
        return record.blockers
    if meaning == "reviewed":
        return record.review_blockers
    return tuple(blocker for blocker in record.blockers if blocker.code == DECIDED)


def decision(record: DeviceHistoryRecord, meaning: str, user: User, why: Told, now_us: int) -> Decision:
    """The signed decision: what was signed is inside it."""
    signature = Signature(
        user=user.id,
        name=user.name,
        meaning=meaning,
        signed_us=now_us,
        covers=record.content_hash,
        role=user.role.value,
    )
    old: JsonValue = record.state.value
    return Decision(
        ACTS[meaning],
        Target(DHR_TARGET, record.id),
        Person(user.id, user.role.value),
        why.reason,
        old=old,
        new=record.content,
        signature=signature,
        reasons=why.version,
    )
