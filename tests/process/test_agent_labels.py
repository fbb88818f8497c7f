"""Units with labels that are not GS1, from the scanner's bytes to the record, through a whole agent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from drivers.udi import check_character
from records.model import OperationRecord, Subject, SubjectKind
from tests.rigs.agent import OneAgent

LIMIT_S = 30.0
PLANT = "VS100-WO-1-0007"
HIBC = "+A123BJC5D6E71/$$7WO-1/S0001"


def labelled(agent: OneAgent, machine: str, scheme: str, match: str) -> None:
    """Have a station know its units by a label, and the order by the label's lot."""
    text = agent.line.read_text()
    before, after = text.split(f"  {machine}:\n    equipment", 1)
    after = after.replace('order: {scan: scanner, pattern: "WO-.*"}', "order: {scan: scanner, field: lot}", 1)
    after = after.replace(
        f"subject: {{kind: carrier, tag: {machine}.carrier}}",
        f"subject: {{kind: unit, scan: scanner, scheme: {scheme}, field: serial, "
        f"products: [{{item: VS-100, match: {match}}}]}}",
        1,
    )
    agent.line.write_text(f"{before}  {machine}:\n    equipment{after}")


def until(agent: OneAgent, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, agent.log.read_text()
        time.sleep(0.05)


def subjects(agent: OneAgent, station: str) -> set[Subject]:
    found = [fact for fact in agent.facts() if isinstance(fact, OperationRecord) and fact.station == station]
    return {one.subject for record in found for one in record.subjects if one.subject.kind is SubjectKind.UNIT}


def test_units_are_known_by_hibc_labels_and_by_patterns_of_the_line(tmp_path: Path) -> None:
    agent = OneAgent(tmp_path)
    labelled(agent, "near", "plant", "{di: VS100}")
    labelled(agent, "far", "hibc", "{hibc: A123BJC5D6E7}")
    with agent.line.open("a") as file:
        file.write("schemes: {plant: '(?P<di>VS[0-9]{3})-(?P<lot>WO-[0-9]+)-(?P<serial>[0-9]{4})'}\n")
    wanted = {
        "near": Subject(SubjectKind.UNIT, "0007", "VS-100", "plant"),
        "far": Subject(SubjectKind.UNIT, "0001", "VS-100", "hibc"),
    }
    with agent:
        texts = ("B000001", PLANT, HIBC + check_character(HIBC))
        assert agent.sign_on(*texts) == b"\x06"
        assert agent.scan(HIBC[:-2]) == b"\x15"  # the end is missing
        assert agent.scan(PLANT * 2) == b"\x15"  # two of them
        for machine in ("near", "far"):
            agent.start_machine(machine)
        until(agent, lambda: all(subjects(agent, name) == {unit} for name, unit in wanted.items()))
        refused = [event.params["reason"] for event in agent.events("scan-refused")]
        assert refused == ["barcode-invalid", "scan-not-understood"]
