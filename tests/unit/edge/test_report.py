"""What the page and ``status`` say of a machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from drivers.poll import PollMeter
from edge_agent.report import DETAIL_CHARACTERS, _device, _params, _told
from records.clock import SystemClock
from records.model import OperationsEvent, Quality, Reading
from tests.rigs.fake_device import FakeDevice, opcua


def test_what_was_last_read_of_a_machine_that_is_away_is_no_value() -> None:
    device = FakeDevice("plc", opcua([{"name": "told"}, {"name": "read"}, {"name": "none"}]), SystemClock())
    good = Reading("plc.x", 1.5, None, "float64", Quality.GOOD, "Good", None, None, 5_000_000)
    supervisor = SimpleNamespace(
        device=device,
        latest=lambda: {"told": good},
        meter=PollMeter(),
        connected=True,
        error=None,
        trouble=None,
        seen_us=0,
    )

    def said() -> list[tuple[object, object, object]]:
        line = cast(Any, SimpleNamespace(devices={}))
        found: Any = _device(line, "plc", cast(Any, supervisor), 9_000_000, {"plc.read": good})
        return [(tag["value"], tag["status"], tag["age_s"]) for tag in found["tags"]]

    assert said() == [(1.5, "Good", 4.0), (1.5, "Good", 4.0), (None, None, None)]
    supervisor.connected = False
    assert said() == [(None, "BadNotConnected", 4.0), (None, "BadNotConnected", 4.0), (None, None, None)]


def test_an_event_in_a_few_words_says_where_it_was_cut() -> None:
    signal = {"characteristic": "torque", "stream": "", "rule": "nelson1", "points": 1}
    short = _told(_params(OperationsEvent("spc-signal", signal)))
    assert short is not None
    assert ("stream" in short, short.endswith("…")) == (False, False)  # a chart without keys has no stream to tell
    long = _told(_params(OperationsEvent("spc-signal", signal | {"stream": "product=" + "A" * 200})))
    assert long is not None
    assert (len(long), long.endswith("A…")) == (DETAIL_CHARACTERS, True)
