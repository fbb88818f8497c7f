"""The file of results: one JSON line a leg, appended when the leg is over, so that a long run can be resumed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from records.clock import iso_z
from simulators.faults.outcome import Outcome, percentile


class Recovery(BaseModel):
    p50: float | None
    p99: float | None


class Line(BaseModel):
    """One leg as it stands in the file. ``problems``: why it was not fine; early lines have none."""

    model_config = ConfigDict(extra="ignore")

    scenario: str
    seed: int
    ok: bool
    cycles: int
    units: int
    missing: int
    extra: int
    doubled: int
    altered: int
    counts: dict[str, int]
    recovery_s: Recovery
    full_starts: bool
    commit: str
    at: str
    duration_s: float
    problems: tuple[str, ...] = ()


def append(path: Path, outcome: Outcome, *, full_starts: bool, at_us: int) -> None:
    """Add one leg; on disk when this returns. Where its files lay is nothing that anybody else could look up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = outcome.to_json() | {"full_starts": full_starts, "commit": commit(), "at": iso_z(at_us)}
    line = json.dumps(told, separators=(",", ":")).replace(f"{tempfile.gettempdir()}/", "")
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> Iterator[Line]:
    """Every leg of the file; a line that a crash cut short is left out."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if text.endswith("\n"):
            yield Line.model_validate_json(text)


def done(path: Path, scenario: str, *, full_starts: bool) -> tuple[int, int]:
    """Cycles that a scenario has done so far, and the highest seed that it has used."""
    legs = [leg for leg in read(path) if leg.scenario == scenario and leg.full_starts == full_starts]
    return sum(leg.cycles for leg in legs), max((leg.seed for leg in legs), default=0)


def commit() -> str:
    """The commit of this source tree, with ``+`` when something in it was changed; ``unknown`` outside of one."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    name = git("rev-parse", "--short", "HEAD")
    if name is None:
        return "unknown"
    return name + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


@dataclass(slots=True)
class Total:
    """All legs of one scenario."""

    cycles: int = 0
    units: int = 0
    missing: int = 0
    extra: int = 0
    doubled: int = 0
    altered: int = 0
    not_ok: int = 0
    full: int = 0
    commits: list[str] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, leg: Line) -> None:
        self.cycles += leg.cycles
        self.units += leg.units
        self.missing += leg.missing
        self.extra += leg.extra
        self.doubled += leg.doubled
        self.altered += leg.altered
        self.not_ok += not leg.ok
        if leg.full_starts:
            self.full += leg.cycles
        elif leg.recovery_s.p50 is not None and leg.recovery_s.p99 is not None:
            self.p50.append(leg.recovery_s.p50)
            self.p99.append(leg.recovery_s.p99)
        for what, count in leg.counts.items():
            self.counts[what] += count
        if leg.commit not in self.commits:
            self.commits.append(leg.commit)


def totals(legs: Sequence[Line]) -> dict[str, Total]:
    """By scenario."""
    found: dict[str, Total] = defaultdict(Total)
    for leg in legs:
        found[leg.scenario].add(leg)
    return dict(found)


def median(values: Sequence[float]) -> float | None:
    return percentile(values, 50)
