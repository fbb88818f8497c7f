"""``lotkeeper-edge`` as it is typed: exit codes, one JSON document, errors on stderr, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent import cli
from edge_agent.outbox import Outbox
from records.clock import FakeClock
from records.keys import SigningKey
from tests.rigs.outboxes import fact, header, make_identity, open_outbox
from tests.unit.edge.test_agent_app import write_line
from tests.unit.typing_commands import Type

FULL = Path(__file__).resolve().parents[2] / "data" / "pouch-sealing.yaml"
EXAMPLE = Path(__file__).resolve().parents[3] / "config" / "lines" / "valve-assembly.yaml"


def damaged(folder: Path, old: str = "agent: press-1", new: str = "agnet: press-1") -> Path:
    file = write_line(folder)
    file.write_text(file.read_text().replace(old, new))
    return file


def buffer(folder: Path, records: int = 3) -> Path:
    """A line whose buffer holds some records; the path of its database."""
    outbox = open_outbox(folder / "buffer")
    from edge_agent.outbox import Batch

    for number in range(records):
        outbox.commit(Batch((fact(number),))).result()
    outbox.close()
    write_line(folder)
    return folder / "buffer" / "records.db"


# -- check -------------------------------------------------------------------------------------------------


def test_check_of_a_fine_file(typed: Type) -> None:
    said = typed("check", EXAMPLE)
    assert (said.code, said.err) == (0, "")
    assert "fine: 3 devices, 23 tags, 2 stations" in said.out
    assert typed("check", EXAMPLE, "--json").json == []


def test_check_takes_a_file_with_every_part_of_a_line(typed: Type) -> None:
    """OPC UA secured, Modbus, a scanner, and a permit that needs order, operator, route and material."""
    said = typed("check", FULL)
    assert said.code == 0, said.err
    assert "fine: 3 devices, 8 tags, 1 stations, 1 characteristics" in said.out
    assert typed("check", FULL, "--json").json == []


def test_check_tells_every_error_as_file_line_col_on_stderr(typed: Type, tmp_path: Path) -> None:
    file = damaged(tmp_path)
    file.write_text(file.read_text().replace("operation: OP10", "operaton: OP10"))
    said = typed("check", file)
    assert (said.code, said.out) == (2, "")
    first, *others = said.err.splitlines()
    assert first == f"{file}:1:1: agent: `agent` is missing" or first.startswith(f"{file}:1:1: agnet: unknown key")
    assert any("did you mean `agent`?" in line for line in [first, *others])
    assert any("did you mean `operation`?" in line for line in others)
    assert all(line.startswith(f"{file}:") for line in others)


def test_check_as_json_is_a_list_of_places(typed: Type, tmp_path: Path) -> None:
    said = typed("check", damaged(tmp_path), "--json")
    assert (said.code, said.err) == (2, "")
    found = next(problem for problem in said.json if problem["path"] == "agnet")
    assert found == {
        "file": str(tmp_path / "line.yaml"),
        "line": 1,
        "col": 1,
        "path": "agnet",
        "message": "unknown key `agnet`",
        "hint": "did you mean `agent`?",
    }
    assert all(problem.keys() == found.keys() for problem in said.json)


def test_check_of_what_the_parts_say_wrong_of_each_other(typed: Type, tmp_path: Path) -> None:
    said = typed("check", damaged(tmp_path, "acknowledge: plc.ack", "acknowledge: plc.akc"), "--json")
    (problem,) = said.json
    assert (said.code, problem["path"]) == (2, "stations.press.trigger.acknowledge")
    assert problem["hint"] == "did you mean `plc.ack`?"


@pytest.mark.parametrize("text", ["\tagent: x", "agent: [", "- a\n- b", "", "a: 1\na: 2", "\x00"])
def test_check_of_what_is_no_yaml(typed: Type, tmp_path: Path, text: str) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(text)
    said = typed("check", file, "--json")
    assert said.code == 2
    assert all(problem["line"] >= 1 and problem["col"] >= 1 for problem in said.json)
    assert said.json


def test_check_of_a_file_that_is_not_there(typed: Type, tmp_path: Path) -> None:
    said = typed("check", tmp_path / "none.yaml")
    assert (said.code, said.out) == (2, "")
    assert "none.yaml:1:1: (file): cannot be read: No such file" in said.err
    (problem,) = typed("check", tmp_path / "none.yaml", "--json").json
    assert problem["file"] == str(tmp_path / "none.yaml")


def test_warnings_go_to_stderr_in_both_forms(typed: Type, tmp_path: Path) -> None:
    file = damaged(tmp_path, "timeout: 50ms", "slave_id: 1")
    for words in ((), ("--json",)):
        said = typed("check", file, *words)
        assert said.code == 0
        assert "warning: " in said.err
        assert "`slave_id` is taken as `unit_id`" in said.err
    assert said.json == []


# -- run ---------------------------------------------------------------------------------------------------


def test_run_says_what_is_missing_and_makes_nothing(typed: Type, tmp_path: Path) -> None:
    said = typed("run", write_line(tmp_path))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: no identity in {tmp_path / 'identity'}")
    assert "Traceback" not in said.err
    assert not (tmp_path / "buffer").exists()


def test_run_with_the_identity_of_another_agent(typed: Type, tmp_path: Path) -> None:
    make_identity(tmp_path / "identity", SigningKey.generate(), agent="press-2")
    said = typed("run", write_line(tmp_path))
    assert said.code == 2
    assert "press-2" in said.err


def test_debug_shows_where(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_line(tmp_path)
    assert "Traceback" in typed("--debug", "run", file).err
    assert "Traceback" in typed("run", file, "--debug").err
    monkeypatch.setenv("LOTKEEPER_DEBUG", "1")
    assert "Traceback" in typed("run", file).err


# -- buffer ------------------------------------------------------------------------------------------------


def test_verify_of_a_whole_buffer(typed: Type, tmp_path: Path) -> None:
    buffer(tmp_path)
    said = typed("buffer", "verify", tmp_path / "line.yaml", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json == {"ok": True, "records": 4, "tombstones": 0, "first_bad": None, "reason": None}
    assert typed("buffer", "verify", tmp_path / "line.yaml").out == "fine: 4 records in chain, 0 tombstones\n"


def test_verify_names_the_first_record_that_does_not_hold(typed: Type, tmp_path: Path) -> None:
    """Bytes changed on the disk, as a tool or a tired disk would."""
    database = buffer(tmp_path)
    content = database.read_bytes()
    assert content.count(b"WO-1") == 1
    database.write_bytes(content.replace(b"WO-1", b"WO-7"))
    said = typed("buffer", "verify", tmp_path / "line.yaml", "--json")
    assert said.code == 1
    assert said.json["ok"] is False
    bad = said.json["first_bad"]
    assert (bad["agent"], bad["stream"], bad["seq"]) == ("press-1", "records", 3)
    assert bad.keys() == {"agent", "epoch", "stream", "seq"}
    assert said.json["reason"]
    text = typed("buffer", "verify", tmp_path / "line.yaml")
    assert text.code == 1
    assert text.out.startswith(f"NOT FINE at press-1/{bad['epoch']}/records seq 3: ")
    assert database.read_bytes() == content.replace(b"WO-1", b"WO-7")


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_verify_of_what_is_no_buffer(typed: Type, tmp_path: Path, content: bytes) -> None:
    buffer(tmp_path).write_bytes(content)
    said = typed("buffer", "verify", tmp_path / "line.yaml", "--json")
    assert said.code == 1
    assert said.json["ok"] is False
    assert "records.db" in said.json["reason"]


def test_verify_proves_telemetry_too(typed: Type, tmp_path: Path) -> None:
    folder = buffer(tmp_path).parent
    clock = FakeClock()
    outbox = Outbox(folder, "press-1", clock, context=lambda: header(clock), stream="telemetry")
    outbox.keep([b"one chunk", b"another chunk"]).result()
    outbox.close()
    said = typed("buffer", "verify", tmp_path / "line.yaml", "--json")
    assert said.json == {"ok": True, "records": 7, "tombstones": 0, "first_bad": None, "reason": None}
    database = folder / "telemetry.db"
    database.write_bytes(database.read_bytes().replace(b"another chunk", b"another_chunk"))
    said = typed("buffer", "verify", tmp_path / "line.yaml", "--json")
    assert (said.code, said.json["first_bad"]["stream"], said.json["first_bad"]["seq"]) == (1, "telemetry", 3)


def test_verify_of_a_buffer_that_is_not_there(typed: Type, tmp_path: Path) -> None:
    said = typed("buffer", "verify", write_line(tmp_path), "--json")
    assert (said.code, said.json["error"]["code"]) == (3, "unreachable")
    assert str(tmp_path / "buffer" / "records.db") in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "buffer").exists()


def test_a_line_without_buffer(typed: Type, tmp_path: Path) -> None:
    for word in ("verify", "show", "export"):
        said = typed("buffer", word, write_line(tmp_path, without="buffer"))
        assert said.code == 2
        assert "has no buffer" in said.err


def test_show_tells_what_waits(typed: Type, tmp_path: Path) -> None:
    buffer(tmp_path)
    said = typed("buffer", "show", tmp_path / "line.yaml", "--last", 2, "--json")
    assert (said.code, said.err) == (0, "")
    shown = said.json
    assert (shown["agent"], shown["records"], shown["pending"]) == ("press-1", 4, 4)
    assert [record["seq"] for record in shown["last"]] == ["3", "4"]
    assert json.loads(shown["last"][1]["body"])["data"]["params"]["order"] == "WO-2"
    text = typed("buffer", "show", tmp_path / "line.yaml", "--last", 1).out
    assert "pending       4, the oldest since " in text
    *_, head, body = text.splitlines()
    assert head == f"4  operations_event  {shown['last'][1]['hash']}"
    assert body == shown["last"][1]["body"]  # as it was stored: what a person copies is JSON


# -- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("chekc",), ("check",), ("buffer",), ("check", "--jsno", EXAMPLE)])
def test_what_is_no_command_is_a_usage_error(typed: Type, words: tuple[object, ...]) -> None:
    said = typed(*words)
    assert said.code == 2
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("run",),
        ("buffer", "verify"),
        ("buffer", "show"),
        ("buffer", "export"),
        ("scan",),
        ("decode",),
        ("read",),
        ("status",),
    ],
    ids=lambda words: " ".join(words),
)
def test_every_command_has_help_with_an_example(typed: Type, words: tuple[str, ...]) -> None:
    said = typed(*words, "--help")
    assert said.code == 0
    assert f"lotkeeper-edge {' '.join(words)}" in said.out


def test_a_fault_of_ours_is_said_without_a_traceback(typed: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path, **_advise: bool) -> None:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setattr(cli, "load_line", broken)
    said = typed("check", EXAMPLE)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: RuntimeError: something nobody thought of (a fault of Lotkeeper; --debug shows where)\n"
    )
    shown = typed("check", EXAMPLE, "--debug")
    assert (shown.code, "in broken" in shown.err) == (1, True)
