"""GS1 and plain scans: published cases, what biip leaves out, and that labels come back as they were built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.udi import GS, check_digit, parse

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "barcodes.json").read_text(encoding="utf-8")
)["cases"]

GTIN = "04012345000016"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_published_cases(case: dict[str, Any]) -> None:
    found = parse(case["raw"], expect=case["expect"])
    assert (found.valid, dict(found.fields), found.error) == (case["valid"], case["fields"], case["error"])
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


@pytest.mark.parametrize("text", ["WO-1000", "B123456", "TRAY-001", "SETUP-01", "0512345", "+A99912345/"])
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
    for expect in ("auto", "gs1", "plain"):
        for prefix in ("", "]d2", "01"):
            parse(prefix + scan, expect=expect)  # type: ignore[arg-type]
