"""``lotkeeper-sim demo``: a whole plant on this PC, to look at (until Ctrl-C) or to judge itself (``--check``)."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from records.clock import Clock
from records.errors import ConfigurationError
from simulators.demo_check import Figures, Judge, wait_for_line
from simulators.demo_plant import DemoPlant, Plan
from simulators.processes import end_in_order

CHECK_SPEED = 400.0
SHOW_SPEED = 15.0
CYCLES_LIMIT_S = 2.0
"""Most time that one piece may take in an accelerated run before it counts as stuck."""


def run_demo(plan: Plan, *, check: bool, keep: Path | None, clock: Clock, as_json: bool) -> int:
    """Run the demo; gives the exit code."""
    console = Console(stderr=True)
    folder = _folder(keep)
    stopped = threading.Event()
    plant = DemoPlant(folder, plan, clock, console.print if not as_json else _quiet, lambda s: _sleep(stopped, s))
    began_s = clock.monotonic_s()
    end_in_order()
    try:
        plant.start()
        if not check:
            return _show(plant, console, stopped)
        limit_s = 120.0 + CYCLES_LIMIT_S * plan.orders * plan.units
        wait_for_line(plant, _progress(plan, plant.say), limit_s)
        figures = Judge(plant, plant.say).run()
        figures.duration_s = clock.monotonic_s() - began_s
    finally:
        plant.stop()
        if plant.ledger.exists():
            shutil.copy(plant.ledger, folder / "ledger.jsonl")
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    _report(figures, as_json)
    return 0 if figures.ok else 1


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="lotkeeper-demo-"))
    if keep.exists() and any(keep.iterdir()):
        raise ConfigurationError(f"the folder {keep} is not empty", hint="give --keep a new folder")
    return keep.absolute()


def _show(plant: DemoPlant, console: Console, stopped: threading.Event) -> int:
    """Print where to look and who to be, then go on until Ctrl-C."""
    console.print()
    console.print(f"  dashboard   [bold]{plant.url}[/bold]")
    console.print("  sign in as  [bold]qa[/bold] (reviews) or [bold]manager[/bold] (releases)")
    console.print(f"  password    [bold]{plant.password}[/bold]")
    console.print(f"  folder      {plant.folder}")
    console.print("  Ctrl-C ends every process of the demo.\n")
    try:
        wait_for_line(plant, _progress(plant.plan, console.print), float("inf"))
        console.print("the line has finished its orders; the dashboard stays until Ctrl-C")
        while not stopped.wait(1.0):
            plant.processes.check()
    except KeyboardInterrupt:
        console.print("ending the demo's processes")
    return 0


def _progress(plan: Plan, say: Callable[[str], None]) -> Callable[[Counter[str]], None]:
    """Say how far the line is, each time another tenth of the work is done."""
    total = plan.orders * plan.units
    told = -1

    def tell(done: Counter[str]) -> None:
        nonlocal told
        tenth = 10 * min(done["OP30"], total) // max(total, 1)
        if tenth > told:
            told = tenth
            counts = ", ".join(f"{operation} {count}" for operation, count in sorted(done.items()))
            say(f"{10 * tenth:3d} %  {counts or 'the first piece is under way'}")

    return tell


def _report(figures: Figures, as_json: bool) -> None:
    from records.console import print_json

    if as_json:
        print_json(figures.to_json())
    else:
        table = Table(title="demo --check", show_header=False)
        for name, value in figures.to_json().items():
            if isinstance(value, dict):
                table.add_row(name, "\n".join(f"{code}  {count}" for code, count in value.items()) or "none")
            else:
                table.add_row(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        Console().print(table)
    for detail in list(figures.details())[:50]:
        sys.stderr.write(f"not as it should be: {detail}\n")


def _sleep(stopped: threading.Event, seconds: float) -> None:
    stopped.wait(seconds)


def _quiet(_: object) -> None:
    return
