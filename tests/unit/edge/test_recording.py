"""From what was captured to what is recorded, at its boundaries."""

from __future__ import annotations

import math

import pytest
from pydantic import JsonValue

from edge_agent import recording
from edge_agent.papers import Specified
from edge_agent.recording import MountedLot
from edge_agent.station_settings import StationSettings
from records.model import (
    LONGEST_ID,
    Counter,
    MaterialKind,
    Purpose,
    Quality,
    Reading,
    Result,
    Subject,
    SubjectKind,
)
from tests.unit.edge.stations import ASSEMBLE, TORQUE, reading

PIECE = Subject(SubjectKind.CARRIER, "C-1")
STATION = StationSettings.model_validate(ASSEMBLE)


def spec(**limits: float) -> list[tuple[str, str, Specified, str]]:
    return [("torque", "plc.torque", Specified.model_validate(limits), "line")]


def read(value: JsonValue, quality: Quality = Quality.GOOD) -> dict[str, Reading]:
    return {"plc.torque": reading("plc.torque", value, quality)}


@pytest.mark.parametrize(
    ("value", "limits", "result"),
    [
        (1.8, {"lsl": 1.8, "usl": 2.6}, Result.PASS),
        (2.6, {"lsl": 1.8, "usl": 2.6}, Result.PASS),
        (math.nextafter(1.8, 0), {"lsl": 1.8, "usl": 2.6}, Result.FAIL),
        (math.nextafter(2.6, 9), {"lsl": 1.8, "usl": 2.6}, Result.FAIL),
        (-1e300, {"usl": 2.6}, Result.PASS),
        (1e300, {"lsl": 1.8}, Result.PASS),
        (2, {"lsl": 1.8, "usl": 2.6}, Result.PASS),
        (None, {"lsl": 1.8}, Result.NOT_JUDGED),
        ("2.2", {"lsl": 1.8}, Result.NOT_JUDGED),  # a text is no measured value, whatever it looks like
        ([2.2], {"lsl": 1.8}, Result.NOT_JUDGED),
    ],
)
def test_a_limit_belongs_to_the_good_side(value: JsonValue, limits: dict[str, float], result: Result) -> None:
    (test,) = recording.tests_of(spec(**limits), read(value))
    assert test.result is result
    assert (test.lower, test.upper) == (limits.get("lsl"), limits.get("usl"))
    assert test.value == (float(value) if isinstance(value, int | float) else None)


def test_a_bad_reading_is_no_pass_and_no_failure() -> None:
    (test,) = recording.tests_of(spec(lsl=1.8), read(9.9, Quality.BAD))
    assert (test.value, test.result) == (None, Result.NOT_JUDGED)


def test_what_was_not_captured_or_has_no_specification_is_no_test() -> None:
    assert recording.tests_of(spec(lsl=1.8), {}) == ()
    assert recording.tests_of(spec(target=2.2), read(2.2)) == ()


@pytest.mark.parametrize(
    ("machine", "ours", "result", "reason"),
    [
        (Result.PASS, Result.PASS, Result.PASS, None),
        (Result.PASS, Result.FAIL, Result.FAIL, "out-of-specification"),
        (Result.NOT_JUDGED, Result.FAIL, Result.FAIL, "out-of-specification"),
        (Result.NOT_JUDGED, Result.PASS, Result.NOT_JUDGED, None),  # our limits alone make no machine's verdict
        (Result.FAIL, Result.PASS, Result.FAIL, None),
        (Result.FAIL, Result.FAIL, Result.FAIL, None),
        (Result.SCRAP, Result.FAIL, Result.SCRAP, None),
        (Result.ABORTED, Result.FAIL, Result.ABORTED, None),
        (Result.PASS, Result.NOT_JUDGED, Result.PASS, None),
    ],
)
def test_the_worse_verdict_stands(machine: Result, ours: Result, result: Result, reason: str | None) -> None:
    values = {Result.PASS: 2.0, Result.FAIL: 9.0, Result.NOT_JUDGED: None}
    tests = recording.tests_of(spec(lsl=1.8, usl=2.6), read(values[ours]))
    assert recording.judged(machine, tests) == (result, reason)


