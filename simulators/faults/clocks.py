"""Wall clocks that are set while agent and central run: hours back, hours forth, into another year."""

from __future__ import annotations

from pathlib import Path

from records.errors import Unreachable
from simulators.faults.leg import Leg
from simulators.faults.plant import Workshop

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib64/faketime/libfaketimeMT.so.1")
TRUE = "+0"
JUMPS = ("-2h", "+2h", "-1d", "+400d", "-30s", "+30s", "+4500d")
"""As libfaketime has them, each from true time: the last is beyond 2038."""
EVENT = "clock-jump"


def library() -> str:
    """Where libfaketime for programs with threads is.

    Raises:
        Unreachable: it is not installed.
    """
    found = next((str(path) for name in LIBRARIES for path in Path("/").glob(name[1:])), None)
    if found is None:
        raise Unreachable("libfaketime is not installed", hint="install the package faketime; make setup does")
    return found


def why_not() -> str | None:
    """Why no clock can be set here, or None."""
    try:
        library()
    except Unreachable as error:
        return str(error)
    return None


def under(workshop: Workshop, file: Path) -> Workshop:
    """A workshop whose processes read their wall clock's offset from a file, for example ``-2h``."""
    file.write_text(TRUE)
    return workshop.under(
        {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
        ["simulators.faults.sleeping"],
    )


def clock_jump(leg: Leg) -> None:
    """Each jump must be an event of the agent's, and may cost neither record nor order. Monotonic time is true."""
    file = leg.folder / "faketime"
    workshop = under(leg.workshop, file)
    plant = leg.plant(workshop=workshop)
    try:
        plant.begin()
        last = TRUE
        for cycle in range(leg.cycles):
            last = leg.dice.choose([jump for jump in JUMPS if jump != last])
            file.write_text(last)
            began_s = plant.supervisor.clock.monotonic_s()
            plant.committed_beyond(plant.committed())
            leg.outcome.recovery_s.append(plant.supervisor.clock.monotonic_s() - began_s)
            plant.told(EVENT, cycle + 1)
            leg.count(f"jump {last}")
            leg.cycle_done()
        file.write_text(TRUE)
        plant.drain()
        plant.judge(leg.outcome)
    finally:
        plant.close()
        workshop.close()
