"""Each trouble of a line gives exactly the findings that it should, a clean order none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from central.assessment import Assessment, Limits, assess
from central.dhr import assemble
from central.domain import Fate, Grade
from central.links.base import ErpLot, WorkOrder
from central.stored import StoredFact
from records.model import Act, Purpose, Result, StoredAs, Subject, SubjectKind, Target
from tests.unit.central.factories import LOTS, Line, S, order

pytestmark = pytest.mark.both_stores


def judged(line: Line, work_order: WorkOrder | None = None, **how: object) -> Assessment:
    return assess(line.dossier(order() if work_order is None else work_order, **how), Limits())  # type: ignore[arg-type]


def codes(assessment: Assessment) -> dict[str, int]:
    return dict(Counter(finding.code for finding in assessment.findings))


def test_a_clean_order_gives_nothing_and_all_its_pieces_are_good() -> None:
    found = judged(Line().clean())
    assert codes(found) == {}
    assert [piece.fate for piece in found.pieces] == [Fate.GOOD] * 4
    assert found.certificate.grade is Grade.COMPLETE
    assert found.over


def test_a_clean_order_gives_nothing_at_any_moment_on_the_way() -> None:
    line = Line().clean()
    facts = sorted(line.facts(), key=lambda fact: fact.fact.header.at_us)
    for count in range(len(facts) + 1):
        part = Line()
        for tape in part.tapes.values():
            tape.entries = [(f.fact.header, f.fact.data) for f in facts[:count] if f.agent == tape.agent] or [
                tape.entries[0]
            ]
        part.now_us = facts[count - 1].fact.header.at_us if count else part.now_us
        assert codes(judged(part)) == {}, count


# -- one trouble each --------------------------------------------------------------------------------------


def out_of_specification(line: Line) -> None:
    line.assemble(1)
    line.weld(1, value=0.55, result=Result.FAIL, reason="out-of-specification")
    line.leak(1)
    finish(line, 2, 3, 4)


def machine_passes_what_we_fail(line: Line) -> None:
    line.assemble(1)
    line.weld(1, value=0.55, result=Result.PASS)
    line.leak(1)
    finish(line, 2, 3, 4)


def finish(line: Line, *others: int, washed: tuple[int, ...] = (1, 2, 3, 4)) -> None:
    for index in others:
        line.piece(index)
    line.wash(washed)


def scrap(line: Line) -> None:
    line.assemble(1)
    line.weld(1, result=Result.SCRAP)
    finish(line, 2, 3, 4, washed=(2, 3, 4))


def retest(line: Line) -> None:
    line.assemble(1)
    line.weld(1)
    line.leak(1, result=Result.FAIL, value=0.8)
    line.leak(1, purpose=Purpose.RETEST)
    finish(line, 2, 3, 4)


def rework(line: Line) -> None:
    line.assemble(1)
    line.weld(1)
    line.leak(1, result=Result.FAIL, value=0.8)
    line.weld(1, purpose=Purpose.REWORK)
    line.leak(1, purpose=Purpose.REWORK)
    finish(line, 2, 3, 4)


def setup_piece(line: Line) -> None:
    carrier = Subject(SubjectKind.CARRIER, "SETUP-01")
    parts = line.components(carrier)
    line.record("OP10", [carrier], purpose=Purpose.SETUP, value=9.9, result=Result.FAIL, materials=parts)
    line.clean()


def aborted(line: Line) -> None:
    line.assemble(1, result=Result.ABORTED)
    line.clean()


def misread(line: Line) -> None:
    line.assemble(1)
    line.weld(2)  # it was carrier 1
    line.leak(1)
    finish(line, 2, 3, 4)


def control_chart(line: Line) -> None:
    line.assemble(1, signal=("nelson1",))
    number = line.cycles["OP10"]
    line.event(
        "spc-signal",
        "assemble",
        characteristic="torque",
        chart="imr",
        rule="nelson1",
        part="location",
        subgroup=number,
        limit_version="torque-1",
        subjects=[line.carrier(1)],
    )
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def wrong_lot(line: Line) -> None:
    line.assemble(1)
    line.event("scan-refused", "assemble", scanner="s", reason="item-not-in-bom", text="01..", raw="30")
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def expired_lot(line: Line) -> None:
    line.assemble(1)
    line.event("scan-refused", "assemble", scanner="s", reason="lot-expired", text="01..", raw="30")
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def counter_jump(line: Line) -> None:
    line.piece(1)
    line.assemble(2)
    line.weld(2)
    line.leak(2, count=2)
    finish(line, 3, 4)


def plc_restart(line: Line) -> None:
    line.piece(1)
    line.event("device-lost", ordered=False, device="welder", address="opc.tcp://x", error="closed")
    line.event("device-connected", ordered=False, device="welder", address="opc.tcp://x")
    finish(line, 2, 3, 4)


def missed_cycle(line: Line) -> None:
    line.piece(1)
    line.cycles["OP20"] += 1
    line.totals["OP20"] += 1
    last = line.cycles["OP20"]
    line.event("cycles-missed", "weld", ordered=False, first=str(last), last=str(last))
    finish(line, 2, 3, 4)


def chart_without_limits(line: Line) -> None:
    line.event("chart-no-limits", "weld", characteristic="torque", stream="product=VS-200")
    finish(line, 1, 2, 3, 4)


def same_rule_on_two_cavities(line: Line) -> None:
    for cavity in ("1", "2"):
        params = {"characteristic": "torque", "chart": "imr", "rule": "nelson1", "part": "location", "subgroup": 7}
        line.event("spc-signal", "weld", **params, stream=f"position={cavity}", segment=1)
    finish(line, 1, 2, 3, 4)


def unexplained_cycle(line: Line) -> None:
    line.piece(1)
    line.cycles["OP20"] += 1
    line.totals["OP20"] += 1
    finish(line, 2, 3, 4)


def bad_reading(line: Line) -> None:
    line.assemble(1, bad="assembler.angle")
    line.event("reading-bad", "assemble", tag="assembler.angle", status="BadTimeout")
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def skipped_first(line: Line) -> None:
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def stranger_in_the_wash(line: Line) -> None:
    for index in (1, 2, 3):
        line.piece(index)
    line.wash((1, 2, 3, 9))


def one_serial_on_two(line: Line) -> None:
    line.piece(1)
    line.assemble(2)
    line.weld(2)
    line.leak(1, carrier=2)
    finish(line, 3, 4, washed=(1, 3, 4))


def nobody_read_the_carrier(line: Line) -> None:
    line.clean()
    line.record("OP20", [Subject(SubjectKind.CARRIER, "unknown")])


def too_many(line: Line) -> None:
    line.clean()
    line.piece(5)


def resumed(line: Line) -> None:
    line.assemble(1, resumed=True)
    line.event("run-resumed", "assemble", run_id=f"{line.reference}-run-1", cycle="101")
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def run_never_ended(line: Line) -> None:
    line.event("run-aborted", "assemble", run_id="lost", reason="no-end-from-machine")
    line.clean()


def clock_jump(line: Line) -> None:
    line.piece(1)
    line.event("clock-jump", ordered=False, seconds=61.0)
    finish(line, 2, 3, 4)


def old_papers(line: Line) -> None:
    line.assemble(1, document_age_s=9e5)
    line.assemble(2, document_age_s=9e5)
    for index in (1, 2):
        line.weld(index)
        line.leak(index)
    finish(line, 3, 4)


def unknown_component(line: Line) -> None:
    line.assemble(1, body="VB-9")
    line.assemble(2, body="VB-9")
    for index in (1, 2):
        line.weld(index)
        line.leak(index)
    finish(line, 3, 4)


def too_little_used(line: Line) -> None:
    carrier = line.carrier(1)
    line.record("OP10", [carrier], materials=line.components(carrier)[:1])
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


def doubled_cycle(line: Line) -> None:
    line.piece(1)
    line.record("OP20", [line.carrier(1)], cycle=line.cycles["OP20"], count=0, purpose=Purpose.REWORK)
    finish(line, 2, 3, 4)


SIGNAL = {"characteristic": "torque", "stream": "", "subgroup": 7, "rule": "nelson1"}


def reactions(line: Line) -> None:
    """A signal held its units and the station; somebody was told, it ran all the same, people let it go on."""
    line.assemble(1)
    for hold, code in (("h-1", "unit-held"), ("h-2", "station-held")):
        line.event(code, "assemble", hold=hold, subjects=[line.carrier(1)], **SIGNAL)
    for action, to in (("note", None), ("alarm", None), ("escalate", "process-engineer")):
        line.event("reaction", "assemble", action=action, to=to, subjects=[line.carrier(1)], **SIGNAL)
    line.event("ran-while-held", "assemble", what="station", holds=["h-2"], run_id="r", cycle="2")
    line.event("station-hold-lifted", "assemble", hold="h-2", by="B1", reason="tool changed")
    line.event("unit-released-at-station", "assemble", hold="h-1", by="B1", reason="measured again")
    line.event("alarm-acknowledged", "assemble", hold="h-3", by="B1", reason="seen")
    line.weld(1)
    line.leak(1)
    finish(line, 2, 3, 4)


TROUBLES: list[tuple[Callable[[Line], None], dict[str, int]]] = [
    (out_of_specification, {"out-of-specification": 1}),
    (machine_passes_what_we_fail, {"out-of-specification": 1}),
    (scrap, {"unit-scrapped": 1}),
    (retest, {"unit-failed": 1, "retested": 1}),
    (rework, {"unit-failed": 1, "reworked": 2}),
    (setup_piece, {}),
    (aborted, {"run-aborted": 1}),
    (misread, {"operation-repeated": 1, "operation-missing": 1}),
    (control_chart, {"spc-signal": 1}),
    (wrong_lot, {"item-not-in-bom": 1}),
    (
        reactions,
        {
            "unit-held": 1,
            "station-held": 1,
            "escalated": 1,
            "ran-while-held": 1,
            "station-hold-lifted": 1,
            "unit-released-at-station": 1,
        },
    ),
    (expired_lot, {"lot-expired": 1}),
    (counter_jump, {"counter-disagrees": 1}),
    (plc_restart, {"device-lost": 1}),
    (missed_cycle, {"cycles-missed": 1}),
    (chart_without_limits, {"chart-no-limits": 1}),
    (same_rule_on_two_cavities, {"spc-signal": 2}),
    (unexplained_cycle, {"certificate-incomplete": 1}),
    (bad_reading, {"reading-bad": 1}),
    (skipped_first, {"identity-unknown": 1, "consumption-disagrees": 0}),
    (stranger_in_the_wash, {"identity-unknown": 1}),
    (one_serial_on_two, {"serial-doubled": 1}),
    (nobody_read_the_carrier, {"identity-unknown": 1}),
    (too_many, {"quantity-disagrees": 1}),
    (resumed, {"run-resumed": 1}),
    (run_never_ended, {"run-aborted": 1}),
    (clock_jump, {"clock-jump": 1}),
    (old_papers, {"document-too-old": 1}),
    (unknown_component, {"lot-unknown-to-erp": 1}),
    (too_little_used, {"consumption-disagrees": 1}),
    (doubled_cycle, {"reworked": 1, "cycle-doubled": 1, "certificate-incomplete": 1}),
]


@pytest.mark.parametrize(("trouble", "expected"), TROUBLES, ids=[t.__name__ for t, _ in TROUBLES])
def test_each_trouble_gives_exactly_its_findings(
    trouble: Callable[[Line], None], expected: dict[str, int]
) -> None:
    line = Line()
    trouble(line)
    assert codes(judged(line)) == {code: count for code, count in expected.items() if count}


@pytest.mark.parametrize("trouble", [one_serial_on_two, stranger_in_the_wash, retest])
@pytest.mark.parametrize("scheme", ["hibc", "own"])
def test_findings_name_who_issued_the_serial(
    trouble: Callable[[Line], None], scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gs1 = Line.unit
    monkeypatch.setattr(Line, "unit", lambda line, index: replace(gs1(line, index), scheme=scheme))
    line = Line()
    trouble(line)
    units = [s for finding in judged(line).findings for s in finding.subjects if s.kind is SubjectKind.UNIT]
    assert {unit.scheme for unit in units} == {scheme}


@pytest.mark.parametrize(("trouble", "_expected"), TROUBLES, ids=[t.__name__ for t, _ in TROUBLES])
def test_facts_that_come_twice_or_backwards_change_nothing(
    trouble: Callable[[Line], None], _expected: dict[str, int]
) -> None:
    line = Line()
    trouble(line)
    once = judged(line)
    facts = line.facts()
    again = judged(line, facts=[*reversed(facts), *facts])
    assert again.findings == once.findings
    assert again.pieces == once.pieces
    assert again.certificate == once.certificate


def test_every_exception_and_discrepancy_says_where_and_when() -> None:
    for trouble, _ in TROUBLES:
        line = Line()
        trouble(line)
        for finding in judged(line).findings:
            assert finding.order == "WO-1000"
            assert finding.product == "VS-100"
            if finding.kind == "exception":
                assert finding.at_us is not None
                assert finding.records
                assert finding.agent


# -- lots --------------------------------------------------------------------------------------------------


def test_a_lot_that_was_expired_when_it_was_used_shows_once() -> None:
    lots = {**LOTS, "SR-20": {"SR-1": ErpLot("SR-20", "SR-1", "2026-11-17", Decimal(9), "available")}}
    found = judged(Line().clean(), lots=lots)
    assert codes(found) == {"lot-expired": 1}
    (finding,) = found.findings
    assert finding.kind == "exception"
    assert finding.params["expiry"] == "2026-11-17"


def test_a_lot_may_be_used_on_the_local_day_on_which_it_expires() -> None:
    # 2026-11-18T17:46 UTC is already the 19th in Shanghai
    lots = {**LOTS, "SR-20": {"SR-1": ErpLot("SR-20", "SR-1", "2026-11-19", Decimal(9), "available")}}
    assert Line().now_us == 1_795_000_000_000_000
    assert codes(judged(Line().clean(), lots=lots)) == {}


def test_lots_of_an_item_that_the_erp_never_told_about_are_not_judged() -> None:
    assert codes(judged(Line().clean(), lots={})) == {}


# -- data on its way ---------------------------------------------------------------------------------------


def test_what_is_absent_is_judged_only_when_the_other_agent_has_nothing_left_to_send() -> None:
    dossier = Line().clean().dossier(order())
    first = [f for f in dossier.facts if f.agent == "assembly-1"][:2]
    others = [f for f in dossier.facts if f.agent != "assembly-1"]
    last = first[-1]
    behind = tuple(
        replace(c, last=last.seq, stored=2, through=last.seq, through_us=last.received_us, head_us=None)
        if c.agent == "assembly-1"
        else c
        for c in dossier.chains
    )
    waiting = assess(replace(dossier, facts=(*first, *others), chains=behind), Limits())
    assert codes(waiting) == {}
    assert not waiting.over
    assert Counter(p.fate for p in waiting.pieces) == {Fate.GOOD: 1, Fate.PENDING: 3}
    silent = assess(replace(dossier, facts=(*first, *others)), Limits())
    assert codes(silent)["identity-unknown"] == 3


def test_an_operation_is_not_missing_while_its_record_may_be_on_its_way() -> None:
    line = Line()
    line.piece(2)
    line.assemble(1)
    line.weld(1)
    line.leak(1)
    dossier = line.dossier(order())
    weld = next(f for f in reversed(dossier.facts) if f.agent == "assembly-1")
    arrived = tuple(f for f in dossier.facts if f is not weld)
    behind = tuple(
        replace(c, last=weld.seq - 1, through=weld.seq - 1, through_us=weld.received_us - S, head_us=None)
        if c.agent == "assembly-1"
        else c
        for c in dossier.chains
    )
    assert codes(assess(replace(dossier, facts=arrived, chains=behind), Limits())) == {}
    told = tuple(replace(c, head_us=line.now_us) for c in behind)
    assert codes(assess(replace(dossier, facts=arrived, chains=told), Limits())) == {"operation-missing": 1}


def test_the_tail_is_unknown_until_the_agent_signs_a_head_after_its_last_record() -> None:
    line = Line().clean()
    soon, later = judged(line, heads=False), judged(line, heads=False, waited_s=500)
    assert soon.certificate.grade is later.certificate.grade is Grade.TAIL_UNKNOWN
    assert codes(soon) == {}
    assert codes(later) == {"certificate-tail-unknown": 1}


def test_a_head_from_before_the_last_record_proves_nothing() -> None:
    dossier = Line().clean().dossier(order())
    early = tuple(replace(chain, head_us=chain.through_us - 1) for chain in dossier.chains)
    assert assess(replace(dossier, chains=early), Limits()).certificate.grade is Grade.TAIL_UNKNOWN


def test_a_missing_record_makes_the_certificate_incomplete() -> None:
    dossier = Line().clean().dossier(order())
    torn = tuple(replace(chain, stored=chain.stored - 1) for chain in dossier.chains)
    found = assess(replace(dossier, chains=torn), Limits())
    assert found.certificate.grade is Grade.INCOMPLETE
    assert codes(found) == {"certificate-incomplete": 1}


def test_a_station_without_cycles_is_not_provable() -> None:
    line = Line().clean()
    tape = line.tapes["testing-1"]
    tape.entries = [
        (header, replace(data, cycle=None) if getattr(data, "station", None) == "wash" else data)
        for header, data in tape.entries
    ]
    found = judged(line)
    assert found.certificate.grade is Grade.CYCLES_NOT_PROVABLE
    assert codes(found) == {"certificate-cycles-not-provable": 1}


def test_an_order_that_the_erp_closed_with_pieces_missing_disagrees() -> None:
    line = Line()
    for index in (1, 2, 3):
        line.piece(index)
    line.wash((1, 2, 3))
    found = judged(line, order(state="closed"))
    assert codes(found) == {"quantity-disagrees": 1}
    assert found.findings[0].params == {"what": "finished", "ordered": "4", "found": 3}


def test_an_order_that_the_erp_does_not_know_is_one_exception() -> None:
    line = Line().clean()
    found = assess(line.dossier(None), Limits())
    assert codes(found) == {"identity-unknown": 1}


# -- matters and decisions ---------------------------------------------------------------------------------


def test_a_piece_with_an_open_matter_is_pending_until_a_person_decides() -> None:
    line = Line()
    out_of_specification(line)
    before = judged(line)
    assert Counter(p.fate for p in before.pieces) == {Fate.GOOD: 3, Fate.PENDING: 1}
    line.decide(Target("exception", before.findings[0].id), Act.CONCESSION)
    after = judged(line)
    assert Counter(p.fate for p in after.pieces) == {Fate.GOOD: 4}
    assert after.findings[0].closing is not None
    assert after.findings[0].closing.act == "concession"


def test_a_retest_that_passes_cures_the_failure_but_both_stay_to_be_looked_at() -> None:
    line = Line()
    retest(line)
    found = judged(line)
    assert Counter(p.fate for p in found.pieces) == {Fate.GOOD: 4}
    assert all(finding.open for finding in found.findings)


def test_a_failed_retest_cures_nothing() -> None:
    line = Line()
    line.assemble(1)
    line.weld(1)
    line.leak(1, result=Result.FAIL, value=0.8)
    line.leak(1, purpose=Purpose.RETEST, result=Result.FAIL, value=0.8)
    finish(line, 2, 3, 4)
    found = judged(line)
    assert codes(found) == {"unit-failed": 2, "retested": 1}
    assert Counter(p.fate for p in found.pieces) == {Fate.GOOD: 3, Fate.PENDING: 1}


def test_a_decision_to_scrap_makes_the_piece_scrap() -> None:
    line = Line()
    misread(line)
    found = judged(line)
    for finding in found.findings:
        line.decide(
            Target("exception", finding.id), Act.SCRAP if finding.code == "operation-missing" else Act.CLOSE
        )
    after = judged(line)
    assert Counter(p.fate for p in after.pieces) == {Fate.GOOD: 3, Fate.SCRAP: 1}


def test_central_closing_what_is_still_there_does_not_hold() -> None:
    line = Line()
    out_of_specification(line)
    (finding,) = judged(line).findings
    line.decide(Target("exception", finding.id), by="central", role="system")
    (again,) = judged(line).findings
    assert again.open


def test_a_run_that_was_stored_again_under_a_new_epoch_counts_once() -> None:
    line = Line().clean()
    facts = line.facts()
    copy = next(f for f in facts if f.kind == "operation_record")
    again = replace(copy, epoch="second", seq=1, hash="0" * 64)
    assert codes(judged(line, facts=[*facts, again])) == {}


def test_an_event_that_was_stored_again_under_a_new_epoch_counts_once() -> None:
    line = Line().clean()
    line.event("cycles-missed", "weld", first="900", last="901")
    line.event("scan-refused", "wash", agent="testing-1", scanner="s", reason="not-now", text="x", raw="78")
    facts = line.facts()

    def again(fact: StoredFact, hash_: str) -> StoredFact:
        first = StoredAs(fact.epoch, fact.seq, hash_)
        header = replace(fact.fact.header, stored_as=first)
        return replace(fact, epoch="second", hash=f"{fact.seq:064}", fact=replace(fact.fact, header=header))

    events = [f for f in facts if f.kind == "operations_event"]
    assert len(events) == 2
    once = judged(line, facts=facts)
    copies = [again(f, f.hash) for f in events]
    assert judged(line, facts=[*facts, *copies]).findings == once.findings
    assert len(judged(line, facts=[*facts, *copies]).dossier.events) == 2
    # another record had the same place before the disk was rolled back: both happened
    assert len(judged(line, facts=[*facts, *(again(f, "f" * 64) for f in events)]).dossier.events) == 4


def test_a_held_unit_is_not_good_until_a_person_decides_whatever_was_done_at_the_line() -> None:
    line = Line()
    reactions(line)
    part = judged(line)
    told = {finding.code: finding for finding in part.findings}
    assert told["escalated"].params == {"to": "process-engineer", **SIGNAL}
    assert told["station-hold-lifted"].params == {"hold": "h-2", "by": "B1", "reason": "tool changed"}
    held = told["unit-held"]
    assert [subject.id for subject in held.subjects] == [line.carrier(1).id]
    assert [piece.fate for piece in part.pieces].count(Fate.GOOD) == 3
    line.decide(Target("exception", held.id))
    assert [piece.fate for piece in judged(line).pieces].count(Fate.GOOD) == 4


def test_what_an_agent_wrote_wrongly_stops_nothing() -> None:
    line = Line().clean()
    line.event("cycles-missed", "weld", first="many", last=None)
    line.event("spc-signal", "weld", subgroup="x", rule="nelson1")
    line.event("scan-refused", "weld")
    line.event("clock-jump", "weld", seconds=float("nan"))
    carrier = line.carrier(5)
    parts = [replace(edge, quantity="a lot") for edge in line.components(carrier)]
    line.record("OP10", [carrier], materials=parts)
    part = judged(line)
    assert assemble([part], ()).content_hash
    assert codes(part) == {
        "cycles-missed": 1,
        "spc-signal": 1,
        "scan-not-understood": 1,
        "clock-jump": 1,
        "consumption-disagrees": 2,
        "quantity-disagrees": 1,
    }
