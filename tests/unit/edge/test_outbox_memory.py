"""Memory does not grow with the backlog: to open, frame, confirm and prove it, or save it from a damaged file."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.outbox import Batch
from tests.rigs.outboxes import fact, open_outbox, unguarded

ROOT = Path(__file__).resolve().parents[3]
SHORT, TIMES = 100, 100
BODY = 4000
MOST_MORE_KIB = 10_000
"""A quarter of the long backlog: all of it at once would be seen."""

WHOLE = """
outbox = open_outbox(folder / "whole")
assert outbox.finding.why is None
frames = Frames(outbox, make_identity(folder / "identity", SigningKey.generate()), 65536, lambda *_: None)
position = 0
while (made := frames.next(position, None)) is not None:
    position = made[0].position
    outbox.apply(mark(made[0].envelopes[-1]))
assert (outbox.pending().records, position) == (0, count + 1)
outbox.close()
assert verify(outbox.path).records == count + 1
"""
SAVED = """
outbox = open_outbox(folder / "damaged")
assert outbox.finding.why == "damaged"
assert outbox.pending().records == count + 1, outbox.pending()
outbox.close()
"""
PROGRAM = """
from pathlib import Path
from edge_agent.outbox import verify
from edge_agent.uplink.frames import Frames
from records.keys import SigningKey
from tests.rigs.outboxes import make_identity, mark, open_outbox
folder, count = Path({folder!r}), {count}
{part}
[peak] = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1])
"""
"""Its own peak: what the system counts for a child begins with the peak of its parent."""


def backlog(folder: Path, count: int) -> None:
    outbox = open_outbox(folder)
    for first in range(0, count, 200):
        facts = tuple(fact(n, text=f"{n:8}" * (BODY // 8)) for n in range(first, min(first + 200, count)))
        outbox.commit(Batch(facts)).result()
    outbox.close()


def damage(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "records.db")) as connection:
        unguarded(connection, "UPDATE epochs SET head = zeroblob(32)")
        connection.commit()


def peak_kib(folder: Path, count: int, part: str) -> int:
    """The most memory that a process of its own takes for it."""
    program = PROGRAM.format(folder=str(folder), count=count, part=part)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is asked of /proc")
def test_a_backlog_100_times_longer_takes_no_more_memory(tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {WHOLE: [], SAVED: []}
    for count in (SHORT, SHORT * TIMES):
        folder = tmp_path / str(count)
        backlog(folder / "whole", count)
        shutil.copytree(folder / "whole", folder / "damaged")
        damage(folder / "damaged")
        for part, found in peaks.items():
            found.append(peak_kib(folder, count, part))
    for part, (short, long) in peaks.items():
        assert long - short < MOST_MORE_KIB, (part, short, long)
