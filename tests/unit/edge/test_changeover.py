"""A station goes over to other rules between two runs, never inside one, and takes what it knows with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge_agent.changeover import Changeover
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.events import Lift
from edge_agent.hold_view import hold_json
from edge_agent.holds import Cause, Hold
from edge_agent.runner import StationRunner
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Kept, as_json
from records.model import Data, Decision, Fact, Header, OperationsEvent
from tests.unit.edge.stations import ASSEMBLE, plain
from tests.unit.edge.test_runner import World, play, shows, until


def other(world: World, settings: dict[str, Any], *, anew: bool = True, **more: Any) -> Changeover:
    """Another configuration, ``new``, with these settings of the station."""
    torque = CharacteristicSettings.model_validate(
        {"tag": "plc.torque", "chart": "imr", "rules": ["nelson1"], "limits": {"from": "phase1", "subgroups": 5}}
    )
    station = Station("s", StationSettings.model_validate(settings), {"torque": torque})

    def fact(data: Data, name: str | None) -> Fact:
        world.made_by_new.append(data)
        return Fact(Header(0, 0, "suzhou", "valve-1", name, "test", "new"), data)

    return Changeover(station, world, fact, "new", anew, **more)


class Looked:
    """Whether the machine is lost, and how often the runner asked: it has looked at the change and left it."""

    def __init__(self) -> None:
        self.times, self.lost = 0, False

    def __call__(self) -> bool:
        self.times += 1
        return self.lost


async def begin_run(world: World, runner: StationRunner) -> None:
    shows(runner, done=False)
    await until(lambda: runner.status.phase == "idle")
    shows(runner, running=True)
    await until(lambda: "run-started" in world.codes())


async def run_cycle(world: World, runner: StationRunner, cycle: int) -> None:
    world.plc["cycle"] = cycle
    shows(runner, done=True)
    await until(lambda: runner.status.last_cycle == cycle and runner.status.phase == "waiting")
    shows(runner, done=False, running=False)
    await until(lambda: runner.status.phase in ("idle", "start"))  # start: it has gone over


def test_a_run_that_is_on_ends_by_what_it_began_with() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        await runner.post(plain("WO-1"))
        await begin_run(world, runner)
        looked = Looked()
        runner.change(other(world, ASSEMBLE | {"equipment": "ASM-02"}, lost=looked))
        await until(lambda: looked.times)
        assert runner.waits_to_change
        await runner.post(plain("B000001"))  # a scan meanwhile is nothing of the new one's
        await run_cycle(world, runner, 7)
        await until(lambda: not runner.waits_to_change)
        shows(runner, done=False)
        await until(lambda: runner.status.phase == "idle")
        await run_cycle(world, runner, 8)

    world = play(scene, configuration="old")
    first, second = world.records
    assert (first.equipment, second.equipment) == ("ASM-01", "ASM-02")
    assert (first.order, second.order) == ("WO-1", "WO-1")  # what it knew goes with it
    assert [person.id for person in second.people] == ["B000001"]
    assert first not in world.made_by_new
    assert second in world.made_by_new
    (told,) = [d for d in world.made_by_new if isinstance(d, OperationsEvent) and d.code == "station-configured"]
    assert told.params == {"was": "old", "now": "new", "charts": ["torque"]}
    assert "cycles-missed" not in world.codes()
    assert world.where("stored", first) < world.where("stored", told) < world.where("stored", second)


def test_a_run_that_is_not_stored_yet_keeps_the_station_as_it_is() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        world.hold = asyncio.Event()  # the commit of the run hangs
        world.plc["cycle"] = 7
        shows(runner, done=True)
        await until(lambda: world.count("asked"))
        looked = Looked()
        runner.change(other(world, ASSEMBLE, lost=looked))
        world.hold.set()
        await until(lambda: looked.times and runner.status.phase == "waiting")
        assert runner.waits_to_change
        shows(runner, done=False)
        await until(lambda: not runner.waits_to_change)

    world = play(scene)
    assert world.records[0] not in world.made_by_new


def test_a_machine_that_was_replaced_and_is_silent_keeps_nobody_waiting() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        looked = Looked()
        await begin_run(world, runner)
        runner.change(other(world, ASSEMBLE, lost=looked))
        await until(lambda: looked.times)
        assert runner.waits_to_change
        looked.lost = True
        await until(lambda: not runner.waits_to_change)
        await run_cycle(world, runner, 7)

    world = play(scene)
    (record,) = world.records
    assert record.resumed  # its beginning was seen by others


def test_a_machine_that_never_rests_is_changed_where_one_run_ends_and_the_next_begins() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        await begin_run(world, runner)
        runner.change(other(world, ASSEMBLE))
        world.plc["cycle"] = 7
        shows(runner, done=True)
        await until(lambda: runner.status.phase == "waiting")
        shows(runner, done=False, running=True)  # the next one runs already
        await until(lambda: not runner.waits_to_change)

    world = play(scene)
    assert world.codes().count("run-started") == 1
    assert world.records[0] not in world.made_by_new


def test_only_another_name_changes_nothing_of_what_is_known_of_the_machine() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: runner.status.phase == "idle")
        runner.change(other(world, ASSEMBLE, anew=False))
        await until(lambda: not runner.waits_to_change)
        assert runner.status.phase == "idle"
        await run_cycle(world, runner, 7)

    world = play(scene)
    assert world.records[0] in world.made_by_new


def permits(world: World) -> list[object]:
    return [said for name, said in world.log if name == "write" and said[0].endswith("permit")]  # type: ignore[index]


async def open_permit(world: World, runner: StationRunner) -> None:
    for text in ("WO-1", "B000001"):
        await runner.post(plain(text))
    await until(lambda: world.count("write", ("plc.permit", True)))


PERMIT = ASSEMBLE | {"permit": {"tag": "plc.permit", "needs": ["order", "operator"]}, "materials": []}


@pytest.mark.parametrize(
    ("settings", "more", "withdrawn"),
    [
        (PERMIT | {"equipment": "ASM-02"}, {}, False),
        (PERMIT | {"permit": {"tag": "plc.other_permit", "needs": ["order"]}}, {}, True),
        (PERMIT | {"permit": None}, {}, True),
        (PERMIT, {"replaced": ("plc",)}, True),
    ],
)
def test_a_machine_is_not_left_with_a_permit_that_nobody_keeps(
    settings: dict[str, Any], more: dict[str, Any], withdrawn: bool
) -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        await open_permit(world, runner)
        runner.change(other(world, settings, **more))
        await until(lambda: not runner.waits_to_change)

    world = World()
    play(scene, world, PERMIT)
    told = permits(world)
    assert (("plc.permit", False) in told[told.index(("plc.permit", True)) :]) is withdrawn


def test_a_station_that_leaves_takes_its_permit_away_and_ends() -> None:
    left: list[str] = []

    async def scene(world: World, runner: StationRunner) -> None:
        await open_permit(world, runner)
        change = other(world, PERMIT, done=lambda: left.append("left"))
        runner.change(Changeover(None, change.plant, change.fact, "new", True, done=change.done))
        await until(lambda: left)

    world = World()
    play(scene, world, PERMIT)
    assert permits(world)[-1] == ("plc.permit", False)


# -- the tag of a hold -------------------------------------------------------------------------------------

HOLD = ASSEMBLE | {"hold": {"tag": "plc.hold"}}
OTHER_HOLD = ASSEMBLE | {"hold": {"tag": "plc.stop", "value": False}}
NO_HOLD = ASSEMBLE | {"hold": None}
SPARE = Hold("h-1", "hold_station", Cause("force", "product=VS-100", "nelson1"), 3, 1, "WO-1", points=1)
"""A hold for a characteristic that no line file of these tests has."""


def held_world(**more: Any) -> World:
    """A world whose station was held when it was last there."""
    world = World()
    world.kept["station/s"] = as_json(Kept(holds=(SPARE,), configuration="old", **more))
    return world


def of_hold(world: World) -> list[object]:
    return [said for name, said in world.log if name == "write" and said[0] in ("plc.hold", "plc.stop")]  # type: ignore[index]


def left(world: World) -> list[dict[str, Any]]:
    return [
        said.params for _, said in world.log if isinstance(said, OperationsEvent) and said.code == "hold-tag-left"
    ]


@pytest.mark.parametrize(
    ("settings", "told", "now"),
    [
        (OTHER_HOLD, [("plc.hold", True), ("plc.stop", False), ("plc.hold", False)], "plc.stop"),
        (NO_HOLD, [("plc.hold", True), ("plc.hold", False)], None),
        (HOLD | {"equipment": "ASM-02"}, [("plc.hold", True), ("plc.hold", True)], "-"),
    ],
)
def test_a_hold_s_tag_that_another_file_leaves_is_taken_back_once_the_new_one_holds(
    settings: dict[str, Any], told: list[object], now: str | None
) -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        runner.change(other(world, settings))
        await until(lambda: not runner.waits_to_change)
        shows(runner, done=False)
        await until(lambda: len(of_hold(world)) == len(told) and (now == "-" or left(world)))
        assert runner.holds == (SPARE,)

    world = held_world()
    play(scene, world, HOLD, "old")
    assert of_hold(world) == told
    expected = {"tag": "plc.hold", "now": now, "left_set": False, "error": None}
    assert left(world) == ([] if now == "-" else [expected])


def test_a_new_lock_that_fails_leaves_the_old_one_until_it_stands() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        world.unwritten["plc.stop"] = 2
        runner.change(other(world, OTHER_HOLD))
        await until(lambda: left(world))

    world = held_world()
    play(scene, world, HOLD, "old")
    assert of_hold(world) == [("plc.hold", True), *[("plc.stop", False)] * 3, ("plc.hold", False)]


def test_a_tag_that_only_the_old_devices_have_is_taken_back_before_they_go() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        world.taken.add("plc.hold")
        runner.change(other(world, OTHER_HOLD))
        await until(lambda: not runner.waits_to_change)

    world = held_world()
    play(scene, world, HOLD, "old")
    assert of_hold(world)[:3] == [("plc.hold", True), ("plc.stop", False), ("plc.hold", False)]
    assert left(world) == [{"tag": "plc.hold", "now": "plc.stop", "left_set": False, "error": None}]


def test_a_tag_that_cannot_be_taken_back_is_said_to_be_left() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        world.taken.add("plc.hold")
        world.unwritten["plc.hold"] = 1
        runner.change(other(world, NO_HOLD))
        await until(lambda: left(world))

    world = held_world()
    play(scene, world, HOLD, "old")
    (params,) = left(world)
    assert (params["left_set"], params["error"]) == (True, "plc.hold: the PLC holds another value")


@pytest.mark.parametrize("gone", [True, False])
def test_a_start_by_a_file_with_another_tag_takes_the_old_one_back_too(gone: bool) -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: left(world) and runner.status.phase == "idle")

    world = held_world(hold_tag=("plc.hold", True))
    if gone:
        world.taken.add("plc.hold")
    play(scene, world, OTHER_HOLD, "new")
    assert of_hold(world) == [("plc.stop", False), *([] if gone else [("plc.hold", False)])]
    assert [params["left_set"] for params in left(world)] == [gone]
    play(scene, world, OTHER_HOLD, "new")
    assert len(left(world)) == 1


def test_a_station_that_leaves_while_it_is_held_takes_its_tag_back() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        change = other(world, HOLD)
        runner.change(Changeover(None, change.plant, change.fact, "new", anew=True))
        await until(lambda: left(world))

    world = held_world()
    play(scene, world, HOLD, "old")
    assert of_hold(world)[-1] == ("plc.hold", False)


def test_a_hold_outlives_its_characteristic_says_what_it_was_for_and_is_lifted_all_the_same() -> None:
    async def scene(world: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: of_hold(world))
        runner.change(other(world, HOLD | {"equipment": "ASM-02"}))
        await until(lambda: not runner.waits_to_change)
        (held,) = runner.status.holds
        told = hold_json(held)
        assert (told["characteristic"], told["stream"], told["subgroup"]) == ("force", "product=VS-100", 3)
        assert told["says"] == "one point beyond a control limit"
        assert "hold" in runner.status.missing
        reply = await runner.act(lambda number: Lift(number, "h-1", "B000001", "tool changed"))
        assert reply.refused is None
        await until(lambda: of_hold(world)[-1] == ("plc.hold", False))

    world = held_world()
    play(scene, world, HOLD, "old")
    (decision,) = [said for _, said in world.log if isinstance(said, Decision)]
    assert decision.old == {
        "hold": "h-1",
        "characteristic": "force",
        "stream": "product=VS-100",
        "subgroup": 3,
        "rule": "nelson1",
    }
    assert decision.order == "WO-1"


def test_a_start_by_another_configuration_says_so_once() -> None:
    async def scene(_: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: runner.status.phase == "idle")

    world = World()
    for hash_ in ("old", "old", "new"):
        play(scene, world, configuration=hash_)
    told = [said for _, said in world.log if isinstance(said, OperationsEvent)]
    assert [event.params for event in told] == [{"was": "old", "now": "new", "charts": []}]


def test_a_start_by_other_rules_names_the_charts_that_begin_anew_and_keeps_that() -> None:
    async def one_run(world: World, runner: StationRunner) -> None:
        await runner.post(plain("WO-1"))
        await begin_run(world, runner)
        await run_cycle(world, runner, 7)

    async def scene(_: World, runner: StationRunner) -> None:
        shows(runner, done=False)
        await until(lambda: runner.status.phase == "idle")

    world = play(one_run, World(), configuration="old")
    (name,) = [key for key in world.kept if key.startswith("charts/s/torque?")]
    kept: Any = world.kept[name]
    assert kept["state"]["segment"] == 1
    kept["judged_by"]["rules"] = ["nelson2"]  # as the old file had it
    play(scene, world, configuration="new")
    told = [said for _, said in world.log if isinstance(said, OperationsEvent)]
    assert told[-1].params == {"was": "old", "now": "new", "charts": ["torque"]}
    after: Any = world.kept[name]
    assert after["state"]["segment"] == 2
