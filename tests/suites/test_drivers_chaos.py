"""What networks do to a driver: it says so, waits, and goes on with true values (F13)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from driver_rigs import until
from driver_scenes import Scene, Server
from driver_servers import NETWORK_SERVERS, OWN_PROCESS

from drivers.status import BAD_SEVERITY
from simulators.faults.proxy import Mode


@pytest.fixture(scope="module", params=NETWORK_SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(request.param(tmp_path_factory.mktemp("server")))
    yield found
    found.close()


@pytest.fixture(scope="module", params=OWN_PROCESS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is a process of its own, so that it can be stopped in its tracks."""
    found = Server(request.param(tmp_path_factory.mktemp("server")))
    yield found
    found.close()


def test_a_connection_that_is_open_and_silent_is_a_loss_and_nothing_old_is_told_as_new(server: Server) -> None:
    async def job(scene: Scene) -> None:
        scene.proxy.set_mode(Mode.BLACK_HOLE)
        before = len(scene.blocks)
        await scene.lost()
        told = [block for block in scene.blocks[before:] if (block.status < BAD_SEVERITY).any()]
        assert len(told) <= 2, "only answers that were under way when the cable was pulled"
        scene.proxy.set_mode(Mode.PASS)
        await scene.heals(1001)
        assert scene.states == ["connected", "lost", "connected"]

    server.play(job)


def test_answers_that_take_their_time_are_waited_for_and_polls_do_not_pile_up(server: Server) -> None:
    async def job(scene: Scene) -> None:
        scene.proxy.set_mode(Mode.DELAY, delay_s=0.05)  # each way, and a poll is due every 20 ms
        polls, skipped = scene.supervisor.meter.polls, scene.supervisor.meter.skipped
        await until(lambda: scene.supervisor.meter.polls > polls + 3, "slow polls")
        assert scene.supervisor.meter.skipped > skipped, "what could not be polled is counted"
        await scene.heals(1002)
        assert scene.states == ["connected"]

    server.play(job, timeout="5s")


def test_answers_that_are_slower_than_the_time_out_are_a_loss_and_never_taken_for_later_ones(
    server: Server,
) -> None:
    async def job(scene: Scene) -> None:
        scene.proxy.set_mode(Mode.DELAY, delay_s=0.6)
        await scene.lost()
        scene.proxy.set_mode(Mode.PASS)
        await scene.heals(1003)

    server.play(job)


def test_bytes_that_arrive_one_by_one_are_the_same_values(server: Server) -> None:
    async def job(scene: Scene) -> None:
        scene.proxy.set_mode(Mode.TRICKLE)
        await scene.heals(1004)
        await scene.supervisor.write("carrier", "C-1004")
        assert await scene.rig.get("carrier") == "C-1004"
        assert scene.states == ["connected"]

    server.play(job, timeout="5s")


@pytest.mark.parametrize("mode", [Mode.RST, Mode.DROP])
def test_a_network_that_hangs_up_is_a_loss(server: Server, mode: Mode) -> None:
    async def job(scene: Scene) -> None:
        scene.proxy.set_mode(mode)
        await scene.lost()
        scene.proxy.set_mode(Mode.PASS)
        await scene.heals(1005)

    server.play(job)


def test_a_machine_that_freezes_is_a_loss_and_goes_on_where_it_is(program: Server) -> None:
    """F15: a PLC whose network card answers while its program stands still."""

    async def job(scene: Scene) -> None:
        pid = scene.rig.running.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await scene.lost()
        finally:
            os.kill(pid, signal.SIGCONT)
        await scene.heals(1006)

    program.play(job)
