"""A new line PC takes over from one that is lost with its disk, whatever its machine stood at in the handshake.

The machine is libmodbus and the test its control program, so that nothing of ours answers for it. What it still
offers is recorded, since no record on the new PC has it; what it was answered before is not made up. Until
somebody signs on again the machine may not start, and the station's page says what is missing.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from edge_agent.outbox import export
from records.model import OperationRecord, decode
from tests.rigs.press import ACK, PressLine
from tests.rigs.uplinks import until

ANSWERED = ("station.after_ack:1", "station.after_done_falls:1")
"""The machine was answered and took done back before the PC was lost."""
MOMENTS = (
    "station.before_capture:1",
    "station.after_capture:1",
    "station.after_commit:1",
    *ANSWERED,
)

pytestmark = pytest.mark.timeout(240)


def lost_cycles(press: PressLine) -> list[int | None]:
    facts = [decode(e.kind, e.body or b"").data for e in export(press.agent.folder / "lost" / "records.db")]
    return [fact.cycle for fact in facts if isinstance(fact, OperationRecord)]


def missing(press: PressLine) -> list[str]:
    """What the station's page says that a start waits for."""
    found: list[str] = httpx.get(f"{press.url}/api/v1/status", timeout=30).json()["stations"][0]["missing"]
    return found


def test_a_new_pc_that_must_not_rely_on_an_old_word_of_holds_waits_for_central(tmp_path: Path) -> None:
    """Bug: with no word at all it took nothing to be held, and let the machine run before central was heard."""
    with PressLine(tmp_path) as press:
        text = press.agent.line.read_text()
        press.agent.line.write_text(text + "documents: {holds: {max_age: 2h, beyond: refuse}}\n")
        press.start()
        assert press.agent.sign_on("WO-1") == b"\x06"
        until(lambda: missing(press) == ["holds-not-known"])
        press.cycle(1, 10.0)
        until(lambda: press.agent.cycles("press") == [1])
        assert press.locks == (0, 0), "no machine is let run"
        page = httpx.get(press.url, timeout=30).text
        assert "Waiting for central&#39;s word of what quality holds." in page


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_new_pc_goes_on_with_the_machine_that_the_lost_one_left(tmp_path: Path, moment: str) -> None:
    with PressLine(tmp_path) as press:
        press.start(moment)
        press.ready()
        press.finish(1, 10.0)
        answered = moment in ANSWERED
        until(lambda: (answered and press.turn() and False) or not press.agent.alive)
        if answered:
            press.turn()
        assert press.locks[0] == 1, "the lost one's permit stands at the machine"
        press.agent.new_pc()

        press.start()
        until(press.turn, what="the machine is left in its handshake")
        until(lambda: press.locks == (0, 0), what="the lost one's permit is not taken away")
        assert press.agent.cycles("press") == ([] if answered else [1])
        assert all(run.order is None for run in press.agent.runs("press")), "nobody has named an order here"
        assert 1 in press.agent.cycles("press") + lost_cycles(press)
        until(lambda: missing(press) == ["order"])
        assert "order" in httpx.get(press.url, timeout=30).text

        press.ready()
        assert missing(press) == []
        press.cycle(2, 10.0, "C-2")
        until(lambda: press.agent.cycles("press")[-1:] == [2])
        assert press.agent.runs("press")[-1].order == "WO-1"
        assert press.register(ACK) == 0
