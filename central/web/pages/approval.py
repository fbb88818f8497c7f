"""What pages on which quality approves or withdraws have in common: the form, and why nothing was signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.concurrency import run_in_threadpool

from central.access import Capability
from central.signature import SignatureRefused
from central.web import refusals
from central.web.desk import Signing
from central.web.i18n import N_
from central.web.visit import Text, Visit
from records.errors import LotkeeperError

Acts = Mapping[str, tuple[str, str]]
"""``approve`` and ``withdraw`` -> name and consequence, as message ids."""


@dataclass(frozen=True, slots=True)
class ApprovalForm:
    """What a person sends. ``effective``: from when on limits hold; other pages do not ask for it."""

    act: str = ""
    reason: str = ""
    user: str = ""
    password: str = ""
    content_hash: str = ""
    effective: str = ""
    code: str = ""

    @property
    def told(self) -> str:
        """The reason: a code of the plant's list where one was chosen, own words after it."""
        return joined(self.code, self.reason)

    def again(self, visit: Visit) -> dict[str, str]:
        """What the form shows: what was written in it, never the password."""
        user = self.user or visit.user.id
        return {"reason": self.reason, "user": user, "effective": self.effective, "code": self.code}


FRESH = ApprovalForm()
"""Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was signed. ``changed``: what was signed for is not what there is."""

    status: int
    text: str
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """The act that is open, and whether this visitor may sign it."""

    act: str
    name: str
    consequence: str
    allowed: bool


def _sent(
    act: Text = "",
    reason: Text = "",
    user: Text = "",
    password: Text = "",
    content_hash: Text = "",
    effective: Text = "",
    code: Text = "",
) -> ApprovalForm:
    return ApprovalForm(act, reason, user, password, content_hash, effective, code)


def joined(code: str, words: str) -> str:
    """A reason as it is recorded, from what was chosen and what was written."""
    code, words = code.strip(), words.strip()
    return f"{code}: {words}" if code and words else code or words


Sent = Annotated[ApprovalForm, Depends(_sent)]


def panel(visit: Visit, acts: Acts, act: str) -> Panel:
    name, consequence = acts[act]
    return Panel(act, visit.words(name), visit.words(consequence), visit.user.may(Capability.APPROVE))


async def sign(
    visit: Visit, acts: Acts, form: ApprovalForm, decide: Callable[[Signing], object]
) -> Refusal | None:
    """Have what was shown approved or withdrawn: a signature, so the password is asked for each time."""
    user, reason = form.user.strip(), form.told
    if form.act not in acts or not reason or not user or not form.password:
        return Refusal(422, visit.words(N_("Write the reason, and give user and password.")))
    signing = Signing(user, form.password, form.act, reason, form.content_hash, visit.origin)
    try:
        await run_in_threadpool(decide, signing)
    except LotkeeperError as error:
        changed = isinstance(error, SignatureRefused) and error.code == "content-changed"
        return Refusal(409 if changed else 403, refusals.text(visit.words, error), changed)
    return None
