"""The device history record: complete, deterministic, and honest about what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central.assessment import Assessment, Limits, assess
from central.causes import About
from central.certificate import certify
from central.dhr import assemble, dhr_id
from central.domain import (
    BLOCKERS,
    Certificate,
    Closing,
    DeviceHistoryRecord,
    DhrState,
    EpochEvidence,
    Finding,
    Grade,
)
from central.exceptions import of_event
from central.finding_codes import MATTERS, PARAMS
from central.genealogy import cured
from central.links.base import WorkOrder
from central.stored import StoredFact
from records.codes import DISCREPANCIES, EXCEPTIONS
from records.model import Act, OperationRecord, Purpose, Result, Target
from records.verdict import SpcState
from records.wire import canonical_json
from spc.rules import Signal
from tests.unit.central.factories import AGENTS, EQUIPMENT, Line, S, order
from tests.unit.central.test_domain_findings import TROUBLES, misread, out_of_specification, retest, rework, scrap

pytestmark = pytest.mark.both_stores


def record_of(
    line: Line, work_order: WorkOrder | None = None, facts: Sequence[StoredFact] | None = None
) -> DeviceHistoryRecord:
    part = assess(line.dossier(order() if work_order is None else work_order, facts=facts), Limits())
    return assemble([part], ())


def troubled() -> Line:
    line = Line()
    rework(line)
    return line


# -- the same facts give the same record -------------------------------------------------------------------


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_interleaving_and_any_repetition_give_the_same_record(data: st.DataObject) -> None:
    trouble: Callable[[Line], None] = data.draw(st.sampled_from([t for t, _ in TROUBLES]))
    line = Line()
    trouble(line)
    expected = record_of(line)
    facts = line.facts()
    mixed = data.draw(st.permutations(facts))
    again = data.draw(st.lists(st.sampled_from(facts), max_size=10))
    arrived = [replace(fact, received_us=number, cursor=number) for number, fact in enumerate([*mixed, *again])]
    record = record_of(line, facts=arrived)
    assert record.content_hash == expected.content_hash
    assert canonical_json(record.content) == canonical_json(expected.content)
    assert [f.id for f in record.findings] == [f.id for f in expected.findings]
    assert record.state is expected.state


def test_two_agents_in_any_order_of_arrival_end_in_the_same_record() -> None:
    """Facts of each agent come in order, those of the two in any mixture: no prefix matters in the end."""
    line = Line()
    misread(line)
    facts = line.facts()
    first = [f for f in facts if f.agent == "assembly-1"]
    second = [f for f in facts if f.agent == "testing-1"]
    assert record_of(line, facts=[*first, *second]).content == record_of(line, facts=[*second, *first]).content


def test_the_hash_is_that_of_the_canonical_content_and_every_fact_changes_it() -> None:
    line = Line().clean()
    record = record_of(line)
    assert record.content_hash == hashlib.sha256(canonical_json(record.content)).hexdigest()
    line.event("order-stopped", "wash", agent="testing-1", order="WO-1000")
    assert record_of(line).content_hash != record.content_hash


def test_the_erp_s_booking_is_no_part_of_what_is_signed() -> None:
    line = Line().clean()
    posted = record_of(line, order(state="closed", posting="posted"))
    assert posted.content_hash == record_of(line).content_hash
    assert posted.orders[0].posting == "posted"


def test_the_id_is_opaque_and_tells_product_and_lot_apart() -> None:
    assert len({dhr_id("VS-100", "A"), dhr_id("VS-200", "A"), dhr_id("VS-100", "B"), dhr_id(None, "A")}) == 4
    assert "A" not in dhr_id("VS-100", "A")


# -- quantities and completeness ---------------------------------------------------------------------------


def test_quantities_per_operation_tell_rework_retest_scrap_and_setup_apart() -> None:
    line = Line()
    line.assemble(1, result=Result.ABORTED)
    line.record("OP10", [line.carrier(9)], purpose=Purpose.SETUP)
    rework(line)
    record = record_of(line)
    by_name = {o.operation: o for o in record.operations}
    assert [o.operation for o in record.operations] == ["OP10", "OP20", "OP30", "OP40"]
    op10, op20, op30 = by_name["OP10"], by_name["OP20"], by_name["OP30"]
    assert (op10.started, op10.passed, op10.aborted_runs, op10.not_counted_runs) == (4, 4, 1, 1)
    assert (op20.started, op20.passed, op20.reworked, op20.runs) == (4, 4, 1, 5)
    assert (op30.started, op30.passed, op30.failed, op30.reworked) == (4, 4, 0, 1)
    assert op10.equipment == (EQUIPMENT["OP10"],)
    assert op10.duration_s == pytest.approx(5.0)


def test_scrap_and_good_add_up_to_what_was_ordered() -> None:
    line = Line()
    scrap(line)
    record = record_of(line)
    q = record.quantities
    assert (q.good, q.scrap, q.pending, q.in_process, int(q.ordered)) == (3, 1, 0, 0, 4)
    operations = [s for s in record.completeness if s.requirement.kind == "operation"]
    assert [(s.requirement.needs, s.have, s.need) for s in operations] == [
        (name, 3, 3) for name in ("OP10", "OP20", "OP30", "OP40")
    ]
    assert [s.met for s in record.completeness if s.requirement.kind in ("record", "bom", "subject")] == [True] * 4


def test_blockers_name_what_is_missing_and_where_to_mend_it() -> None:
    line = Line()
    line.piece(1)
    record = record_of(line)
    assert record.state is DhrState.COLLECTING
    blockers = {blocker.code: blocker for blocker in record.blockers}
    assert {"operation-incomplete", "material-incomplete", "identification-incomplete", "quantity-open"} < set(
        blockers
    )
    wash = [b for b in record.blockers if b.params.get("operation") == "OP40"]
    assert [(b.params["have"], b.params["need"], b.link.to, b.link.id) for b in wash] == [
        ("0", "4", "operation", "OP40")
    ]
    assert blockers["erp-not-confirmed"].params == {"order": "WO-1000", "state": None}
    assert blockers["signature-missing"].params == {"meaning": "reviewed"}
    assert all(set(b.params) == set(BLOCKERS[b.code]) for b in record.blockers)


def test_a_clean_record_is_complete_and_waits_for_review_and_the_erp_only() -> None:
    record = record_of(Line().clean())
    assert record.state is DhrState.COMPLETE
    assert record.review_blockers == ()
    assert [blocker.code for blocker in record.blockers] == ["erp-not-confirmed", "signature-missing"]
    summary = record.summary()
    assert (summary.good, summary.exceptions, summary.certificate) == (4, 0, Grade.COMPLETE)
    assert summary.requirements - summary.requirements_met == 2


def test_an_order_that_ended_short_is_accepted_by_closing_its_discrepancy() -> None:
    line = Line()
    for index in (1, 2, 3):
        line.piece(index)
    line.wash((1, 2, 3))
    closed = order(state="closed", posting="posted")
    before = record_of(line, closed)
    assert "quantity-open" in [b.code for b in before.blockers]
    line.decide(Target("discrepancy", before.findings[0].id))
    after = record_of(line, closed)
    assert [b.code for b in after.blockers] == ["signature-missing"]
    assert after.state is DhrState.IN_REVIEW


def test_a_lot_of_an_unknown_order_cannot_be_released() -> None:
    line = Line().clean()
    record = assemble([assess(line.dossier(None), Limits())], ())
    assert record.product == "VS-100"
    assert "order-unknown" in [b.code for b in record.review_blockers]
    assert not record.orders[0].known


# -- genealogy ---------------------------------------------------------------------------------------------


def test_units_and_component_lots_are_found_both_ways() -> None:
    line = Line()
    line.assemble(1, ring="SR-1")
    line.assemble(2, ring="SR-2")
    for index in (1, 2):
        line.weld(index)
        line.leak(index)
    line.wash((1, 2))
    record = record_of(line, order(units=2))
    unit = record.unit("WO-1000-002")
    assert unit is not None
    assert (unit.carrier, [(use.item, use.lot) for use in unit.used]) == (
        "C002",
        [("VB-10", "VB-1"), ("SR-20", "SR-2")],
    )
    assert record.unit("C002") == unit
    assert [run.operation for run in unit.runs] == ["OP10", "OP20", "OP30", "OP40"]
    assert unit.containers == ("TRAY-001/2",)
    lots = {(m.item, m.lot): m for m in record.evidence.materials}
    assert lots["VB-10", "VB-1"].pieces == ("WO-1000-001", "WO-1000-002")
    assert lots["SR-20", "SR-2"].pieces == ("WO-1000-002",)
    assert (lots["SR-20", "SR-1"].expiry, lots["SR-20", "SR-1"].known_to_erp) == ("2027-12-31", True)
    assert (lots["SR-20", "SR-2"].expiry, lots["SR-20", "SR-2"].known_to_erp) == (None, False)


def test_the_piece_is_what_stood_on_the_carrier_even_when_its_label_is_another_s() -> None:
    line = Line()
    line.piece(1)
    line.assemble(2)
    line.weld(2)
    line.leak(1, carrier=2)
    pieces = record_of(line).evidence.units
    assert [(p.carrier, p.serial, len(p.runs)) for p in pieces] == [
        ("C001", "WO-1000-001", 3),
        ("C002", "WO-1000-001", 3),
    ]


def test_a_failure_is_cured_only_by_what_came_after_it() -> None:
    line = Line()
    retest(line)
    part = assess(line.dossier(order()), Limits())
    (failed,) = [f for f in part.findings if f.code == "unit-failed"]
    piece = next(p for p in part.pieces if failed.id in p.findings)
    assert cured(piece, failed)
    assert not cured(replace(piece, runs=piece.runs[:3]), failed)
    assert not cured(replace(piece, runs=tuple(reversed(piece.runs))), failed)


# -- certificate -------------------------------------------------------------------------------------------


def test_the_certificate_counts_cycles_from_the_record_before_the_order() -> None:
    line = Line()
    line.cycles["OP10"] = 100
    dossier = line.clean().dossier(order())
    before = next(f for f in dossier.facts if isinstance(f.fact.data, OperationRecord))
    data = before.fact.data
    assert isinstance(data, OperationRecord)

    def neighbour(cycle: int) -> StoredFact:
        assert isinstance(data, OperationRecord)
        other = replace(data, order="WO-999", run_id="other", cycle=cycle, counters=())
        fact = replace(before.fact, data=other)
        return replace(before, seq=1, hash="f" * 64, fact=fact)  # type: ignore[type-var]

    assert data.cycle is not None
    joined = certify(replace(dossier, neighbours=(neighbour(data.cycle - 1),)), over=True)
    torn = certify(replace(dossier, neighbours=(neighbour(data.cycle - 3),)), over=True)
    assert joined.grade is Grade.COMPLETE
    (part,) = [c for c in torn.cycles if c.grade is not Grade.COMPLETE]
    assert part.unaccounted == (data.cycle - 2, data.cycle - 1)
    assert (part.first, part.recorded) == (data.cycle - 2, 4)


def test_a_counter_that_steps_back_opens_a_new_period_and_loses_nothing() -> None:
    line = Line()
    line.piece(1)
    line.piece(2)
    line.cycles["OP20"], line.totals["OP20"] = 0, 0
    line.event("counter-period", "weld", ordered=False, was="2", now="1", why="step-back")
    for index in (3, 4):
        line.piece(index)
    line.wash((1, 2, 3, 4))
    record = record_of(line)
    assert record.findings == ()
    weld = [c for c in record.certificate.cycles if c.station == "weld"]
    assert [(c.period, c.first, c.last, c.recorded) for c in weld] == [(1, 1, 2, 2), (2, 1, 2, 2)]
    assert record.certificate.grade is Grade.COMPLETE


def test_an_epoch_that_nothing_joins_breaks_the_certificate() -> None:
    line = Line().clean()
    dossier = line.dossier(order(), heads=False)

    def graded(*, joined: bool, head_us: int | None) -> Grade:
        epochs = []
        for c in dossier.chains:
            epochs.append(EpochEvidence(c.agent, c.epoch, 0, False))
            epochs.append(EpochEvidence(c.agent, "next", line.now_us, joined, 1, head_us))
        return certify(replace(dossier, epochs=tuple(epochs)), over=True).grade

    assert graded(joined=True, head_us=line.now_us) is Grade.COMPLETE
    assert graded(joined=True, head_us=line.now_us - 1) is Grade.TAIL_UNKNOWN
    assert graded(joined=True, head_us=None) is Grade.TAIL_UNKNOWN
    assert graded(joined=False, head_us=line.now_us) is Grade.INCOMPLETE


def test_an_epoch_opened_long_after_the_order_takes_nothing_from_it() -> None:
    line = Line().clean()
    dossier = line.dossier(order())
    epochs = tuple(
        EpochEvidence(c.agent, epoch, opened_us, False, c.head_last, c.head_us)
        for c in dossier.chains
        for epoch, opened_us in ((c.epoch, 0), ("next", line.now_us + S))
    )
    assert certify(replace(dossier, epochs=epochs), over=True).grade is Grade.COMPLETE


def test_a_head_from_before_another_agent_ended_the_order_leaves_the_tail_unknown() -> None:
    dossier = Line().clean().dossier(order())
    theirs = max(f.fact.header.at_us for f in dossier.facts if f.agent == "assembly-1")
    chains = tuple(replace(c, head_us=theirs) if c.agent == "assembly-1" else c for c in dossier.chains)
    found = certify(replace(dossier, chains=chains), over=True)
    assert {c.agent: c.grade for c in found.chains} == {
        "assembly-1": Grade.TAIL_UNKNOWN,
        "testing-1": Grade.COMPLETE,
    }


@pytest.mark.parametrize("agent", ["assembly-1", "testing-1"])
def test_an_agent_of_which_nothing_is_here_is_missed_by_its_operations(agent: str) -> None:
    dossier = Line().clean().dossier(order(state="closed"))
    facts = tuple(f for f in dossier.facts if f.agent != agent)
    chains = tuple(c for c in dossier.chains if c.agent != agent)
    bare = replace(dossier, facts=facts, chains=chains)
    found = certify(bare, over=True)
    assert found.grade is Grade.INCOMPLETE
    missed = {c.station for c in found.cycles if c.grade is Grade.INCOMPLETE}
    assert missed == {operation for operation, name in AGENTS.items() if name == agent}
    assert certify(bare, over=False).grade is Grade.TAIL_UNKNOWN
    assert "certificate-incomplete" in [f.code for f in assess(bare, Limits()).findings]


@pytest.mark.parametrize(("first", "grade"), [(1, Grade.COMPLETE), (41, Grade.CYCLES_NOT_PROVABLE)])
def test_cycles_before_the_first_of_a_period_are_not_provable(first: int, grade: Grade) -> None:
    stepped, new = Line(), Line()
    stepped.cycles["OP20"] = 99
    stepped.weld(9)
    dossier = stepped.dossier(order())
    (before,) = dossier.records
    stepped.tapes["assembly-1"].entries.pop()
    for line in (stepped, new):
        line.cycles["OP20"] = first - 1
        line.clean()
        whole = line.dossier(order())
        if line is stepped:
            data = replace(before.data, order="WO-0999", run_id="other")
            neighbour = replace(before.fact, seq=0, fact=replace(before.fact.fact, data=data))
            whole = replace(whole, neighbours=(neighbour,))
        assert certify(whole, over=True).grade is grade


def test_an_order_cut_by_a_reset_needs_the_new_period_from_its_beginning() -> None:
    line = Line()
    line.piece(1)
    for cycle, name in ((41, "WO-0999"), (42, None)):
        line.cycles["OP20"] = 0
        line.record("OP20", [line.carrier(2)], cycle=cycle)
        header, data = line.tapes["assembly-1"].entries[-1]
        assert isinstance(data, OperationRecord)
        if name:
            line.tapes["assembly-1"].entries[-1] = (header, replace(data, order=name))
    line.tapes["assembly-1"].entries[2:3] = [
        (h, replace(d, cycle=99) if isinstance(d, OperationRecord) else d)
        for h, d in line.tapes["assembly-1"].entries[2:3]
    ]
    facts = line.facts()
    other = [f for f in facts if getattr(f.fact.data, "order", None) == "WO-0999"]
    dossier = replace(line.dossier(order()), neighbours=tuple(other))
    weld = [c for c in certify(dossier, over=False).cycles if c.station == "weld"]
    assert [(c.period, c.first, c.last, c.grade) for c in weld] == [
        (1, 99, 99, Grade.CYCLES_NOT_PROVABLE),
        (2, 41, 42, Grade.CYCLES_NOT_PROVABLE),
    ]


def test_tombstones_are_gaps_in_the_evidence() -> None:
    dossier = Line().clean().dossier(order())
    chains = tuple(replace(chain, tombstones=1) for chain in dossier.chains)
    assert certify(replace(dossier, chains=chains), over=True).grade is Grade.INCOMPLETE


# -- evidence ----------------------------------------------------------------------------------------------


def test_people_equipment_and_configurations_are_told() -> None:
    evidence = record_of(troubled()).evidence
    assert [(p.id, p.operations) for p in evidence.people] == [("B000001", ("OP10", "OP20", "OP30", "OP40"))]
    assert [e.equipment for e in evidence.equipment] == ["ASM-01", "WELD-01", "LEAK-01", "WASH-01"]
    assert [(c.agent, c.hash) for c in evidence.configurations] == [
        ("assembly-1", "sha256:assembly-1"),
        ("testing-1", "sha256:testing-1"),
    ]
    assert sum(c.records for c in evidence.configurations) == 15


def test_charts_have_their_points_limits_signals_and_gaps() -> None:
    line = Line()
    for number in range(1, 5):
        line.assemble(number)
    states = [
        SpcState("torque", "imr", 1, 1, 1, "in_control", (), 2.2, None, 2.2, 2.0, 2.4, "a"),
        SpcState("torque", "imr", 2, 1, 1, "gap", (), None, None, None, None, None, "a"),
        SpcState("torque", "imr", 3, 1, 1, "signal", ("nelson1",), 2.5, None, 2.2, 2.0, 2.4, "a"),
        SpcState("torque", "imr", 4, 1, 1, "in_control", (), 2.3, 0.2, 2.3, 2.1, 2.5, "b"),
    ]
    tape = line.tapes["assembly-1"]
    tape.entries = (
        [tape.entries[0]]
        + [
            (header, replace(data, spc=(state,)))  # type: ignore[type-var]
            for (header, data), state in zip(tape.entries[1:], states, strict=True)
        ]
    )
    (series,) = record_of(line).evidence.spc
    assert (series.characteristic, series.station, series.chart, series.unit) == (
        "torque",
        "assemble",
        "imr",
        "N.m",
    )
    assert [point.value for point in series.points] == [2.2, None, 2.5, 2.3]
    assert [(span.version, span.start, span.stop) for span in series.limits] == [("a", 0, 3), ("b", 3, None)]
    assert series.signals == (Signal("nelson1", 2, (2,)),)
    assert (series.gaps, series.readings, series.lower, series.upper) == (1, 4, 1.8, 2.6)
    assert series.points[2].subjects == ("C003",)


def test_an_open_subgroup_is_no_point_yet() -> None:
    line = Line()
    line.assemble(1)
    line.assemble(2)
    tape = line.tapes["assembly-1"]
    states = [
        SpcState("torque", "xbar_r", 1, 1, 2, "open", (), None, None, None, None, None, None),
        SpcState("torque", "xbar_r", 1, 2, 2, "in_control", (), 2.2, 0.1, 2.2, 2.0, 2.4, "a"),
    ]
    tape.entries = (
        [tape.entries[0]]
        + [
            (header, replace(data, spc=(state,)))  # type: ignore[type-var]
            for (header, data), state in zip(tape.entries[1:], states, strict=True)
        ]
    )
    (series,) = record_of(line).evidence.spc
    assert ([p.range_value for p in series.points], series.readings, series.size) == ([0.1], 2, 2)


def test_a_chart_of_the_record_has_its_own_range_limits_segments_and_closing_events() -> None:
    line = Line()
    for number in range(1, 5):
        line.assemble(number)

    def state(subgroup: int, position: int, verdict: str, segment: int, *rules: str) -> SpcState:
        closed = position == 2
        return SpcState(
            "torque", "xbar_r", subgroup, position, 2, verdict, rules, 2.2 if closed else None,
            0.1 if closed else None, 2.2 if closed else None, 2.0 if closed else None, 2.4 if closed else None,
            "a", False, "product=VS-100", segment, None, ("nelson1",) if rules else (),
            *((0.09, 0.0, 0.3) if closed else (None, None, None)),
        )  # fmt: skip

    states = [
        state(1, 1, "open", 1),
        state(1, 2, "signal", 1, "nelson2"),
        state(2, 1, "open", 2),
        state(3, 2, "in_control", 2),
    ]
    tape = line.tapes["assembly-1"]
    tape.entries = (
        [tape.entries[0]]
        + [
            (header, replace(data, spc=(one,)))  # type: ignore[type-var]
            for (header, data), one in zip(tape.entries[1:], states, strict=True)
        ]
    )
    closed: dict[str, Any] = {
        "characteristic": "torque",
        "chart": "xbar_r",
        "stream": "product=VS-100",
        "segment": 2,
        "state": "signal",
    }
    line.event(
        "spc-subgroup", "assemble", subgroup=2, rules=["nelson1"], range_rules=[], statistic=2.5,
        range_statistic=None, centre=2.2, lower=1.9, upper=2.5, limit_version="a", provisional=False,
        closed_by="time", sample=1, **closed,
    )  # fmt: skip
    line.event("spc-signal", "assemble", rule="nelson2", window=8, subgroup=1, **{**closed, "segment": 1})
    (series,) = record_of(line).evidence.spc
    assert (series.stream, series.agent) == ("product=VS-100", "assembly-1")
    assert [(p.segment, p.subgroup, p.state) for p in series.points] == [
        (1, 1, "signal"),
        (2, 3, "in_control"),
        (2, 2, "signal"),
    ]
    assert [(s.upper, s.start, s.stop) for s in series.limits] == [(2.4, 0, 2), (2.5, 2, None)]
    assert [(s.centre, s.upper, s.start) for s in series.range_limits] == [(0.09, 0.3, 0)]
    assert series.range_signals == (Signal("nelson1", 0, (0,)),)
    assert series.signals == (Signal("nelson2", 0, (0,)), Signal("nelson1", 2, (2,)))


def test_a_run_is_made_by_the_points_beyond_its_zone_and_reaches_over_no_cut() -> None:
    line = Line()
    for number in range(1, 8):
        line.assemble(number)

    def state(subgroup: int, value: float, segment: int, *rules: str, version: str = "a") -> SpcState:
        return SpcState(
            "torque", "imr", subgroup, 1, 1, "signal" if rules else "in_control", rules, value, None,
            2.2, 1.9, 2.5, version, False, "product=VS-100", segment, None, (),
        )  # fmt: skip

    states = [
        state(1, 2.45, 1),
        state(2, 2.2, 1),
        state(3, 2.43, 1, "nelson5"),  # 2 of 3: the one in the middle did not make it
        state(4, 2.3, 2),
        state(5, 2.32, 2, "nelson2"),
        state(6, 2.3, 2, version="b"),
        state(7, 2.31, 2, "nelson2", version="b"),
    ]
    tape = line.tapes["assembly-1"]
    tape.entries = (
        [tape.entries[0]]
        + [
            (header, replace(data, spc=(one,)))  # type: ignore[type-var]
            for (header, data), one in zip(tape.entries[1:], states, strict=True)
        ]
    )
    (series,) = record_of(line).evidence.spc
    assert series.signals == (
        Signal("nelson5", 2, (0, 2)),
        Signal("nelson2", 4, (3, 4)),
        Signal("nelson2", 6, (5, 6)),
    )


def test_a_chart_that_counts_from_one_again_loses_no_point() -> None:
    line = Line()
    for number in range(1, 4):
        line.assemble(number)
    states = [
        SpcState("torque", "imr", subgroup, 1, 1, "in_control", (), value, None, 2.2, 2.0, 2.4, "a")
        for subgroup, value in ((1, 2.1), (2, 2.2), (1, 2.3))
    ]
    tape = line.tapes["assembly-1"]
    tape.entries = (
        [tape.entries[0]]
        + [
            (header, replace(data, spc=(one,)))  # type: ignore[type-var]
            for (header, data), one in zip(tape.entries[1:], states, strict=True)
        ]
    )
    (series,) = record_of(line).evidence.spc
    assert [point.value for point in series.points] == [2.1, 2.2, 2.3]


# -- the catalogue -----------------------------------------------------------------------------------------


def test_every_code_has_parameters_and_every_finding_keeps_to_them() -> None:
    assert set(PARAMS) == {*EXCEPTIONS, *DISCREPANCIES}
    assert set(PARAMS) >= MATTERS
    for trouble, _ in TROUBLES:
        line = Line()
        trouble(line)
        for finding in assess(line.dossier(order()), Limits()).findings:
            assert set(finding.params) == set(PARAMS[finding.code]), finding.code
            assert finding.code in (EXCEPTIONS if finding.kind == "exception" else DISCREPANCIES)


def test_every_refused_scan_is_an_exception_by_its_reason() -> None:
    line = Line()
    line.event("scan-refused", "assemble", scanner="s", reason="lot-blocked", text="x", raw="78")
    line.event("scan-refused", "assemble", scanner="s", reason="a-later-build-knows", text="x", raw="78")
    about = About("WO-1000", "VS-100", "WO-1000")
    events = line.dossier(order()).events
    assert [f.code for e in events for f in of_event(about, e)] == ["lot-blocked", "scan-not-understood"]


# -- what is kept of the past ------------------------------------------------------------------------------


def test_a_closed_finding_tells_who_decided_and_why() -> None:
    line = Line()
    out_of_specification(line)
    (finding,) = record_of(line).findings
    line.decide(Target("exception", finding.id), Act.CONCESSION, by="quinn")
    (closed,) = record_of(line).findings
    assert isinstance(closed, Finding)
    assert isinstance(closed.closing, Closing)
    assert (closed.closing.user, closed.closing.reason, closed.closing.system) == ("quinn", "looked at", False)
    assert closed.settled


def test_a_finding_that_lost_its_cause_stays_in_the_record_but_is_not_signed() -> None:
    line = Line().clean()
    clean = record_of(line).content_hash
    line.event(
        "exception-opened",
        agent="central",
        exception="gone",
        code="operation-missing",
        params={"operation": "OP20", "piece": "C001", "next": "OP30"},
        lot="WO-1000",
        product="VS-100",
    )
    line.decide(Target("exception", "gone"), by="central", role="system")
    record = record_of(line)
    (past,) = record.findings
    assert (past.id, past.state, past.params["piece"]) == ("gone", "closed", "C001")
    assert record.content_hash == clean
    part: Assessment = assess(line.dossier(order()), Limits())
    assert part.findings == ()
    assert part.quantities.ordered == Decimal(4)


def _anew(before: int, after: int, *codes: str, device: str | None = None) -> Certificate:
    """Two pieces welded, the machine's count set from ``before`` to ``after``, two more."""
    line = Line()
    line.cycles["OP20"] = before - 2
    for index in (1, 2):
        line.piece(index)
    for code in codes:
        line.event(code, ordered=False, **({"device": device} if device else {}))
    line.cycles["OP20"], line.totals["OP20"] = after - 1, 0
    for index in (3, 4):
        line.piece(index)
    line.wash((1, 2, 3, 4))
    return certify(line.dossier(order()), over=True)


