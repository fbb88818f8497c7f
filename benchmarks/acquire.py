"""What reading costs the agent: 1,000 OPC UA and 1,000 Modbus values, committed, chained, and out over MQTT.

    python -m benchmarks.acquire [--json] [--seconds 10] [--windows 3] [--case 1hz ...] [--server node-opcua]

The agent is the real command on one core with a line file, the broker a Mosquitto; the machines are a C program
over libmodbus, and open62541 (the wheel o6) or node-opcua. Each case is one run with several windows; figures are
the medians of the windows. Beside each rate stands the floor, measured in the same run: a process that reads the
same tags with the libraries as they are, and does nothing with them; and our drivers alone.

Latency is from the moment a value changed in the machine to the subscriber. Values change once a period in ten
groups spread over the period, so half a period of it (at 10 Hz: 50 ms) is the wait for the next poll.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np

from benchmarks.rig.edge import AGENT, MODBUS, OPCUA, Edge, both_devices, modbus_device, opcua_device
from benchmarks.rig.meter import Window, cpu_s, peak_mb
from benchmarks.rig.plant import SERVERS, VALUES, Plant, best_server
from benchmarks.rig.samples import Findings, judge, polls_of
from benchmarks.rig.sink import Sink
from records.clock import SystemClock
from records.telemetry import KIND, decode_chunk
from tests.rigs.libmodbus_server import LibmodbusServer
from tests.rigs.mosquitto import Mosquitto

RATES = {"1hz": 1.0, "10hz": 0.1}
WARM_UP_S = 4.0
STARTS_WITHIN_S = 60.0
DEVICES, TAGS_EACH = 100, 20

CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Figures:
    """The medians of one case. None: this case does not have it."""

    case: str
    what: str
    values_per_s: float | None
    cpu_s_per_million: float | None
    core_percent: float
    peak_mb: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    own_p50_ms: float | None = None
    own_p99_ms: float | None = None
    polls_due: int | None = None
    polls_missed: int | None = None
    polls_lost: int | None = None
    doubled: int | None = None
    changes_unseen: int | None = None
    sent_again: int | None = None
    bytes_per_value: float | None = None


# -- one measured process -----------------------------------------------------------------------------------


def windows_of(pid: int, seconds: float, count: int, alive: Callable[[], None] = lambda: None) -> list[Window]:
    """Watch a process for so many spans."""
    found = []
    for _ in range(count):
        began_us, before_s = CLOCK.now_us(), cpu_s(pid)
        time.sleep(seconds)
        alive()
        found.append(Window(began_us, CLOCK.now_us(), cpu_s(pid) - before_s))
    return found


@contextmanager
def agent(folder: Path, devices: str, stations: str = "") -> Iterator[tuple[Edge, Sink]]:
    """The agent, a broker and the subscriber."""
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder / "broker", settings=BROKER))
        edge = Edge(folder / "edge", broker.url, devices, stations)
        sink = stack.enter_context(Sink(broker.port, AGENT, edge.central, edge.own))
        stack.enter_context(edge)
        yield edge, sink


BROKER = ("persistence false", "max_inflight_messages 0", "max_queued_messages 100000")


# -- cases --------------------------------------------------------------------------------------------------


def whole_agent(case: str, folder: Path, options: argparse.Namespace) -> Figures:
    """Both machines at one rate, all the way to the subscriber."""
    period_s = RATES[case]
    with Plant(folder / "plant", int(period_s * 1e6), options.server) as plant:
        devices = both_devices(plant.endpoint, plant.modbus.port, f"{round(period_s * 1000)}ms")
        with agent(folder, devices) as (edge, sink):
            if not sink.wait(2, STARTS_WITHIN_S):
                edge.check()
                raise RuntimeError(f"no telemetry arrived:\n{edge.log.read_text()[-2000:]}")
            time.sleep(WARM_UP_S)
            windows = windows_of(edge.pid, options.seconds, options.windows, edge.check)
            time.sleep(1.0)  # what was read last in the last window still comes
            peak, arrivals = peak_mb(edge.pid), list(sink.arrivals)
            again, sent = sink.again, sink.bytes
    found: list[tuple[Window, list[Findings]]] = []
    machines = {device: polls_of(device, arrivals) for device in (OPCUA, MODBUS)}
    for window in windows:
        found.append((window, [judge(name, polls, plant.ticks, window) for name, polls in machines.items()]))
    values = sum(len(polls.edge_us) * VALUES for polls in machines.values())
    return figures_of(case, found, peak, again, sent / values)


def figures_of(
    case: str, found: list[tuple[Window, list[Findings]]], peak: float, again: int, bytes_per_value: float
) -> Figures:
    """Medians over the windows, sums of what must be none."""

    def median(of: Callable[[Window, list[Findings]], float]) -> float:
        return statistics.median(of(window, machines) for window, machines in found)

    def total(name: str) -> int:
        return sum(int(getattr(each, name)) for _, machines in found for each in machines)

    def percentile(name: str, percent: float) -> float:
        return median(lambda _, ms: float(np.percentile(np.concatenate([getattr(m, name) for m in ms]), percent)))

    return Figures(
        case=case,
        what="agent",
        values_per_s=median(lambda w, ms: sum(m.values for m in ms) / w.seconds),
        cpu_s_per_million=median(lambda w, ms: w.cpu_s / sum(m.values for m in ms) * 1e6),
        core_percent=median(lambda w, _: 100 * w.cpu_s / w.seconds),
        peak_mb=peak,
        p50_ms=percentile("latency_ms", 50),
        p99_ms=percentile("latency_ms", 99),
        own_p50_ms=percentile("own_ms", 50),
        own_p99_ms=percentile("own_ms", 99),
        polls_due=total("polls_due"),
        polls_missed=total("polls_missed"),
        polls_lost=total("polls_lost"),
        doubled=total("doubled"),
        changes_unseen=total("changes_unseen"),
        sent_again=again,
        bytes_per_value=bytes_per_value,
    )


def reading_only(case: str, what: str, folder: Path, options: argparse.Namespace) -> Figures:
    """The floor (``library``), or our drivers without the rest of the agent (``drivers``)."""
    period_s = RATES[case]
    with Plant(folder / "plant", int(period_s * 1e6), options.server) as plant:
        words = ["-m", "benchmarks.rig.floor", what, plant.endpoint, str(plant.modbus.port), str(period_s)]
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        try:
            assert process.stdout is not None
            rows: list[tuple[float, float]] = []
            count_at(process.stdout, lambda values: values > 0)
            time.sleep(WARM_UP_S)
            for _ in range(options.windows):
                at_us, values = count_at(process.stdout, since_us=CLOCK.now_us())
                before_s = cpu_s(process.pid)
                time.sleep(options.seconds)
                later_us, later = count_at(process.stdout, since_us=CLOCK.now_us())
                took_s = cpu_s(process.pid) - before_s
                rows.append(((later - values) / (later_us - at_us) * 1e6, took_s / (later_us - at_us) * 1e6))
            peak = peak_mb(process.pid)
        finally:
            process.kill()
            process.wait(30)
    values_per_s = statistics.median(row[0] for row in rows)
    core = statistics.median(row[1] for row in rows)
    per_million = statistics.median(row[1] / row[0] * 1e6 for row in rows)
    return Figures(case, what, values_per_s, per_million, 100 * core, peak)


def count_at(
    lines: IO[str], enough: Callable[[int], bool] = lambda _: True, *, since_us: int = 0
) -> tuple[int, int]:
    """The next line of the floor: when, and how many values until then."""
    for line in lines:
        at_us, values = map(int, line.split())
        if at_us >= since_us and enough(values):
            return at_us, values
    raise RuntimeError("the reading process ended")


def idle(folder: Path, options: argparse.Namespace) -> Figures:
    """Two machines at hand, one station that waits for its trigger at the default rate, nothing to keep."""
    station = (
        "  press:\n    equipment: PRESS-01\n    operation: OP10\n    order: {tag: opc.order}\n"
        "    trigger: {tag: opc.done, repeat_possible: true}\n    subject: {kind: carrier, tag: opc.order}\n"
    )
    with Plant(folder / "plant", 1_000_000, "node-opcua") as plant:
        node = '      - {{name: {}, namespace_uri: "urn:test", identifier: s={}, data_type: {}, role: {}}}\n'
        devices = opcua_device(OPCUA, plant.endpoint, "200ms", ()) + "".join(
            node.format(*each)
            for each in (("done", "done", "bool", "trigger"), ("order", "carrier", "string", "record"))
        )
        devices += modbus_device(MODBUS, plant.modbus.port, "200ms", ()) + (
            "      - {name: done, address: 0, data_type: bool, role: trigger}\n"
        )
        with agent(folder, devices, station) as (edge, _):
            time.sleep(WARM_UP_S)
            windows = windows_of(edge.pid, options.seconds, options.windows, edge.check)
            peak = peak_mb(edge.pid)
    core = statistics.median(100 * window.cpu_s / window.seconds for window in windows)
    return Figures("idle", "agent", None, None, core, peak)


@contextmanager
def modbus_machine() -> Iterator[LibmodbusServer]:
    """A Modbus machine of one's own."""
    server = LibmodbusServer("tcp")
    server.set(1, "holding", 0, [0] * (2 * VALUES))
    try:
        yield server
    finally:
        server.stop()


