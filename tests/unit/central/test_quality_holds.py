"""What quality holds: signed decisions in central's chain, and one document that tells the lines what stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from central import holds as module
from central.access import Role, User
from central.holds import Held, Hold, Holds
from central.signature import SignatureRefused
from central.store import documents
from edge_agent.papers import Papers
from records.errors import Invalid, Refused
from records.model import Act, Decision
from records.wire import Document
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

LOT = Held("lot", "WO-1/A", "VS-100")
UNIT = Held("unit", "S1", "VS-100")


def person(role: Role = Role.QA, name: str = "li") -> User:
    return User(name, name, role, False, 0, 0)


@dataclass
class Desk:
    rig: Rig
    told: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.holds = self.again()

    def again(self) -> Holds:
        """Holds as a process started now finds them."""
        return Holds(
            self.rig.store, self.rig.facts, self.rig.clock, lambda _, document: self.told.append(document)
        )

    def hold(self, held: Held, reason: str = "complaint 4711", user: User | None = None) -> Hold:
        self.rig.clock.advance(1)
        return self.holds.hold(held, user or person(), reason, held.content_hash)

    def release(self, hold: Hold, user: User | None = None) -> Hold:
        return self.holds.release(hold.id, user or person(), "judged good", hold.content_hash)

    def papers(self) -> Papers:
        """What a line makes of the newest document."""
        return Papers.of(self.told[-1:])

    def refusals(self) -> list[JsonValue]:
        found = self.rig.store.facts(codes=["signature-refused"], stream="audit")
        return [fact.fact.data.params["reason"] for fact in found]  # type: ignore[union-attr]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with core_rig.rig(tmp_path) as opened:
        yield Desk(opened)


def test_a_hold_reaches_the_lines_and_its_release_too(desk: Desk) -> None:
    made = desk.hold(LOT)
    desk.hold(UNIT)
    papers = desk.papers()
    assert papers.problems == ()
    found = papers.held("lot", "WO-1/A", "VS-100")
    assert found is not None
    assert (found.hold, found.reason) == (made.id, "complaint 4711")
    assert papers.held("lot", "WO-1/A", "VS-200") is None
    assert papers.held("unit", "S1", None) is not None, "a piece whose product is not known is not let through"
    assert papers.held("order", "WO-1/A") is None
    released = desk.release(made)
    assert (released.stands, released.released_by, released.released_reason) == (False, "li", "judged good")
    papers = desk.papers()
    assert papers.held("lot", "WO-1/A", "VS-100") is None
    assert papers.held("unit", "S1", "VS-100") is not None
    assert [document.version for document in desk.told] == [1, 2, 3]


def test_decisions_carry_what_was_signed_and_are_read_again_after_a_restart(desk: Desk) -> None:
    made = desk.hold(LOT)
    desk.hold(UNIT)
    desk.release(made, person(Role.QA_MANAGER, "anna"))
    hold, _, release = (fact.fact.data for fact in desk.rig.store.facts(codes=[Act.HOLD.value, Act.RELEASE.value]))
    assert isinstance(hold, Decision)
    assert isinstance(release, Decision)
    assert hold.signature is not None
    assert release.signature is not None
    assert (hold.signature.covers, hold.signature.meaning) == (LOT.content_hash, "hold")
    assert (release.signature.covers, release.target.hash) == (made.content_hash, made.hash)
    again = desk.again()
    assert again.listed() == desk.holds.listed()
    assert [one.held for one in again.standing()] == [UNIT]


def test_who_may_hold_and_who_may_release(desk: Desk) -> None:
    made = desk.hold(LOT, user=person(Role.ENGINEER, "piet"))
    with pytest.raises(SignatureRefused, match="may not hold"):
        desk.hold(UNIT, user=person(Role.OPERATOR))
    with pytest.raises(SignatureRefused, match="may not release"):
        desk.release(made, person(Role.ENGINEER, "piet"))
    assert desk.holds.get(made.id) == made
    assert desk.refusals() == ["not-allowed", "not-allowed"]


def test_what_is_signed_is_what_was_shown(desk: Desk) -> None:
    made = desk.hold(LOT)
    with pytest.raises(SignatureRefused) as refused:
        desk.holds.hold(UNIT, person(), "x", LOT.content_hash)
    assert refused.value.code == "content-changed"
    with pytest.raises(SignatureRefused) as refused:
        desk.holds.release(made.id, person(), "judged good", "0" * 64)
    assert refused.value.code == "content-changed"
    desk.release(made)
    with pytest.raises(SignatureRefused, match="released already, by li at ") as refused:
        desk.release(made)
    assert refused.value.code == "released-already"


def test_the_same_hold_sent_again_is_one_and_another_reason_is_another(desk: Desk) -> None:
    made = desk.hold(LOT)
    assert desk.hold(LOT) == made
    other = desk.hold(LOT, "supplier told us")
    desk.release(made)
    assert desk.papers().held("lot", "WO-1/A", "VS-100") is not None
    desk.release(other)
    assert desk.papers().held("lot", "WO-1/A", "VS-100") is None
    assert desk.hold(LOT).id not in (made.id, other.id)


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (Held("unit", "S1"), "needs its product"),
        (Held("order", "WO-1", "VS-100"), "has no product"),
        (Held("lot", "  ", "VS-100"), "printable"),
        (Held("equipment", "x" * 201), "at most 200"),
        (Held("equipment", "PRESS\n1"), "printable"),
        (Held("pallet", "P1"), "cannot be held"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_held_is_refused_in_words(desk: Desk, held: Held, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        desk.hold(held)
    with pytest.raises(Invalid, match="a reason is needed"):
        desk.hold(LOT, " ")
    assert desk.told == []


def test_the_list_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STANDING", 2)
    made = desk.hold(LOT)
    desk.hold(UNIT)
    with pytest.raises(Refused, match="2 holds stand already"):
        desk.hold(Held("order", "WO-1"))
    desk.release(made)
    desk.hold(Held("order", "WO-1"))


def test_lines_are_told_that_nothing_is_held_before_anything_ever_was(desk: Desk) -> None:
    desk.holds.open()
    desk.holds.open()
    with desk.rig.store.read() as connection:
        told = documents.of_kind(connection, "holds")
    assert [(one.id, one.version, one.content) for one in told] == [("plant", 1, {"holds": []})]


def test_what_stands_against_a_lot(desk: Desk) -> None:
    for held in (LOT, UNIT, Held("unit", "S9", "VS-100"), Held("order", "WO-1"), Held("lot", "WO-1/A", "VS-200")):
        desk.hold(held)
    found = desk.holds.on_lot("VS-100", "WO-1/A", ["WO-1"], ["S1", "S2"])
    assert {one.held for one in found} == {LOT, UNIT, Held("order", "WO-1")}
