"""What a station says of a piece's earlier operations: what is told stands, what is not may be on its way."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import JsonValue

from edge_agent.chart_facts import subject_ref
from edge_agent.document_ages import DocumentAges
from edge_agent.events import Answer, Observed, Scanned, Tick, Write
from edge_agent.own_runs import PREFIX, OwnRuns
from edge_agent.papers import ItemLots, LotQuantities, LotStatus, Papers, Step
from edge_agent.requirements import BARRIER
from edge_agent.route_status import Lack, OwnRun, PieceHere, RouteReader, Routes
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from records.model import (
    LONGEST_ID,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Subject,
    SubjectKind,
)
from records.wire import Document
from tests.unit.edge.stations import ASSEMBLE, LABEL, NOW_US, VB, VS, gs1, papers, plain, told
from tests.unit.edge.test_station import Bench

S = 1_000_000
BEFORE = ("OP10", "OP20")
STOP, GO = Write("plc.permit", False), Write("plc.permit", True)


def pieces(*units: list[JsonValue], version: int = 3) -> Document:
    content: JsonValue = {"order": "WO-1", "operations": ["OP10", "OP20", "OP30"], "units": [*units]}
    return Document("route-status", "WO-1#1", version, 0, content)


def horizon(at_us: int, versions: int = 3, **other_us: int) -> Document:
    operations: dict[str, JsonValue] = {name: str(at_us) for name in ("OP10", "OP20", "OP30")}
    operations |= {name: str(value) for name, value in other_us.items()}
    content: JsonValue = {"operations": operations, "orders": {"WO-1": str(versions)}}
    return Document("route-status", "plant", 7, 0, content)


def read(*documents: Document) -> Routes:
    return RouteReader().read(documents)


def lacks(routes: Routes, *, ran: dict[str, OwnRun] | None = None, since_us: int = NOW_US) -> list[Lack]:
    return list(routes.lacks("WO-1", BEFORE, PieceHere("C-1", None, since_us, ran or {})))


def test_what_is_told_to_have_happened_stands_however_old_the_word_is() -> None:
    for known in (horizon(0), horizon(NOW_US + 60 * S)):
        assert lacks(read(pieces(["C-1", None, "pp-"]), known)) == []
        assert lacks(read(pieces(["C-1", None, "pf-"]), known)) == [Lack("OP20", "failed", sure=True)]
        assert lacks(read(pieces(["C-1", "S1", "s"]), known)) == [Lack("", "scrap", sure=True)]


@pytest.mark.parametrize(
    ("told_", "sure"),
    [
        (horizon(NOW_US + 3 * S), True),
        (horizon(NOW_US + 1 * S), False),  # within what clocks may be apart
        (horizon(NOW_US - 60 * S), False),
        (horizon(NOW_US + 3 * S, OP20=NOW_US - S), False),  # the agent of that operation is behind
        (horizon(NOW_US + 3 * S, versions=4), False),  # of a newer version of the pieces than is held
    ],
)
def test_that_nothing_happened_is_known_when_the_horizon_has_passed_the_piece(told_: Document, sure: bool) -> None:
    assert lacks(read(pieces(["C-1", None, "p--"]), told_)) == [Lack("OP20", "missing", sure=sure)]


def test_a_piece_of_which_nothing_is_told_is_waited_for_and_then_missing() -> None:
    nothing = read(pieces(["C-2", None, "ppp"]), horizon(NOW_US))
    assert [(lack.operation, lack.sure) for lack in lacks(nothing)] == [("OP10", False), ("OP20", False)]
    assert [lack.sure for lack in lacks(read(pieces(), horizon(NOW_US + 9 * S)))] == [True, True]


def test_an_own_run_counts_until_central_has_it() -> None:
    ran = {"OP20": OwnRun(letter="p", at_us=NOW_US)}
    assert lacks(read(pieces(["C-1", None, "p--"]), horizon(NOW_US - 60 * S)), ran=ran) == []
    assert lacks(read(pieces(["C-1", None, "pf-"]), horizon(NOW_US - 60 * S)), ran=ran) == [], "retested since"
    later = read(pieces(["C-1", None, "pf-"]), horizon(NOW_US + 60 * S))
    assert lacks(later, ran=ran) == [Lack("OP20", "failed", sure=True)], "central has ours and says otherwise"
    failed = {"OP20": OwnRun(letter="f", at_us=NOW_US)}
    assert lacks(read(pieces(["C-1", None, "pp-"]), horizon(0)), ran=failed) == [Lack("OP20", "failed", sure=True)]


def test_an_operation_that_no_station_records_is_not_looked_for() -> None:
    document = horizon(NOW_US + 9 * S)
    content: Any = document.content
    del content["operations"]["OP20"]
    assert lacks(read(pieces(["C-1", None, "p--"]), document)) == []


def test_what_cannot_be_read_is_told_and_changes_nothing_else() -> None:
    bad = Document("route-status", "WO-1#2", 1, 0, {"order": "WO-1"})
    found = read(pieces(["C-1", None, "pp-"]), bad, horizon(0))
    assert len(found.problems) == 1
    assert lacks(found) == []


# -- at a station ------------------------------------------------------------------------------------------


def routed(*documents: Document, known: Papers | None = None) -> Papers:
    """Papers whose orders have three operations; now is ``NOW_US``."""
    found = told(known or papers())
    steps = tuple(Step(operation=name, sequence=n) for n, name in enumerate(("OP10", "OP20", "OP30")))
    orders = {name: order.model_copy(update={"operations": steps}) for name, order in found.orders.items()}
    return replace(found, orders=orders, routes=read(*documents), now_us=lambda: NOW_US)


WELD = ASSEMBLE | {"operation": "OP20", "materials": [], "earlier": "refuse"}
WELD |= {"permit": {"tag": "plc.permit", "needs": ["order"]}}
UNIT_SCAN = gs1("C-1", a01=VS, a10="WO-1", a21="S1")


def bench(settings: dict[str, Any], *documents: Document, ages: dict[str, Any] | None = None) -> Bench:
    rules = DocumentAges.model_validate({"route-status": ages} if ages else {})
    made = Bench(Station("s", StationSettings.model_validate(settings), {}, ages=rules), routed(*documents))
    made.see(done=False)
    return made


def said(found: Bench, scan: Scanned) -> object:
    """Why a scan was refused, None where it counts."""
    if Answer("scanner", True) in found.feed(scan):
        return None
    refused = [f for f in found.facts if isinstance(f, OperationsEvent) and f.code == "scan-refused"]
    return refused[-1].params["reason"]


def tick(found: Bench, *documents: Document) -> list[object]:
    """A quarter of a second later; what the station does now that these documents are held."""
    if documents:
        found.papers = routed(*documents)
    return [*found.feed(Tick(NOW_US, 1.0))]


def barred(found: Bench) -> list[str]:
    return [r.needs or "" for r in found.core.missing(found.state, found.papers) if r.kind == BARRIER]


def arrives(found: Bench, carrier: str | None, ran: dict[str, OwnRun] | None = None) -> list[object]:
    return [*found.feed(Observed({"plc.carrier": carrier}, NOW_US, "run", ran or {}))]


def test_a_piece_that_came_within_seconds_is_waited_for_and_goes_on_without_a_word() -> None:
    found = bench(WELD, pieces(), horizon(NOW_US - 5 * S))
    found.feed(plain("WO-1"))
    assert STOP in arrives(found, "C-1") or found.state.told["plc.permit"] is False
    assert barred(found) == ["operation-not-known"]
    assert GO in tick(found, pieces(["C-1", None, "p--"], version=4), horizon(NOW_US - 5 * S))
    assert not {"start-barred", "start-free"} & set(found.codes())
    record = found.cycle(1)
    assert record is not None
    uses = [(use.id, use.version, use.age_s) for use in record.documents if use.kind == "route-status"]
    assert uses == [("plant", 7, 5.0), ("WO-1#1", 4, 0.0)]
    assert "ran-while-barred" not in found.codes()


def test_a_piece_that_was_skipped_is_refused_when_the_horizon_has_passed_and_a_run_is_told() -> None:
    found = bench(WELD, pieces(), horizon(NOW_US - 5 * S))
    found.feed(plain("WO-1"))
    arrives(found, "C-1")
    tick(found, pieces(), horizon(NOW_US + 5 * S))
    assert barred(found) == ["operation-skipped"]
    (event,) = [f for f in found.facts if isinstance(f, OperationsEvent) and f.code == "start-barred"]
    assert (event.params["why"], event.params["about"]) == ("operation-skipped", "C-1, OP10 missing")
    assert (event.params["document"], event.params["version"]) == ("route-status/plant", "7")
    found.cycle(1)
    (ran,) = [f for f in found.facts if isinstance(f, OperationsEvent) and f.code == "ran-while-barred"]
    assert ran.params["why"] == ["operation-skipped C-1, OP10 missing"]
    arrives(found, None)
    tick(found)
    assert barred(found) == []
    assert "start-free" in found.codes()


def test_central_out_of_reach_lets_the_line_go_on_or_not_as_its_file_says() -> None:
    old = (pieces(), horizon(NOW_US - 300 * S))
    for beyond, wanted in (("warn", []), ("go_on", []), ("refuse", ["document-too-old"])):
        found = bench(WELD, *old, ages={"max_age": "2min", "beyond": beyond})
        found.feed(plain("WO-1"))
        arrives(found, "C-1")
        tick(found)
        assert barred(found) == wanted, beyond
        assert ("document-too-old" in found.codes()) is (beyond != "go_on")
        record = found.cycle(1)
        assert record is not None
        assert [use.beyond for use in record.documents if use.id == "plant"] == [beyond]
    found = bench(WELD, pieces(["C-1", None, "f--"]), horizon(NOW_US - 300 * S))
    found.feed(plain("WO-1"))
    arrives(found, "C-1")
    assert barred(found) == ["operation-skipped"], "that it failed is known all the same"


def test_offline_the_agents_own_runs_are_enough() -> None:
    found = bench(WELD, pieces(), horizon(NOW_US - 5 * S))
    found.feed(plain("WO-1"))
    arrives(found, "C-1", {"OP10": OwnRun(letter="p", at_us=NOW_US - S)})
    assert barred(found) == []


def test_a_piece_whose_tag_is_longer_than_an_identifier_is_not_read_here_as_at_its_run() -> None:
    """Bug: it was waited for, under a name that no record can have."""
    found = bench(WELD, pieces(), horizon(NOW_US - 5 * S))
    found.feed(plain("WO-1"))
    arrives(found, f" {'C' * (LONGEST_ID + 1)}")
    assert (found.state.seen, barred(found)) == (None, [])


def test_a_machine_in_setup_is_not_barred_and_warnings_bar_nothing() -> None:
    found = bench(WELD, pieces(["C-1", None, "f--"]), horizon(0))
    found.feed(plain("WO-1"))
    found.feed(Observed({"plc.mode": 4, "plc.carrier": "C-1"}, NOW_US, "run"))
    assert barred(found) == []
    found = bench(WELD | {"earlier": "warn"}, pieces(["C-1", None, "f--"]), horizon(0))
    found.feed(plain("WO-1"))
    arrives(found, "C-1")
    tick(found)
    assert barred(found) == []
    assert "start-barred" in found.codes()


@pytest.mark.parametrize(
    ("letters", "why"), [("pf-", "operation-skipped"), ("s", "operation-skipped"), ("pp-", None), ("p--", None)]
)
def test_a_scan_of_a_piece_that_failed_before_is_refused_by_the_document_that_says_so(
    letters: str, why: str | None
) -> None:
    found = bench(LABEL | {"earlier": "refuse"}, pieces(["C-1", None, letters]), horizon(0))
    assert said(found, UNIT_SCAN) == why
    if why is not None:
        params = next(f.params for f in found.facts if isinstance(f, OperationsEvent) and f.code == "scan-refused")
        assert (params["document"], params["version"]) == ("route-status/WO-1#1", "3")


def test_without_the_policy_nothing_is_looked_at() -> None:
    found = bench({**WELD, "earlier": None}, pieces(["C-1", None, "f--"]), horizon(0))
    found.feed(plain("WO-1"))
    assert arrives(found, "C-1") == []
    record = found.cycle(1)
    assert record is not None
    assert all(use.kind != "route-status" for use in record.documents)


# -- own runs ----------------------------------------------------------------------------------------------


def test_own_runs_follow_the_piece_from_its_carrier_to_its_serial_and_are_kept_with_the_commit() -> None:
    found = bench(ASSEMBLE).ready()
    record = found.cycle(1)
    assert record is not None
    own = OwnRuns({})
    assert own.taken([record]) == {}, "only where a station asks"
    own.wanted = True
    states = own.taken([record])
    carrier, unit = Subject(SubjectKind.CARRIER, "C-1"), Subject(SubjectKind.UNIT, "S1", "VS-100", "gs1")
    married = MaterialActual(MaterialKind.IDENTIFIED_AS, carrier, unit, "1")
    label = replace(record, operation="OP30", materials=(married,), ended_us=NOW_US + S)
    label = replace(label, subjects=(replace(record.subjects[0], subject=unit),))
    states |= own.taken([label])
    again = OwnRuns({key.removeprefix(PREFIX): value for key, value in states.items()})
    for each in (own, again):
        for subject in (carrier, unit):
            assert {o: run.letter for o, run in each.of("WO-1", [subject_ref(subject)]).items()} == {
                "OP10": "p",
                "OP30": "p",
            }
        assert each.of("WO-2", [subject_ref(unit)]) == {}
    assert again.orders == ("WO-1",)
    assert set(again.forgotten(["WO-1"]).values()) == {None}
    assert again.of("WO-1", [subject_ref(unit)]) == {}


# -- lots --------------------------------------------------------------------------------------------------


def lots(left: str, expiry: str | None = None) -> Papers:
    known = papers()
    status = LotStatus.model_validate({"lot": "VB-1", "expiry": expiry})
    bodies = ItemLots(item="VB-10", gtin=VB, lots=(status,))
    found = told(replace(known, lots={**known.lots, "VB-10": bodies}))
    document = Document("lot-quantities", "VB-10", 4, 0, {})
    quantities = {"VB-10": LotQuantities(item="VB-10", left={"VB-1": Decimal(left)})}
    today = LotStatus.model_validate({"lot": "x", "expiry": "2026-11-24"}).expiry
    assert today is not None
    return replace(
        found,
        left=quantities,
        documents={**found.documents, ("lot-quantities", "VB-10"): document},
        today=lambda: today,
    )


def mounted(policy: dict[str, str], known: Papers, scan: Scanned | None = None) -> Bench:
    body, ring = ASSEMBLE["materials"]  # type: ignore[misc]
    made = Bench(
        Station("s", StationSettings.model_validate(ASSEMBLE | {"materials": [{**body, **policy}, ring]}), {}),  # type: ignore[dict-item]
        lots("8"),
    ).ready()
    made.papers = known
    made.feed(Tick(NOW_US, 1.0))
    return made


def test_a_mounted_lot_that_is_used_up_or_past_its_date_is_told_as_the_line_file_says() -> None:
    assert barred(mounted({}, lots("1"))) == []
    for left, expiry, policy, wanted, code in (
        ("0", None, {}, [], "start-barred"),
        ("0", None, {"used_up": "refuse"}, ["lot-used-up"], "start-barred"),
        ("0", None, {"used_up": "go_on"}, [], None),
        ("8", "2026-11-23", {}, ["lot-expired"], "start-barred"),
        ("8", "2026-11-24", {}, [], None),
        ("8", "2026-11-23", {"expired": "warn"}, [], "start-barred"),
    ):
        found = mounted(policy, lots(left, expiry))
        assert barred(found) == wanted, (left, expiry, policy)
        assert (code is None) or code in found.codes()
        assert (code is not None) or "start-barred" not in found.codes()


def test_a_scan_of_a_used_up_lot_is_refused_where_the_line_file_says_so_and_runs_name_the_count() -> None:
    scan = gs1(a01=VB, a10="VB-1")
    assert said(mounted({"used_up": "refuse"}, lots("0")), scan) == "lot-used-up"
    found = mounted({}, lots("0"))
    assert said(found, scan) is None
    record = found.cycle(1)
    assert isinstance(record, OperationRecord)
    assert ("lot-quantities", "VB-10", 4) in [(use.kind, use.id, use.version) for use in record.documents]
