"""Wall clocks that are set while agent and central run: hours back, hours forth, into another year."""

from __future__ import annotations

import json
from pathlib import Path

from records.errors import Unreachable
from simulators.faults.leg import Leg
from simulators.faults.plant import AGENT, Workshop

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib64/faketime/libfaketimeMT.so.1")
JUMPS = ("-2h", "+2h", "-1d", "+400d", "-30s", "+30s", "+4500d")
"""As libfaketime has them, each from true time: the last is beyond 2038."""
EVENT = "clock-jump"


def clock_jump(leg: Leg) -> None:
    """Each jump must be an event of the agent's, and may cost neither record nor order. Monotonic time is true."""
    library = next((str(found) for name in LIBRARIES for found in Path("/").glob(name[1:])), None)
    if library is None:
        raise Unreachable("libfaketime is not installed", hint="install the package faketime; make setup does")
    file = leg.folder / "faketime"
    file.write_text("+0")
    workshop = Workshop(
        leg.workshop.clock,
        patience_s=leg.workshop.patience_s,
        environment={
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
    )
    plant = Leg(leg.folder, workshop, leg.cycles, leg.dice, leg.outcome).plant()
    try:
        plant.begin()
        last = "+0"
        for cycle in range(leg.cycles):
            last = leg.dice.choose([jump for jump in JUMPS if jump != last])
            file.write_text(last)
            began_s = plant.supervisor.clock.monotonic_s()
            plant.committed_beyond(plant.committed())
            leg.outcome.recovery_s.append(plant.supervisor.clock.monotonic_s() - began_s)

            def told(wanted: int = cycle + 1) -> bool:
                shown = json.loads(
                    plant.ask_edge("buffer", "show", str(plant.line_file), "--last", "100000", "--json")
                )
                bodies = [json.loads(record["body"]) for record in shown["last"] if record["body"]]
                found = [body for body in bodies if body.get("data", {}).get("code") == EVENT]
                return len(found) >= wanted

            plant.supervisor.until(f"the event {EVENT} of {AGENT}", told, plant.patience_s)
            leg.count(f"jump {last}")
            leg.cycle_done()
        file.write_text("+0")
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()
        workshop.close()
