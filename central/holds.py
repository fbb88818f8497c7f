"""Holds that quality sets: what must not be worked on, on any line, until a person releases it.

A hold and its release are signed decisions in central's chain. The lines hear of all that stand by one document, a
new version with every change, so that each run can name the version that it knew, and each refusal the one that it
obeys.

A restore loses the decisions since its backup. A hold that something else still tells of (the database that was
set aside, a document that a line keeps) is carried over: central states that, with its source, in nobody's name,
and the hold stands until a person releases it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from pydantic import JsonValue

from central import reasons
from central.access import Capability, User
from central.domain import opaque_id
from central.dossier import whole
from central.facts import Facts
from central.signature import REASON_MAX, SignatureRefused
from central.store import documents, search
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.clock import Clock, iso_z
from records.errors import Invalid, Refused, Unknown
from records.model import Act, Decision, OperationsEvent, Person, Signature, Target
from records.reasons import Told
from records.wire import CENTRAL, HOLDS, PLANT, Document, canonical_json

TARGET = "hold"
"""Kind of a decision's target; its id is the hold's."""
EVERY_AGENT = "*"
MOST_STANDING = 1000
"""Most holds that stand at once: every line keeps them all."""
LONGEST = 200

Kind = Literal["unit", "lot", "component", "order", "equipment"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CARRIED = "hold-carried-over"
"""Code of the fact that a hold which a restore had lost stands again."""
_CODES = (Act.HOLD.value, Act.RELEASE.value, CARRIED)
OF_PRODUCT = ("unit", "lot", "component")
"""Kinds whose id is unique only within a product or item."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held: a unit by serial, a lot of ours, a component's lot, an order, a machine by its plant name.

    ``product``: the product of a unit or lot, the item of a component's lot; None for the others.
    """

    kind: Kind
    id: str
    product: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        return {"kind": self.kind, "id": self.id, "product": self.product}

    @property
    def content_hash(self) -> str:
        """What the signature of a hold covers (SHA-256, hexadecimal)."""
        return _sha({"act": "hold", "held": self.to_json()})


@dataclass(frozen=True, slots=True)
class Hold:
    """``hash``: of the decision in central's chain, as ``released_hash`` is of its release.

    ``carried``: what told of it after a restore had lost its decision; ``hash`` is then of the fact that says so,
    and ``by`` is "" where the source does not say who set it.
    """

    id: str
    held: Held
    reason: str
    by: str
    since_us: int
    hash: str
    released_by: str | None = None
    released_us: int | None = None
    released_reason: str | None = None
    released_hash: str | None = None
    carried: str | None = None

    @property
    def stands(self) -> bool:
        return self.released_by is None

    @property
    def content_hash(self) -> str:
        """What the signature of a release covers (SHA-256, hexadecimal)."""
        return _sha({"act": "release", "hold": self.id, "held": self.held.to_json(), "decision": self.hash})

    def to_json(self) -> dict[str, JsonValue]:
        """What the interface and the command line show of it."""
        return {
            "hold": self.id,
            "state": "standing" if self.stands else "released",
            **self.held.to_json(),
            "reason": self.reason,
            "by": self.by,
            "since": iso_z(self.since_us),
            "record": self.hash,
            "released_by": self.released_by,
            "released_at": iso_z(self.released_us),
            "release_reason": self.released_reason,
            "release_record": self.released_hash,
            "carried_over": self.carried,
            "content_hash": self.content_hash,
        }


class Holds:
    """All holds. ``tell(agent, document)`` brings the lines what stands (``*``: all of them)."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, tell: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._tell = store, facts, clock, tell
        self._known: dict[str, Hold] = {}
        self._read_through = 0
        self._reading = threading.Lock()
        self._deciding = threading.Lock()

    # -- reading -------------------------------------------------------------------------------------------

    def listed(self) -> list[Hold]:
        """Every hold: those that stand first, then the newest."""
        with self._reading:
            for fact in self._store.facts(agent=CENTRAL, codes=_CODES, after=self._read_through):
                self._read_through = max(self._read_through, fact.cursor)
                _take(self._known, fact)
            known = list(self._known.values())
        return sorted(known, key=lambda one: (not one.stands, -one.since_us, one.id))

    def standing(self, connection: Connection | None = None) -> list[Hold]:
        """Those that nobody has released. A job asks by its ``connection``: it shares its transaction with others,
        whose holds nobody else sees yet.
        """
        return [one for one in (self.listed() if connection is None else known_in(connection)) if one.stands]

    def get(self, id_: str) -> Hold | None:
        return next((one for one in self.listed() if one.id == id_), None)

    def on_lot(
        self,
        product: str | None,
        lot: str,
        orders: Sequence[str],
        serials: Sequence[str],
        connection: Connection | None = None,
    ) -> list[Hold]:
        """What stands against a lot, its orders or its pieces. ``connection``: as of ``standing``."""

        def concerns(held: Held) -> bool:
            if held.kind == "order":
                return held.id in orders
            ids = {"lot": (lot,), "unit": serials}.get(held.kind, ())
            return held.product == product and held.id in ids

        return [one for one in self.standing(connection) if concerns(one.held)]

    # -- deciding ------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Tell the lines that nothing is held, where they never were told anything: their runs can name that."""

        def job(connection: Connection) -> None:
            if documents.version_of(connection, HOLDS, PLANT) == 0:
                self._facts.issue(connection, HOLDS, PLANT, {"holds": []})

        self._store.write(job)

    def hold(self, held: Held, user: User, reason: str, content_hash: str) -> Hold:
        """Hold it on every line; the caller has just verified the person's password.

        The same person's same hold, sent again while it stands, is the one that stands.

        Raises:
            Invalid: nothing that can be held, no reason. Refused: too many stand. SignatureRefused: no right, or
            not what was shown.
        """
        held = checked(held)
        _check_reason(reason)
        why = reasons.told(self._store, "hold", reason)
        with self._deciding:
            if not user.may(Capability.HOLD):
                raise self._refused(user, "hold", f"{user.id} ({user.role.value}) may not hold anything")
            if content_hash != held.content_hash:
                raise self._refused(user, "hold", "what is to be held is not as it was shown", "content-changed")
            standing = self.standing()
            same = (held, user.id, why.reason)
            again = next((one for one in standing if (one.held, one.by, one.reason) == same), None)
            if again is not None:
                return again
            if len(standing) >= MOST_STANDING:
                raise Refused(f"{MOST_STANDING} holds stand already", hint="hold lots or orders, not each piece")
            now_us = self._clock.now_us()
            id_ = f"H-{opaque_id(held.kind, held.id, held.product, str(now_us))[:8]}"
            new: JsonValue = {"hold": id_, "held": held.to_json()}
            return self._decide(Act.HOLD, Target(TARGET, id_), user, why, None, new, held.content_hash, held)

    def release(self, id_: str, user: User, reason: str, content_hash: str) -> Hold:
        """Let it be worked on again; the caller has just verified the person's password.

        Raises:
            Unknown: no such hold. Invalid: no reason. SignatureRefused: no right, released already, not
            as it was shown.
        """
        _check_reason(reason)
        why = reasons.told(self._store, "release", reason)
        with self._deciding:
            one = self.get(id_)
            if one is None:
                raise Unknown(f"there is no hold {id_}")
            if not user.may(Capability.APPROVE):
                raise self._refused(user, id_, f"{user.id} ({user.role.value}) may not release holds")
            if not one.stands:
                message = f"the hold {id_} was released already, by {one.released_by} at {iso_z(one.released_us)}"
                raise self._refused(user, id_, message, "released-already")
            if content_hash != one.content_hash:
                raise self._refused(user, id_, f"the hold {id_} is not as it was shown", "content-changed")
            target = Target(TARGET, id_, one.hash)
            return self._decide(Act.RELEASE, target, user, why, "standing", "released", one.content_hash, one.held)

    def _decide(
        self,
        act: Act,
        target: Target,
        user: User,
        why: Told,
        old: JsonValue,
        new: JsonValue,
        covers: str,
        held: Held,
    ) -> Hold:
        """What it has become, as of its commit: nothing is asked of the database after that."""
        now_us = self._clock.now_us()
        signature = Signature(user.id, user.name, act.value, now_us, covers, role=user.role.value)
        person = Person(user.id, user.role.value)
        order = held.id if held.kind == "order" else None
        decision = Decision(act, target, person, why.reason, old, new, signature, order=order, reasons=why.version)
        lot, product = (held.id if held.kind == "lot" else None), held.product

        def job(connection: Connection) -> tuple[Hold, Document]:
            self._facts.state(connection, decision, order=order, lot=lot, product=product)
            known = known_in(connection)
            decided = next(one for one in known if one.id == target.id)
            return decided, self._facts.issue(connection, HOLDS, PLANT, lines_content(known))

        decided, document = self._store.write(job)
        self._tell(EVERY_AGENT, document)
        return decided

    def carry_over(self, document: Document, source: str) -> list[Hold]:
        """What a document of before a restore holds, and central has lost, stands again; those holds. The lines
        hear of all that stand, above its version.
        """

        def job(connection: Connection) -> tuple[list[Hold], Document | None]:
            carried = carry(connection, self._facts, _of_document(document), source)
            if not carried and documents.version_of(connection, HOLDS, PLANT) > document.version:
                return [], None
            content, version = lines_content(known_in(connection)), document.version + 1
            return carried, self._facts.issue(connection, HOLDS, PLANT, content, version=version)

        with self._deciding:
            carried, issued = self._store.write(job)
        if issued is not None:
            self._tell(EVERY_AGENT, issued)
        return carried

    def _refused(self, user: User, id_: str, message: str, code: str = "not-allowed") -> SignatureRefused:
        self._store.write(lambda connection: self._facts.refused(connection, user.id, f"{TARGET} {id_}", code))
        return SignatureRefused(message, code)


