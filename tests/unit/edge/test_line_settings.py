"""The line file: what its parts say wrong of each other, each with place and hint; paths; the examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.settings import load_line
from records.errors import ConfigurationError, Problem

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "config" / "lines").glob("*.yaml"))

LINE = """\
agent: press-1
site: suzhou
line: valve-1
devices:
  plc:
    driver: opcua
    endpoint: opc.tcp://127.0.0.1:4840
    security: {policy: None, allow_insecure: true}
    tags:
      - {name: done, node_id: "ns=2;s=D", data_type: bool}
      - {name: ack, node_id: "ns=2;s=A", data_type: bool, access: write}
      - {name: cycle, node_id: "ns=2;s=C", data_type: uint32}
      - {name: carrier, node_id: "ns=2;s=R", data_type: string}
      - {name: curve, node_id: "ns=2;s=F", data_type: "float64[]"}
      - {name: torque, node_id: "ns=2;s=T", data_type: float64}
      - {name: permit, node_id: "ns=2;s=P", data_type: bool, access: write}
      - {name: spare, node_id: "ns=2;s=X", data_type: float64}
  scanner: {driver: serial_scanner, port: /dev/ttyUSB0}
stations:
  seal:
    equipment: PRESS-01
    operation: OP10
    order: {scan: scanner, pattern: "WO-.*"}
    operator: {scan: scanner, pattern: "B[0-9]{6}"}
    trigger: {tag: plc.done, acknowledge: plc.ack, cycle: plc.cycle}
    permit: {tag: plc.permit, needs: [order, operator]}
    subject: {kind: carrier, tag: plc.carrier}
    capture: [plc.torque]
    counters: {total: plc.cycle}
characteristics:
  torque: {tag: plc.torque, specification: {lsl: 1, usl: 2}}
