"""What may stand under ``reactions:`` and ``hold:``, and where the file is wrong when it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.reaction_settings import Escalate, actions_for
from edge_agent.reload import devices_of
from edge_agent.settings import load_line
from records.errors import ConfigurationError

LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    security: {policy: None, allow_insecure: true}
    tags:
      - {name: done, node_id: "ns=2;s=D", data_type: bool}
      - {name: ack, node_id: "ns=2;s=A", data_type: bool, access: write}
      - {name: cycle, node_id: "ns=2;s=C", data_type: uint32}
      - {name: carrier, node_id: "ns=2;s=S", data_type: string}
      - {name: torque, node_id: "ns=2;s=T", data_type: float64}
  gate:
    driver: modbus_tcp
    host: 10.0.0.6
    tags:
      - {name: hold, register: coil, address: 7, access: write}
      - {name: spare, register: coil, address: 8}
  scanner: {driver: serial_scanner, port: /dev/ttyUSB0}
stations:
  seal:
    equipment: PRESS-01
    operation: OP10
    order: {scan: scanner, pattern: "WO-.*"}
    trigger: {tag: plc.done, acknowledge: plc.ack, cycle: plc.cycle}
    hold: {tag: gate.hold}
    subject: {kind: carrier, tag: plc.carrier}
    capture: [plc.torque]
characteristics:
  torque:
    tag: plc.torque
    chart: imr
    rules: [nelson1, nelson2]
    limits: {fixed: {centre: 2, lower: 1, upper: 3, version: a}}
    reactions:
      nelson1: [alarm, hold_unit, hold_station]
      range: [note]
      chart-no-limits: [{escalate: process-engineer}]
      out-of-specification: [hold_unit]
      default: [alarm]
"""
PLAN = "nelson1: [alarm, hold_unit, hold_station]"


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = LINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "line.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, *changes: tuple[str, str]) -> list[tuple[str, str, str | None]]:
    """Path, message and hint of everything that is wrong with the file."""
    with pytest.raises(ConfigurationError) as error:
        load_line(write(folder, *changes))
    return [(problem.path, problem.message, problem.hint) for problem in error.value.problems]


def test_a_plan_and_a_hold_as_they_are_written(tmp_path: Path) -> None:
    line = load_line(write(tmp_path)).value
    plan = line.characteristics["torque"].reactions
    assert plan["nelson1"] == ("alarm", "hold_unit", "hold_station")
    assert plan["chart-no-limits"] == (Escalate(escalate="process-engineer"),)
    hold = line.stations["seal"].hold
    assert hold is not None
    assert (hold.tag, hold.value) == ("gate.hold", True)
    assert devices_of(line.stations["seal"]) == ("plc", "gate")


def test_nothing_said_is_a_note() -> None:
    assert actions_for({}, "nelson1", "location") == ("note",)
    assert actions_for({}, "chart-no-limits", None) == ()


@pytest.mark.parametrize(
    ("change", "path", "message", "hint"),
    [
        (
            (PLAN, "nelson1: [alarm, stop_the_press]"),
            "nelson1.1",
            "'stop_the_press' is no reaction",
            "known here: note",
        ),
        ((PLAN, "nelson1: [hold_statoin]"), "nelson1.0", "'hold_statoin' is no reaction", "hold_station"),
        ((PLAN, "nelson1: [escalate]"), "nelson1.0", "escalate to whom?", "{escalate: NAME}"),
        ((PLAN, 'nelson1: [{escalate: ""}]'), "nelson1.0.escalate", "'' is nobody", "{escalate: NAME}"),
        ((PLAN, "nelson1: [{escalate: 7}]"), "nelson1.0.escalate", "7 is nobody", "{escalate: NAME}"),
        ((PLAN, "nelson1: [alarm, alarm]"), "nelson1.1", "stands here twice", ""),
        ((PLAN, "nelson1: []"), "nelson1", "no reaction at all", "[note]"),
        ((PLAN, "nelson5: [alarm]"), "nelson5", "'nelson5' is no rule of this chart", "nelson"),
        ((PLAN, "chart_no_limit: [alarm]"), "chart_no_limit", "is no rule of this chart", "chart-no-limits"),
    ],
)
def test_a_plan_that_cannot_be_meant_names_its_place(
    tmp_path: Path, change: tuple[str, str], path: str, message: str, hint: str
) -> None:
    (found,) = problems(tmp_path, change)
    assert found[0] == f"characteristics.torque.reactions.{path}"
    assert message in found[1]
    assert hint in (found[2] or "")


def test_a_chart_s_reactions_need_a_chart() -> None:
    told = {"tag": "plc.torque", "specification": {"lsl": 1}}
    CharacteristicSettings.model_validate(told | {"reactions": {"out-of-specification": ["hold_unit"]}})
    with pytest.raises(ValueError, match="'default' needs a chart"):
        CharacteristicSettings.model_validate(told | {"reactions": {"default": ["hold_unit"]}})


def test_a_hold_that_no_machine_would_feel_is_refused(tmp_path: Path) -> None:
    hold = ("    hold: {tag: gate.hold}\n", "")
    (found,) = problems(tmp_path, hold)
    assert found[0] == "characteristics.torque.reactions.nelson1.2"
    assert "station seal has neither hold nor permit" in found[1]
    load_line(write(tmp_path, hold, ("hold_unit, hold_station", "hold_unit")))
    permit = "    permit: {tag: gate.hold, needs: [order]}\n"
    load_line(write(tmp_path, (hold[0], permit)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("tag: gate.hold", "tag: gate.spare"), "gate.spare is written here and is read only"),
        (("tag: gate.hold", "tag: gate.holt"), "no device has a tag 'gate.holt'"),
        (("register: coil, address: 7", "address: 7, data_type: string, length: 2"), "gate.hold is a string"),
        (("tag: gate.hold", "tag: plc.ack"), "plc.ack is written for stations.seal.trigger.acknowledge too"),
    ],
)
def test_a_hold_s_tag_is_a_writable_one_of_its_own(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (found,) = problems(tmp_path, change)
    assert found[0] == "stations.seal.hold.tag"
    assert message in found[1]


def test_a_wrong_hold_hides_no_other_error_and_invents_none(tmp_path: Path) -> None:
    found = problems(tmp_path, ("{tag: gate.hold}", "{tga: gate.hold}"), ("operation: OP10", "operatoin: OP10"))
    assert {path for path, _, _ in found} >= {"stations.seal.hold.tga", "stations.seal.operatoin"}
    assert not [message for _, message, _ in found if "neither" in message]
    (found_alone,) = problems(tmp_path, ("{tag: gate.hold}", "{tag: gate.hold, value: 7}"))
    assert found_alone[0] == "stations.seal.hold.value"