def checked(held: Held) -> Held:
    """The same, without blanks around.

    Raises:
        Invalid: it names nothing that can be held.
    """
    id_, product = held.id.strip(), (held.product or "").strip() or None
    if held.kind not in KINDS:
        raise Invalid(f"{held.kind!r} cannot be held", hint=f"one of {', '.join(KINDS)}")
    for text in (id_, product or "-"):
        if not text or len(text) > LONGEST or not text.isprintable():
            raise Invalid(f"a {held.kind} needs a name of at most {LONGEST} printable characters")
    if (product is None) is (held.kind in OF_PRODUCT):
        wanted = "needs its product (a component: its item)" if product is None else "has no product"
        raise Invalid(f"a {held.kind} {wanted}")
    return Held(held.kind, id_, product)


# -- after a restore -----------------------------------------------------------------------------------------


def known_in(connection: Connection) -> list[Hold]:
    """Every hold that a database knows of, the oldest first."""
    known: dict[str, Hold] = {}
    for fact in search.facts(connection, search.Wanted(agent=CENTRAL, codes=_CODES)):
        _take(known, fact)
    return list(known.values())


def carry(connection: Connection, facts: Facts, found: Iterable[Hold], source: str) -> list[Hold]:
    """State those that are not known here as standing, inside a write job; which they are."""
    known = {one.id for one in known_in(connection)}
    lost = [one for one in found if one.id not in known]
    for one in lost:
        params: dict[str, JsonValue] = {"hold": one.id, "held": one.held.to_json(), "reason": one.reason}
        params |= {"by": one.by, "since_us": str(one.since_us), "record": one.hash, "source": source}
        lot, order = (one.held.id if one.held.kind == kind else None for kind in ("lot", "order"))
        event = OperationsEvent(CARRIED, params, order=order)
        facts.state(connection, event, order=order, lot=lot, product=one.held.product)
    return lost


