"""Machines as they are on a bad day: behind a bad network, restarted, faster than their agent, with a count that
begins anew, and with values that are none. Each has the handshake, so no cycle may be missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from simulators.faults.fast_line import COUNT_ENDS
from simulators.faults.leg import Leg
from simulators.faults.network import DELAY_S, RunningProxy
from simulators.faults.plant import Plant
from simulators.faults.proxy import Mode

BEFORE_THE_END = 20
"""So many cycles before the end of its count a machine begins."""
BAD = (Mode.BLACK_HOLE, Mode.DROP, Mode.RST, Mode.TRICKLE, Mode.DELAY)
BAD_S = (0.2, 4.0)
BURST_S = (0.2, 1.0)


@contextmanager
def _behind_ways(leg: Leg) -> Iterator[tuple[Plant, dict[str, RunningProxy]]]:
    """A plant at work in which each machine is reached over a way of its own; drained and judged after it."""
    plant = leg.plant(rest_s=0.0, line={"first": COUNT_ENDS - BEFORE_THE_END, "spoils": True})
    with ExitStack() as stack:
        stack.callback(plant.close)
        plant.open()
        ways = {
            station: stack.enter_context(closing(RunningProxy(port))) for station, port in plant.line.ports.items()
        }
        plant.line.ways = {station: way.proxy.port for station, way in ways.items()}
        plant.write_line_file()
        plant.work()
        yield plant, ways
        plant.drain()
        plant.judge(leg.outcome)


def plc(leg: Leg) -> None:
    """A machine freezes, hangs up, is slow or comes back with new sessions, between bursts of cycles."""
    with _behind_ways(leg) as (plant, ways):
        for _ in range(leg.cycles):
            plant.supervisor.pause(leg.dice.between(*BURST_S))
            station = leg.dice.choose(sorted(ways))
            if leg.dice.below(4) == 0:
                plant.line.restart(station)
                leg.count("restarted")
            else:
                mode = leg.dice.choose(BAD)
                ways[station].set_mode(mode, delay_s=DELAY_S)
                plant.supervisor.pause(leg.dice.between(*BAD_S))
                ways[station].set_mode(Mode.PASS)
                leg.count(mode.value)
            before = plant.line.answered_of(station)
            leg.outcome.recovery_s.append(plant.answered_beyond(before, station))
            leg.cycle_done()
