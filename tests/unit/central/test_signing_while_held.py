"""A hold that is set at the very moment of a signature: no lot is released behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from central import reviews as module
from central.assessment import Limits
from central.domain import DhrState
from central.holds import Held, Holds
from central.reviews import Reviews
from central.signature import SignatureRefused
from records.model import Act
from tests.unit.central import core_rig
from tests.unit.central.factories import Line
from tests.unit.central.test_domain_reviews import MANAGER, QA, Plant

pytestmark = pytest.mark.both_stores

OF_LOT = Held("lot", "WO-1000", "VS-100")
OF_UNIT = Held("unit", "WO-1000-002", "VS-100")
OF_ORDER = Held("order", "WO-1000")
ELSEWHERE = Held("lot", "WO-2000", "VS-100")


class HeldPlant(Plant):
    """Whose quality may hold."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.holds = Holds(self.rig.store, self.rig.facts, self.rig.clock, lambda *_: None)
        self.reviews = Reviews(
            self.rig.store, self.rig.facts, self.rig.clock, self.book, limits=Limits(), holds=self.holds.on_lot
        )

    def hold(self, held: Held) -> None:
        self.holds.hold(held, QA, "complaint 4711", held.content_hash)

    def decided(self) -> list[Act]:
        acts = [Act.HOLD, Act.REVIEW, Act.RELEASE, Act.REJECT]
        found = self.rig.store.facts(agent="central", codes=[act.value for act in acts])
        return [fact.fact.data.act for fact in found]  # type: ignore[union-attr]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[HeldPlant]:
    made = HeldPlant(tmp_path)
    yield made
    made.rig.store.close()


def reviewed(plant: HeldPlant) -> str:
    """The content hash of a lot that can be released now."""
    plant.all_here(Line().clean())
    plant.post()
    record = plant.reviews.get(plant.id)
    assert record is not None
    plant.reviews.sign(plant.id, "reviewed", QA, "", record.content_hash)
    record = plant.reviews.get(plant.id)
    assert record is not None
    assert record.blockers == ()
    return record.content_hash


def hold_while_signing(
    plant: HeldPlant, held: Held, monkeypatch: pytest.MonkeyPatch, *, in_group: bool = False
) -> None:
    """It is stated after the record was read for the signature, and before the signature is, in a transaction of
    its own or in that one.
    """
    real = module.signature.decision

    def racing(*args: object) -> object:
        if in_group:
            core_rig.in_one_group(plant.rig.store, lambda: plant.hold(held), monkeypatch)
        else:
            plant.hold(held)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module.signature, "decision", racing)


@pytest.mark.parametrize("in_group", [False, True])
@pytest.mark.parametrize("held", [OF_LOT, OF_UNIT, OF_ORDER])
def test_no_lot_is_released_behind_a_hold_that_stands(
    plant: HeldPlant, held: Held, in_group: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bugs: a hold of a lot or a unit names no order, and the release that came at the same moment was taken; also
    one whose job was in the same transaction.
    """
    content_hash = reviewed(plant)
    hold_while_signing(plant, held, monkeypatch, in_group=in_group)
    with pytest.raises(SignatureRefused) as refused:
        plant.reviews.sign(plant.id, "released", MANAGER, "", content_hash)
    assert refused.value.code in ("blocked", "content-changed")
    assert plant.decided() == [Act.REVIEW, Act.HOLD]
    record = plant.reviews.get(plant.id)
    assert record is not None
    assert (record.state, [b.code for b in record.blockers]) == (DhrState.REVIEWED, ["held-by-quality"])


@pytest.mark.parametrize(("held", "meaning"), [(ELSEWHERE, "released"), (OF_LOT, "rejected")])
def test_a_hold_of_another_lot_keeps_nothing_and_a_held_lot_may_be_rejected(
    plant: HeldPlant, held: Held, meaning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content_hash = reviewed(plant)
    hold_while_signing(plant, held, monkeypatch)
    assert plant.reviews.sign(plant.id, meaning, MANAGER, "as decided", content_hash).meaning == meaning
