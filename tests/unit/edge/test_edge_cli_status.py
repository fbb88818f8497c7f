"""``lotkeeper-edge read`` and ``status`` without a running agent."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from drivers.status import BAD_SEVERITY
from edge_agent import read_once
from edge_agent.bad_words import explained
from edge_agent.cli_status import _central_lines, _clock_lines, _exit_code, _lines, _proof_lines
from edge_agent.outbox import glance, inspect
from records.clock import FakeClock, SystemClock, iso_z
from records.files import InstanceLock, is_held
from tests.rigs.fake_device import FakeDevice
from tests.rigs.outboxes import fill, held, mark, open_outbox
from tests.unit.edge.test_agent_app import write_line
from tests.unit.typing_commands import Type

LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: modbus_tcp
    host: 127.0.0.1
    port: 9
    tags:
      - {name: torque, address: 0, data_type: float64, unit: N.m}
      - {name: carrier, address: 8, data_type: string, length: 8}
  oven: {driver: modbus_tcp, host: 127.0.0.1, port: 10, tags: [{name: temp, address: 0, data_type: uint64}]}
  hand: {driver: serial_scanner, port: /dev/ttyS99}
"""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A line whose devices are there, but for those that a test takes away."""
    file = tmp_path / "line.yaml"
    file.write_text(LINE)
    monkeypatch.setattr(read_once, "build_device", _device)
    AWAY.clear()
    BAD.clear()
    return file


AWAY: set[str] = set()
BAD: set[str] = set()


def _device(name: str, settings: Any, clock: Any, _tell: Any, **_: Any) -> FakeDevice:
    device = FakeDevice(name, settings, clock)
    device.away = name in AWAY
    device.values = {"torque": 2.25, "carrier": "C-007", "temp": 2**63}
    device.status = dict.fromkeys(BAD, BAD_SEVERITY)
    return device


# -- read ----------------------------------------------------------------------------------------------------


def test_read_of_everything(typed: Type, line: Path) -> None:
    said = typed("read", line)
    assert (said.code, said.err) == (0, "")
    assert [(r["tag"], r["value"], r["unit"], r["quality"], r["status"]) for r in said.json] == [
        ("plc.torque", 2.25, "N.m", "good", "Good"),
        ("plc.carrier", "C-007", None, "good", "Good"),
        ("oven.temp", 2**63, None, "good", "Good"),
    ]
    for reading in said.json:
        assert list(reading) == [
            "tag",
            "value",
            "unit",
            "quality",
            "status",
            "source_time",
            "server_time",
            "edge_time",
        ]
        assert reading["edge_time"].endswith("Z")


def test_read_of_some_in_the_order_that_was_asked_for(typed: Type, line: Path) -> None:
    said = typed("read", line, "oven.temp", "plc.carrier", "oven.temp", "--json")
    assert [r["tag"] for r in said.json] == ["oven.temp", "plc.carrier"]
    assert [r["tag"] for r in typed("read", line, "plc").json] == ["plc.torque", "plc.carrier"]


def test_read_tells_bad_values_and_devices_that_are_away(typed: Type, line: Path) -> None:
    BAD.add("torque")
    said = typed("read", line)
    assert said.code == 1
    assert (said.json[0]["value"], said.json[0]["quality"]) == (None, "bad")
    assert said.err.startswith("bad: plc.torque: ")
    AWAY.add("oven")
    said = typed("read", line)
    assert said.code == 3
    assert [(r["tag"], r["value"], r["status"]) for r in said.json if r["tag"] == "oven.temp"] == [
        ("oven.temp", None, "BadNotConnected")
    ]
    assert "error: oven: away" in said.err
    assert "bad: oven.temp" not in said.err  # told once
    assert typed("read", line, "plc.carrier").code == 0


def test_a_bad_value_is_told_with_what_to_do_and_thousands_are_counted() -> None:
    one = {"tag": "plc.a", "quality": "bad", "status": "BadTypeMismatch"}
    assert list(explained([one], {"plc.a": ("float32", "float64")}, ())) == [
        "bad: plc.a: BadTypeMismatch: the machine's value is a float64, the line file says float32"
    ]
    assert next(explained([one], {}, ())).endswith("has another type there than the line file says")
    assert next(explained([one | {"status": "BadIllegalAddress"}], {}, ())).endswith(
        "no such register (exception 2); look at address and address_base"
    )
    assert list(explained([one], {}, ["plc"])) == []
    many = [{"tag": f"plc.t{n}", "quality": "bad", "status": "Bad"} for n in range(1000)]
    told = list(explained([one | {"quality": "good"}, *many], {}, ()))
    assert (len(told), told[0], told[-1]) == (21, "bad: plc.t0: Bad", "bad: 980 more")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("plc.torqe", "plc.torque"), ("plx", "plc"), ("hand", "known here: plc.torque"), ("hand.x", "")],
)
def test_read_of_what_is_not_there(typed: Type, line: Path, name: str, hint: str) -> None:
    said = typed("read", line, name)
    assert (said.code, said.out) == (2, "")
    assert f"the line has no tag {name!r}" in said.err
    assert hint in said.err


# -- status --------------------------------------------------------------------------------------------------


def test_status_names_what_a_restored_central_misses_and_what_to_do(typed: Type, tmp_path: Path) -> None:
    file, clock = write_line(tmp_path), FakeClock()
    outbox = open_outbox(tmp_path / "buffer", clock, keep_acknowledged_s=10.0)
    fill(outbox, 1, 8)
    rows = held(outbox)
    outbox.apply(mark(rows[5]))
    clock.advance(20.0)
    outbox.prune()
    outbox.close()
    assert typed("status", file, "--json").json["buffer"]["gaps"] == []
    assert "GAP" not in typed("status", file).out
    outbox = open_outbox(tmp_path / "buffer", clock)
    outbox.apply(mark(rows[1], generation=7))
    outbox.close()
    (gap,) = typed("status", file, "--json").json["buffer"]["gaps"]
    at = iso_z(clock.now_us())
    assert gap == {"at": at, "generation": 7, "epoch": rows[0].epoch, "first": "3", "last": "6"}
    lines = [line.strip() for line in typed("status", file).out.splitlines()]
    begin = lines.index(f"GAP: central was restored (told at {at}) and misses what this buffer no longer has:")
    assert lines[begin + 1] == f"records 3 to 6 of epoch {rows[0].epoch}"
    assert lines[begin + 2].startswith("at central, certificate --agent press-1 says what of it is lost")


def test_status_while_the_agent_is_down(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    outbox = open_outbox(tmp_path / "buffer")
    fill(outbox, 1, 30)
    outbox.apply(mark(held(outbox)[3]))
    outbox.close()
    said = typed("status", file, "--json")
    assert (said.code, said.err) == (3, "")
    found = said.json
    assert (found["agent"], found["running"], found["why"]) == ("press-1", False, None)
    buffer = found["buffer"]
    assert (buffer["committed"], buffer["acknowledged_records"], buffer["pending"]) == (31, 4, 27)
    assert [record["code"] for record in found["records"]] == ["order-started"] * 12
    assert all(record["detail"].startswith("order ") for record in found["records"])
    assert [int(record["seq"]) for record in found["records"]] == list(range(31, 19, -1))
    text = typed("status", file).out
    assert "agent press-1 is not running" in text
    assert "31 records committed, 4 acknowledged, 27 pending, the oldest since" in text


def test_what_a_station_waits_for_is_said_in_words() -> None:
    station: dict[str, Any] = {
        "name": "seal",
        "phase": "idle",
        "order": None,
        "operator": None,
        "last_cycle": None,
        "holds": [],
    }
    station |= {"approved": True, "waits_to_change": False, "missing": ["hold", "ORING-1"], "prompt": "unit-held"}
    report = {"agent": "a", "running": True, "configuration": "sha256:00", "buffer": None, "records": []}
    _, told, prompt = _lines(report | {"started_at": "now", "stations": [station]})
    assert told.endswith("missing release of the station, which is held, ORING-1")
    assert prompt.strip() == "A signal held units."


def test_status_of_an_agent_that_runs_without_a_page(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    outbox = open_outbox(tmp_path / "buffer")
    said = typed("status", file)
    assert said.code == 1
    assert "runs, but does not answer" in said.out
    assert "add status: {port: 8765} to the file" in said.out
    file.write_text(file.read_text() + "status: {port: 9}\n")
    assert "not its page on port 9" in typed("status", file).out
    outbox.close()
    assert "is not running" in typed("status", file).out


def test_status_before_the_first_start_and_without_buffer(typed: Type, tmp_path: Path) -> None:
    said = typed("status", write_line(tmp_path))
    assert said.code == 3
    assert "has the agent run on this machine yet?" in said.out
    assert not (tmp_path / "buffer").exists()
    assert "the file has no buffer" in typed("status", write_line(tmp_path, without="buffer")).out


def test_a_buffer_that_is_gone_or_anothers_is_not_taken_for_this_agents(typed: Type, tmp_path: Path) -> None:
    file, buffer = write_line(tmp_path), tmp_path / "buffer"
    outbox = open_outbox(buffer)
    fill(outbox, 1, 9)
    head = outbox.head()
    outbox.close()
    (buffer / "records.db").rename(tmp_path / "kept.db")
    gone = f"its last record was noted: {head.epoch} {head.last}"
    for said in (typed("status", file), typed("buffer", "verify", file), typed("buffer", "show", file)):
        assert (said.code, gone in said.out + said.err) == (3, True)
    file.write_text(file.read_text().replace("agent: press-1", "agent: press-2"))
    (tmp_path / "kept.db").rename(buffer / "records.db")
    whose = "is the buffer of press-1, the line file is of press-2"
    for code, words in ((3, ("status",)), (2, ("buffer", "verify")), (2, ("buffer", "show"))):
        said = typed(*words, file)
        assert (said.code, whose in said.out + said.err) == (code, True)
        assert "records committed" not in said.out


def test_status_of_a_damaged_buffer(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    (tmp_path / "buffer").mkdir()
    (tmp_path / "buffer" / "records.db").write_bytes(b"no database at all" * 500)
    said = typed("status", file)
    assert said.code == 3
    assert "records.db" in said.out
    assert "Traceback" not in said.err


def test_a_glance_says_what_a_long_look_says(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path, SystemClock())
    fill(outbox, 1, 9)
    outbox.apply(mark(held(outbox)[4]))
    outbox.close()
    seen, looked = glance(tmp_path / "records.db", 3), inspect(tmp_path / "records.db")
    assert (seen.head, seen.acknowledged, seen.pending) == (looked.head, looked.acknowledged, looked.pending)
    assert (seen.records, seen.committed) == (looked.records, 10)
    assert [envelope.seq for envelope in seen.last] == [8, 9, 10]
    assert len(glance(tmp_path / "records.db", 100).last) == 10


def test_a_wrong_clock_and_a_chain_that_does_not_hold_are_said(tmp_path: Path) -> None:
    clock = {"offset_s": -7.25, "within_s": 0.05, "age_s": 12.0, "wrong": True}
    assert _clock_lines(clock) == [
        "  WRONG: this clock is 7.250 s behind central's, within 0.050 s, as of 12 s ago"
    ]
    assert _clock_lines(None) == []
    stands: dict[str, Any] = {"running": True, "rows": 50, "through": "60", "until": "200", "buried": 2}
    stands |= {"last_ended": None, "wrong": "row e/7: the row was altered"}
    assert _proof_lines({"records": stands, "telemetry": None}) == [
        "  NOT FINE: records: row e/7: the row was altered: run lotkeeper-edge buffer verify",
        "  chain of records: never proven whole yet; a pass has proven 50 rows, through 60 of 200",
        "  2 damaged bodies of records are tombstones now: look at the disk",
    ]
    report: dict[str, Any] = {"running": True, "devices": [], "buffer": {"proof": {"records": stands}}}
    report["central"] = {"connected": True, "clock": None, "error": None}
    assert _exit_code(report) == 1
    report["buffer"] = {"proof": {"records": stands | {"wrong": None}}, "set_aside": [{"left": 0}]}
    assert _exit_code(report) == 0
    for left in (3, None):
        assert _exit_code(report | {"buffer": {"set_aside": [{"left": left}]}}) == 1, "a person must see to it"
    report["central"]["clock"] = clock
    assert _exit_code(report) == 1
    report["central"] = {"connected": True, "clock": None, "error": None, "unanswered_s": 1500}
    (_, told) = _central_lines(report["central"] | {"broker": "b"})
    assert told.startswith("  WRONG: central has not answered for 25 min")
    assert _exit_code(report) == 1, "whoever is not answered knows of no hold"


def test_a_connection_over_which_central_takes_nothing_is_not_fine() -> None:
    """Bug: the text said "connected" and the code 0 of an agent that was revoked, or fenced."""
    central: dict[str, Any] = {"connected": True, "broker": "mqtt://b:1", "error": None}
    report = {"agent": "a", "running": True, "configuration": "sha256:00", "buffer": None, "records": []}
    report |= {"started_at": "now", "devices": [], "central": central}
    assert (_lines(report)[1].split(), _exit_code(report)) == (["central", "mqtt://b:1", "connected"], 0)
    central["error"] = "the broker did not take a message: Not authorized"
    assert _lines(report)[1].endswith(f"connected, but WRONG: {central['error']}")
    assert _exit_code(report) == 1


def test_status_of_a_folder_that_cannot_be_written_is_of_no_running_agent(
    typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: a write-protected copy of a buffer "runs, but does not answer"."""
    file = write_line(tmp_path)
    open_outbox(tmp_path / "buffer").close()
    opens = Path.open

    def read_only(self: Path, mode: str = "r", *more: Any, **others: Any) -> Any:
        if "r+" in mode and self.parent.name == "buffer":
            raise OSError(errno.EROFS, "Read-only file system")
        return opens(self, mode, *more, **others)

    monkeypatch.setattr(Path, "open", read_only)
    said = typed("status", file)
    assert (said.code, "is not running" in said.out) == (3, True)
    lock = tmp_path / "buffer" / "records.lock"
    other = InstanceLock(lock)
    assert is_held(lock), "read-only for us alone"
    other.release()
