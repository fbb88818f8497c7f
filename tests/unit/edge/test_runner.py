"""The rim around a station: commit before answer, failures tried again at a measured pace, nothing in between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue
from structlog.testing import capture_logs

from edge_agent import runner
from edge_agent.events import Answer, DeviceBack, Lift
from edge_agent.holds import Cause, Hold
from edge_agent.outbox import Batch, export
from edge_agent.runner import StationRunner
from edge_agent.station_state import Kept, as_json
from records.clock import SystemClock
from records.errors import Damaged, Refused, StorageFailed, Unreachable
from records.model import Data, Fact, Header, OperationRecord, OperationsEvent, Reading, decode
from tests.rigs.outboxes import open_outbox
from tests.unit.edge.stations import ASSEMBLE, captured, papers, plain, reading, station

LIMIT_S = 20.0


class World:
    """Plant and outbox of one station, which write down what happens, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self.plc: dict[str, JsonValue] = {"done": False, "running": False}
        self.unread = 0
        self.still_done = True
        self.moves_on = 0
        self.shown: dict[str, JsonValue] = {}
        self.unwritten: dict[str, int] = {}
        self.taken: set[str] = set()
        self.full = 0
        self.kept: dict[str, JsonValue] = {}
        self.hold: asyncio.Event | None = None
        self.made_by_new: list[Data] = []

    # the plant
    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        self.log.append(("read" if "plc.carrier" in tags else "look again", None))
        if self.unread > 0:
            self.unread -= 1
            raise Unreachable("plc (10.0.0.5): no answer")
        shown = dict(captured(int(str(self.plc["cycle"]))).readings)
        shown["plc.done"] = reading("plc.done", self.still_done)
        if self.moves_on and "plc.carrier" in tags:
            self.moves_on -= 1
            self.plc["cycle"] = int(str(self.plc["cycle"])) + 1  # while the values were on their way
        shown |= {tag: reading(tag, value) for tag, value in self.shown.items()}
        return {tag: shown.get(tag) or reading(tag, None) for tag in tags}

    async def write(self, tag: str, value: bool) -> None:
        self.log.append(("write", (tag, value)))
        if self.unwritten.get(tag, 0) > 0:
            self.unwritten[tag] -= 1
            raise Refused(f"{tag}: the PLC holds another value")

    def may_free(self, tag: str) -> bool:
        return tag not in self.taken

    # the outbox
    def commit(self, batch: Batch) -> Future[list[Any]]:
        self.log.append(("asked", [type(fact.data) for fact in batch.facts]))
        stored: Future[list[Any]] = Future()
        if self.full > 0:
            self.full -= 1
            stored.set_exception(Refused("the buffer is full"))
        elif self.hold is None:
            self._store(batch, stored)
        else:
            asyncio.get_running_loop().create_task(self._later(batch, stored, self.hold))
        return stored

    async def _later(self, batch: Batch, stored: Future[list[Any]], hold: asyncio.Event) -> None:
        await hold.wait()
        self._store(batch, stored)

    def _store(self, batch: Batch, stored: Future[list[Any]]) -> None:
        self.kept.update(batch.state)
        for fact in batch.facts:
            self.log.append(("stored", fact.data))
        stored.set_result([])

    def state(self, key: str) -> JsonValue:
        return self.kept.get(key)

    def states(self, prefix: str) -> dict[str, JsonValue]:
        return {key[len(prefix) :]: value for key, value in self.kept.items() if key.startswith(prefix)}

    def prior_runs(self, order: str | None, name: str, subject: str) -> int:
        return 0

    # what is asked
    def fact(self, data: Data, name: str | None) -> Fact:
        return Fact(Header(0, 0, "suzhou", "valve-1", name, "test", None), data)

    def answer(self, answer: Answer) -> None:
        self.log.append(("answer", answer.accepted))

    def count(self, what: str, which: object = None) -> int:
        return sum(1 for name, said in self.log if name == what and which in (None, said))

    @property
    def records(self) -> list[OperationRecord]:
        return [said for _, said in self.log if isinstance(said, OperationRecord)]

    def codes(self) -> list[str]:
        return [said.code for _, said in self.log if isinstance(said, OperationsEvent)]

    def where(self, what: str, which: object) -> int:
        return next(n for n, (name, said) in enumerate(self.log) if name == what and said == which)


