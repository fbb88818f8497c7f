"""A station and what quality holds: scans are refused, the machine is locked, a run is recorded all the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.events import Answer, Scanned, Tick, Write
from edge_agent.papers import Papers, QualityHold
from records.model import OperationsEvent
from records.wire import Document
from tests.unit.edge.stations import ASSEMBLE, LABEL, NOW_US, VB, VS, gs1, papers, plain, station, told
from tests.unit.edge.test_station import Bench, refusal

STOP, GO = Write("plc.permit", False), Write("plc.permit", True)


def held(*holds: tuple[str, str, str | None], known: Papers | None = None) -> Papers:
    """Papers in which these are held (kind, id, product), by version 9."""
    found = told(known or papers())
    documents = {**found.documents, ("holds", "plant"): Document("holds", "plant", 9, 0, {})}
    made = tuple(
        QualityHold(hold=f"H-{n}", kind=kind, id=name, product=product, reason="complaint")  # type: ignore[arg-type]
        for n, (kind, name, product) in enumerate(holds, 1)
    )
    return replace(found, holds=made, documents=documents)


def bench(*holds: tuple[str, str, str | None], settings: dict[str, Any] = ASSEMBLE) -> Bench:
    return Bench(station(settings), held(*holds))


def tick(found: Bench) -> None:
    found.feed(Tick(NOW_US, 1.0))


def events(found: Bench, code: str) -> list[OperationsEvent]:
    return [fact for fact in found.facts if isinstance(fact, OperationsEvent) and fact.code == code]


UNIT_SCAN = gs1("C-1", a01=VS, a10="WO-1", a21="S1")


@pytest.mark.parametrize(
    ("hold", "settings", "scan"),
    [
        (("order", "WO-1", None), ASSEMBLE, plain("WO-1")),
        (("lot", "WO-1", "VS-100"), ASSEMBLE, plain("WO-1")),
        (("component", "VB-1", "VB-10"), ASSEMBLE, gs1(a01=VB, a10="VB-1")),
        (("unit", "S1", "VS-100"), LABEL, UNIT_SCAN),
        (("order", "WO-1", None), LABEL, UNIT_SCAN),
        (("lot", "WO-1", "VS-100"), LABEL, UNIT_SCAN),
    ],
)
def test_a_scan_of_what_is_held_is_refused_by_the_version_that_says_so(
    hold: tuple[str, str, str | None], settings: dict[str, Any], scan: Scanned
) -> None:
    found = bench(("unit", "S9", "VS-100"), hold, settings=settings)
    found.see(done=False, running=False)
    if scan.barcode.fields.get("01") == VB:
        found.feed(plain("WO-1"))
    assert refusal(found, scan) == "held-by-quality"
    fact = found.facts[-1]
    assert isinstance(fact, OperationsEvent)
    assert (fact.params["found"], fact.params["document"], fact.params["version"]) == (
        "H-2: complaint",
        "holds/plant",
        "9",
    )
    found.papers = held(("unit", "S9", "VS-100"))
    assert Answer("scanner", True) in found.feed(scan)


def test_what_is_held_elsewhere_stops_nothing() -> None:
    found = bench(
        ("equipment", "ASM-02", None),
        ("lot", "WO-1", "VS-200"),
        ("component", "VB-1", "SR-20"),
        ("order", "WO-2", None),
    ).ready()
    tick(found)
    assert found.core.missing(found.state, found.papers) == ()
    assert GO in found.effects
    assert events(found, "start-barred") == []


@pytest.mark.parametrize(
    "hold",
    [
        ("equipment", "ASM-01", None),
        ("order", "WO-1", None),
        ("lot", "WO-1", "VS-100"),
        ("component", "SR-1", "SR-20"),
    ],
)
def test_a_hold_that_comes_locks_the_machine_and_its_release_frees_it(hold: tuple[str, str, str | None]) -> None:
    found = bench().ready()
    before = len(found.effects)
    found.papers = held(hold)
    tick(found)
    assert STOP in found.effects[before:]
    assert [r.needs for r in found.core.missing(found.state, found.papers)] == ["held-by-quality"]
    (barred,) = events(found, "start-barred")
    assert (barred.params["hold"], barred.params["version"], barred.params["refuses"]) == ("H-1", "9", True)
    record = found.cycle(1)  # a machine without ears
    assert record is not None
    assert [(use.kind, use.version) for use in record.documents][-1] == ("holds", 9)
    (ran,) = events(found, "ran-while-barred")
    assert ran.params["run_id"] == record.run_id
    before = len(found.effects)
    found.papers = held()
    tick(found)
    assert GO in found.effects[before:]
    assert len(events(found, "start-free")) == 1
    found.cycle(2)
    assert len(events(found, "ran-while-barred")) == 1


def test_a_loaded_unit_that_is_held_before_its_run_locks_the_machine() -> None:
    found = bench(settings=LABEL)
    found.see(done=False)
    found.feed(plain("B123456"))
    found.feed(UNIT_SCAN)
    assert found.core.missing(found.state, found.papers) == ()
    found.papers = held(("unit", "S1", "VS-100"))
    tick(found)
    assert [r.needs for r in found.core.missing(found.state, found.papers)] == ["held-by-quality"]


def test_a_held_unit_that_only_the_machine_reads_is_told_with_its_run() -> None:
    by_tag = ASSEMBLE | {"subject": {"kind": "unit", "tag": "plc.carrier"}}
    found = bench(("unit", "C-1", "VS-100"), settings=by_tag).ready()
    tick(found)
    assert found.core.missing(found.state, found.papers) == ()
    record = found.cycle(1)
    assert record is not None
    (ran,) = events(found, "ran-while-barred")
    assert ran.params["why"] == ["held-by-quality H-1, unit VS-100 C-1"]


# -- people and machines -----------------------------------------------------------------------------------

TODAY = date(2026, 11, 26)


def listed(people: list[dict[str, Any]] | None = None, equipment: list[dict[str, Any]] | None = None) -> Papers:
    """Papers with these lists, made as from documents of version 4."""
    told_ = [
        Document(kind, "plant", 4, 0, {kind: entries})  # type: ignore[dict-item]
        for kind, entries in (("people", people), ("equipment", equipment))
        if entries is not None
    ]
    read = Papers.of(told_)
    assert read.problems == ()
    known = told(papers())
    documents = {**known.documents, **read.documents}
    return replace(known, people=read.people, equipment=read.equipment, documents=documents, today=lambda: TODAY)


@pytest.mark.parametrize(
    ("person", "reason", "why"),
    [
        ({"badge": "B123456", "operations": {"OP10": None}}, None, None),
        ({"badge": "B123456", "operations": {"OP10": "2026-11-26"}, "until": "2026-11-26"}, None, None),
        ({"badge": "B999999", "operations": {"OP10": None}}, "operator-unknown", "B123456"),
        ({"badge": "B123456", "operations": {"OP20": None}}, "operator-not-qualified", "not qualified for OP10"),
        (
            {"badge": "B123456", "operations": {"OP10": "2026-11-25"}},
            "operator-not-qualified",
            "qualified for OP10 until 2026-11-25",
        ),
        (
            {"badge": "B123456", "operations": {"OP10": None}, "until": "2026-11-25"},
            "operator-not-qualified",
            "badge good until 2026-11-25",
        ),
    ],
)
def test_only_who_is_qualified_today_signs_on(person: dict[str, Any], reason: str | None, why: str | None) -> None:
    found = Bench(station(ASSEMBLE), listed([person]))  # type: ignore[arg-type]
    if reason is None:
        assert Answer("scanner", True) in found.feed(plain("B123456"))
        return
    assert refusal(found, plain("B123456")) == reason
    fact = found.facts[-1]
    assert isinstance(fact, OperationsEvent)
    assert (fact.params["found"], fact.params["document"], fact.params["version"]) == (why, "people/plant", "4")


def test_a_plant_without_a_list_checks_nobody() -> None:
    found = Bench(station(ASSEMBLE), listed(None))  # type: ignore[arg-type]
    assert Answer("scanner", True) in found.feed(plain("B123456"))


def test_a_qualification_that_ends_at_work_locks_the_machine() -> None:
    found = Bench(station(ASSEMBLE), listed([{"badge": "B123456", "operations": {"OP10": None}}])).ready()  # type: ignore[arg-type]
    tick(found)
    assert found.core.missing(found.state, found.papers) == ()
    found.papers = listed([{"badge": "B123456", "operations": {}}])
    tick(found)
    assert [r.needs for r in found.core.missing(found.state, found.papers)] == ["operator-not-qualified"]
    record = found.cycle(1)
    assert record is not None
    assert ("people", 4) in [(use.kind, use.version) for use in record.documents]
    assert len(events(found, "ran-while-barred")) == 1


@pytest.mark.parametrize(
    ("machine", "why", "refuses"),
    [
        ({"calibrated_until": "2026-11-26"}, None, False),
        ({"calibrated_until": "2026-11-25"}, "calibration-overdue", False),
        ({"calibrated_until": "2026-11-25", "overdue": "refuse"}, "calibration-overdue", True),
        ({"blocked": "electrode holder cracked"}, "equipment-blocked", True),
    ],
)
def test_a_machine_that_is_blocked_or_overdue(machine: dict[str, Any], why: str | None, refuses: bool) -> None:
    known = listed(None, [{"equipment": "ASM-01"} | machine, {"equipment": "ASM-02", "blocked": "another"}])
    found = Bench(station(ASSEMBLE), known).ready()  # type: ignore[arg-type]
    tick(found)
    needed = [r.needs for r in found.core.missing(found.state, found.papers)]
    assert needed == ([why] if refuses else [])
    barred = events(found, "start-barred")
    assert [(e.params["why"], e.params["about"], e.params["refuses"]) for e in barred] == (
        [] if why is None else [(why, "ASM-01", refuses)]
    )
    record = found.cycle(1)
    assert record is not None
    assert ("equipment", 4) in [(use.kind, use.version) for use in record.documents]
    assert len(events(found, "ran-while-barred")) == int(refuses)


def test_a_hold_that_nobody_understands_frees_none_of_the_others() -> None:
    strange: JsonValue = {"hold": "H-1", "kind": "pallet", "id": "P"}
    content: JsonValue = {"holds": [strange, {"hold": "H-2", "kind": "order", "id": "WO-1"}]}
    known = Papers.of([Document("holds", "plant", 1, 0, content)])
    assert known.held("order", "WO-1") is not None
    assert len(known.problems) == 1
    assert "hold 1 is left out" in known.problems[0]
