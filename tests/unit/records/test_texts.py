"""What people read for the codes of events: every code and parameter, in both languages."""

from __future__ import annotations

import re

import pytest

from records import texts
from records.codes import EVENTS

UNNAMED = {"container", "content", "discrepancy", "exception", "key", "params", "position"}
"""Parameters whose own names stand for them."""
CHINESE = re.compile("[\u4e00-\u9fff]")


def test_every_code_and_parameter_has_its_texts() -> None:
    assert set(texts.EVENT_TEXTS) == set(EVENTS)
    assert {name for names in EVENTS.values() for name in names} - UNNAMED == set(texts.PARAMETER_NAMES)
    for text in texts.EVENT_TEXTS.values():
        assert (text.meaning.english[-1], text.meaning.chinese[-1]) == (".", "。")


def test_every_text_is_in_both_languages_and_says_one_thing() -> None:
    said: dict[str, str] = {}
    for text in texts.every_text():
        assert text.english.strip()
        assert text.chinese == "ERP" or CHINESE.search(text.chinese), text
        assert said.setdefault(text.english, text.chinese) == text.chinese, "one id, one translation"


@pytest.mark.parametrize(
    ("language", "title", "name"),
    [("en", "Device lost", "Address"), ("zh-CN", "设备失联", "地址"), ("fr", "Device lost", "Address")],
)
def test_a_text_is_in_the_readers_language(language: str, title: str, name: str) -> None:
    assert texts.event_title("device-lost", language) == title
    assert texts.parameter_name("address", language) == name


def test_what_a_later_build_tells_stands_for_itself() -> None:
    assert texts.event_title("from-the-future", "zh-CN") == "from-the-future"
    assert texts.parameter_name("new_name", "zh-CN") == "new name"
