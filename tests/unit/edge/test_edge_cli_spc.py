"""``lotkeeper-edge spc`` as it is typed: every published case, tables of people, drawings, and what is refused."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.unit.typing_commands import Type

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "spc_reference.json").read_text(encoding="utf-8")
)["cases"]
NS = "{http://www.w3.org/2000/svg}"


def agrees(found: object, expected: object) -> bool:
    if isinstance(expected, list) and isinstance(found, list):
        return len(found) == len(expected) and all(agrees(*pair) for pair in zip(found, expected, strict=True))
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return found == expected


def requested(folder: Path, case_id: str) -> Path:
    case = next(case for case in CASES if case["id"] == case_id)
    file = folder / f"{case_id}.json"
    file.write_text(json.dumps({key: case[key] for key in ("chart", "data", "params")}), encoding="utf-8")
    return file


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_published_case_through_the_command(typed: Type, tmp_path: Path, case: dict[str, Any]) -> None:
    said = typed("spc", "study", requested(tmp_path, case["id"]), "--json")
    assert (said.code, said.err) == (0, "")
    answer = said.json
    expected = {key: value for key, value in case["recomputed"].items() if not key.startswith("exact_")}
    assert {key for key, value in expected.items() if key not in answer or not agrees(answer[key], value)} == set()


def test_the_installed_command_reads_a_request_from_standard_input() -> None:
    request = {"chart": "imr", "data": {"values": [1, 2, 3, 2, 1, math.nan, 2, 40]}}
    command = [Path(sys.executable).with_name("lotkeeper-edge"), "spc", "study", "-", "--json"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["signals"] == [8]


def test_a_table_is_read_by_people(typed: Type, tmp_path: Path) -> None:
    said = typed("spc", "study", requested(tmp_path, "qcc_pistonrings_xbar_r"), "--rules", "nelson1,nelson5")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert text.startswith("Means and ranges (X-bar/R) points 40 limits from points 1 to 25 readings a point 5")
    assert "Mean 73.98805 74.00118 74.01430" in text
    assert "38 Mean 74.01960 73.98805 74.01430 one point beyond a control" in text
    assert "2 of 3 points beyond 2 sigma" in text
    assert "\x1b" not in said.out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_case_has_a_table_and_charts_have_a_drawing(
    typed: Type, tmp_path: Path, case: dict[str, Any]
) -> None:
    svg = tmp_path / "out.svg"
    words = ["--svg", svg] if case["chart"] not in ("arl", "rules") else []
    said = typed("spc", "study", requested(tmp_path, case["id"]), *words)
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) > 4
    if words:
        root = ElementTree.fromstring(svg.read_bytes())
        assert root.findtext(f"{NS}title")
        assert "nan" not in svg.read_text(encoding="utf-8")


def test_options_win_over_the_file(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    data = {"values": [1, 2, 3, 2, 1, 2, 9, 2]}
    file.write_text(json.dumps({"chart": "imr", "data": data, "params": {"phase1": 4, "sigma": "sd"}}))
    plain = typed("spc", "study", file, "--json").json
    other = typed("spc", "study", file, "--phase1", "6", "--exclude", "5", "-p", "sigma=mbar", "--json").json
    assert plain["cl"] == 2
    assert other["cl"] == 2
    assert typed("spc", "study", file, "--phase1", "3", "--json").json["mrbar"] == 1
    assert typed("spc", "study", file, "--phase1", "8", "--json").json["cl"] == 2.75
    assert other["sigma"] == pytest.approx(1 / 1.128379, rel=1e-6)
    ewma = typed("spc", "study", file, "--chart", "ewma", "-p", "lam=0.4", "-p", "sigma=mbar", "--json").json
    assert len(ewma["ewma"]) == 8


def test_a_csv_file_says_what_its_columns_are(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "torque.csv"
    file.write_text("batch;operator;torque\n1;a;1,5\n1;b;1,7\n2;a;1,4\n2;b;1,9\n3;a;1,6\n3;b;1,6\n")
    said = typed("spc", "study", file, "--chart", "xbar_r", "--columns", "batch,torque", "--json")
    assert said.code == 0
    assert said.json["rbar"] == pytest.approx((0.2 + 0.5 + 0) / 3)
    assert said.err == f"note: {file}: columns not used: operator\n"
    asked = typed("spc", "study", file)
    assert (asked.code, asked.out) == (2, "")
    assert f"{file} is a table: which chart?" in asked.err


def test_causes_of_a_table_stand_on_the_drawing(typed: Type, tmp_path: Path) -> None:
    file, svg = tmp_path / "v.csv", tmp_path / "v.svg"
    rows = [*(f"{10 + i % 3},\n" for i in range(8)), "30,new <material>\n"]
    file.write_text("value,exclude\n" + "".join(rows))
    assert typed("spc", "study", file, "--chart", "imr", "--svg", svg, "--json").json["signals"] == [9]
    root = ElementTree.fromstring(svg.read_bytes())
    titles = [title.text or "" for title in root.iter(f"{NS}title")]
    assert any("left out of the limits; new <material>" in title for title in titles)
    assert root.find(f"{NS}style") is not None


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        ('{"chart": "imr", "data": {"values": [1, "2"]}}', (), "r.json: data.values[1]: expected a number, found"),
        ('{"chart": "imrr", "data": {}}', (), "r.json: chart: 'imrr' is no chart; did you mean imr?"),
        ('{"chart": "imr", "data": {"values": [1]}', (), "r.json:1:41: request: no JSON: Expecting ',' delimiter"),
        ('{"chart": "imr", "data": {"values": [1, 2]}, "params": 3}', (), "r.json: params: expected an object"),
        ('{"chart": "imr", "data": {"values": [1, 2]}}', ("--rules", "nelsn1"), "r.json: params.rules: no rule"),
        ('{"chart": "imr", "data": {"values": [1, 2]}}', ("-p", "lam"), "--param lam: NAME=VALUE is needed"),
        (
            '{"chart": "imr", "data": {"values": [1, 2]}}',
            ("--exclude", "x"),
            "r.json: params.exclude[0]: expected",
        ),
        (
            '{"chart": "imr", "data": {"values": [1, 2]}}',
            ("--columns", "x"),
            "r.json is JSON: --columns is for CSV",
        ),
        (
            '{"chart": "arl", "data": {"a": {"f": "shewhart"}}}',
            ("--svg", "x.svg"),
            "r.json: a study of kind arl has",
        ),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_where(
    typed: Type, tmp_path: Path, content: str, words: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "r.json"
    file.write_text(content)
    found = typed("spc", "study", file, *words, "--json")
    assert (found.code, found.json["error"]["code"]) == (2, "configuration")
    assert said in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize("name", ["empty.json", "empty.csv"])
def test_an_empty_file_is_told(typed: Type, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b" \n")
    found = typed("spc", "study", str(tmp_path / name))
    assert (found.code, found.out, f"{name} is empty" in found.err) == (2, "", True)


def test_decimals_of_a_chart_are_found_once_however_many_points_it_flags(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read off the limits of all points: found for each signal, a long series would take minutes."""
    asked: list[float] = []

    def decimals_for(span: float) -> int:
        asked.append(span)
        return 3

    monkeypatch.setattr("edge_agent.study_table.decimals_for", decimals_for)
    file = tmp_path / "request.json"
    values = [0, 1, 0, -1] * 20 + [9, 0, 0, -9] * 5
    file.write_text(json.dumps({"chart": "imr", "data": {"values": values}, "params": {"phase1": 80}}))
    found = typed("spc", "study", str(file))
    assert (found.code, found.out.count(" 9.000")) == (0, 15)
    assert len(asked) <= 6


