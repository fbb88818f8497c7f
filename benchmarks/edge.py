"""What keeping and sending records costs the agent: commits, a backlog that drains, and its memory.

    python -m benchmarks.edge [commit] [drain] [line] [memory] [--json]
        [--records 20000] [--rounds 5] [--times 100] [--mbit 20]

commit
    Records (runs with three readings; events, which are short) committed durably in groups of 100, against a bare
    writer that makes the same JSON bytes, digests and chain hashes of the same records and puts them on the same
    disk with WAL and synchronous=FULL. The bare writer keeps nothing else: no epochs, guards, state, caps or
    threads, nor the note beside the file. Neither signs: frames are signed, when they are sent. Files are open
    before the clock starts.
drain
    A backlog through the real uplink (read, checked against its chain, packed, signed, sent, and let go of by
    central's signed watermark), against bare paho that publishes, with QoS 1 and 100 unanswered, what was made
    before its clock started: the very same frames; the records' bytes unpacked in messages of the same 64 KB; each
    record in a message of its own.
line
    The same over a line of 20 Mbit/s (``--mbit``), as plants lease them: there bytes count and not what they cost.
memory
    The peak of an agent that opens, drains and verifies a backlog, and one so many times longer; how long the
    opening took, which proves all that central does not have.

All by turns in one run; figures are medians, ratios (ours in parts of theirs) the medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks.rig.commits import CASES, GROUP, Commits, commits
from benchmarks.rig.drains import Drain, Peak, drains, peaks

PARTS = ("commit", "drain", "line", "memory")
COMMITTED = 4
"""Each round commits this part of the records."""
OVER_LINE = 2
"""And this part of them goes over the line."""


def say_commits(found: Commits) -> None:
    print(
        f"{found.case:<26}{found.records_per_s:>8,.0f} records/s of {found.body_bytes} bytes,"
        f" bare {found.bare_per_s:>8,.0f}: ratio {found.ratio:.2f};"
        f" CPU {found.cpu_us:.1f} us a record, bare {found.bare_cpu_us:.1f}: ratio {found.cpu_ratio:.2f}"
    )


def say_drain(found: Drain) -> None:
    where = "" if found.line_mbit_s is None else f" over {found.line_mbit_s:g} Mbit/s"
    print(
        f"uplink{where}: {found.records:,} records of {found.body_bytes} bytes, packed to {found.packed:.1%}:"
        f" {found.records_per_s:,.0f} records/s, CPU {found.cpu_us:.1f} us a record"
    )
    for bare in found.bare:
        print(
            f"paho, {bare.how:<28}{bare.records_per_s:>10,.0f} records/s in {bare.messages:,} messages of"
            f" {bare.bytes / bare.messages:,.0f} bytes: ratio {bare.ratio:.3f}"
        )


def say_peaks(found: tuple[Peak, ...]) -> None:
    for peak in found:
        print(f"{peak.records:>8,} records: peak memory {peak.peak_mb:.1f} MB, opened in {peak.opened_s:.2f} s")


def main() -> int:
    """Measure and print; exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="commit, drain, line, memory; all when none is named")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=100, help="how many times longer the long backlog is")
    parser.add_argument("--mbit", type=float, default=20.0, help="Mbit/s of the line")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    parts = asked.parts or PARTS
    found: dict[str, object] = {}
    if "commit" in parts:
        if not asked.json:
            print(f"records made durable in groups of {GROUP}")
        done = [commits(case, asked.records // COMMITTED, asked.rounds) for case in CASES]
        found["commit"] = [asdict(one) for one in done]
        for one in () if asked.json else done:
            say_commits(one)
    for part, records, mbit_s in (
        ("drain", asked.records, None), ("line", asked.records // OVER_LINE, asked.mbit)
    ):  # fmt: skip
        if part in parts:
            drained = drains(records, asked.rounds, mbit_s)
            found[part] = asdict(drained)
            if not asked.json:
                say_drain(drained)
    if "memory" in parts:
        tops = peaks(asked.records, asked.times)
        found["memory"] = [asdict(peak) for peak in tops]
        if not asked.json:
            say_peaks(tops)
    if asked.json:
        json.dump(found, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