@pytest.mark.parametrize(
    ("value", "quality", "result"),
    [
        (1, Quality.GOOD, Result.PASS),
        (2, Quality.GOOD, Result.FAIL),
        (3, Quality.UNCERTAIN, Result.SCRAP),
        (4, Quality.GOOD, Result.ABORTED),
        (5, Quality.GOOD, Result.NOT_JUDGED),
        (1, Quality.BAD, Result.NOT_JUDGED),
        (None, Quality.GOOD, Result.NOT_JUDGED),
    ],
)
def test_the_machines_verdict_is_never_guessed(value: JsonValue, quality: Quality, result: Result) -> None:
    readings = {"plc.result": reading("plc.result", value, quality)}
    assert recording.machine_result(STATION.result, readings) is result


def test_a_tag_that_was_not_read_gives_no_verdict() -> None:
    assert recording.machine_result(STATION.result, {}) is Result.NOT_JUDGED
    assert recording.machine_result(None, {}) is Result.NOT_JUDGED


@pytest.mark.parametrize(
    ("mode", "purpose"),
    [(1, Purpose.PRODUCTION), (2, Purpose.REWORK), (9, Purpose.PRODUCTION), (None, Purpose.PRODUCTION)],
)
def test_an_unknown_mode_counts_as_production(mode: JsonValue, purpose: Purpose) -> None:
    assert recording.purpose_of(STATION, {"plc.mode": reading("plc.mode", mode)}) is purpose


# -- materials and counters --------------------------------------------------------------------------------


def test_a_run_consumes_of_the_mounted_lots() -> None:
    lots = (MountedLot("VB-10", "VB-1"), MountedLot("SR-20", "SR-1", "2030-01-01"))
    vb, sr = recording.consumed(STATION.materials, lots, PIECE, Purpose.PRODUCTION)
    assert (vb.kind, vb.quantity, vb.reason, vb.target) == (MaterialKind.CONSUMED, "1", None, PIECE)
    assert sr.source is not None
    assert (sr.source.id, sr.source.product, sr.quantity, sr.source.quantity) == ("SR-1", "SR-20", "2", "2")


def test_a_component_without_a_lot_is_recorded_as_unknown() -> None:
    vb, sr = recording.consumed(STATION.materials, (MountedLot("SR-20", "SR-1"),), PIECE, Purpose.REWORK)
    assert vb.source is not None
    assert vb.source.id == recording.UNKNOWN
    assert sr.reason is None


def test_what_setup_consumes_names_its_reason() -> None:
    for edge in recording.consumed(STATION.materials, (), PIECE, Purpose.SETUP):
        assert edge.reason == "setup"


@pytest.mark.parametrize(
    ("value", "quality", "counted"),
    [
        (7, Quality.GOOD, 7),
        (2**32 - 1, Quality.GOOD, 2**32 - 1),
        (7.0, Quality.GOOD, 7),
        (7, Quality.BAD, None),
        (None, Quality.GOOD, None),
        (True, Quality.GOOD, None),
        ("7", Quality.GOOD, None),
    ],
)
def test_a_counter_that_cannot_be_read_is_absent_and_never_zero(
    value: JsonValue, quality: Quality, counted: int | None
) -> None:
    found = recording.counters_of(STATION, {"plc.total": reading("plc.total", value, quality)})
    assert found == (() if counted is None else (Counter("total", counted),))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("C-1 ", "C-1"),
        ("  ", None),
        ("", None),
        (17, "17"),
        (0, "0"),
        (None, None),
        ("C" * LONGEST_ID, "C" * LONGEST_ID),
        ("C" * (LONGEST_ID + 1), None),
    ],
)
def test_texts_are_trimmed_and_nothing_or_too_much_is_no_text(value: JsonValue, text: str | None) -> None:
    assert recording.text_value({"plc.carrier": reading("plc.carrier", value)}, "plc.carrier") == text


def test_every_reading_is_kept_and_each_characteristic_named() -> None:
    readings = read(2.2) | {"plc.mode": reading("plc.mode", 1)}
    assert [(r.tag, r.characteristic) for r in recording.named(readings, {"torque": TORQUE})] == [
        ("plc.torque", "torque"),
        ("plc.mode", None),
    ]


def test_attempts_count_on_from_earlier_runs() -> None:
    other = Subject(SubjectKind.CARRIER, "C-2")
    results = recording.subject_results([(PIECE, None), (other, "T/1")], {PIECE.key: 2}, Result.PASS, ())
    assert [(r.attempt, r.position) for r in results] == [(3, None), (1, "T/1")]