uplink: {broker: "mqtt://127.0.0.1:1883", identity: keys/identity}
buffer: {path: data/buffer}
"""


def problems(folder: Path, *changes: tuple[str, str]) -> tuple[Problem, ...]:
    """Every problem of the line with these texts replaced."""
    text = LINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / "line.yaml"
    file.write_text(text)
    try:
        load_line(file)
    except ConfigurationError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_fine(file: Path) -> None:
    loaded = load_line(file, advise=True)
    assert loaded.warnings == ()
    assert loaded.value.stations


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


def test_the_line_of_these_tests_is_fine(tmp_path: Path) -> None:
    assert problems(tmp_path) == ()


@pytest.mark.parametrize(
    ("old", "new", "path", "at", "message", "hint"),
    [
        ("tag: plc.done", "tag: plc.dona", "trigger.tag", "plc.dona", "no device has a tag", "plc.done"),
        ("acknowledge: plc.ack", "acknowledge: plc.cycle", "trigger.acknowledge", "plc.cycle, cycle", "read only",
         "access: write"),
        ("cycle: plc.cycle}", "cycle: plc.cylce}", "trigger.cycle", "plc.cylce", "no device has", "plc.cycle"),
        ("cycle: plc.cycle}", "cycle: plc.carrier}", "trigger.cycle", "plc.carrier}", "is no number", "count"),
        ("cycle: plc.cycle}", "cycle: plc.cycle, running: plc.run}", "trigger.running", "plc.run}",
         "no device has", "plc."),
        ("permit: {tag: plc.permit", "permit: {tag: plc.done", "permit.tag", "plc.done, needs", "read only",
         "access: write"),
        ("tag: plc.carrier", "tag: other.carrier", "subject.tag", "other.carrier", "no device has",
         "plc.carrier"),
        ("capture: [plc.torque]", "capture: [plc.torque, plc.tork]", "capture.1", "plc.tork]", "no device has",
         "plc.torque"),
        ("{total: plc.cycle}", "{total: plc.nothing-like-it}", "counters.total", "plc.nothing", "no device has",
         "known here: plc.done"),
        ("{total: plc.cycle}", "{total: plc.curve}", "counters.total", "plc.curve", "is no number", "count"),
        ("order: {scan: scanner", "order: {scan: scaner", "order.scan", "scaner,", "is no scanner", "scanner"),
        ("operator: {scan: scanner", "operator: {scan: plc", "operator.scan", "plc, pattern", "is no scanner",
         "scanner"),
        ("subject: {kind: carrier, tag: plc.carrier}", 'subject: {kind: unit, scan: beeper, ai: "21"}',
         "subject.scan", "beeper", "is no scanner", "known here: scanner"),
        ("    capture:", "    result: {tag: plc.ok, pass: 1}\n    capture:", "result.tag", "plc.ok",
         "no device has", "plc.ack"),
        ("    capture:", "    purpose: {tag: plc.mod, values: {1: rework}}\n    capture:", "purpose.tag",
         "plc.mod", "no device has", "plc.done"),
        ("{tag: plc.torque, spec", "{tag: plc.tork, spec", "torque.tag", "plc.tork,", "no device has",
         "plc.torque"),
        ("{tag: plc.torque, spec", "{tag: plc.curve, spec", "torque.tag", "plc.curve,", "is no number",
         "one number"),
        ("{tag: plc.torque, spec", "{tag: plc.spare, spec", "torque.tag", "plc.spare,", "no station captures",
         "capture:"),
        ('"mqtt://127.0.0.1:1883', '"mqtt://central.plant:1883', "uplink.broker", '"mqtt:', "this machine",
         "mqtts://"),
        ('"mqtt://127.0.0.1:1883', '"central.plant:1883', "uplink.broker", '"central.plant', "no address",
         "mqtts://"),
        ("agent: press-1", "agent: central", "agent", "central", "central itself", "another name"),
        ("line: valve-1", 'line: "valve\\e[2J"', "line", '"valve', "cannot be shown", "in one row"),
        ("line: valve-1", "line: valve-1\ntime_zone: Asia/Shangai", "time_zone", "Asia/Shangai", "no IANA",
         "Asia/Shanghai"),
    ],
)  # fmt: skip
def test_what_the_parts_say_wrong_of_each_other_has_place_and_hint(
    tmp_path: Path, old: str, new: str, path: str, at: str, message: str, hint: str
) -> None:
    changed = LINE.replace(old, new, 1)
    place = changed.index(at, changed.index(new))
    line = changed.count("\n", 0, place) + 1
    col = place - changed.rfind("\n", 0, place)
    file = tmp_path / "line.yaml"
    file.write_text(changed)
    with pytest.raises(ConfigurationError) as caught:
        load_line(file)
    found = [p for p in caught.value.problems if p.path.endswith(path)]
    assert len(found) == 1, caught.value.problems
    assert (found[0].file, found[0].line, found[0].col) == (str(file), line, col)
    assert message in found[0].message
    assert hint in (found[0].hint or "")


LABELLED = """\
schemes:
  plant: "(?P<di>VS)(?P<lot>[0-9]{4})(?P<serial>[0-9]{4})"
stations:
  label:
    equipment: LABEL-01
    operation: OP30
    order: {scan: scanner, field: lot}
    trigger: {tag: plc.done}
    subject: {kind: unit, scan: scanner, scheme: plant, field: serial,
              products: [{item: VS-100, match: {di: VS}}]}