def make(
    world: World, settings: dict[str, JsonValue] = ASSEMBLE, configuration: str | None = None
) -> StationRunner:
    core = station(settings)
    return StationRunner(
        core,
        world,
        world,  # type: ignore[arg-type]
        papers,
        world.fact,
        world.answer,
        SystemClock(),
        lambda _: None,
        configuration=configuration,
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.002)


def play(
    scene: Callable[[World, StationRunner], Awaitable[None]],
    world: World | None = None,
    settings: dict[str, JsonValue] = ASSEMBLE,
    configuration: str | None = None,
) -> World:
    """Run a station while the scene happens; an error of the station ends both."""

    async def all_of_it() -> World:
        here = world or World()
        made = make(here, settings, configuration)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.run())
            await scene(here, made)
            task.cancel()
        return here

    return asyncio.run(all_of_it())


def shows(runner_: StationRunner, **values: object) -> None:
    runner_.see({f"plc.{name}": value for name, value in values.items()})


def test_a_cycle_is_on_disk_before_it_is_acknowledged() -> None:
    async def scene(world: World, made: StationRunner) -> None:
        world.hold = asyncio.Event()
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: world.count("asked") == 1)
        assert world.count("write", ("plc.ack", True)) == 0
        assert made.status.last_cycle is None
        world.hold.set()
        await until(lambda: world.count("write", ("plc.ack", True)))
        shows(made, done=False)
        await until(lambda: world.count("write", ("plc.ack", False)))

    world = play(scene)
    (record,) = world.records
    assert record.cycle == 7
    assert world.where("stored", record) < world.where("write", ("plc.ack", True))


def test_a_scan_is_on_disk_before_its_operator_is_told() -> None:
    async def scene(world: World, made: StationRunner) -> None:
        world.hold = asyncio.Event()
        await made.post(plain("WO-1"))
        await until(lambda: world.count("asked") == 1)
        assert world.count("answer") == 0
        assert made.status.order is None
        world.hold.set()
        await until(lambda: world.count("answer", True))
        assert made.status.order == "WO-1"

    assert play(scene).codes() == ["scan-accepted", "order-started"]


def test_a_write_that_fails_is_tried_again_once_a_tick() -> None:
    """Three refusals cost three ticks, not thousands of attempts."""
    world = World()
    world.unwritten["plc.ack"] = 3

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.prompt == "write-failed")
        await until(lambda: made.status.phase == "waiting")
        assert world.count("write", ("plc.ack", True)) == 4
        assert made.status.prompt is None, "it was written"

    with capture_logs() as said:
        play(scene, world)
    assert len(world.records) == 1
    assert world.count("read") == 1
    assert [line["code"] for line in said if line["event"] == "prompt"].count("write-failed") == 1, "told once"


def test_a_permit_that_cannot_be_written_is_tried_again_and_holds_up_no_scan() -> None:
    world = World()
    world.unwritten["plc.permit"] = 10**9

    async def scene(world: World, made: StationRunner) -> None:
        await until(lambda: world.count("write") == 2)
        for text in ("WO-1", "B000001", "WO-2"):
            await made.post(plain(text))
        await until(lambda: world.count("answer", True) == 3)
        assert world.count("write") < 10  # one a tick and one an event, no busy loop

    play(scene, world)


def test_a_capture_that_fails_is_tried_again_once_a_tick() -> None:
    world = World()
    world.unread = 3

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.prompt == "capture-failed")
        await until(lambda: world.records)
        assert world.count("read") == 4
        await until(lambda: made.status.prompt is None)

    play(scene, world)
    assert len(world.records) == 1


