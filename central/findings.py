"""Findings as records with a state: opened when the facts show their cause, closed by a person, never deleted.

Promise: a finding, its row and the fact that states it are committed together, so that a kill leaves both or
neither; settling again opens nothing twice. A finding whose cause is gone (late data arrived) is closed by central
itself, by a decision that says so, and opened again when the cause comes back. What a person closed stays closed,
as long as it says what it said then: a count of missing records that has grown since is opened again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from central import reasons
from central.access import Capability, User
from central.assessment import SYSTEM, Assessment
from central.domain import VANISHED, Closing, Finding
from central.facts import Facts, Said
from central.store import findings as sql
from central.store.engine import Connection, Store
from central.store.index import About
from central.stored import StoredFact
from records.errors import Invalid, Refused, Unknown
from records.model import Act, Decision, OperationsEvent, Person, SubjectKind, Target
from records.reasons import Told
from records.wire import CENTRAL

CLOSING_ACTS = (Act.CLOSE, Act.CONCESSION, Act.SCRAP)
"""close: looked at, nothing follows. concession: used as it is. scrap: the pieces it is about are scrap."""

REASON_MAX = 2000
PIECE_ROWS = 200
"""So many findings, with the subjects that they name, one commit of a judgement writes at most: no other commit
waits for longer than that, however large the order."""

_Piece = dict[str, Finding | None]
"""Findings by id as the facts show them; None: what is stated has lost its cause."""


@dataclass(frozen=True, slots=True)
class _Settled:
    """``changed``: opened or closed. ``seen``: the last fact that the judgement knows of, its own included."""

    changed: int
    seen: int


class FindingChanged(Refused):
    """Nothing was decided: the finding does not say any more what was shown."""


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
            held = sql.by_ids(connection, [finding_id]).get(finding_id)
        return None if held is None else held.finding

    # -- central's own doing ---------------------------------------------------------------------------------

    def settle(self, assessment: Assessment) -> int:
        """Bring what is stated to what the facts show; how many findings were opened or closed.

        Only what differs is written, in pieces, each with a commit of its own: what comes from the lines meanwhile
        is committed between them. Whatever comes is about orders that are judged again.
        """
        reference = assessment.dossier.reference
        with self._store.read() as connection:
            held = sql.of_order(connection, reference)
        changed, seen = 0, assessment.dossier.cursor
        for piece in _pieces(_differing(held, assessment.findings)):

            def job(connection: Connection, piece: _Piece = piece, seen: int = seen) -> _Settled:
                return self._settle(connection, reference, piece, seen)

            settled = self._store.write(job)
            changed, seen = changed + settled.changed, settled.seen
        return changed

    def _settle(self, connection: Connection, reference: str, piece: _Piece, seen: int) -> _Settled:
        held = sql.by_ids(connection, piece)
        # a decision that this assessment does not know yet is not undone by it
        current = sql.last_of_orders(connection, [reference]) <= seen
        opened: list[Finding] = []
        told: list[Finding] = []
        vanished: list[sql.HeldFinding] = []
        for finding_id, finding in piece.items():
            known = held.get(finding_id)
            if finding is None:
                if known is not None and known.finding.open:
                    vanished.append(known)
            elif known is not None and _grown(known.finding, finding) and not current:
                continue
            elif known is None or _grown(known.finding, finding) or _closed_by_central(known):
                opened.append(finding)
            elif not sql.same_words(known.finding, finding):
                told.append(finding)
        stated = self._facts.state_all(connection, [_opening(finding) for finding in opened])
        each = [(f, fact.fact.header.at_us, fact.hash) for f, fact in zip(opened, stated, strict=True)]
        sql.put(connection, each, held)
        sql.tell(connection, told)
        stated += self._close(connection, vanished, Act.CLOSE, Person(CENTRAL, SYSTEM), Told(VANISHED))
        if current:  # nothing but what this judgement itself has stated
            seen = max([seen, *(fact.cursor for fact in stated)])
        return _Settled(len(stated), seen)

    # -- people's doing --------------------------------------------------------------------------------------

    def close(self, shown: Mapping[str, str], user: User, act: str, reason: str) -> list[Finding]:
        """A person decides about findings, all of them or none; gives them as they stand then.

        ``shown``: the id of each, with the ``content_hash`` of what the person was shown of it.

        Raises:
            FindingChanged: one says something else by now.
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
            held = sql.by_ids(connection, shown)
            each = [_open(held, finding_id, content_hash, Act(act)) for finding_id, content_hash in shown.items()]
            self._close(connection, each, Act(act), by, why)
            now = sql.by_ids(connection, held)
            return [now[finding_id].finding for finding_id in shown]

        return self._store.write(job)

    def _close(
        self, connection: Connection, held: Sequence[sql.HeldFinding], act: Act, by: Person, why: Told
    ) -> list[StoredFact]:
        """Close findings, each by a decision of its own; those decisions."""
        stated = self._facts.state_all(connection, [_decided(each, act, by, why) for each in held])
        closed = [
            (
                each.finding.id,
                Closing(act.value, by.id, why.reason, fact.fact.header.at_us, fact.hash, by.role == SYSTEM),
            )
            for each, fact in zip(held, stated, strict=True)
        ]
        sql.close(connection, closed)
        return stated