"""


@pytest.mark.parametrize(
    ("old", "new", "path", "message", "hint"),
    [
        ("scheme: plant", "scheme: plan", "scheme", "no scheme 'plan'", "plant"),
        ("?P<serial>", "?P<number>", "scheme", "no group 'serial'", "(?P<serial>...)"),
        ("?P<di>", "?:", "scheme", "no group 'di'", "(?P<di>...)"),
        ("  plant:", "  gs1:", "gs1", "gs1 is known already", "another name"),
        ("scheme: plant, field: serial", "scheme: hibc, field: lot", "field", "by its serial", "field: serial"),
        ("(?P<di>", "((?P<di>", "schemes.plant", "no regular expression", None),
    ],
)
def test_a_scheme_gives_what_its_stations_need(
    tmp_path: Path, old: str, new: str, path: str, message: str, hint: str | None
) -> None:
    text = LABELLED.replace(old, new)
    found = problems(tmp_path, ("stations:\n", text))
    assert any(
        p.path.endswith(path) and message in p.message and (hint is None or hint in (p.hint or "")) for p in found
    ), found
    assert problems(tmp_path, ("stations:\n", LABELLED)) == ()


def test_all_of_them_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ("tag: plc.done", "tag: plc.dona"),
        ("capture: [plc.torque]", "capture: [plc.tork]"),
        ("order: {scan: scanner", "order: {scan: scaner"),
    )
    assert [p.path for p in found] == [
        "stations.seal.order.scan",
        "stations.seal.trigger.tag",
        "stations.seal.capture.0",
        "characteristics.torque.tag",  # nothing captures it any more
    ]
    assert [p.line for p in found] == sorted(p.line for p in found)


def test_a_wrong_permit_or_interval_hides_nothing_else(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ("needs: [order, operator]", "needs: [order, tool]"),
        ("capture: [plc.torque]", "capture: [plc.tork]"),
        ("driver: opcua\n", "driver: opcua\n    poll_interval: 200\n"),
    )
    assert [p.path for p in found] == [
        "devices.plc.poll_interval",
        "stations.seal.permit.needs.1",
        "stations.seal.capture.0",
        "characteristics.torque.tag",
    ]


def test_a_line_whose_devices_are_all_wrong_is_not_told_to_have_none(tmp_path: Path) -> None:
    found = problems(tmp_path, (LINE[LINE.index("stations:") :], ""), ("driver: opcua", "driver: opcau"))
    assert [p.path for p in found] == ["devices.plc.driver"]
    alone = LINE[: LINE.index("devices:")] + "devices:\n  plc: {driver: opcau}\n"
    (tmp_path / "line.yaml").write_text(alone)
    with pytest.raises(ConfigurationError) as caught:
        load_line(tmp_path / "line.yaml")
    assert [p.path for p in caught.value.problems] == ["devices.plc.driver"]


def test_a_station_may_be_called_like_a_key(tmp_path: Path) -> None:
    assert problems(tmp_path, ("  seal:", "  counters:")) == ()


def test_devices_alone_are_a_line_file(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE[: LINE.index("stations:")])
    line = load_line(file).value
    assert (line.stations, line.uplink, line.buffer, line.time_zone) == ({}, None, None, "UTC")
    assert list(line.scanners) == ["scanner"]
    assert line.tag("plc.torque") is not None
    assert line.tag("plc.tork") is None
    assert line.tag("torque") is None


def test_relative_paths_start_at_the_files_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    (folder / "line.yaml").write_text(LINE)
    monkeypatch.chdir(tmp_path)
    line = load_line(Path("lines") / "line.yaml").value
    assert line.buffer is not None
    assert line.uplink is not None
    assert line.buffer.path == folder / "data" / "buffer"
    assert line.uplink.identity == folder / "keys" / "identity"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE.replace("data/buffer", str(tmp_path / "elsewhere")))
    line = load_line(file).value
    assert line.buffer is not None
    assert line.buffer.path == tmp_path / "elsewhere"


def test_the_hash_is_that_of_the_very_bytes(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(LINE)
    before = load_line(file).hash
    file.write_text(LINE + "# a comment is a change too\n")
    assert load_line(file).hash != before


def test_what_is_required_is_said(tmp_path: Path) -> None:
    file = tmp_path / "line.yaml"
    file.write_text("line: valve-1\n")
    with pytest.raises(ConfigurationError) as caught:
        load_line(file)
    assert {p.path for p in caught.value.problems} == {"agent", "site", "devices"}


def test_a_list_that_lacks_items_is_told_in_words_with_what_may_stand_there(tmp_path: Path) -> None:
    """Bug: "Tuple should have at least 1 item after validation"."""
    (problem,) = problems(tmp_path, ("needs: [order, operator]", "needs: []"))
    assert problem.message == "at least 1 item must stand here, found none"
    assert problem.hint == "known here: order, operator, route, material, subject"
