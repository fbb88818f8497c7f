"""People and equipment: whole lists from a file, signed, told to the lines as documents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from central.access import Role, User
from central.ground import Ground, read_ground
from central.holds import Held, Holds
from central.signature import SignatureRefused
from edge_agent.papers import Papers
from records.errors import ConfigurationError, Invalid
from records.model import Decision
from records.wire import Document
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

FILE = """\
people:
  - {badge: B000001, name: 王伟, until: 2027-12-31, operations: {OP10: 2027-03-31, OP30: }}
  - {badge: "000002", operations: {OP10: }}
equipment:
  - {equipment: ASM-01, calibrated_until: 2027-01-31, overdue: refuse}
  - {equipment: WELD-02, blocked: electrode holder cracked}
"""
QA = User("li", "Li", Role.QA, False, 0, 0)


def written(folder: Path, text: str = FILE) -> Path:
    path = folder / "ground.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


REASONS = """\
reasons:
  hold: {complaint: {en: Customer complaint, zh-CN: 客户投诉}, recall: {en: Recall}}
  scrap: {contamination: {en: Contaminated}}
"""


def test_reasons_are_codes_whose_texts_no_record_holds(rig: Rig, tmp_path: Path) -> None:
    told: list[Document] = []
    ground = Ground(rig.store, rig.facts, rig.clock, lambda _, document: told.append(document))
    holds = Holds(rig.store, rig.facts, rig.clock, lambda _, document: told.append(document))
    lot = Held("lot", "WO-1", "VS-100")
    assert holds.hold(lot, QA, "seen on the line", lot.content_hash).reason == "seen on the line"
    ground.load(read_ground(written(tmp_path, REASONS)).content, QA, "list of November")
    assert Papers.of(told).reasons.choices("hold", "zh-CN") == [("complaint", "客户投诉"), ("recall", "Recall")]
    with pytest.raises(Invalid, match="no reason of the group hold") as refused:
        holds.hold(lot, QA, "Customer complaint", lot.content_hash)
    assert "complaint, recall" in str(refused.value.hint)
    made = holds.hold(lot, QA, "complaint : 4711", lot.content_hash)
    assert made.reason == "complaint: 4711"
    assert holds.release(made.id, QA, "judged good", made.content_hash).released_reason == "judged good"
    decisions = [f.fact.data for f in rig.store.facts(codes=["hold", "release"])]
    assert [(d.reason, d.reasons) for d in decisions if isinstance(d, Decision)] == [
        ("seen on the line", None),
        ("complaint: 4711", 1),
        ("judged good", None),
    ]
    assert all("Customer complaint" not in str(d) for d in decisions)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reasons: {hold: {Complaint: {en: x}}}", "Complaint"),
        ("reasons: {hold: {complaint: {}}}", "at least 1"),
        ("reasons: {strike: {x: {en: x}}}", "strike"),
        ("reasons: {hold: {complaint: {english: x}}}", "english"),
    ],
)
def test_what_is_no_list_of_reasons_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_ground(written(tmp_path, text))
    assert says in str(refused.value) or says in "".join(map(str, getattr(refused.value, "problems", ())))


def test_a_file_becomes_what_stations_check(rig: Rig, tmp_path: Path) -> None:
    told: list[Document] = []
    ground = Ground(rig.store, rig.facts, rig.clock, lambda _, document: told.append(document))
    assert ground.shown() == {}
    answer = ground.load(read_ground(written(tmp_path)).content, QA, "training of 12 March")
    assert {kind: one["version"] for kind, one in answer.items()} == {"people": 1, "equipment": 1}  # type: ignore[call-overload,index]
    papers = Papers.of(told)
    assert papers.problems == ()
    assert papers.people is not None
    assert set(papers.people) == {"B000001", "000002"}
    assert papers.people["B000001"].unfit("OP10", date(2027, 4, 1)) == "qualified for OP10 until 2027-03-31"
    assert papers.people["000002"].unfit("OP10", date(2099, 1, 1)) is None
    assert papers.equipment["WELD-02"].blocked == "electrode holder cracked"
    assert papers.equipment["ASM-01"].overdue == "refuse"
    decisions = [f.fact.data for f in rig.store.facts(kinds=["decision"])]
    assert [d.target.id for d in decisions if isinstance(d, Decision)] == ["people", "equipment"]
    assert all(isinstance(d, Decision) and d.signature is not None for d in decisions)


def test_a_list_replaces_only_itself_and_the_same_one_is_no_new_version(rig: Rig, tmp_path: Path) -> None:
    told: list[Document] = []
    ground = Ground(rig.store, rig.facts, rig.clock, lambda _, document: told.append(document))
    content = read_ground(written(tmp_path)).content
    ground.load(content, QA, "first")
    ground.load(content, QA, "again")
    assert len(told) == 2
    text = "equipment:\n  - {equipment: ASM-01}\n"
    ground.load(read_ground(written(tmp_path, text)).content, QA, "calibrated")
    assert [(document.kind, document.version) for document in told[2:]] == [("equipment", 2)]
    shown = ground.shown()
    assert {kind: one["version"] for kind, one in shown.items()} == {"people": 1, "equipment": 2}  # type: ignore[call-overload,index]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("people: []\nmachines: []\n", ":2:1: machines"),
        ("{}\n", "give people, equipment, reasons"),
        ("people:\n  - {badge: B1, operations: {OP10: soon}}\n", ":2:36: people.0.operations.OP10"),
        ("people:\n  - {badge: B1, operations: {}}\n  - {badge: B1, operations: {}}\n", "B1 stands here twice"),
        ("equipment:\n  - {equipment: A, overdue: stop}\n", ":2:29: equipment.0.overdue"),
    ],
)
def test_a_wrong_file_is_told_with_its_places(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_ground(written(tmp_path, text))
    assert says in "\n".join(map(str, raised.value.problems))


def test_who_may_not_sign_and_what_is_no_list_changes_nothing(rig: Rig) -> None:
    ground = Ground(rig.store, rig.facts, rig.clock, lambda *_: None)
    engineer = User("piet", "Piet", Role.ENGINEER, False, 0, 0)
    with pytest.raises(SignatureRefused):
        ground.load({"people": []}, engineer, "x")
    with pytest.raises(Invalid, match="no lists"):
        ground.load({"people": [{"badge": 7}]}, QA, "x")
    with pytest.raises(Invalid, match="a reason is needed"):
        ground.load({"people": []}, QA, " ")
    assert ground.shown() == {}
