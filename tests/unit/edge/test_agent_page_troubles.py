"""What the agent's page says when something is wrong: buffer, clock, what central told, what keeps a station."""

from __future__ import annotations

import html
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge_agent import report
from edge_agent.document_ages import DAY_S, DEFAULTS, DocumentAges, by_kind
from edge_agent.line_watch import Refusal
from edge_agent.papers import Papers
from edge_agent.settings import load_line
from edge_agent.uplink.fence import FENCED
from edge_agent.uplink.service import NOT_SUBSCRIBED
from edge_agent.web import show, words
from edge_agent.web.site import Site
from records.certificates import CERTIFICATE, KEY, look_at_files
from records.errors import ConfigurationError, Invalid, Problem, trouble_of
from records.trouble import Trouble, trouble_text
from records.wire import Document

NOW = "2026-11-25T20:00:05.000000Z"
STATION: dict[str, Any] = {
    "name": "weld",
    "phase": "idle",
    "missing": [],
    "prompt": None,
    "barriers": [],
    "approved": True,
    "held": False,
    "holds": [],
    "charts": [],
    "order": None,
    "operator": None,
    "last_cycle": None,
    "waits_to_change": False,
}
SPACE: dict[str, Any] = {"cap": 1 << 30, "left": 1 << 20, "hours_left": 5.2, "low": False, "free": 12 << 20}
BUFFER: dict[str, Any] = {
    "path": "/var/lib/sealing-1/records.db",
    "head": {"seq": "7"},
    "acknowledged": {"seq": "5"},
    "committed": 7,
    "acknowledged_records": 5,
    "pending": 2,
    "oldest_pending": NOW,
    "kept": 7,
    "bytes": 4096,
    "space": SPACE | {"line_stopped_for": None},
    "proof": {"records": None, "telemetry": None},
}
COUNTS = ("values_captured", "telemetry_values", "telemetry_committed", "telemetry_thinned", "telemetry_lost")
CHUNKS = ("chunks_committed", "chunks_acknowledged", "chunks_given_up")


def page(language: str = "en", fault: str | None = None, **given: Any) -> str:
    """The text of the part that is fetched again and again."""
    report = {
        "agent": "sealing-1",
        "now": NOW,
        "time_zone": "UTC",
        "refused": None,
        "devices": [],
        "scanners": [],
        "stations": [STATION],
        "documents": [],
        "buffer": BUFFER,
        "central": {"connected": True, "broker": "b", "error": None, "frames_sent": 1, "frames_sent_again": 0},
        "records": [],
        "counts": dict.fromkeys((*COUNTS, *CHUNKS), 0),
        "file": "line.yaml",
        "configuration": "sha256:1",
        "software": "test",
    } | given
    site = Site(cast(Any, SimpleNamespace()))
    made = site._templates.get_template("live.html").render(r=report, fault=fault, _=words.Words(language))
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", made)).split())


def test_a_buffer_that_cannot_be_read_is_not_called_empty() -> None:
    text = page(fault="records.db is damaged", buffer=None, central=None)
    assert "The buffer cannot be read: records.db is damaged" in text
    assert "Nothing has been recorded yet" not in text
    assert "Nothing has been recorded yet" in page()


def test_what_the_background_check_and_the_clock_found_stands_on_top() -> None:
    proof = {"records": {"wrong": "row 31 does not follow", "buried": 3}, "telemetry": None}
    clock = {"offset_s": -421.5, "within_s": 0.1, "age_s": 4.0, "wrong": True}
    central = {"connected": True, "broker": "b", "error": None, "frames_sent": 1, "frames_sent_again": 0}
    text = page(buffer=BUFFER | {"proof": proof}, central=central | {"clock": clock})
    assert "does not hold what it should: row 31 does not follow" in text
    assert "damaged on this disk and is lost: 3" in text
    assert "clock is 421.5 s behind central's" in text
    quiet = page(central=central | {"clock": clock | {"wrong": False}, "unanswered_s": None})
    assert ("behind central's" in quiet, "has not answered" in quiet) == (False, False)
    assert "Central has not answered for 25 min" in page(central=central | {"unanswered_s": 1500})