def many_devices(folder: Path, options: argparse.Namespace) -> Figures:
    """A hundred machines of twenty tags each, half of them OPC UA, at 1 Hz in one agent; each has a connection."""
    with ExitStack() as stack:
        plant = stack.enter_context(Plant(folder / "plant", 1_000_000, options.server))
        devices = ""
        for n in range(DEVICES):
            span = range(n * TAGS_EACH % VALUES, n * TAGS_EACH % VALUES + TAGS_EACH)
            if n % 2:
                devices += modbus_device(f"mod{n}", stack.enter_context(modbus_machine()).port, "1s", span)
            else:
                devices += opcua_device(f"opc{n}", f"{plant.endpoint}/{n}", "1s", span)
        edge, sink = stack.enter_context(agent(folder, devices))
        if not sink.wait(DEVICES, STARTS_WITHIN_S):
            edge.check()
            raise RuntimeError(f"not all devices were read:\n{edge.log.read_text()[-2000:]}")
        time.sleep(WARM_UP_S)
        windows = windows_of(edge.pid, options.seconds, options.windows, edge.check)
        peak = peak_mb(edge.pid)
        bodies = [a.envelope.body for a in sink.arrivals if a.envelope.kind == KIND]
        heard = {decode_chunk(body).series.device for body in bodies if body is not None}
        if len(heard) < DEVICES:
            raise RuntimeError(f"only {len(heard)} of {DEVICES} devices were heard of")
    core = statistics.median(100 * window.cpu_s / window.seconds for window in windows)
    values_per_s = float(DEVICES * TAGS_EACH)
    return Figures("100 devices", "agent", values_per_s, core / 100 / values_per_s * 1e6, core, peak)


