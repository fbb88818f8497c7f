"""What a buffer's caps mean in hours: telemetry by the polls of the line file, records by the rate of late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_agent.buffer_lasts import rate, records_last, telemetry_lasts
from edge_agent.outbox.fill import Fill
from edge_agent.settings import Buffer
from edge_agent.sizes import GIB, MIB
from records.clock import SystemClock
from tests.rigs.fake_device import opcua
from tests.rigs.outboxes import AGENT, batch, open_outbox
from tests.unit.edge.test_agent_app import write_line
from tests.unit.typing_commands import Type


def buffer(**more: Any) -> Buffer:
    return Buffer(path=Path("buffer"), **more)


def filled(rate: float) -> Fill:
    return Fill(GIB, 0, 0, 0, GIB, rate, None)


def test_telemetry_is_reckoned_from_the_polls_of_the_line_file() -> None:
    fast = {"plc": opcua([{"name": f"t{n}"} for n in range(100)], poll_interval="100ms")}
    found = rate(fast, buffer())
    assert 36_000 * 808 < found.whole < 1.25 * 36_000 * 808
    assert found.whole / found.thinned > 10
    assert rate(fast, buffer(telemetry_bucket="10s")).thinned > 2 * found.thinned
    words = telemetry_lasts(fast, buffer(), 5 * GIB) or ""
    assert "about 5 days without central as they are read; then the extremes of each 60 s" in words
    slow = {"plc": opcua([{"name": "a"}, {"name": "b", "mode": "subscribe"}], poll_interval="60s")}
    words = telemetry_lasts(slow, buffer(), 8 * MIB) or ""
    assert "(1 tags that their servers tell by themselves not counted)" in words
    assert "extremes save no room" in words
    assert telemetry_lasts({"plc": opcua([{"name": "a", "role": "record"}])}, buffer(), GIB) is None


def test_records_are_held_against_keep_acknowledged() -> None:
    words, enough = records_last(buffer(), 20 * GIB, None)
    assert enough
    assert "(14 days) up to about 25565 records an hour" in words
    assert records_last(buffer(), 20 * GIB, filled(10 * MIB))[1]
    words, enough = records_last(buffer(), GIB, filled(10 * MIB))
    assert not enough
    assert "1.0 GiB of records hold only about 4 days" in words
    assert "records_max would have to be 3.3 GiB" in words
    assert "as soon as central has them" in records_last(buffer(keep_acknowledged="0s"), GIB, None)[0]


def test_check_says_so_of_the_buffer_that_is_there(typed: Type, tmp_path: Path) -> None:
    file = write_line(tmp_path)
    assert "keep_acknowledged" not in typed("check", file).out, "no folder: another PC"
    (tmp_path / "buffer").mkdir()
    assert "hold keep_acknowledged (14 days) up to about" in typed("check", file).out
    outbox = open_outbox(tmp_path / "buffer", SystemClock(), agent=AGENT)
    for number in range(50):
        outbox.commit(batch(number)).result()
    outbox.close()
    file.write_text(file.read_text().replace("{path: buffer}", "{path: buffer, records_max: 8MiB}"))
    said = typed("check", file)
    assert said.code == 0
    assert "warning: keep_acknowledged is 14 days, but 8.0 MiB of records hold only about" in said.err
