"""A scan that is not answered in time: the operator's no is kept, or the station's yes, and never both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from drivers.base import ScanFrame
from edge_agent import acquire, runner
from edge_agent.acquire import ScanDesk
from edge_agent.events import Answer
from edge_agent.runner import StationRunner
from edge_agent.ticket import Ticket
from records.clock import SystemClock
from records.model import OperationsEvent
from tests.unit.edge.stations import ASSEMBLE, NOW_US, VS, papers, station
from tests.unit.edge.test_runner import World, shows, until

UNIT = f"]d201{VS}10WO-1\x1d210001"
BY_LABEL = ASSEMBLE | {
    "order": {"scan": "scanner", "ai": "10"},
    "permit": {"tag": "plc.permit", "needs": ["operator", "subject"]},
    "subject": {"kind": "unit", "scan": "scanner", "ai": "21"},
    "materials": [],
}


class Wand:
    """A scanner in a hand; ``answers`` is what its operator saw."""

    def __init__(self) -> None:
        self._read: asyncio.Queue[ScanFrame] = asyncio.Queue()
        self.answers: list[bool] = []

    def scan(self, text: str) -> None:
        self._read.put_nowait(ScanFrame(text.encode(), text, NOW_US, None))

    async def frames(self) -> AsyncIterator[ScanFrame]:
        while True:
            yield await self._read.get()

    async def answer(self, accepted: bool) -> None:
        self.answers.append(accepted)


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk waits for its stations until they have answered."""
    monkeypatch.setattr(acquire, "ANSWER_LIMIT_S", 60.0)


def in_a_hurry(monkeypatch: pytest.MonkeyPatch, once: Callable[[], object] = lambda: True) -> asyncio.Event:
    """From the next scan on the desk waits for ``once`` and not for long; set when it wants a ticket back."""
    wanted, honest = asyncio.Event(), Ticket.withdraw

    async def withdraw(ticket: Ticket) -> bool:
        await until(once)  # however slow this machine is
        wanted.set()
        return await honest(ticket)

    monkeypatch.setattr(Ticket, "withdraw", withdraw)
    monkeypatch.setattr(acquire, "ANSWER_LIMIT_S", 0.2)
    return wanted


class Place(World):
    """Machine and buffer of stations, where no unit was married before."""

    def identity(self, product: str | None, scheme: str, unit: str) -> str | None:
        return None

    @property
    def refused(self) -> list[tuple[object, object]]:
        told = (said for _, said in self.log if isinstance(said, OperationsEvent) and said.code == "scan-refused")
        return [(fact.params["reason"], fact.params["text"]) for fact in told]


def play(
    scene: Callable[[Place, Wand, list[StationRunner]], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    places: int = 1,
) -> list[Place]:
    """Stations that share one scanner, each on a place of its own, while the scene happens at the first."""
    patient(monkeypatch)
    monkeypatch.setattr(runner, "FULL_PAUSE_S", 0.01)

    async def all_of_it() -> list[Place]:
        worlds, wand, runners = [Place() for _ in range(places)], Wand(), list[StationRunner]()
        desk = ScanDesk("scanner", wand, runners, worlds[0], papers)  # type: ignore[arg-type]

        def told(world: Place) -> Callable[[Answer], None]:
            def answer(said: Answer) -> None:
                world.answer(said)
                desk.answered(said)

            return answer

        for world in worlds:
            made = StationRunner(
                station(BY_LABEL),
                world,
                world,  # type: ignore[arg-type]
                papers,
                world.fact,
                told(world),
                SystemClock(),
                lambda _: None,
            )
            world.plc["cycle"] = 0
            shows(made, done=False)
            runners.append(made)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in (*(made.run() for made in runners), desk.run())]
            await scene(worlds[0], wand, runners)
            for task in tasks:
                task.cancel()
        return worlds

    return asyncio.run(all_of_it())


def test_a_scan_that_the_operator_was_told_no_to_counts_never_even_when_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator laid the piece aside; accepted later, its serial went to the next piece."""

    async def scene(world: Place, wand: Wand, runners: list[StationRunner]) -> None:
        (made,) = runners
        wand.scan("B000001")
        await until(lambda: wand.answers == [True])
        world.full = 10**9
        in_a_hurry(monkeypatch)
        wand.scan(UNIT)
        await until(lambda: wand.answers == [True, False])
        world.full = 0
        await until(lambda: world.refused)
        assert "subject" in made.status.missing
        shows(made, done=True)
        world.plc["cycle"] = 1
        await until(lambda: world.records)

    (world,) = play(scene, monkeypatch)
    assert world.refused == [("not-answered-in-time", UNIT)]
    assert world.codes().count("scan-accepted") == 1, "of the operator's badge alone"
    assert [result.subject.id for result in world.records[0].subjects] != ["0001"]


def test_a_scan_whose_commit_is_under_way_is_answered_by_it_however_long_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Place, wand: Wand, runners: list[StationRunner]) -> None:
        world.hold = asyncio.Event()
        wanted = in_a_hurry(monkeypatch, lambda: world.count("asked") == 1)
        wand.scan(UNIT)
        await wanted.wait()
        assert wand.answers == []
        world.hold.set()
        await until(lambda: wand.answers)
        assert "subject" not in runners[0].status.missing

    (world,) = play(scene, monkeypatch)
    assert world.codes() == ["scan-accepted", "order-started"]
    assert world.refused == []


def test_a_scan_that_waits_behind_a_machine_that_does_not_answer_is_refused_when_its_turn_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(world: Place, wand: Wand, runners: list[StationRunner]) -> None:
        silent, read = asyncio.Event(), world.read

        async def slow(tags: tuple[str, ...]) -> object:
            await silent.wait()
            return await read(tags)

        world.read = slow  # type: ignore[method-assign,assignment]
        world.plc["cycle"] = 1
        shows(runners[0], done=True)
        await until(lambda: runners[0].status.phase == "capturing")
        in_a_hurry(monkeypatch)
        wand.scan("B000001")
        await until(lambda: wand.answers == [False])
        silent.set()
        await until(lambda: world.refused)
        patient(monkeypatch)
        wand.scan("B000001")
        await until(lambda: len(wand.answers) == 2)
        assert wand.answers == [False, True]

    (world,) = play(scene, monkeypatch)
    assert world.refused == [("not-answered-in-time", "B000001")]


def test_one_of_two_stations_that_does_not_decide_in_time_is_a_no_and_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Scanned again, the other one has nothing to change and answers at once; the first one's commit decides."""

    async def scene(world: Place, wand: Wand, runners: list[StationRunner]) -> None:
        world.full = 10**9
        in_a_hurry(monkeypatch, lambda: runners[1].status.operator)
        wand.scan("B000001")
        await until(lambda: wand.answers == [False])
        world.full = 0
        await until(lambda: world.refused)
        assert [made.status.operator for made in runners] == [None, "B000001"]
        world.hold = asyncio.Event()
        asked = world.count("asked")
        wanted = in_a_hurry(monkeypatch, lambda: world.count("asked") > asked)
        wand.scan("B000001")
        await wanted.wait()
        assert wand.answers == [False]
        world.hold.set()
        await until(lambda: len(wand.answers) == 2)
        assert wand.answers == [False, True]
        assert [made.status.operator for made in runners] == ["B000001", "B000001"]

    first, second = play(scene, monkeypatch, places=2)
    assert first.refused == [("not-answered-in-time", "B000001")]
    assert second.refused == []
