"""What may be written about a station and a characteristic, and what is refused because it could not work."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.station_settings import StationSettings
from tests.unit.edge.stations import ASSEMBLE, LABEL, SR, VB, WASH

TORQUE: dict[str, Any] = {"tag": "plc.torque", "chart": "imr"}
FIXED = {"centre": 2.2, "lower": 2.0, "upper": 2.4, "version": "v1"}


def refused(base: Any, *path: str | int, value: object) -> str:
    """What is said when one value is another; ``None`` takes it away."""
    data = copy.deepcopy(base)
    at = data
    for part in path[:-1]:
        at = at[part]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    with pytest.raises(ValidationError) as caught:
        StationSettings.model_validate(data)
    return str(caught.value)


@pytest.mark.parametrize("settings", [ASSEMBLE, LABEL, WASH])
def test_the_stations_of_the_plant_are_fine(settings: Any) -> None:
    StationSettings.model_validate(settings)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({}, "either scan"),
        ({"scan": "scanner", "tag": "plc.order", "pattern": "W.*"}, "either scan"),
        ({"scan": "scanner"}, "either pattern or ai"),
        ({"scan": "scanner", "pattern": "W.*", "ai": "10"}, "either pattern or ai"),
        ({"tag": "plc.order", "pattern": "W.*"}, "belong to a scan"),
        ({"scan": "scanner", "pattern": "WO-("}, "no regular expression"),
        ({"scan": "scanner", "ai": "ten"}, "pattern"),
        ({"scan": "scanner", "ai": "10"}, "lot (ai 10) on the label"),  # the subject is no scanned label
    ],
)
def test_an_order_has_one_source(order: object, message: str) -> None:
    assert message in refused(ASSEMBLE, "order", value=order)


HIBC: dict[str, Any] = LABEL | {
    "order": {"scan": "scanner", "field": "lot"},
    "subject": {
        "kind": "unit",
        "scan": "scanner",
        "scheme": "hibc",
        "field": "serial",
        "products": [{"item": "VS-100", "match": {"hibc": "A123BJC5D6E7"}}],
    },
}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("order",), {"scan": "scanner", "ai": "10"}, "lot (field lot)"),
        (("order", "field"), "serial", "lot (field lot)"),
        (("operator",), {"scan": "scanner", "field": "badge"}, "recognised by pattern"),
        (("subject", "field"), None, "needs field"),
        (("subject", "ai"), "21", "needs field"),
        (("subject", "products"), None, "products"),
        (("subject", "scheme"), "gs1", "needs ai"),
        (("subject", "products", 0, "match"), {}, "one of gtin, hibc and di"),
        (("subject", "products", 0, "match"), {"hibc": "A123B", "di": "x"}, "one of gtin, hibc and di"),
        (("subject", "products", 0, "match"), {"hibc": "123"}, "hibc"),
    ],
)
def test_a_unit_with_another_label_needs_all_that_names_it(
    path: tuple[str | int, ...], value: object, message: str
) -> None:
    StationSettings.model_validate(HIBC)
    assert message in refused(HIBC, *path, value=value)


def test_an_order_by_label_is_its_lot(*_: object) -> None:
    assert "lot (ai 10)" in refused(LABEL, "order", "ai", value="21")
    assert "lot (ai 10)" in refused(LABEL, "order", "scan", value="another")


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ({"kind": "unit"}, "either scan"),
        ({"kind": "unit", "scan": "scanner"}, "needs ai"),
        ({"kind": "carrier", "tag": "plc.carrier", "ai": "21"}, "belong to a scanned subject"),
        ({"kind": "carrier", "tag": "plc.carrier", "carrier": "plc.c"}, "belong to a scanned subject"),
        ({"kind": "carrier", "scan": "scanner", "ai": "21"}, "names a unit, not a carrier"),
        ({"kind": "piece", "tag": "plc.carrier"}, "kind"),
    ],
)
def test_a_subject_has_one_source(subject: object, message: str) -> None:
    assert message in refused(ASSEMBLE, "subject", value=subject)


def test_an_acknowledge_needs_the_machines_count() -> None:
    assert "acknowledge without cycle" in refused(ASSEMBLE, "trigger", "cycle", value=None)
    accepted = copy.deepcopy(ASSEMBLE)
    accepted["trigger"] = {"tag": "plc.done", "acknowledge": "plc.ack", "repeat_possible": True}
    assert StationSettings.model_validate(accepted).trigger.repeat_possible


def test_a_need_that_nothing_can_meet_is_refused() -> None:
    assert "no scan at this station gives the operator" in refused(ASSEMBLE, "operator", value=None)
    assert "gives the operator" in refused(ASSEMBLE, "operator", value={"tag": "plc.badge"})
    assert "gives the order" in refused(ASSEMBLE, "order", value={"tag": "plc.order"})
    assert "gives the material" in refused(ASSEMBLE, "materials", value=[])
    assert "gives the subject" in refused(ASSEMBLE, "permit", "needs", value=["subject"])
    assert "permit.needs" in refused(ASSEMBLE, "permit", "needs", value=[])


def test_an_operator_is_recognised_by_pattern() -> None:
    assert "by pattern" in refused(ASSEMBLE, "operator", value={"scan": "scanner", "ai": "21"})


def test_components_are_told_apart() -> None:
    vb, sr = ({"item": "VB-10", "match": {"gtin": VB}}, {"item": "SR-20", "match": {"gtin": SR}})
    assert "twice" in refused(ASSEMBLE, "materials", value=[vb, sr, vb])
    assert "twice" in refused(ASSEMBLE, "materials", value=[vb, {"item": "SR-20", "match": {"gtin": VB}}])
    assert "gtin" in refused(ASSEMBLE, "materials", value=[{"item": "VB-10", "match": {"gtin": VB[1:]}}])
    assert "per_unit" in refused(ASSEMBLE, "materials", 0, "per_unit", value=0)


def test_components_need_a_scanner() -> None:
    station = copy.deepcopy(ASSEMBLE) | {"order": {"tag": "plc.order"}, "operator": {"tag": "plc.badge"}}
    assert "no scanner of this station" in refused(station, "permit", value=None)


def test_what_is_watched_and_captured() -> None:
    assemble, label = StationSettings.model_validate(ASSEMBLE), StationSettings.model_validate(LABEL)
    assert assemble.watched() == ("plc.done", "plc.running")
    assert label.watched() == ("plc.done", "plc.carrier")
    assert assemble.captured() == (
        "plc.cycle", "plc.carrier", "plc.mode", "plc.result", "plc.total", "plc.torque",
    )  # fmt: skip
    assert assemble.scanners() == ("scanner",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chart": None, "limits": {"from": "phase1"}}, "limits without a chart"),
        ({"limits": {"fixed": FIXED, "from": "phase1"}}, "either fixed or from"),
        ({"limits": {}}, "either fixed or from"),
        ({"limits": {"from": "phase1", "subgroups": 1}}, "subgroups"),
        ({"subgroup": 4}, "1"),
        ({"chart": "xbar_r"}, "subgroup"),
        ({"chart": "xbar_r", "subgroup": 26}, "at most"),
        ({"limits": {"fixed": FIXED | {"lower": 2.5}}}, "lower"),
        ({"rules": ["nelson9"]}, "did you mean|no rule"),
        ({"specification": {}}, "lsl or usl"),
        ({"specification": {"lsl": 2, "usl": 2}}, "below usl"),
        ({"specification": {"lsl": float("inf")}}, "finite"),
    ],
)
def test_a_characteristic_that_contradicts_itself(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CharacteristicSettings.model_validate(TORQUE | changes)


def test_a_characteristic_without_a_chart_has_no_plan() -> None:
    assert CharacteristicSettings.model_validate({"tag": "plc.torque"}).plan("torque") is None


def test_phase_one_is_part_of_the_plan() -> None:
    settings = CharacteristicSettings.model_validate(TORQUE | {"limits": {"from": "phase1", "subgroups": 30}})
    plan = settings.plan("torque")
    assert plan is not None
    assert (plan.phase1_subgroups, plan.limits) == (30, None)