@pytest.mark.parametrize(
    ("language", "low", "full"),
    [("en", "about 5.2 h more", "the buffer is full"), ("zh-CN", "约 5.2 小时", "缓冲区已满")],
)
def test_how_long_the_buffer_lasts_and_why_the_line_is_stopped(language: str, low: str, full: str) -> None:
    assert low in page(language, buffer=BUFFER | {"space": SPACE | {"line_stopped_for": None, "low": True}})
    assert full in page(language, buffer=BUFFER | {"space": SPACE | {"line_stopped_for": "records"}})
    disk = page(language, buffer=BUFFER | {"space": SPACE | {"line_stopped_for": "disk"}})
    assert "/var/lib/sealing-1/records.db" in disk
    assert "12.0 MiB" in disk


@pytest.mark.parametrize(
    ("language", "away", "why"),
    [("en", "Central is not reached", "in the way: refused"), ("zh-CN", "无法连接中央服务", "原因：refused")],
)
def test_that_central_is_not_reached_stands_on_top_with_why(language: str, away: str, why: str) -> None:
    central = {"connected": False, "broker": "b", "error": "refused", "frames_sent": 1, "frames_sent_again": 0}
    text = page(language, central=central)
    assert away in text
    assert why in text
    assert away not in page(language)
    assert "asked for the first time" in page(central=central | {"error": None})


def test_what_stands_in_the_way_is_told_in_the_language_of_the_page() -> None:
    """Bug: but for one of them the page said it in English whatever its language."""
    away = Trouble.of("broker-away", where="mqtts://central:8883", why=Trouble.of("connection-refused"))
    away = away.hinted(Trouble.of("check-broker"))
    way: dict[str, Any] = {"broker": "b", "frames_sent": 1, "frames_sent_again": 0}

    def told(language: str, trouble: Trouble, *, connected: bool = False) -> str:
        central = way | {"connected": connected, "error": trouble.whole, "trouble": trouble.to_json()}
        return page(language, central=central)

    assert told("zh-CN", away).count("（连接被拒绝）（它是否在运行？地址是否正确？）") == 2
    assert "nothing listens" not in told("zh-CN", away)
    assert told("en", away).count("(connection refused) (is it running, and is the address right?)") == 2
    waits = Trouble.of("telemetry-waits", why=Trouble.of("message-not-taken", said="Quota exceeded"))
    assert "遥测数据等待发送：MQTT 服务器未接收消息：“Quota exceeded”" in told("zh-CN", waits, connected=True)
    assert "记录未发送" not in told("zh-CN", waits, connected=True)
    assert "central is not subscribed at the broker" in page(
        "zh-CN", central=way | {"connected": True, "error": str(NOT_SUBSCRIBED)}
    ), "of an agent of before"


def test_what_is_wrong_with_the_identity_is_told_in_the_language_of_the_page(tmp_path: Path) -> None:
    """Bug: it was English whatever the page's language."""
    (tmp_path / KEY).write_text("garbage")
    with pytest.raises(Invalid) as raised:
        look_at_files(tmp_path)
    told = trouble_of(raised.value)
    problem = {"what": "files", "why": told.whole, "trouble": told.to_json()}
    event = RECORD | {"code": "identity-warning", "params": problem | {"until": None}}
    english, chinese = (page(each, identity={"problems": [problem]}, records=[event]) for each in ("en", "zh-CN"))
    assert english.count(f"ca.crt: No such file or directory; {tmp_path / CERTIFICATE}: No such file") == 2
    assert (
        chinese.count(f"ca.crt：文件不存在；{tmp_path / CERTIFICATE}：文件不存在；{tmp_path / KEY}：其中没有 PEM")
        == 2
    )
    assert not re.search("No such|no private key", chinese)


