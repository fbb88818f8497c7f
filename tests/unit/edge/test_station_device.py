"""A machine that goes and comes back in the middle of a handshake, with its memory or without."""

from __future__ import annotations

import pytest

from edge_agent.events import Capture, Committed, DeviceBack, Event, Observed, Write, WriteDone
from edge_agent.station import Station
from edge_agent.station_state import Phase, State
from tests.unit.edge.stations import ASSEMBLE, NOW_US, captured, papers, station

DONE = Observed({"plc.done": True}, NOW_US, "id")
NOT_DONE = Observed({"plc.done": False}, NOW_US, "id")
ACKNOWLEDGE, TAKE_BACK = Write("plc.ack", True), Write("plc.ack", False)


def play(core: Station, state: State, *events: Event) -> tuple[State, list[object]]:
    """The state after these events, and what the last of them asks for beside the permit."""
    effects: list[object] = []
    for event in events:
        state, asked = core.step(state, event, papers())
        effects = [effect for effect in asked if not (isinstance(effect, Write) and effect.tag == "plc.permit")]
    return state, effects


TO_ANSWERING = (DONE, captured(7), Committed())
TO_WAITING = (*TO_ANSWERING, WriteDone("plc.ack"))
TO_RELEASING = (*TO_WAITING, NOT_DONE)


@pytest.mark.parametrize(
    ("before", "phase"),
    [(TO_ANSWERING, Phase.ANSWERING), (TO_WAITING, Phase.WAITING), (TO_RELEASING, Phase.RELEASING)],
)
def test_a_machine_that_forgot_is_not_acknowledged_for_what_it_did_not_say(
    before: tuple[Event, ...], phase: Phase
) -> None:
    core = station(ASSEMBLE)
    state, _ = play(core, core.open(None), *before)
    assert state.phase is phase
    state, effects = play(core, state, DeviceBack("plc"))
    assert (state.phase, state.done, effects) == (Phase.START, None, [])
    _, effects = play(core, state, NOT_DONE)
    assert effects == [TAKE_BACK]
    state, effects = play(core, state, DONE)
    assert [type(effect) for effect in effects] == [Capture]
    state, _ = play(core, state, captured(1))  # its count began anew
    state, effects = play(core, state, Committed())
    assert state.kept.last_cycle == 1
    assert effects == [ACKNOWLEDGE]


@pytest.mark.parametrize("before", [TO_ANSWERING, TO_WAITING])
def test_a_machine_that_remembers_is_acknowledged_and_not_recorded_again(before: tuple[Event, ...]) -> None:
    core = station(ASSEMBLE)
    state, _ = play(core, core.open(None), *before, DeviceBack("plc"), DONE)
    state, effects = play(core, state, captured(7))
    assert effects == [ACKNOWLEDGE]
    assert (state.phase, state.kept.last_cycle, state.after) == (Phase.ANSWERING, 7, None)


def test_another_device_that_comes_back_moves_nothing() -> None:
    core = station(ASSEMBLE)
    before, _ = play(core, core.open(None), *TO_WAITING)
    for other in ("plc2", "pl", "scanner"):
        after, effects = play(core, before, DeviceBack(other))
        assert (after.phase, after.done, effects) == (Phase.WAITING, True, [])
