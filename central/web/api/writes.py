"""What writes of the interface have in common: whose act it is, and how a refusal is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from central.access import Capability
from central.signature import SignatureRefused
from central.store.engine import is_away
from central.web.api.calls import Call
from central.web.api.problems import Problem
from central.web.visitors import Visitor
from records.errors import LotkeeperError, Refused


@dataclass(frozen=True, slots=True)
class Person:
    """User and password as a body brings them; both or neither."""

    user: str | None
    password: str | None


def visitor_of(call: Call, person: Person, target: str) -> Visitor:
    """Whose act on charts it is: the person whom the call brings, else the person of its session.

    Raises:
        Problem: 422 for half a person, 403 for a program alone or one that only reads. SignInRefused: a wrong
        password.
    """
    call.need(Capability.CHART)
    if (person.user is None) != (person.password is None):
        raise Problem(422, "user and password go together")
    if person.user is not None and person.password is not None:
        return call.desk.person(person.user, person.password, call.visitor.origin, target)
    if call.visitor.program:
        raise Problem(403, "a program decides nothing by itself: bring user and password of the person who does")
    return call.visitor


def needs_sign(call: Call) -> None:
    """Raises Problem 403 where the caller may not bring signatures."""
    if not call.visitor.may_bring:
        raise Problem(403, f"the token {call.visitor.id} may not bring signatures: it needs the scope sign")


def carried_out(work: Callable[[], object]) -> object:
    """The work's answer; refusals as problem documents. That the database cannot be used is none."""
    try:
        return work()
    except SignatureRefused as error:
        raise Problem(403 if error.code in ("not-allowed", "same-person") else 409, str(error)) from error
    except LotkeeperError as error:
        if is_away(error):
            raise
        raise Problem(403 if isinstance(error, Refused) else 422, str(error)) from error