def test_what_is_wrong_with_a_line_file_is_told_in_the_language_of_the_page(tmp_path: Path) -> None:
    """Bug: it was English whatever the page's language. What one kind of file alone can have wrong is quoted."""
    file = tmp_path / "line.yaml"
    file.write_text("agent: a\nsitee: b\nline: c\ndevices: 3\n")
    with pytest.raises(ConfigurationError) as raised:
        load_line(file)
    own = Problem(str(file), 7, 3, "stations.weld", "no device has a tag 'x.y'", "add it")
    refusal = Refusal("sha256:1", (*raised.value.problems, own))
    told = report._refused(refusal)
    assert isinstance(told, dict)
    assert told["problems"] == [trouble_text(each, "en") for each in told["troubles"]], "nothing else in English"
    chinese = show.refused(told, words.Words("zh-CN"))
    assert f"{file} 第 2 行第 1 列，sitee：未知的键 `sitee`（是否应为 `site`？）" in chinese
    assert f"{file} 第 4 行第 10 列，devices：此处需要映射（多行 `键: 值`），实为 3" in chinese
    assert chinese[-1] == f"{file} 第 7 行第 3 列，stations.weld：“no device has a tag 'x.y' (add it)”"
    event = RECORD | {"code": "configuration-refused", "params": {"file": "line.yaml", **told}}
    assert page("zh-CN", refused=told, records=[event]).count(chinese[0]) == 1
    assert "at-place" not in page("zh-CN", records=[event])
    assert page("en", refused=told).count(told["problems"][0]) == 1
    before = {"configuration": None, "problems": ["an agent of before"]}
    assert "an agent of before" in page("zh-CN", refused=before)


@pytest.mark.parametrize(
    ("language", "held_back", "why"),
    [
        ("en", "Records are not sent to central", "Find the second PC"),
        ("zh-CN", "记录未发送到中央服务", "另一台电脑"),
    ],
)
def test_a_twin_that_central_does_not_keep_to_says_so_on_top(language: str, held_back: str, why: str) -> None:
    told = {"error": FENCED.whole, "trouble": FENCED.to_json()}
    central = {"connected": True, "broker": "b", **told, "frames_sent": 1, "frames_sent_again": 0}
    text = page(language, central=central)
    assert held_back in text
    assert text.count(why) == 2, "on top and beside the broker, in the reader's language"
    assert held_back not in page(language)
    assert held_back not in page(language, central=central | {"error": "telemetry waits: full"})


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_files_that_were_set_aside_are_named_with_what_is_nowhere_else(language: str) -> None:
    foreign = {"file": "records.db.foreign-1", "why": "foreign", "stream": "records", "agent": "press-2"}
    for why, left, said in (
        (
            "foreign",
            21,
            {"en": "21 records of press-2 in it have not come", "zh-CN": "press-2 的 21 条记录尚未送达"},
        ),
        (
            "damaged",
            2,
            {"en": "2 records of press-2 in it prove themselves no more", "zh-CN": "2 条记录已无法自证"},
        ),
        ("damaged", None, {"en": "what of it central lacks cannot be told", "zh-CN": "无法判断"}),
        ("damaged", 0, {"en": "Move it away once central has everything", "zh-CN": "请移走该文件"}),
    ):
        text = page(language, buffer=BUFFER | {"set_aside": [foreign | {"why": why, "left": left}]})
        assert "records.db.foreign-1" in text
        assert said[language] in text


def test_what_keeps_a_station_from_starting_names_what_it_is_about() -> None:
    barriers = [
        {"why": "document-too-old", "about": "work-order/WO-1", "refuses": True},
        {"why": "lot-used-up", "about": "SR-20 SR-7", "refuses": False},
    ]
    station = STATION | {"missing": ["document-too-old"], "prompt": "document-too-old", "barriers": barriers}
    text = page(stations=[station])
    told = "What central told the line is older than allowed."
    assert f"{told} Work order WO-1" in text
    assert text.count(told) == 1
    assert "Too little is left of the mounted lot. SR-20 SR-7" in text
    assert "工单 WO-1" in page("zh-CN", stations=[station])


