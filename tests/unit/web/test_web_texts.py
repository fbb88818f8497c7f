"""Every code has its words, in every language; nothing is half translated."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from central.domain import BLOCKERS, DhrState, Fate, Grade
from central.finding_codes import PARAMS
from central.proposals import Proposed
from central.web import blockers, params, refusals, states, texts
from central.web.i18n import FOLDER, LANGUAGES, preferred, words
from records.codes import DISCREPANCIES, EVENTS, EXCEPTIONS
from records.model import Act, MaterialKind, Outcome, Purpose, Quality, Result, SubjectKind
from records.texts import every_text

WEB = FOLDER.parent
KEYWORDS = {"N_": None, "_": None, "gettext": None, "ngettext": (1, 2)}


def _ids() -> dict[str, set[str]]:
    """Message id (singular) -> its placeholders, over all of the site's sources."""
    with (FOLDER / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    found: dict[str, set[str]] = {}
    for _, _, message, _, _ in extract_from_dir(WEB, methods, options, keywords=KEYWORDS):
        text = message if isinstance(message, str) else message[0]
        found[text] = _places(text)
    return found


def _places(text: str) -> set[str]:
    named = set(re.findall(r"%\((\w+)\)s", text))
    return named | {name for _, name, _, _ in string.Formatter().parse(text.replace("%", "")) if name}


def _messages(language: str) -> Iterable[Message]:
    path = FOLDER / language.replace("-", "_") / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return [message for message in read_po(file) if message.id]


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_the_translation_is_whole_and_not_fuzzy(language: str) -> None:
    beside_the_codes = {text.english for text in every_text()}
    wanted = {text: places for text, places in _ids().items() if text not in beside_the_codes}
    assert len(wanted) > 500
    held = {}
    for message in _messages(language):
        text = message.id if isinstance(message.id, str) else message.id[0]
        said = message.string if isinstance(message.string, str) else message.string[0]
        assert not message.fuzzy, text
        assert said, text
        assert _places(said) == wanted.get(text, set()) | ({"num"} & _places(text)), text
        held[text] = said
    assert set(held) == set(wanted), "each text has one home"


def test_what_records_say_of_codes_is_part_of_the_catalogue() -> None:
    for text in every_text():
        assert (words("en")(text.english), words("zh-CN")(text.english)) == (text.english, text.chinese)


def test_every_code_has_its_words() -> None:
    assert set(texts.EXCEPTION_TEXTS) == set(EXCEPTIONS)
    assert set(texts.DISCREPANCY_TEXTS) == set(DISCREPANCIES)
    assert set(texts.EVENT_TEXTS) == set(EVENTS)
    for text in (*texts.EXCEPTION_TEXTS.values(), *texts.DISCREPANCY_TEXTS.values()):
        assert text.title
        assert text.meaning.endswith(".")
        assert text.action.endswith(".")


def test_an_unknown_code_stands_for_itself() -> None:
    assert texts.finding_text("from-the-future").title == "from-the-future"
    assert states.status(words("en"), "dhr", "from-the-future").word == "from-the-future"


def test_every_blocker_says_all_of_its_parameters() -> None:
    assert set(blockers.TEXTS) == set(BLOCKERS)
    for code, text in blockers.TEXTS.items():
        assert _places(text) <= set(BLOCKERS[code]), code


def test_every_parameter_has_a_label() -> None:
    named = {name for names in (*PARAMS.values(), *EVENTS.values()) for name in names}
    spoken_elsewhere = {"content", "params", "exception", "discrepancy", "container", "position", "tag"}
    spoken_elsewhere |= {"watermark", "key", "field"}
    assert named - set(params.LABELS) <= spoken_elsewhere


def test_every_enumeration_is_spoken() -> None:
    assert set(states.STATES["dhr"]) == {s.value for s in DhrState}
    assert set(states.STATES["fate"]) == {f.value for f in Fate}
    assert set(states.STATES["grade"]) == {g.value for g in Grade}
    assert set(states.STATES["result"]) == {r.value for r in Result}
    assert set(states.STATES["quality"]) == {q.value for q in Quality}
    for group, kind in (("purpose", Purpose), ("subject", SubjectKind), ("material", MaterialKind), ("act", Act)):
        assert set(states.NAMES[group]) == {member.value for member in kind}
    assert set(states.NAMES["outcome"]) == {o.value for o in Outcome}


def test_a_status_is_shape_and_word_for_each_tone() -> None:
    shapes = {s.tone: s.shape for group in states.STATES.values() for s in group.values()}
    assert len(set(shapes.values())) == len(shapes)
    assert all(s.word for group in states.STATES.values() for s in group.values())


def test_refusals_are_spoken() -> None:
    for code in ("wrong", "locked", "not-allowed", "same-person", "blocked"):
        assert words("zh-CN")(refusals.TEXTS[code]) != refusals.TEXTS[code]


@pytest.mark.parametrize(
    ("cookie", "header", "language"),
    [
        (None, None, "en"),
        ("zh-CN", "en", "zh-CN"),
        ("xx", "zh-TW,zh;q=0.8", "zh-CN"),
        (None, "de,en;q=0.5", "en"),
        (None, "en;q=0.4, zh-Hans;q=0.9", "zh-CN"),
        (None, "zh;q=none, en;q=0.1", "en"),
    ],
)
def test_the_language_is_chosen(cookie: str | None, header: str | None, language: str) -> None:
    assert preferred(cookie, header) == language


def test_the_catalogue_is_part_of_the_package() -> None:
    assert Path(FOLDER).is_relative_to(WEB)
    assert words("zh-CN")("Device history records") == "设备历史记录"
    assert words("zh-CN").plural("%(num)s record", "%(num)s records", 2) == "%(num)s 条记录"


def test_a_version_of_limits_is_short_and_leads_to_its_set() -> None:
    """Central names its limit sets by a key that nobody can read; a line names its own as its file does."""
    one = Proposed("limit-set", "0a" * 12, 2, {}, "eva", 0, "", "")
    assert params.version_text(one.name) == "v2"
    assert params.limit_set_id(one.name) == one.id
    assert params.spoken(words("en"), "limit_version", one.name) == "v2"
    assert (params.version_text("phase1-25"), params.limit_set_id("phase1-25")) == ("phase1-25", "")
    assert (params.version_text(None), params.limit_set_id(None)) == ("–", "")