def _opening(finding: Finding) -> Said:
    params: dict[str, JsonValue] = {
        finding.kind: finding.id,
        "code": finding.code,
        "params": dict(finding.params),
        "lot": finding.lot,
        "product": finding.product,
    }
    event = OperationsEvent(f"{finding.kind}-opened", params, finding.subjects, finding.order)
    return Said(event, _about(finding), station=finding.station)


def _decided(held: sql.HeldFinding, act: Act, by: Person, why: Told) -> Said:
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
    return Said(decision, _about(finding))


def _about(finding: Finding) -> About:
    return About(finding.order, finding.product, finding.lot)


def _open(known: Mapping[str, sql.HeldFinding], finding_id: str, content_hash: str, act: Act) -> sql.HeldFinding:
    held = known.get(finding_id)
    if held is None:
        raise Unknown(f"there is no finding {finding_id}")
    if not held.finding.open:
        raise Refused(f"finding {finding_id} ({held.finding.code}) is closed already")
    if held.finding.content_hash != content_hash:
        raise FindingChanged(
            f"finding {finding_id} ({held.finding.code}) says something else than when it was shown",
            hint="look at it again, then decide",
        )
    pieces = (SubjectKind.UNIT, SubjectKind.CARRIER)
    if act is Act.SCRAP and not any(subject.kind in pieces for subject in held.finding.subjects):
        raise Refused(f"finding {finding_id} ({held.finding.code}) is about no piece that could be scrapped")
    return held


def _grown(known: Finding, finding: Finding) -> bool:
    """Whether a person closed it when it said something else."""
    return known.settled and known.substance != finding.substance


def _closed_by_central(known: sql.HeldFinding) -> bool:
    return known.finding.closing is not None and known.finding.closing.system


def _differing(held: Mapping[str, sql.HeldFinding], present: Sequence[Finding]) -> _Piece:
    """What settling has to write."""
    found: _Piece = {}
    for finding in present:
        known = held.get(finding.id)
        if known is None or _closed_by_central(known) or not sql.same_words(known.finding, finding):
            found[finding.id] = finding
    ids = {finding.id for finding in present}
    return found | {id_: None for id_, known in held.items() if known.finding.open and id_ not in ids}


def _pieces(differing: _Piece) -> Iterator[_Piece]:
    """Of about ``PIECE_ROWS`` each, in their order."""
    piece: _Piece = {}
    rows = 0
    for finding_id, finding in differing.items():
        piece[finding_id] = finding
        rows += 1 if finding is None else 1 + len(finding.subjects)
        if rows >= PIECE_ROWS:
            yield piece
            piece, rows = {}, 0
    if piece:
        yield piece