def test_params_may_be_null(typed: Type, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"chart": "imr", "data": {"values": [1, 2, 4]}, "params": null}')
    assert typed("spc", "study", str(file), "--json").code == 0


def test_files_that_are_not_there_are_told(typed: Type, tmp_path: Path) -> None:
    found = typed("spc", "study", tmp_path / "none.json")
    assert (found.code, "cannot be read: No such file" in found.err) == (2, True)
    file = tmp_path / "r.json"
    file.write_text('{"chart": "imr", "data": {"values": [1, 2, 3]}}')
    found = typed("spc", "study", file, "--svg", tmp_path / "no" / "folder.svg")
    assert (found.code, found.out) == (2, "")
    assert "cannot be written" in found.err


def test_a_console_of_few_letters_still_shows_the_table(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    file.write_text('{"chart": "imr", "title": "Δ µm", "unit": "µm", "data": {"values": [1, 2, 3, -2]}}')
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert typed("spc", "study", file).code == 0
    stdout.flush()
    assert b"limits" in stdout.buffer.getvalue()  # type: ignore[attr-defined]


# -- run lengths ---------------------------------------------------------------------------------------------


def test_run_lengths_of_rules_and_false_alarms_a_day(typed: Type) -> None:
    said = typed("spc", "arl", "--rules", "western", "--mu", "0,1", "--runs-a-day", "1000", "--n", "5", "--json")
    assert (said.code, said.err) == (0, "")
    lengths = said.json["run_lengths"]
    assert lengths[0] == {
        "mu": 0.0,
        "arl": pytest.approx(91.7508, abs=1e-3),
        "method": "markov chain",
        "standard_error": None,
    }
    assert lengths[1]["arl"] < 3
    assert said.json["false_alarms_a_day"] == pytest.approx(200 / 91.7508, rel=1e-4)


def test_false_alarms_of_a_kind_of_chart_count_its_spread_chart(typed: Type) -> None:
    words = ("spc", "arl", "--rules", "nelson1,nelson2", "--runs-a-day", "1440")
    said = typed(*words, "--chart", "imr")
    assert "False alarms of one imr chart: 16.4 a day" in said.out
    means = typed(*words, "--chart", "xbar_r", "--n", "5", "--charts", "2", "--json").json
    assert means["false_alarms_a_day"] == pytest.approx(2 * 288 / 109.46, rel=1e-3)
    for wrong, says in (
        (("--chart", "ewma"), "no Shewhart chart"),
        (("--chart", "imr", "--n", "2"), "single values"),
    ):
        found = typed(*words, *wrong)
        assert (found.code, found.out) == (2, "")
        assert says in found.err


def test_run_lengths_for_people(typed: Type) -> None:
    said = typed("spc", "arl", "--f", "cusum2", "--k", "0.5", "--h", "5", "--runs-a-day", "100", "--mu", "0,1")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert text.startswith("cusum2 with k 0.5, h 5.0 shift (sigmas) points to a signal found by")
    assert "0 465.44 integral equation" in text
    assert text.endswith("False alarms of one chart: one every 4.65 days")


def test_a_set_without_an_exact_way_is_simulated_and_says_so(typed: Type) -> None:
    said = typed("spc", "arl", "--rules", "nelson1,nelson3", "--mu", "2", "--json", "--runs-a-day", "0")
    assert said.code == 0
    assert "simulating" in said.err
    (found,) = said.json["run_lengths"]
    assert found["method"] == "simulation"
    assert 0 < found["standard_error"] < 0.1
    assert said.json["false_alarms_a_day"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--f", "cusm"), "--f cusm: no such chart (did you mean cusum2?)"),
        (("--rules", "nelson12"), "--rules: no rule 'nelson12'; did you mean nelson"),
        (("--rules", "western", "--lam", "0.2"), "shewhart does not take --lam"),
        (("--f", "ewma", "--lam", "0.2", "--L", "3", "--rules", "nelson1"), "ewma takes no rules"),
        (("--f", "ewma", "--lam", "2", "--L", "3"), "0 < lam <= 1"),
        (("--f", "ewma", "--lam", "0.2"), "L is missing"),
        (("--mu", "0,x"), "--mu: 'x' is no number"),
    ],
)
def test_a_wrong_question_is_refused(typed: Type, words: tuple[str, ...], said: str) -> None:
    found = typed("spc", "arl", *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.err