@pytest.mark.parametrize("then", ["done goes", "the cycle is recorded already"])
def test_what_was_said_of_a_capture_that_failed_ends_where_nothing_is_to_be_captured_any_more(then: str) -> None:
    """Bug: it stood until the next run was recorded."""

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: world.records)
        shows(made, done=False)
        await until(lambda: made.status.phase == "idle")
        world.unread = 10**9
        shows(made, done=True)
        await until(lambda: made.status.prompt == "capture-failed")
        if then == "done goes":
            shows(made, done=False)
        else:
            world.unread = 0
        await until(lambda: made.status.prompt is None)

    assert len(play(scene).records) == 1


def test_a_full_buffer_stops_the_line_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FULL_PAUSE_S", 0.01)
    world = World()
    world.full = 3

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.prompt == runner.BUFFER_FULL)
        assert world.count("write", ("plc.ack", True)) == 0
        await until(lambda: world.count("write", ("plc.permit", False)))
        await until(lambda: world.count("write", ("plc.ack", True)))
        assert made.status.prompt is None, "there is room"

    play(scene, world)
    assert len(world.records) == 1
    assert world.count("asked") == 4


def test_a_scan_that_counts_ends_what_was_said_of_the_one_before() -> None:
    async def scene(world: World, made: StationRunner) -> None:
        await made.post(plain("what is this?"))
        await until(lambda: made.status.prompt == "scan-not-understood")
        await made.post(plain("WO-1"))
        await until(lambda: world.count("answer", True))
        assert made.status.prompt is None

    play(scene)


def test_a_disk_that_fails_ends_the_station() -> None:
    class Broken(World):
        def commit(self, batch: Batch) -> Future[list[Any]]:
            raise StorageFailed("no space left")

    async def scene(world: World, made: StationRunner) -> None:
        await made.post(plain("WO-1"))
        await asyncio.sleep(LIMIT_S)

    with pytest.raises(ExceptionGroup) as caught:
        play(scene, Broken())
    assert caught.group_contains(StorageFailed, match="no space")


def test_a_station_goes_on_from_what_was_committed() -> None:
    world = World()

    async def first(world: World, made: StationRunner) -> None:
        await made.post(plain("WO-1"))
        await until(lambda: world.count("answer"))

    play(first, world)

    async def second(world: World, made: StationRunner) -> None:
        assert made.status.order == "WO-1"
        assert "order" not in made.status.missing

    play(second, world)


def test_a_state_that_cannot_be_read_is_said_and_not_overwritten() -> None:
    world = World()
    world.kept["station/s"] = {"loaded": "nonsense"}
    with pytest.raises(Damaged, match="station s: its kept state cannot be read"):
        make(world)
    assert world.kept == {"station/s": {"loaded": "nonsense"}}


def test_what_a_machine_showed_before_it_went_is_not_believed() -> None:
    """It came back without its memory: done was seen and not captured yet, and is not so any more."""

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=False)
        await until(lambda: made.status.phase == "idle")
        shows(made, done=True)
        await made.post(DeviceBack("plc"))
        await made.post(plain("WO-1"))
        await until(lambda: world.count("answer"))
        await made.post(plain("WO-2"))
        await until(lambda: world.count("answer") == 2)  # whatever was seen before the first has been taken by now
        assert world.count("read") == 0

    assert play(scene).records == []


def test_watched_values_are_by_level_and_do_not_queue_up() -> None:
    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        for _ in range(10_000):
            shows(made, done=False)
        shows(made, done=True)
        await until(lambda: world.records)
        assert world.count("read") == 1

    play(scene)


def test_values_of_a_machine_that_moved_on_while_it_was_read_are_read_again() -> None:
    world = World()
    world.moves_on = 1

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.phase == "waiting")

    play(scene, world)
    assert [record.cycle for record in world.records] == [8]
    assert world.count("read") == 2


