"""A check tells how often a line's charts would signal with nothing wrong, and what to change."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.settings import load_line
from records.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[3] / "config" / "lines"

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
      - {name: serial, node_id: "ns=2;s=S", data_type: string}
      - {name: order, node_id: "ns=2;s=O", data_type: string}
      - {name: torque, node_id: "ns=2;s=T", data_type: float64}
      - {name: angle, node_id: "ns=2;s=A", data_type: float64}
stations:
  seal:
    equipment: PRESS-01
    operation: OP10
    order: {tag: plc.order}
    trigger: {tag: plc.done}
    subject: {kind: unit, tag: plc.serial}
    capture: [plc.torque, plc.angle]
RUNS
CHARTS
characteristics:
  torque: {tag: plc.torque, chart: imr, rules: RULES, limits: {from: phase1}}
  angle: {tag: plc.angle, chart: xbar_r, subgroup: 4, rules: [nelson1], limits: {from: phase1}}
"""


def warned(folder: Path, runs: str = "", charts: str = "", rules: str = "[nelson1, nelson2]") -> list[str]:
    file = folder / "line.yaml"
    text = LINE.replace("RUNS\n", runs and f"    runs_a_day: {runs}\n")
    file.write_text(text.replace("CHARTS\n", charts and f"charts: {charts}\n").replace("RULES", rules))
    return [str(warning) for warning in load_line(file, advise=True).warnings]


def test_a_chart_whose_run_length_cannot_be_told_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untold(*_: object, **__: object) -> float:
        raise ValueError("no such run length")

    monkeypatch.setattr("spc.false_alarms.alarm_rate", untold)
    (warning,) = warned(tmp_path)
    assert "how often torque and angle would signal with nothing wrong cannot be told" in warning


def test_too_many_false_alarms_are_a_warning_that_says_what_they_come_from(tmp_path: Path) -> None:
    (warning,) = warned(tmp_path)
    assert "line.yaml:24:3: characteristics.torque: with nothing wrong" in warning
    assert "about 19.2 times a day, at 1440 runs a day where none are told, and 10 are accepted" in warning
    assert "torque 16.4 (imr and its moving range with nelson1, nelson2: one in 88 of 1440 points)" in warning
    assert "angle 2.7 (xbar_r and its range with nelson1: one in 131 of 360 points)" in warning
    assert "runs_a_day" in warning
    assert "false_alarms_a_day: N" in warning


def test_what_the_line_accepts_and_how_often_it_runs_decide(tmp_path: Path) -> None:
    assert warned(tmp_path, runs="700") == []
    assert warned(tmp_path, charts="{false_alarms_a_day: 20}") == []
    (warning,) = warned(tmp_path, runs="700", charts="{false_alarms_a_day: 5}")
    assert "about 9.3 times a day and 5 are accepted" in warning
    assert warned(tmp_path, rules="[nelson2]") == []  # nobody looks at moving ranges without rule 1


def test_subgroups_by_time_and_charts_of_several_variables_count_too(tmp_path: Path) -> None:
    def costs(torque: str) -> str:
        file = tmp_path / "line.yaml"
        text = LINE.replace("RUNS\n", "").replace("CHARTS\n", "charts: {false_alarms_a_day: 0.1}\n")
        start = text.index("  torque: {tag")
        file.write_text(text[:start] + f"  torque: {{{torque}, limits: {{from: phase1}}}}\n")
        (warning,) = load_line(file, advise=True).warnings
        return str(warning)

    # ten readings close a point: 144 a day, each with a standard deviation beside its mean
    said = costs("tag: plc.torque, chart: xbar_s, subgroup: {runs: 25, after: 10min}")
    assert "torque 0.8 (xbar_s and its standard deviation with nelson1: one in 176 of 144 points)" in said
    both = "tags: [plc.torque, plc.angle]"
    assert "torque 7.8 (t2_individuals with nelson1: one in 185 of 1440" in costs(f"{both}, chart: t2_individuals")
    mewma = costs(f"{both}, chart: mewma, design: {{lam: 0.1, h4: 8.66}}")
    assert "torque 7.1 (mewma with nelson1: one in 202 of 1440 points)" in mewma


def test_a_number_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for told in ({"runs": "0"}, {"charts": "{false_alarms_a_day: 0}"}):
        with pytest.raises(ConfigurationError, match="must be more than 0"):
            warned(tmp_path, **told)


def test_the_shipped_lines_give_no_warning_and_load_no_scipy() -> None:
    code = (
        "import sys, pathlib; from edge_agent.settings import load_line;"
        "w = [load_line(p, advise=True).warnings for p in sorted(pathlib.Path(sys.argv[1]).glob('*.yaml'))];"
        "print(sum(map(len, w)), len(w), 'scipy' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(EXAMPLES)], check=True, capture_output=True, text=True)
    assert re.fullmatch(r"0 \d+ False\n", said.stdout)


def test_only_a_check_counts_false_alarms(tmp_path: Path) -> None:
    """What may take seconds is not done by an agent at work, at each of its reloads, or by commands beside it."""
    assert warned(tmp_path, rules="[nelson1, nelson3]") != []
    code = (
        "import sys, pathlib; from edge_agent.settings import load_line;"
        "w = load_line(pathlib.Path(sys.argv[1])).warnings;"
        "print(len(w), 'spc.false_alarms' in sys.modules)"
    )
    file = str(tmp_path / "line.yaml")
    said = subprocess.run([sys.executable, "-c", code, file], check=True, capture_output=True, text=True)
    assert said.stdout == "0 False\n"