def test_how_old_what_central_told_is_stands_by_kind() -> None:
    ages = {("lots", "SR-20"): 4 * DAY_S, ("lots", "VB-10"): 60.0, ("holds", "plant"): None}
    held = {key: Document(*key, 1, 0, {}) for key in ages}
    papers = Papers(documents=held, age_s=lambda kind, name: ages[kind, name])
    lots, holds = by_kind(DocumentAges(), papers)
    assert (lots.kind, lots.count, lots.age_s, lots.max_age_s, lots.beyond) == (
        "lots",
        2,
        4 * DAY_S,
        *DEFAULTS["lots"],
    )
    assert (lots.too_old, holds.age_s, holds.too_old) == (True, None, False)
    row = {
        "kind": "lots",
        "count": 2,
        "age_s": 4 * DAY_S,
        "max_age_s": 3 * DAY_S,
        "beyond": "warn",
        "too_old": True,
    }
    assert "Component lots 2 4.0 d 3.0 d warns" in page(documents=[row])
    assert "Nothing yet: orders" in page()
    assert set(show.DOCUMENTS) == set(DEFAULTS)
    texts = {*show.DOCUMENTS.values(), *show.BEYOND.values()}
    assert texts <= set(words.CHINESE)


def test_what_a_restore_of_central_asked_for_in_vain_stands_on_top_with_what_to_do() -> None:
    def gap(at: str, first: int, last: int) -> dict[str, Any]:
        return {"at": at, "generation": 2, "epoch": "4f1c9d31", "first": str(first), "last": str(last)}

    gaps = [gap("2026-11-24T08:00:00Z", 4, 12), gap("2026-11-24T08:00:00Z", 20, 20)]
    text = page(buffer=BUFFER | {"gaps": gaps})
    assert "asked for 10 records that this line no longer has" in text
    assert "Told here at 2026-11-24 08:00:00 UTC" in text
    assert "Records 4 to 12 of series 4f1c9d31" in text
    assert "lotkeeper-central certificate --agent sealing-1" in text
    chinese = page("zh-CN", buffer=BUFFER | {"gaps": gaps})
    assert "已不再保留的 10 条记录" in chinese
    assert "记录序列 4f1c9d31 的记录 4 至 12" in chinese
    assert "restored" not in page(buffer=BUFFER | {"gaps": []})
    assert "restored" not in page()


def test_of_many_restores_the_newest_stand_there_and_the_others_are_counted() -> None:
    gaps = [
        {
            "at": f"2026-11-{day:02}T08:00:00Z",
            "generation": day,
            "epoch": f"e{day}",
            "first": f"{n}",
            "last": f"{n}",
        }
        for day in range(1, 6)
        for n in range(1, 7)
    ]
    text = page(buffer=BUFFER | {"gaps": gaps})
    assert "Earlier restores that left gaps: 2." in text
    assert re.findall(r"of series (e\d)", text) == ["e5"] * 4 + ["e4"] * 4 + ["e3"] * 4
    assert text.count("More stretches: 2.") == 3


RECORD: dict[str, Any] = {"seq": "7", "kind": "operations_event", "at": NOW, "station": "weld", "code": None}
RECORD |= {"result": None, "subjects": [], "params": {}, "detail": None, "epoch": "4f1c9d31"}


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "Device lost device-lost weld · Device: welder · Address: opc.tcp://10.0.0.5"),
        ("zh-CN", "设备失联 device-lost weld · 设备：welder · 地址：opc.tcp://10.0.0.5"),
    ],
)
def test_the_last_records_say_in_words_what_happened(language: str, told: str) -> None:
    params = {"device": "welder", "address": "opc.tcp://10.0.0.5"}
    assert told in page(language, records=[RECORD | {"code": "device-lost", "params": params}])


