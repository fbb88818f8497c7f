"""A station that the line file has no more: what it leaves open is told once, whoever removed it and when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_agent.changeover import Changeover
from edge_agent.chart_memory import ChartMemory, changes, read_memory
from edge_agent.configuration import Committed
from edge_agent.holds import Cause, Hold
from edge_agent.leaving import last_words
from edge_agent.outbox import Batch, export
from edge_agent.runner import StationRunner
from edge_agent.settings import load_line
from edge_agent.software import software
from edge_agent.station_state import Kept, as_json, charts_key, read_kept, stored
from records.keys import SigningKey
from records.model import Data, OperationsEvent, decode
from tests.rigs.outboxes import make_identity, open_outbox
from tests.unit.edge.stations import ASSEMBLE
from tests.unit.edge.test_agent_app import events as events_of
from tests.unit.edge.test_agent_app import run, write_line
from tests.unit.edge.test_changeover import HOLD, NO_HOLD, held_world, of_hold, other
from tests.unit.edge.test_runner import World, play, shows, until
from tests.unit.edge.test_station_charts import bench, events

HELD = Kept(holds=(Hold("h-1", "hold_station", Cause("force", None, "nelson1"), 3, 1, "WO-1"),))
SUBGROUPS = {"chart": "xbar_r", "subgroup": 3, "limits": {"from": "phase1", "subgroups": 5}}


def with_an_open_subgroup() -> ChartMemory:
    """Two readings of three, beside a chart that has nothing open."""
    at = bench(torque=SUBGROUPS, single={"chart": "imr"})
    at.cycle(1, carrier="C-1")
    at.cycle(2, carrier="C-2")
    assert events(at, "spc-subgroup") == []
    return at.state.charts


def codes(facts: tuple[Data, ...]) -> list[str]:
    return [fact.code for fact in facts if isinstance(fact, OperationsEvent)]


def test_an_open_subgroup_names_its_pieces_once_and_limits_stay() -> None:
    charts = with_an_open_subgroup()
    words = last_words("s", Kept(), charts)
    assert words is not None
    (given_up,) = words.facts
    assert isinstance(given_up, OperationsEvent)
    assert (given_up.code, given_up.params["closed_by"], len(given_up.subjects)) == ("spc-subgroup", "restart", 2)
    place = charts_key("s")
    (changed,) = [key for key in words.states if key.startswith(place)]
    before = {place + name: value for name, value in changes(ChartMemory(), charts).items()}
    after = {**before, changed: words.states[changed]}
    left = read_memory({key.removeprefix(place): value for key, value in after.items()})
    name = changed.removeprefix(place)
    assert left.streams[name].state.open_refs == ()
    assert left.streams[name].judged_by == charts.streams[name].judged_by  # it goes on from there
    assert left.streams[name].state.segment == charts.streams[name].state.segment + 1
    assert last_words("s", read_kept("s", words.states["station/s"]), left) is None


def test_a_held_station_without_a_lock_is_told_once() -> None:
    words = last_words("s", HELD, ChartMemory())
    assert words is not None
    assert codes(words.facts) == ["hold-locks-nothing"]
    assert last_words("s", read_kept("s", words.states["station/s"]), ChartMemory()) is None
    assert last_words("s", Kept(), ChartMemory()) is None


@pytest.mark.parametrize(
    ("settings", "told"), [(NO_HOLD | {"permit": None}, 1), (NO_HOLD, 0), (HOLD | {"permit": None}, 0)]
)
def test_another_line_file_without_a_lock_says_so_while_the_station_is_held(
    settings: dict[str, Any], told: int
) -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        for equipment in ("ASM-03", "ASM-04"):
            runner.change(other(world, settings | {"equipment": equipment}))
            await until(lambda: not runner.waits_to_change)

    world = held_world()
    play(scene, world, HOLD, "old")
    assert world.codes().count("hold-locks-nothing") == told


def test_a_station_that_leaves_tells_what_it_leaves_open() -> None:
    left: list[str] = []

    async def scene(world: World, runner: StationRunner) -> None:
        change = other(world, ASSEMBLE, done=lambda: left.append("left"))
        runner.change(Changeover(None, change.plant, change.fact, "new", True, done=change.done))
        await until(lambda: left)

    world = held_world()
    world.kept |= stored("s", as_json(HELD), changes(ChartMemory(), with_an_open_subgroup()))
    play(scene, world, ASSEMBLE, "old")
    assert world.codes().count("hold-locks-nothing") == 1
    assert world.codes().count("spc-subgroup") == 1


def test_a_station_that_was_removed_while_no_agent_ran_is_heard_at_the_next_start(tmp_path: Path) -> None:
    make_identity(tmp_path / "identity", SigningKey.generate())
    write_line(tmp_path)
    outbox = open_outbox(tmp_path / "buffer")
    states = stored("old press", as_json(HELD), changes(ChartMemory(), with_an_open_subgroup()))
    outbox.commit(Batch((), states)).result()
    outbox.close()
    for _ in range(2):
        run(tmp_path, lambda agent, _: agent.outbox.state("station/press") is not None)
    found = [decode(e.kind, e.body or b"") for e in export(tmp_path / "buffer" / "records.db")]
    told = [fact for fact in found if fact.header.station == "old press"]
    assert codes(tuple(fact.data for fact in told)) == ["spc-subgroup", "hold-locks-nothing"]


def test_a_station_that_left_is_heard_over_a_full_buffer_and_ends_no_agent(tmp_path: Path) -> None:
    """Bug: what it had to say found no room, which ended the agent at each start."""
    make_identity(tmp_path / "identity", SigningKey.generate())
    file = write_line(tmp_path)
    file.write_text(file.read_text().replace("{path: buffer}", "{path: buffer, records_max: 1B}"))
    outbox = open_outbox(tmp_path / "buffer")
    known = Committed(outbox, software()).with_(load_line(file).hash)  # by which it ran before
    states = stored("old press", as_json(HELD), changes(ChartMemory(), with_an_open_subgroup()))
    outbox.commit(Batch((), {**known, **states})).result()
    outbox.close()
    run(tmp_path, lambda *_: any(event.code == "hold-locks-nothing" for event in events_of(tmp_path)))
    assert [event.code for event in events_of(tmp_path)].count("hold-locks-nothing") == 1