@pytest.mark.parametrize(
    ("before", "after", "codes", "grade", "unaccounted"),
    [
        (500, 1, (), Grade.COMPLETE, ()),
        (500, 41, (), Grade.CYCLES_NOT_PROVABLE, ()),
        (500, 1, ("agent-started",), Grade.CYCLES_NOT_PROVABLE, ()),
        (500, 1, ("device-lost",), Grade.CYCLES_NOT_PROVABLE, ()),
        (2, 3, ("agent-started",), Grade.COMPLETE, ()),
        (500, 501, ("device-changed",), Grade.CYCLES_NOT_PROVABLE, ()),
        (500, 1, ("device-changed",), Grade.CYCLES_NOT_PROVABLE, ()),
        (2**16 - 1, 0, (), Grade.COMPLETE, ()),
        (2**16 - 1, 1, (), Grade.COMPLETE, ()),
        (2**32 - 1, 0, (), Grade.COMPLETE, ()),
        (2**16 - 3, 1, (), Grade.INCOMPLETE, (2**16 - 2, 2**16 - 1)),
        (2**16 - 1, 2, (), Grade.INCOMPLETE, (0, 1)),
    ],
)
def test_a_counting_that_ends_and_the_next_one(
    before: int, after: int, codes: tuple[str, ...], grade: Grade, unaccounted: tuple[int, ...]
) -> None:
    parts = [c for c in _anew(before, after, *codes).cycles if c.station == "weld"]
    assert (parts[-1].grade, parts[-1].unaccounted) == (grade, unaccounted)
    assert len(parts) == (1 if (before, after, codes) == (2, 3, ("agent-started",)) else 2)


def test_cycles_that_an_agent_said_were_left_out_at_a_counters_end_are_accounted_for() -> None:
    line = Line()
    line.cycles["OP20"] = 2**16 - 5
    for index in (1, 2):
        line.piece(index)
    line.event("cycles-missed", "weld", ordered=False, first=str(2**16 - 2), last=str(2**16 - 1))
    line.event("counter-wrapped", "weld", ordered=False, was=str(2**16 - 3), now="2", size=str(2**16))
    line.event("cycles-missed", "weld", ordered=False, first="0", last="1")
    line.cycles["OP20"], line.totals["OP20"] = 1, 0
    for index in (3, 4):
        line.piece(index)
    line.wash((1, 2, 3, 4))
    part = [c for c in certify(line.dossier(order()), over=True).cycles if c.station == "weld"][-1]
    assert (part.grade, part.missed, part.unaccounted) == (Grade.COMPLETE, (2**16 - 2, 2**16 - 1, 0, 1), ())