REFUSED = Trouble.of("away", where="welder (opc.tcp://10.0.0.5)", why=Trouble.of("connection-refused"))
TROUBLE: dict[str, Any] = {"error": str(REFUSED), "trouble": REFUSED.hinted(Trouble.of("check-server")).to_json()}


def test_what_is_wrong_with_a_device_is_told_in_the_language_of_the_page() -> None:
    """Bug: the page said it in English whatever its language."""
    meter = dict.fromkeys(("polls", "late", "skipped", "values"), 0)
    welder = {"name": "welder", "driver": "opcua", "address": "opc.tcp://10.0.0.5", "connected": False, "tags": []}
    gate = {"name": "gate", "address": "/dev/ttyUSB7", "connected": False}
    lost = RECORD | {"code": "device-lost", "params": {"device": "welder", **TROUBLE}}
    given: dict[str, Any] = {
        "devices": [welder | meter | TROUBLE],
        "scanners": [gate | TROUBLE],
        "records": [lost],
    }
    chinese = page("zh-CN", **given)
    assert chinese.count("该地址和端口没有程序监听（连接被拒绝）（请检查网线、地址和端口") == 3
    assert "nothing listens" not in chinese
    assert page("en", **given).count("nothing listens there (connection refused) (check cable") == 3
    later = {"error": "a later build's own text", "trouble": {"code": "from-the-future"}}
    assert "a later build's own text" in page("zh-CN", devices=[welder | meter | later])
    assert "an old one's" in page("zh-CN", devices=[welder | meter | {"error": "an old one's", "trouble": None}])


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "BadIllegalAddress: the device has no such register (exception 2)"),
        ("zh-CN", "BadIllegalAddress：设备没有该寄存器（异常码 2）；请检查 address 和 address_base"),
    ],
)
def test_a_bad_value_says_what_its_status_means(language: str, told: str) -> None:
    meter = dict.fromkeys(("polls", "late", "skipped", "values"), 0)
    tag = {"tag": "press.speed", "value": None, "unit": None, "quality": "bad", "age_s": 0.1}
    press = {"name": "press", "driver": "modbus_tcp", "address": "10.0.0.5:502", "connected": True, "error": None}
    tags = [tag | {"status": "BadIllegalAddress"}, tag | {"status": "BadOutOfService"}]
    bad = RECORD | {"code": "reading-bad", "params": {"tag": "press.speed", "status": "BadIllegalAddress"}}
    text = page(language, devices=[press | meter | {"tags": tags}], records=[bad])
    assert text.count(told) == 2
    assert "BadOutOfService " in text, "a status without words stands for itself"


def test_codes_within_a_record_are_words_too() -> None:
    def told(**params: Any) -> str:
        return show.record_told(RECORD | {"code": "start-barred", "params": params}, words.Words("zh-CN"))

    assert told(why="document-too-old", about="work-order/WO-1") == (
        "缘由：中央服务下达的信息已超过允许的时效。 · 对象：工单 WO-1"
    )
    assert told(refuses=True, beyond="refuse").endswith("不允许启动")
    assert "是" in told(refuses=True)
    assert told(kind="lots", id="SR-20") == "类型：组件批次 · 编号：SR-20"
    assert told(reason="operator left") == "理由：operator left"
    assert len(told(text="x" * 500)) == 320


def test_a_run_names_its_operation_and_cycle_and_a_record_without_content_says_so() -> None:
    run = RECORD | {"kind": "operation_record", "code": "OP10 31", "subjects": ["C-031"], "result": "pass"}
    run |= {"params": {"operation": "OP10", "cycle": "31"}}
    assert "Run OP10 · Cycle 31 · C-031 pass weld" in page(records=[run])
    gone = RECORD | {"kind": "operation_record", "code": "tombstone", "at": None, "station": None}
    assert "Content of a record is gone" in page(records=[gone])
    assert "记录内容已不存在" in page("zh-CN", records=[gone])
    assert "tombstone" not in page("zh-CN", records=[gone | {"kind": "telemetry"}])
