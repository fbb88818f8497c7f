"""Codes within parameters and decisions are told in words; what no word is known of stands for itself."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from central.audit import AuditEntry
from central.web import decided, params, told
from central.web.i18n import words
from central.web.pages.audit import audit_row
from edge_agent.barriers import WHYS
from edge_agent.document_ages import DEFAULTS
from records.kinds import PAPERS
from records.reasons import Catalogue

REASONS = Catalogue(1, {"hold": {"complaint": {"en": "Customer complaint", "zh-CN": "客户投诉"}}})


@pytest.mark.parametrize(
    ("name", "value", "english", "chinese"),
    [
        ("document", "work-order/WO-1", "Work order WO-1", "工单 WO-1"),
        ("kind", "people", "List of people", "人员列表"),
        ("about", "holds/plant", "Holds", "扣留项"),
        ("about", "SR-20 SR-2026-007", "SR-20 SR-2026-007", "SR-20 SR-2026-007"),
        ("why", "calibration-overdue", "The calibration is overdue", "校准已逾期"),
        (
            "why",
            ["lot-expired SR-20 L1", "document-too-old work-order/WO-1"],
            "The lot has expired: SR-20 L1; What central told is too old: Work order WO-1",
            None,
        ),
        ("why", "from-the-future", "from-the-future", "from-the-future"),
        ("beyond", "refuse", "Does not start", "不允许启动"),
        ("refuses", True, "yes", "是"),
        ("missing", [["assembly-1", 1, 20, 2]], "assembly-1: 2 of the records 1 to 20", None),
        (
            "missing",
            [["assembly-1", 4, 66, 0]],
            "assembly-1: before the records 4 to 66, or contents of these",
            "assembly-1：记录 4 至 66 之前的记录，或其中某些记录的内容",
        ),
        (
            "unaccounted",
            [["assemble", [78, 79, 80, 85], []], ["weld", [3], [9]]],
            "assemble: 78–80, 85; weld: 3; weld: 9 twice",
            None,
        ),
        ("unaccounted", [["of another shape"]], "of another shape", "of another shape"),
        ("unaccounted", 3, "3", "3"),
        ("meaning", "hold", "Put on hold", "已扣留"),
        ("until", "1795173363200000", "2026-11-20T11:16:03.200000Z", "2026-11-20T11:16:03.200000Z"),
        ("until", "2026-11-20T11:16:03Z", "2026-11-20T11:16:03Z", None),
        ("anchors_lost_after", "0", "0", "0"),
        ("held_until", "1795173363200000", "2026-11-20T11:16:03.200000Z", None),
    ],
)
def test_a_code_within_a_parameter_is_told(name: str, value: JsonValue, english: str, chinese: str | None) -> None:
    assert params.spoken(words("en"), name, value) == english
    assert chinese in (None, params.spoken(words("zh-CN"), name, value))


def test_whatever_bars_a_start_and_every_document_that_ages_has_words() -> None:
    assert set(WHYS) <= set(told.WHYS)
    for kind in {*DEFAULTS, *PAPERS}:
        assert told.document(words("en"), f"{kind}/x") != f"{kind}/x", kind


def test_stretches_are_named_and_the_rest_is_counted() -> None:
    assert told.stretches(words("en"), []) == ""
    assert told.stretches(words("en"), [7, 5, 6, 9]) == "5–7, 9"
    many = [2 * n for n in range(told.MOST_STRETCHES + 3)]
    assert told.stretches(words("en"), many).endswith(", 22 and 3 more")


@pytest.mark.parametrize(
    ("kind", "identity", "agent", "about", "href"),
    [
        ("hold", "H-66b5a6ee", "central", "Hold H-66b5a6ee", "/holds/H-66b5a6ee"),
        ("hold", "weld/h1", "press-1", "Hold weld/h1", None),
        ("exception", "25" * 12, "central", "Exception 252525252525", f"/findings/{'25' * 12}"),
        ("ground", "people", "central", "List of people", None),
        (
            "configuration",
            "press-1/sha256:" + "4f" * 32,
            "central",
            "Line file press-1 4f4f4f4f4f4f",
            "/configurations/press-1/sha256:" + "4f" * 32,
        ),
        ("from-the-future", "x", "central", "from-the-future x", None),
    ],
)
def test_what_a_decision_was_about(kind: str, identity: str, agent: str, about: str, href: str | None) -> None:
    assert decided.about(words("en"), kind, identity) == about
    assert decided.href(kind, identity, agent) == href


def test_what_a_decision_changed() -> None:
    english = words("en")
    assert decided.state(english, "exception", {"state": "closed", "substance": "ab"}) == "Closed"
    assert decided.state(english, "hold", "standing") == "Held by quality"
    assert decided.state(english, "hold", {"action": "hold_unit", "times": 2}) == "Action Units held · times 2"
    assert decided.state(english, "from-the-future", "x") == "x"


@pytest.mark.parametrize(
    ("language", "told_as"),
    [
        ("en", ("Put on hold", "Hold H-1", "Customer complaint: 4711", ("Held by quality", "Hold released"))),
        ("zh-CN", ("已扣留", "扣留 H-1", "客户投诉: 4711", ("质量扣留中", "已解除扣留"))),
    ],
)
def test_an_entry_of_the_audit_trail_in_words(language: str, told_as: tuple[object, ...]) -> None:
    given: dict[str, JsonValue] = {"kind": "hold", "id": "H-1", "reason": "complaint: 4711"}
    given |= {"old": "standing", "new": "released"}
    entry = AuditEntry(1, "eva", "hold", None, given, "central", "records", 1, "00", 1)
    row = audit_row(words(language), entry, REASONS)
    assert (row.what, row.target, row.reason, row.change) == told_as
    refused: dict[str, JsonValue] = {"target": "ground", "reason": "wrong-password"}
    entry = AuditEntry(1, "eva", "signature-refused", None, refused, "central", "audit", 1, "00", 1)
    row = audit_row(words("en"), entry, REASONS)
    assert (row.target, row.href, row.change) == ("Lists of people, machines and reasons", None, ())
    assert row.reason == "wrong password"
