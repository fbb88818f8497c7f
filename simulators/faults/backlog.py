"""Twenty line PCs whose broker was away for days come back all at once.

Each has three stations with one record a minute. The past is lived in each agent's own buffer
(``simulators.faults.past``); from then on everything is real: the agents, the broker, central.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import httpx

from records.clock import MICROSECONDS
from records.errors import LotkeeperError, Unreachable
from simulators.check import Comparison, HeldRecord, Truth, compare
from simulators.faults.fleet import Fleet, LinePc
from simulators.faults.leg import Leg
from simulators.faults.postgres import LocalPostgres
from simulators.faults.supervisor import memory

AGENTS, STATIONS = 20, 3
HOUR_S, MINUTES = 3600, 60
LOOK_S = 0.5
"""Between two questions of how far it is: central has other work."""
TRIES = 5


def backlog(leg: Leg) -> None:
    """A cycle is an hour of the outage; well again when central has all of it."""
    _drain(leg, None)


def backlog_on_postgres(leg: Leg) -> None:
    """The same with central's database on a PostgreSQL server."""
    _drain(leg, LocalPostgres(clock=leg.workshop.clock))


def _drain(leg: Leg, server: LocalPostgres | None) -> None:
    fleet = Fleet(leg, server)
    clock = leg.workshop.clock
    try:
        fleet.plant.open()
        pcs = [fleet.add(f"line-{number:02}", machines=STATIONS) for number in range(1, AGENTS + 1)]
        wanted = _live(leg, pcs)
        fleet.plant.start_central()
        fleet.plant.central_serves()
        for pc in pcs:
            pc.line.finish()  # its machines stand still, and its ledger ends with the outage
            pc.switch_on()
        fleet.until("every agent at work", lambda: all(b"uplink-fault" in pc.log.read_bytes() for pc in pcs))
        fleet.plant.broker.start()
        began_s = clock.monotonic_s()
        _until_held(fleet, wanted)
        took_s = clock.monotonic_s() - began_s
        records = leg.cycles * MINUTES * AGENTS * STATIONS
        leg.outcome.recovery_s.append(took_s)
        processes = (fleet.plant.central, *(pc.process for pc in pcs))
        peaks = [memory(process, "VmHWM") >> 20 for process in processes if process is not None]
        leg.count(
            f"{records} records of {AGENTS} agents drained in {took_s:.0f} s, {records / took_s:.0f} a second, "
            f"peak memory of central {peaks[0]} MB, of an agent {max(peaks[1:])} MB"
        )
        fleet.drain(pcs)
        _judge(leg, fleet)
        leg.outcome.cycles = leg.cycles
    finally:
        fleet.close()


def _live(leg: Leg, pcs: list[LinePc]) -> dict[str, int]:
    """Let every agent's past be lived; by agent the seq of its last record."""
    began_us = leg.workshop.clock.now_us() - leg.cycles * HOUR_S * MICROSECONDS
    orders = [
        {
            "agent": pc.agent,
            "stations": [f"{pc.name}-{number}" for number in range(1, STATIONS + 1)],
            "minutes": leg.cycles * MINUTES,
            "seed": leg.outcome.seed,
            "buffer": str(pc.buffer),
            "ledger": str(pc.line.path),
            "began_us": began_us,
        }
        for pc in pcs
    ]
    words = [sys.executable, "-m", "simulators.faults.past"]
    told = "".join(f"{json.dumps(order)}\n" for order in orders)
    done = subprocess.run(words, input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LotkeeperError(f"the past was not lived: {done.stderr[-500:]}")
    return {pc.agent: int(seq) for pc, seq in zip(pcs, done.stdout.split(), strict=True)}


def _until_held(fleet: Fleet, wanted: Mapping[str, int]) -> None:
    """However long it takes, as long as central goes on.

    Raises:
        Unreachable: it stands still.
    """
    clock = fleet.plant.workshop.clock
    last, moved_s = -1, clock.monotonic_s()
    while True:
        held = fleet.committed()
        if all(held.get(agent, 0) >= seq for agent, seq in wanted.items()):
            return
        if sum(held.values()) > last:
            last, moved_s = sum(held.values()), clock.monotonic_s()
        if clock.monotonic_s() - moved_s > fleet.plant.patience_s:
            raise Unreachable(f"central stands still at {last} of {sum(wanted.values())} records")
        fleet.plant.supervisor.pause(LOOK_S)


def _judge(leg: Leg, fleet: Fleet) -> None:
    """Station by station, so that never more than one's records are in memory."""
    found = Comparison((), (), (), ())
    for pc in fleet.pcs:
        truth = pc.line.truth
        by_station = defaultdict(list)
        for cycle in truth.cycles:
            by_station[cycle.station].append(cycle)
        for station, cycles in by_station.items():
            items = _records(fleet, station)
            one = compare(
                Truth(tuple(cycles), (), (), (), finished=True),
                [HeldRecord.model_validate(item) for item in items],
            )
            found = Comparison(
                found.missing + one.missing,
                found.extra + one.extra,
                found.doubled + one.doubled,
                found.altered + one.altered,
            )
        leg.outcome.records += len(truth.cycles)
        if not truth.finished:
            leg.outcome.problems.append(f"the ledger of {pc.name} does not end")
    leg.outcome.comparison = found
    fleet.end(leg.outcome)


def _records(fleet: Fleet, station: str) -> list[dict[str, Any]]:
    """What central has of a station; asked again where it was too busy to answer in time."""
    for _ in range(TRIES):
        try:
            return fleet.plant.client.all("operation-records", station=station)
        except httpx.TimeoutException as error:
            last = error
    raise last