def lines_content(holds: Iterable[Hold]) -> JsonValue:
    """What the lines' document says."""
    return {"holds": [_told(one) for one in holds if one.stands]}


def _of_document(document: Document) -> Iterator[Hold]:
    """What such a document holds; it does not say who set it."""
    content = document.content if isinstance(document.content, dict) else {}
    entries = content.get("holds")
    for entry in entries if isinstance(entries, list) else ():
        held = _held(entry)
        if isinstance(entry, dict) and held is not None:
            since_us = int(str(entry.get("since_us")))
            yield Hold(str(entry.get("hold")), held, str(entry.get("reason")), "", since_us, "")


def _take(known: dict[str, Hold], fact: StoredFact) -> None:
    data, at_us = fact.fact.data, fact.fact.header.at_us
    if isinstance(data, OperationsEvent):
        told = data.params
        held, id_ = _held(told.get("held")), str(told.get("hold"))
        if held is not None:
            since_us = whole(told.get("since_us"))  # of a database that nobody has verified, perhaps
            why = (str(told.get("reason")), str(told.get("by")), at_us if since_us is None else since_us)
            known[id_] = Hold(id_, held, *why, fact.hash, carried=str(told.get("source")))
        return
    if not isinstance(data, Decision) or data.target.kind != TARGET:
        return
    id_ = data.target.id
    if data.act is Act.HOLD:
        new = data.new if isinstance(data.new, dict) else {}
        held = _held(new.get("held"))
        if held is not None:
            known[id_] = Hold(id_, held, data.reason, data.by.id, at_us, fact.hash)
    elif id_ in known:
        known[id_] = replace(
            known[id_],
            released_by=data.by.id,
            released_us=at_us,
            released_reason=data.reason,
            released_hash=fact.hash,
        )


def _held(told: JsonValue) -> Held | None:
    if not isinstance(told, dict) or told.get("kind") not in KINDS:
        return None
    product = told.get("product")
    return Held(told["kind"], str(told.get("id")), None if product is None else str(product))  # type: ignore[arg-type]


def _told(one: Hold) -> JsonValue:
    """As the lines' document holds it."""
    return {"hold": one.id, **one.held.to_json(), "reason": one.reason, "since_us": str(one.since_us)}


def _check_reason(reason: str) -> None:
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Invalid(f"a reason is needed, of at most {REASON_MAX} characters")


def _sha(content: JsonValue) -> str:
    return hashlib.sha256(canonical_json(content)).hexdigest()
