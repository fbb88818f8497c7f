"""Findings as records with a state: opened when the facts show their cause, closed by a person, never deleted.

Promise: a finding, its row and the fact that states it are committed together, so that a kill leaves all or
nothing; settling again opens nothing twice. A finding whose cause is gone (late data arrived) is closed by central
itself, by a decision that says so, and opened again when the cause comes back. What a person closed stays closed,
as long as it says what it said then: a count of missing records that has grown since is opened again.
"""

from __future__ import annotations

from collections.abc import Sequence

from central import reasons
from central.access import Capability, User
from central.assessment import SYSTEM, Assessment
from central.domain import VANISHED, Closing, Finding
from central.facts import Facts
from central.store import findings as sql
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.errors import Invalid, Refused, Unknown
from records.model import Act, Decision, OperationsEvent, Person, SubjectKind, Target
from records.reasons import Told
from records.wire import CENTRAL

CLOSING_ACTS = (Act.CLOSE, Act.CONCESSION, Act.SCRAP)
"""close: looked at, nothing follows. concession: used as it is. scrap: the pieces it is about are scrap."""

REASON_MAX = 2000


class Findings:
    """Opens and closes findings."""

    def __init__(self, store: Store, facts: Facts) -> None:
        self._store = store
        self._facts = facts

    # -- reading -------------------------------------------------------------------------------------------

    def listed(
        self, *, open_only: bool = False, kind: str | None = None, limit: int | None = None
    ) -> list[Finding]:
        """Findings of all orders, the newest first."""
        with self._store.read() as connection:
            return sql.listed(connection, open_only=open_only, kind=kind, limit=limit)

    def get(self, finding_id: str) -> Finding | None:
        with self._store.read() as connection:
            held = sql.by_id(connection, finding_id)
        return None if held is None else held.finding

    # -- central's own doing ---------------------------------------------------------------------------------

    def settle(self, assessment: Assessment) -> int:
        """Bring what is stated to what the facts show; how many findings were opened or closed."""
        reference = assessment.dossier.reference
        with self._store.read() as connection:
            held = sql.of_order(connection, reference)
        if not _differs(held, assessment.findings):
            return 0
        return self._store.write(lambda connection: self._settle(connection, assessment))

    def _settle(self, connection: Connection, assessment: Assessment) -> int:
        reference, present = assessment.dossier.reference, assessment.findings
        held = sql.of_order(connection, reference)
        # a decision that this assessment does not know yet is not undone by it
        current = sql.last_of_orders(connection, [reference]) <= assessment.dossier.cursor
        changed = 0
        for finding in present:
            known = held.get(finding.id)
            grown = known is not None and _grown(known.finding, finding)
            if grown and not current:
                continue
            if known is None or grown or (known.finding.closing is not None and known.finding.closing.system):
                stated = self._state_open(connection, finding)
                sql.put(connection, finding, stated.fact.header.at_us, stated.hash)
                changed += 1
            elif not sql.same_words(known.finding, finding):
                sql.tell(connection, finding)
        ids = {finding.id for finding in present}
        for known in held.values():
            if known.finding.open and known.finding.id not in ids:
                self._close(connection, known, Act.CLOSE, Person(CENTRAL, SYSTEM), Told(VANISHED))
                changed += 1
        return changed

    def _state_open(self, connection: Connection, finding: Finding) -> StoredFact:
        event = OperationsEvent(
            f"{finding.kind}-opened",
            {
                finding.kind: finding.id,
                "code": finding.code,
                "params": dict(finding.params),
                "lot": finding.lot,
                "product": finding.product,
            },
            finding.subjects,
            finding.order,
        )
        return self._facts.state(
            connection,
            event,
            order=finding.order,
            product=finding.product,
            lot=finding.lot,
            station=finding.station,
        )

    # -- people's doing --------------------------------------------------------------------------------------

    def close(self, finding_ids: Sequence[str], user: User, act: str, reason: str) -> list[Finding]:
        """A person decides about findings, all of them or none; gives them as they stand then.

        Raises:
            Refused: no right, closed already, or about no piece when it is to be scrapped.
            Unknown: no such finding. Invalid: no such act, no reason.
        """
        if not user.may(Capability.CLOSE_FINDING):
            raise Refused(f"{user.id} may not close findings", hint="quality people may")
        if act not in CLOSING_ACTS:
            raise Invalid(f"{act!r} closes no finding", hint=f"acts: {', '.join(CLOSING_ACTS)}")
        words = reason.strip()
        if not words or len(words) > REASON_MAX:
            raise Invalid(f"a decision needs a reason of 1 to {REASON_MAX} characters")
        why = reasons.told(self._store, "scrap", words) if act == Act.SCRAP else Told(words)
        by = Person(user.id, user.role.value)

        def job(connection: Connection) -> list[Finding]:
            for finding_id in dict.fromkeys(finding_ids):
                self._close(connection, _open(connection, finding_id, Act(act)), Act(act), by, why)
            rows = [sql.by_id(connection, finding_id) for finding_id in finding_ids]
            return [row.finding for row in rows if row is not None]

        return self._store.write(job)

    def _close(self, connection: Connection, held: sql.HeldFinding, act: Act, by: Person, why: Told) -> None:
        finding = held.finding
        decision = Decision(
            act,
            Target(finding.kind, finding.id, held.opened_hash),
            by,
            why.reason,
            old="open",
            new="closed" if finding.substance is None else {"state": "closed", "substance": finding.substance},
            reasons=why.version,
        )
        stated = self._facts.state(
            connection, decision, order=finding.order, product=finding.product, lot=finding.lot
        )
        at_us = stated.fact.header.at_us
        sql.close(
            connection, finding.id, Closing(act.value, by.id, why.reason, at_us, stated.hash, by.role == SYSTEM)
        )


def _open(connection: Connection, finding_id: str, act: Act) -> sql.HeldFinding:
    held = sql.by_id(connection, finding_id)
    if held is None:
        raise Unknown(f"there is no finding {finding_id}")
    if not held.finding.open:
        raise Refused(f"finding {finding_id} ({held.finding.code}) is closed already")
    pieces = (SubjectKind.UNIT, SubjectKind.CARRIER)
    if act is Act.SCRAP and not any(subject.kind in pieces for subject in held.finding.subjects):
        raise Refused(f"finding {finding_id} ({held.finding.code}) is about no piece that could be scrapped")
    return held


def _grown(known: Finding, finding: Finding) -> bool:
    """Whether a person closed it when it said something else."""
    return known.settled and known.substance != finding.substance


def _differs(held: dict[str, sql.HeldFinding], present: Sequence[Finding]) -> bool:
    """Whether settling would write anything."""
    ids = {finding.id for finding in present}
    if any(known.finding.open and known.finding.id not in ids for known in held.values()):
        return True
    for finding in present:
        known = held.get(finding.id)
        if known is None or not sql.same_words(known.finding, finding):
            return True
        if known.finding.closing is not None and known.finding.closing.system:
            return True
    return False
