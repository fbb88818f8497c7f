"""``lotkeeper-edge decode`` and ``scan`` as they are typed."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.typing_commands import Type

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "barcodes.json").read_text(encoding="utf-8")
)["cases"]
GS1 = "]d201040123450000161727123110LOT-42A<GS>21SN0001"


# -- decode --------------------------------------------------------------------------------------------------


def test_decode_in_all_four_orders(typed: Type) -> None:
    said = typed("decode", "--registers", "0x42F6,0xE979", "--data-type", "float32", "--json")
    assert (said.code, said.err) == (0, "")
    assert list(said.json) == ["ABCD", "CDAB", "BADC", "DCBA"]
    assert said.json["ABCD"] == pytest.approx(123.456)
    swapped = {"CDAB": "0xE979,0x42F6", "BADC": "0xF642,0x79E9", "DCBA": "31209,63042"}
    for order, registers in swapped.items():
        answer = typed("decode", "--registers", registers, "--data-type", "float32").json
        assert answer[order] == pytest.approx(123.456)


@pytest.mark.parametrize(
    ("registers", "data_type", "answer"),
    [
        ("0x1234", "uint16", {"ABCD": 0x1234, "CDAB": 0x1234, "BADC": 0x3412, "DCBA": 0x3412}),
        ("65535", "int16", {"ABCD": -1, "CDAB": -1, "BADC": -1, "DCBA": -1}),
        (
            "0x0001,0x0203,0x0405,0x0607",
            "uint64",
            {
                "ABCD": 0x0001020304050607,
                "CDAB": 0x0607040502030001,
                "BADC": 0x0100030205040706,
                "DCBA": 0x0706050403020100,
            },
        ),
        ("0x7FC0, 0", "float32", {"ABCD": None, "CDAB": 4.58216e-41, "BADC": 6.906e-41, "DCBA": 6.905e-41}),
        ("0x4142,0x4300", "string", {"ABCD": "ABC", "CDAB": "ABC", "BADC": "BA", "DCBA": "BA"}),
    ],
)
def test_decode_of_every_kind(typed: Type, registers: str, data_type: str, answer: dict[str, object]) -> None:
    found = typed("decode", "--registers", registers, "--data-type", data_type).json
    assert found["ABCD"] == answer["ABCD"]
    if data_type != "float32":
        assert found == answer


@pytest.mark.parametrize(
    ("registers", "data_type", "message"),
    [
        ("1,2", "uint16", "a uint16 takes 1 register, here are 2"),
        ("1", "float32", "a float32 takes 2 registers, here are 1"),
        ("1", "float23", "did you mean `float32`?"),
        ("65536", "uint16", "'65536' is no register"),
        ("-1", "uint16", "'-1' is no register"),
        ("1,", "uint32", "'' is no register"),
        ("12FG", "uint16", "'12FG' is no register"),
    ],
)
def test_decode_says_what_is_wrong(typed: Type, registers: str, data_type: str, message: str) -> None:
    said = typed("decode", f"--registers={registers}", "--data-type", data_type)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


# -- scan ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_scan_of_the_published_cases(typed: Type, case: dict[str, Any]) -> None:
    pair = ("--paired-with", case["paired_with"]) if "paired_with" in case else ()
    typed_in = case["raw"].replace("\x1d", "<GS>")
    said = typed("scan", typed_in, "--expect", case["expect"], *pair, "--json")
    assert said.code == (0 if case["valid"] else 1)
    found = said.json
    assert found.keys() == {"valid", "kind", "fields", "udi_di", "error"}
    for key in ("valid", "kind", "fields", "error"):
        assert found[key] == case[key]


@pytest.mark.parametrize("separator", ["<GS>", "<gs>", "\\x1d", "\\x1D", "\x1d"])
def test_a_separator_may_be_typed(typed: Type, separator: str) -> None:
    assert typed("scan", GS1.replace("<GS>", separator)).json["fields"]["21"] == "SN0001"


def test_scan_reads_one_string_a_line(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [case["raw"] for case in CASES if "paired_with" not in case and case["expect"] == "auto"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(json.dumps(text) for text in [*texts, "+A"]) + "\n\n"))
    said = typed("scan", "--stdin")
    assert said.code == 1
    assert [one["valid"] for one in said.json] == [True] * len(texts) + [False]
    monkeypatch.setattr(sys, "stdin", io.StringIO('"WO-1"\n'))
    assert typed("scan", "--stdin").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert typed("scan", "--stdin").json == []


def test_scan_with_the_patterns_of_a_line(typed: Type, tmp_path: Path) -> None:
    line = tmp_path / "line.yaml"
    line.write_text(
        "agent: a\nsite: s\nline: l\ndevices: {scanner: {driver: serial_scanner, port: /dev/ttyS0}}\n"
        'schemes: {plant: "(?P<di>VS)(?P<serial>[0-9]{4})"}\n'
    )
    assert typed("scan", "VS0007", "--line", line).json == {
        "valid": True,
        "kind": "plain",
        "fields": {"di": "VS", "serial": "0007"},
        "udi_di": "VS",
        "error": None,
        "scheme": "plant",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either a BARCODE or --stdin"),
        (("WO-1", "--stdin"), "either a BARCODE or --stdin"),
        (("WO-1", "--expect", "hicb"), "did you mean `hibc`?"),
        (("+$$73C001L", "--paired-with", "WO-1"), "'WO-1' is no HIBC primary"),
    ],
)
def test_scan_says_what_is_wrong(typed: Type, words: tuple[str, ...], message: str) -> None:
    said = typed("scan", *words)
    assert (said.code, said.out) == (2, "")
    assert message in said.err


@pytest.mark.parametrize("text", ["WO-1", "17", "[", '"a'])
def test_scan_of_a_line_that_is_no_json_string(typed: Type, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f'"WO-1"\n{text}\n'))
    said = typed("scan", "--stdin")
    assert (said.code, said.out) == (2, "")
    assert "line 2 is no JSON string literal" in said.err
