"""Codes of every kind: published cases, what biip leaves out, and that labels come back as they were built."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.udi import GS, check_character, check_digit, parse

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "barcodes.json").read_text(encoding="utf-8")
)["cases"]

GTIN = "04012345000016"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_cases(case: dict[str, Any]) -> None:
    found = parse(case["raw"], expect=case["expect"], paired_with=case.get("paired_with"))
    assert (found.kind, found.valid, found.error) == (case["kind"], case["valid"], case["error"])
    assert dict(found.fields) == case["fields"]
    if found.kind == "gs1":
        assert found.udi_di == (case["fields"].get("01") if case["valid"] else None)


@pytest.mark.parametrize(
    ("scan", "error"),
    [
        (f"]d201{GTIN[:-1]}7", "check_digit"),
        (f"]d201{GTIN}10{'A' * 21}", "length"),
        (f"]d201{GTIN}10A{GS}10A", "duplicate_ai"),
        (f"]d201{GTIN}10A{GS}10B", "duplicate_ai"),
        (f"]d201{GTIN}x", "unknown_ai"),
        (f"]d201{GTIN}172712", "length"),
        (f"]d201{GTIN}17271332", "date"),
        (f"]d201{GTIN}17270230", "date"),
        (f"]d201{GTIN}10", "length"),
        (f"]d201{GTIN}10A B", "charset"),
        ("]d2", "empty"),
        ("]C1(01)04012345000016", "hri_form"),
        ("]d221S1", "missing_gtin"),
        (f"]Q101{GTIN}", None),
        (f"]C001{GTIN}", None),
        ("", "empty"),
        ("   ", "empty"),
        ("WO-1000\x02", "charset"),
        ("A" * 5000, "length"),
        ("]d2WO-1]d2WO-2", "glued"),
        ("]A0WO-1]A0WO-2", "glued"),
        (f"01{GTIN}10A01{GTIN}", "glued"),
    ],
)
def test_what_is_refused(scan: str, error: str | None) -> None:
    found = parse(scan)
    assert found.error == error
    assert not found.fields
    assert found.udi_di is None


@pytest.mark.parametrize("carrier", ["]d1", "]C0", "]Q1", "]A0"])
def test_carriers_without_gs1_structure_are_no_gs1(carrier: str) -> None:
    assert parse(f"{carrier}01{GTIN}", expect="gs1").error == "not_gs1_carrier"
    plain = parse(f"{carrier}01{GTIN}")
    assert (plain.kind, plain.text, plain.symbology, plain.valid) == ("plain", f"01{GTIN}", carrier, True)


@pytest.mark.parametrize("text", ["WO-1000", "B123456", "TRAY-001", "SETUP-01", "0512345", "4012345000016"])
def test_plain_codes_stay_as_they_are(text: str) -> None:
    found = parse(text)
    assert (found.kind, found.text, found.valid, dict(found.fields)) == ("plain", text, True, {})
    assert parse(f"01{GTIN}", expect="plain").kind == "plain"


def test_measures_are_decimal_strings_with_the_decimals_of_their_identifier() -> None:
    assert parse(f"01{GTIN}3103001250").fields["3103"] == "1.250"
    assert parse(f"01{GTIN}3100001250").fields["3100"] == "1250"


def test_check_digits() -> None:
    for gtin in (GTIN, "04012345000023", "04012345000030", "04012345000047"):
        assert check_digit(gtin[:-1]) == gtin[-1]


CSET = st.text("ABCXYZabcxyz0123456789-./_%&'()*+,:;<=>?!\"", min_size=1, max_size=20)


@given(lot=CSET, serial=CSET, year=st.integers(0, 99), month=st.integers(1, 12), day=st.integers(0, 28))
def test_a_label_says_what_it_was_made_of(lot: str, serial: str, year: int, month: int, day: int) -> None:
    expiry = f"{year:02d}{month:02d}{day:02d}"
    scan = f"]d201{GTIN}17{expiry}10{lot}{GS}21{serial}"
    found = parse(scan)
    assert found.error is None
    assert (found.fields["10"], found.fields["21"], found.udi_di) == (lot, serial, GTIN)
    assert found.fields["17"][2:7] == f"{year:02d}-{month:02d}"


@given(st.text(max_size=60))
def test_no_scan_raises(scan: str) -> None:
    for expect in ("auto", "gs1", "hibc", "ean", "plain"):
        for prefix in ("", "]d2", "01", "+", "+$$", "]E0", "MA.156."):
            parse(prefix + scan, expect=expect, schemes={"own": re.compile("S(?P<serial>.*)")})  # type: ignore[arg-type]


# -- HIBC ----------------------------------------------------------------------------------------------------


def hibc(body: str) -> str:
    return body + check_character(body)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        # figures of ANSI/HIBC 2.6 as public encoders repeat them
        ("+A123BJC5D6E71", {"lic": "A123", "pcn": "BJC5D6E7", "unit_of_measure": 1, "check": "G"}),
        ("+H123ABC01234567890", {"lic": "H123", "pcn": "ABC0123456789", "unit_of_measure": 0, "check": "D"}),
        (
            "+A123BJC5D6E71/$$52001510X3",
            {
                "lic": "A123",
                "pcn": "BJC5D6E7",
                "unit_of_measure": 1,
                "expiry": "2020-01-15",
                "lot": "10X3",
                "check": "C",
            },
        ),
        ("+E20831269/$$8020423286539", {"pcn": "3126", "quantity": 2, "expiry": "2023-04", "check": "+"}),
        # every form of a secondary, its link an L
        ("+052713C001L", {"expiry": "2005-09-28", "lot": "3C001"}),
        ("+$3C001L", {"lot": "3C001", "link": "L"}),
        ("+$$09053C001L", {"expiry": "2005-09", "lot": "3C001"}),
        ("+$$20928053C001L", {"expiry": "2005-09-28", "lot": "3C001"}),
        ("+$$30509283C001L", {"expiry": "2005-09-28", "lot": "3C001"}),
        ("+$$4050928223C001L", {"expiry": "2005-09-28T22", "lot": "3C001"}),
        ("+$$5052713C001L", {"expiry": "2005-09-28", "lot": "3C001"}),
        ("+$$605271223C001L", {"expiry": "2005-09-28T22", "lot": "3C001"}),
        ("+$$73C001L", {"lot": "3C001"}),
        ("+$$82409053C001L", {"quantity": 24, "expiry": "2005-09", "lot": "3C001"}),
        ("+$$82473C001L", {"quantity": 24, "lot": "3C001"}),
        ("+$$824L", {"quantity": 24, "link": "L"}),
        ("+$$9001004050928223C001L", {"quantity": 100, "expiry": "2005-09-28T22", "lot": "3C001"}),
        ("+$+0001L", {"serial": "0001"}),
        ("+$$+09050001L", {"expiry": "2005-09", "serial": "0001"}),
        ("+$$+70001L", {"serial": "0001"}),
        # link and check that look like something else
        ("+$$73C001/", {"lot": "3C001", "link": "/"}),
        ("+$$73C001 ", {"lot": "3C001", "link": " "}),
        ("+A123BJC5D6E71/$$01203C001/14D20200131", {"lot": "3C001", "expiry": "2020-01-31"}),
        # concatenated, with supplements
        ("+A123BJC5D6E71/$+0001", {"pcn": "BJC5D6E7", "serial": "0001"}),
        ("+A123BJC5D6E71/052713C001", {"expiry": "2005-09-28", "lot": "3C001"}),
        ("+A123BJC5D6E71/S0001", {"pcn": "BJC5D6E7", "serial": "0001"}),
        (
            "+A123BJC5D6E71/$$73C001/S0001/16D20160101/14D20200131/Q500",
            {
                "lot": "3C001",
                "serial": "0001",
                "manufactured": "2016-01-01",
                "expiry": "2020-01-31",
                "quantity": 500,
            },
        ),
        ("+$$73C001/S0001L", {"lot": "3C001", "serial": "0001", "link": "L"}),
    ],
)
def test_hibc_forms(body: str, fields: dict[str, object]) -> None:
    found = parse(hibc(body))
    assert (found.kind, found.error) == ("hibc", None)
    assert fields.items() <= found.fields.items()
    always = {"lic", "pcn", "unit_of_measure", "link", "check", "lot"}
    assert not found.fields.keys() - fields.keys() - always


def test_the_udi_di_of_hibc_is_labeller_product_and_unit_of_measure() -> None:
    assert parse("+A123BJC5D6E71G").udi_di == "A123BJC5D6E71"
    assert parse("]C0+A123BJC5D6E71G").udi_di == "A123BJC5D6E71"
    assert parse(hibc("+$$73C001L")).udi_di is None


@pytest.mark.parametrize(
    ("scan", "error"),
    [
        ("+A123BJC5D6E71H", "check_character"),
        ("+a123BJC5D6E71G", "charset"),
        ("+A1", "length"),
        (hibc("+A123BJC5D6E7X"), "format"),  # no unit of measure
        (hibc("+$$13053C001L"), "date"),
        (hibc("+$$53660003L"), "date"),
        (hibc("+$$20230053C001L"), "date"),
        (hibc("+$$4050928243C001L"), "date"),
        (hibc("+$$8X409053C001L"), "format"),
        (hibc("+$$L"), "format"),
        (hibc("+A123BJC5D6E71/X0001"), "format"),
        (hibc("+A123BJC5D6E71/$$30509283C001/14D20200131"), "format"),  # two expiry dates
        (f"+A123BJC5D6E71G{hibc('+$$73C001G')}", "format"),  # two labels; glued their sums may even add up
        ("]d2+A123BJC5D6E71G", "unknown_ai"),
    ],
)
def test_hibc_that_is_refused(scan: str, error: str) -> None:
    found = parse(scan)
    assert (found.error, dict(found.fields)) == (error, {}) or found.error == "check_character"
    assert not found.valid
    assert parse("]d2+A123BJC5D6E71G", expect="hibc").error == "gs1_carrier"


@given(st.integers(0, 14), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"))
def test_one_wrong_character_never_passes(at: int, character: str) -> None:
    right = "+A123BJC5D6E71G"
    wrong = right[:at] + character + right[at + 1 :]
    assert wrong == right or not parse(wrong, expect="hibc").valid


# -- EAN -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scan", "gtin"),
    [
        ("]E04006381333931", "04006381333931"),
        ("]E0036000291452", "00036000291452"),
        ("]E496385074", "00000096385074"),
    ],
)
def test_ean_and_upc_are_gtins(scan: str, gtin: str) -> None:
    for found in (parse(scan), parse(scan[3:], expect="ean")):
        assert (found.kind, found.error, dict(found.fields), found.udi_di) == ("ean", None, {"gtin": gtin}, gtin)


@pytest.mark.parametrize(
    ("scan", "error"),
    [
        ("4006381333932", "check_digit"),
        ("400638133393", "check_digit"),
        ("40063813339310", "check_digit"),
        ("40063813339314006381333931", "length"),
        ("]E0400638133393", "check_digit"),
        ("]E40400638133393", "length"),
        ("]d24006381333931", "not_ean_carrier"),
        ("]E54006381333931", "not_ean_carrier"),
        ("40063813339\u06631", "charset"),
        ("", "empty"),
    ],
)
def test_ean_that_is_refused(scan: str, error: str) -> None:
    assert parse(scan, expect="ean").error == error


# -- codes by pattern ----------------------------------------------------------------------------------------

MA = "MA.156.M0.100001.10000016"
SCHEMES = {
    "ma": re.compile(
        r"(?P<di>MA\.156\.M0\.[0-9A-Z]{6}\.[0-9A-Z]{8})(\.L(?P<lot>[^.]+))?(\.S(?P<serial>[^.]+))?"
        r"(\.M(?P<manufactured>[0-9]{6,8}))?(\.E(?P<expiry>[0-9]{6,8}))?"
    ),
    "plant": re.compile("P(?P<serial>[0-9]{6})"),
    "wide": re.compile("W(?P<serial>.+)"),
}


def test_ma_codes_are_kept_raw_and_mapped_by_pattern() -> None:
    found = parse(f"{MA}.LA1.S007", schemes=SCHEMES)
    assert (found.kind, found.scheme, found.issuer, found.udi_di) == ("plain", "ma", "ma", MA)
    assert dict(found.fields) == {"di": MA, "lot": "A1", "serial": "007"}
    raw = parse(f"{MA}.LA1.S007")
    assert (raw.scheme, raw.valid, dict(raw.fields), raw.text) == ("ma", True, {}, f"{MA}.LA1.S007")
    assert parse("X", schemes=SCHEMES).scheme is None


@pytest.mark.parametrize("text", [f"{MA}.S1{MA}.S2", "P000001P000002", "WAWB", f"P000001{MA}"])
def test_two_codes_are_not_one(text: str) -> None:
    found = parse(text, schemes=SCHEMES)
    assert not found.fields
    assert found.error in ("glued", None)
    assert found.error == "glued" or found.scheme is None


def test_a_pattern_is_not_tried_on_a_gs1_carrier() -> None:
    anything = {"any": re.compile("(?P<serial>.*)")}
    assert parse(f"]d201{GTIN}", schemes=anything).kind == "gs1"
    assert parse("P000001", schemes=SCHEMES, expect="gs1").error == "unknown_ai"


def test_the_pattern_of_the_guide_reads_its_own_example() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "connect-your-plc.md").read_text(encoding="utf-8")
    pattern = re.search(r"^  ma: '(.+)'$", guide, re.MULTILINE)
    text = re.search(r"scan '(MA\.[^']+)' --line", guide)
    assert pattern is not None
    assert text is not None
    found = parse(text[1], schemes={"ma": re.compile(pattern[1])})
    assert dict(found.fields) == {"di": "100001.10000016", "lot": "A1", "serial": "7"}
    assert parse(text[1] * 2, schemes={"ma": re.compile(pattern[1])}).error == "glued"