# -- the table ----------------------------------------------------------------------------------------------


def table(rows: list[Figures]) -> Iterator[str]:
    """The figures for people, with ratios to the floor of the same rate."""
    floors = {row.case: row.cpu_s_per_million for row in rows if row.what == "library"}
    yield (
        f"{'case':<12} {'what':<8} {'values/s':>8} {'CPU-s/1M':>9} {'x floor':>8} {'core %':>7} {'peak MB':>8}"
        f" {'p50 ms':>7} {'p99 ms':>7}  {'(own)':<11} {'missed':>6} {'lost':>4} {'unseen':>6}"
    )
    for row in rows:
        floor = floors.get(row.case)
        ratio = f"{row.cpu_s_per_million / floor:.2f}" if floor and row.cpu_s_per_million else "-"
        own = "-" if row.own_p50_ms is None else f"{row.own_p50_ms:.1f}/{row.own_p99_ms:.1f}"
        yield (
            f"{row.case:<12} {row.what:<8} {shown(row.values_per_s, 0):>8} {shown(row.cpu_s_per_million, 2):>9}"
            f" {ratio:>8} {row.core_percent:>7.2f} {row.peak_mb:>8.0f} {shown(row.p50_ms, 1):>7}"
            f" {shown(row.p99_ms, 1):>7}  {own:<11} {shown(row.polls_missed, 0):>6} {shown(row.polls_lost, 0):>4}"
            f" {shown(row.changes_unseen, 0):>6}"
        )


def shown(number: float | None, digits: int) -> str:
    return "-" if number is None else f"{number:.{digits}f}"


def measure(case: str, folder: Path, options: argparse.Namespace) -> Iterator[Figures]:
    """All rows of one case."""
    if case == "idle":
        yield idle(folder / "idle", options)
    elif case == "100x20":
        yield many_devices(folder / "many", options)
    else:
        yield reading_only(case, "library", folder / "library", options)
        yield reading_only(case, "drivers", folder / "drivers", options)
        yield whole_agent(case, folder / "agent", options)


def main() -> int:
    """Exit code 0 when all cases ran; figures are printed, never judged here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of one window")
    parser.add_argument("--windows", type=int, default=3, help="windows of each case")
    parser.add_argument("--case", action="append", choices=[*RATES, "idle", "100x20"], help="only these cases")
    parser.add_argument("--server", choices=SERVERS, help="the OPC UA server; open62541 where it can be had")
    options = parser.parse_args()
    options.server = options.server or best_server()
    rows: list[Figures] = []
    with TemporaryDirectory(prefix="lotkeeper-bench-") as folder:
        for case in options.case or [*RATES, "idle", "100x20"]:
            print(f"measuring {case} ...", file=sys.stderr, flush=True)
            rows += measure(case, Path(folder) / case, options)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print("\n".join(table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
