"""How old central's word may be: told, refused or noted by policy, at scans, at the start and in every run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.barriers import BarrierRules, plant_documents
from edge_agent.document_ages import DEFAULTS, HOUR_S, DocumentAges, by_kind, in_words
from edge_agent.events import Answer, Commit, Committed, Tick, Write
from edge_agent.papers import Papers
from edge_agent.settings import load_line
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, as_json, read_kept
from records.errors import ConfigurationError
from records.model import OperationsEvent
from records.wire import Document
from tests.unit.edge.stations import ASSEMBLE, NOW_US, TORQUE, VB, gs1, papers, plain, told
from tests.unit.edge.test_line_check import LINE
from tests.unit.edge.test_station import Bench, refusal

DAY_S = 86_400.0
STOP, GO = Write("plc.permit", False), Write("plc.permit", True)


def bench(ages: dict[str, Any] | None = None, **ages_s: float) -> Bench:
    settings = StationSettings.model_validate(ASSEMBLE)
    core = Station("s", settings, {"torque": TORQUE}, ages=DocumentAges.model_validate(ages or {}))
    return Bench(core, told(papers(), **ages_s))


def tick(found: Bench) -> None:
    found.feed(Tick(NOW_US, 1.0))


def events(found: Bench, code: str) -> list[OperationsEvent]:
    return [fact for fact in found.facts if isinstance(fact, OperationsEvent) and fact.code == code]


def test_every_kind_has_a_default_and_none_refuses() -> None:
    ages = DocumentAges()
    assert {kind: ages.of(kind) for kind in DEFAULTS} == DEFAULTS
    assert not any(ages.of(kind)[1] == "refuse" for kind in DEFAULTS)
    written = {field.alias or name for name, field in DocumentAges.model_fields.items()}
    assert written == set(DEFAULTS)


def test_what_is_fresh_is_plain() -> None:
    found = bench(work_order=7 * DAY_S).ready()
    tick(found)
    record = found.cycle(1)
    assert record is not None
    assert [(use.kind, use.age_s, use.beyond) for use in record.documents] == [
        ("work-order", 7 * DAY_S, None),
        ("lots", 0.0, None),
        ("lots", 0.0, None),
    ]
    assert not {"document-too-old", "ran-while-barred"} & set(found.codes())


def test_where_holds_must_not_be_old_a_line_without_any_word_of_them_waits_for_it() -> None:
    found = bench({"holds": {"beyond": "refuse"}}).ready()
    tick(found)
    assert GO not in found.effects
    known = {**found.papers.documents, ("holds", "plant"): Document("holds", "plant", 1, 0, {"holds": []})}
    found.papers = replace(found.papers, documents=known)
    assert GO in found.feed(Tick(NOW_US, 1.0))
    assert not events(found, "start-barred"), "it only waits"


def test_a_warning_is_told_once_and_the_run_says_what_it_relied_on() -> None:
    found = bench(work_order=7 * DAY_S + 1).ready()
    for _ in range(3):
        tick(found)
    (event,) = events(found, "document-too-old")
    assert event.params == {
        "kind": "work-order",
        "id": "WO-1",
        "version": "3",
        "age_s": 604_801,
        "max_age_s": 604_800,
        "beyond": "warn",
    }
    assert found.effects[-1] != STOP
    assert found.core.missing(found.state, found.papers) == ()
    record = found.cycle(1)
    assert record is not None
    assert record.documents[0].beyond == "warn"
    found.papers = told(papers())
    tick(found)
    assert len(events(found, "document-fresh")) == 1
    assert found.state.kept.barred == ()
    assert "ran-while-barred" not in found.codes()


def test_beyond_a_refusing_age_scans_and_starts_are_refused_and_a_run_is_recorded() -> None:
    ages = {"work-order": {"max_age": "8h", "beyond": "refuse"}, "lots": {"beyond": "refuse"}}
    found = bench(ages).ready()
    assert found.core.missing(found.state, found.papers) == ()
    found.papers = told(papers(), work_order=9 * 3600.0, lots=4 * DAY_S)
    tick(found)
    assert STOP in found.effects
    assert [r.needs for r in found.core.missing(found.state, found.papers)] == ["document-too-old"]
    assert len(events(found, "document-too-old")) == 3
    assert refusal(found, plain("WO-2")) == "document-stale"
    assert refusal(found, gs1(a01=VB, a10="VB-1")) == "document-stale"
    refused = found.facts[-1]
    assert isinstance(refused, OperationsEvent)
    assert {name: refused.params[name] for name in ("expected", "found", "document", "version")} == {
        "expected": "3.0 d",
        "found": "lots/VB-10, 4.0 d",
        "document": "lots/VB-10",
        "version": "3",
    }
    record = found.cycle(1)  # a machine without ears
    assert record is not None
    assert [use.beyond for use in record.documents] == ["refuse"] * 3
    (ran,) = events(found, "ran-while-barred")
    assert ran.params["run_id"] == record.run_id
    assert ran.params["cycle"] == "1"
    found.papers = told(papers())
    before = len(found.effects)
    tick(found)
    assert GO in found.effects[before:]
    found.feed(plain("WO-2"))
    assert Answer("scanner", True) in found.effects[before:]


def test_going_on_is_only_noted_in_the_run() -> None:
    found = bench({"work-order": {"beyond": "go_on"}}, work_order=30 * DAY_S).ready()
    tick(found)
    assert "document-too-old" not in found.codes()
    record = found.cycle(1)
    assert record is not None
    assert record.documents[0].beyond == "go_on"


def test_what_was_told_survives_a_restart() -> None:
    found = bench(work_order=8 * DAY_S).ready()
    tick(found)
    kept = read_kept("s", as_json(found.state.kept))
    assert kept == found.state.kept
    core, again = found.core, found.core.open(as_json(kept))
    _, effects = core.step(again, Tick(NOW_US, 2.0), found.papers)
    assert not any(isinstance(effect, Commit) for effect in effects)
    state, _ = core.step(again, Tick(NOW_US, 2.0), told(papers()))
    assert core.step(state, Committed(), told(papers()))[0].kept.barred == ()


@pytest.mark.parametrize(
    ("age_s", "words"), [(1.0, "1 s"), (600.0, "10 min"), (7200.0, "2 h"), (3 * DAY_S + 8640, "3.1 d")]
)
def test_an_age_in_words(age_s: float, words: str) -> None:
    assert in_words(age_s) == words


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("documents: {work-order: {beyond: stop}}", ":35:34: documents.work-order.beyond"),
        ("documents: {lots: {max_age: 7}}", ":35:29: documents.lots.max_age"),
        ("documents: {lots: {max_age: 0s}}", ":35:29: documents.lots.max_age"),
        ("documents: {work_orders: {}}", ":35:13: documents.work_orders"),
    ],
)
def test_a_wrong_policy_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE + text + "\n")
    with pytest.raises(ConfigurationError) as raised:
        load_line(file)
    assert place in "\n".join(map(str, raised.value.problems))


def test_a_check_warns_of_what_a_connected_line_reaches_and_of_deaf_machines(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE + "documents: {lots: {max_age: 5min, beyond: refuse}}\n")
    warned = [str(problem) for problem in load_line(file, advise=True).warnings]
    assert any(":35:29: documents.lots.max_age: lots may be 5 min old" in each for each in warned)
    assert any(":35:43: documents.lots.beyond" in each and "seal has no permit" in each for each in warned)


@pytest.mark.parametrize("beyond", ["warn", "refuse"])
def test_an_approval_and_the_reasons_have_an_age_like_all_else(beyond: str) -> None:
    """They had none: a line could go on by an approval for years without a word of central's."""
    policy = {"max_age": "1h", "beyond": beyond}
    ages = DocumentAges.model_validate({"configuration": policy, "reasons": policy})
    old = {("configuration", "press-1"): 2 * HOUR_S, ("reasons", "plant"): 3 * HOUR_S}
    held = Papers.of((Document(*key, 4, NOW_US, {}) for key in old), lambda kind, name: old.get((kind, name)))
    settings = StationSettings.model_validate(ASSEMBLE)
    rules = BarrierRules(settings, ages=ages)
    stale = [each for each in rules.standing(Kept(), held) if each.why == "document-too-old"]
    assert {each.about: each.refuses for each in stale} == dict.fromkeys(
        ("configuration/press-1", "reasons/plant"), beyond == "refuse"
    )
    assert ("configuration", "press-1") in plant_documents(settings, held)
    assert {each.kind: each.too_old for each in by_kind(ages, held)} == {"configuration": True, "reasons": True}