def test_values_of_a_machine_that_no_longer_says_done_are_no_record() -> None:
    world = World()
    world.still_done = False

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: world.count("read") > 1)
        assert world.count("write", ("plc.ack", True)) == 0
        assert world.records == []
        world.still_done = True
        await until(lambda: made.status.phase == "waiting")

    play(scene, world)
    assert [record.cycle for record in world.records] == [7]


@pytest.mark.parametrize("value", ["x" * 5_000_000, "\ud800"])
def test_a_reading_that_no_buffer_can_hold_costs_itself_and_not_the_line(tmp_path: Path, value: str) -> None:
    """Else the same cycle, offered again after every start, would stop the agent for ever."""
    world = World()
    outbox = open_outbox(tmp_path, SystemClock())
    world.commit = outbox.commit  # type: ignore[method-assign]
    world.shown = {"plc.torque": value}

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.phase == "waiting")

    play(scene, world)
    facts = [decode(e.kind, e.body or b"").data for e in export(outbox.path)]
    outbox.close()
    (record,) = [fact for fact in facts if isinstance(fact, OperationRecord)]
    torque = next(r for r in record.readings if r.tag == "plc.torque")
    assert (record.cycle, torque.value, torque.status) == (7, None, "BadNotStorable")
    assert [f.params["tag"] for f in facts if isinstance(f, OperationsEvent) and f.code == "reading-bad"] == [
        "plc.torque"
    ]


def test_a_cycle_whose_curves_are_too_much_together_is_recorded_without_the_largest(tmp_path: Path) -> None:
    """It was refused whole: the agent ended, and again at each start, for the machine still said done."""
    world = World()
    outbox = open_outbox(tmp_path, SystemClock())
    world.commit = outbox.commit  # type: ignore[method-assign]
    curves = {f"plc.c{n:02}": [at / 7 + n for at in range(10_000 + 10 * n)] for n in range(30)}
    world.shown = dict(curves)

    async def scene(world: World, made: StationRunner) -> None:
        world.plc["cycle"] = 7
        shows(made, done=True)
        await until(lambda: made.status.phase == "waiting")

    capture: list[JsonValue] = [*curves]
    play(scene, world, ASSEMBLE | {"capture": capture})
    facts = [decode(e.kind, e.body or b"").data for e in export(outbox.path)]
    outbox.close()
    (record,) = [fact for fact in facts if isinstance(fact, OperationRecord)]
    kept = {r.tag: r.value for r in record.readings if r.tag in curves and r.quality == "good"}
    assert 8 <= len(kept) < len(curves)
    assert kept == dict([*curves.items()][: len(kept)]), "the smaller ones, whole"
    told = [f.params["tag"] for f in facts if isinstance(f, OperationsEvent) and f.code == "reading-bad"]
    assert told == [*curves][len(kept) :]


def test_a_person_s_act_is_committed_before_it_is_answered_and_refused_with_a_reason() -> None:
    world = World()
    held = Hold("h-1", "hold_station", Cause("torque", "", "nelson1"), 1, 0)
    world.kept["station/s"] = as_json(Kept(holds=(held,)))

    async def scene(world: World, made: StationRunner) -> None:
        shows(made, done=False, running=False)
        await until(lambda: made.status.phase == "idle")
        assert made.holds == (held,)
        assert made.status.missing[0] == "hold"
        wrong = await made.act(lambda number: Lift(number, "h-2", "B123456", "tool changed"))
        assert wrong.refused == "hold-unknown"
        world.hold = asyncio.Event()
        lifting = asyncio.create_task(made.act(lambda number: Lift(number, "h-1", "B123456", "tool changed")))
        await until(lambda: world.log[-1][0] == "asked")
        assert not lifting.done()
        assert made.holds == (held,)
        world.hold.set()
        assert (await lifting).refused is None
        assert (made.holds, "station-hold-lifted" in world.codes()) == ((), True)

    play(scene, world)
