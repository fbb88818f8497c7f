"""What is wrong with a device is said in every language from one code."""

from __future__ import annotations

import json
import re

from records.errors import Unreachable
from records.texts.file_troubles import FILE_TROUBLES
from records.texts.message_troubles import MESSAGE_TROUBLES
from records.texts.troubles import TROUBLES
from records.texts.way_troubles import WAY_TROUBLES
from records.trouble import ALL, Trouble, trouble_text

_PLACES = re.compile(r"%\((\w+)\)s")
ASKED = Trouble.of("away", where="press (10.0.0.5:502)", why=Trouble.of("gateway-silent", exception=11))


def test_every_trouble_has_both_languages_and_the_same_places() -> None:
    each = (TROUBLES, WAY_TROUBLES, FILE_TROUBLES, MESSAGE_TROUBLES)
    assert len(ALL) == sum(map(len, each)), "each has a code of its own"
    for code, said in ALL.items():
        assert sorted(_PLACES.findall(said.english)) == sorted(_PLACES.findall(said.chinese)), code
        quoted = ("renew-own-certificate", "true-or-false")  # a command, words of YAML
        assert (
            re.search("[\u4e00-\u9fff]", said.chinese)
            or _PLACES.sub("", said.english) in (": ", "; ", "")
            or (code in quoted)
        ), code


def test_a_trouble_goes_through_a_record_and_is_said_with_what_to_do() -> None:
    error = Unreachable.of(ASKED.hinted(Trouble.of("check-unit")))
    assert error.trouble is not None
    told = json.loads(json.dumps(error.trouble.to_json()))
    assert trouble_text(told, "en") == str(error)
    assert trouble_text(told, "zh-CN") == (
        "press (10.0.0.5:502)：网关无法访问该从站（异常码 11）（请检查设备是否在运行，以及 unit_id）"
    )


def test_what_is_no_trouble_that_is_known_here_is_not_guessed_at() -> None:
    later = {"code": "from-the-future", "place": 1}
    for told in (None, "text", later, {"code": "away", "where": "press"}, {"code": "away", "%": 1}):
        assert trouble_text(told, "zh-CN") is None
    unknown_cause = {"code": "away", "where": "press", "why": later}
    assert trouble_text(unknown_cause, "zh-CN") == "press：from-the-future"
