"""A station and what quality holds: scans are refused, the machine is locked, a run is recorded all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

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
    return Bench(station(settings), held(*holds))  # type: ignore[arg-type]


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
