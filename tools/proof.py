"""The fault loops' published figures: run what is short of its count, and write the page of figures.

python -m tools.proof          write docs/explanation/proof.md from the file of results
python -m tools.proof --run    first go on with every scenario until it has its count (hours)
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from simulators.faults.results import Line, Total, median, read, totals
from simulators.faults.scenarios import SCENARIOS
from tools.fault_map import table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "reference" / "faults-results.jsonl"
PAGE = ROOT / "docs" / "explanation" / "proof.md"
SIM = Path(sys.executable).with_name("lotkeeper-sim")
CANNOT_RUN_HERE = 3
FULL_STARTS = {"edge-kill": 100, "central-kill": 100}
"""So many cycles of these also with new interpreters instead of forks."""

NOTES = {
    ("bit-rot", 103): "an identity column of central's row was changed behind its index, `verify` did not see it; "
    "mended, and a test since",
    (
        "bit-rot",
        205,
    ): "`stored_us` of a buffer's row was changed: the buffer's own note for the age of what waits, "
    "outside the chain and no part of the record; no longer compared",
    ("bit-rot", 104): "the harness: two loops side by side took one port",
    (
        "disk-full",
        1,
    ): "an agent started on a full disk ended with code 3, not 74; nothing was lost; mended, and tests since",
    (
        "disk-full",
        4602,
    ): "central that started on a full disk ended with code 3, not 74; nothing was lost; mended, and a test since",
    (
        "soak",
        1,
    ): "cycles were faults then, of ten minutes: central's connection to the broker ended by an error of its "
    "thread (libfaketime lets no thread sleep), and central went on without it; a process now ends with any "
    "of its threads, and under libfaketime threads of the loops can sleep",
    ("soak", 2): "`buffer verify` of the running agent took a row that was committed meanwhile for a missing one; "
    "every cycle was there (1716 of 1716); mended, and a test since",
    (
        "soak",
        3,
    ): "the harness: an agent of another test found this plant's machine at a port where its own was down, "
    "and answered its cycles, as `cycles-missed` said; ports are reserved since",
    (
        "upgrade",
        2,
    ): "the harness: it gave up at 400 calls, all of which had held; each made the next upgrade longer; mended",
    ("upgrade", 1): "the harness: another plant took central's port while it was down; ports are reserved since",
    ("bit-rot", 201): "the harness: central was asked before it listened",
    ("central-kill", 2000): "full starts at the lowest priority beside other work: one took longer than the loop "
    "waits; not judged",
    (
        "worker-kill",
        103,
    ): "on a machine with far too much else to do a commit was not there after two minutes: taken "
    "for that, not proven; not judged",
    ("backlog", 1): "all 259,200 records were drained; the judge's reading of central timed out on a busy machine "
    "after 14 of 20 agents, which agreed; it asks again since",
    ("syscall-kill", 12): "the harness: central's other work reached the call after the enrolment was over and "
    "before it was let go, and nobody started it again; all 29 cuts had held; mended",
    (
        "disk-full",
        4612,
    ): "the same, met outside of a database (`No space left on device`); mended, and a test since",
    (
        "soak",
        7,
    ): "the hour: on a full disk the agent was ended by SIGBUS seven times, and started again; nothing was "
    "lost. The small disk of the harness had blocks of 1 KiB; it has 4 KiB since, and `check` warns of less",
    (
        "same-id",
        1127,
    ): "the harness: it took runs that central lists once more as stored again, and says so of, for "
    "doubles; the copies were equal, and central counts them once; mended, and a test since",
    ("files", 1127): "the harness: the same, of a record that came twice when the agent's log was deleted; mended",
}
"""Why a leg was not fine, where it was looked into."""

HEAD = """\
# The proof, in figures

Each line is a loop of one fault in a small plant of real processes: three machines with their handshake, the
agent, Mosquitto with persistence off, central. The machines keep a ledger on a disk of their own before any
register shows a value. Afterwards it is compared with central's records by station and machine cycle, value by
value, and both chains are verified. A run that is there again and says where it was first counts once, as at
central. This page is made by `python -m tools.proof` from
[the file of results](../reference/faults-results.jsonl), one line a leg with its seed and commit.

To do one again: `lotkeeper-sim faults SCENARIO --cycles N --seed S --json`; all of them: `make faults`
([how](../how-to/run-the-faults.md)).

| fault | cycles | aimed at | records | missing | extra | doubled | altered | well again p50 / p99 s | not fine |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main() -> int:
    code = run_all() if "--run" in sys.argv[1:] else 0
    legs = list(read(RESULTS))
    PAGE.write_text(page(legs), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return code


def run_all() -> int:
    """Every scenario until its count; 1 when one was not fine. What cannot run here says why."""
    worst = 0
    wanted = [(name, scenario.wanted, False) for name, scenario in SCENARIOS.items()]
    wanted += [(name, count, True) for name, count in FULL_STARTS.items()]
    for name, count, full in wanted:
        words = [str(SIM), "faults", name, "--results", str(RESULTS), "--until", str(count)]
        code = subprocess.run([*words, *(["--full-starts"] if full else [])], check=False).returncode
        worst = max(worst, 0 if code == CANNOT_RUN_HERE else code)
    return worst


def page(legs: list[Line]) -> str:
    found = totals(legs)
    return HEAD + "".join(
        f"{line}\n"
        for line in (
            *_rows(found),
            "",
            *_short(found),
            "",
            *_bad(legs),
            "## Which loop shows which fault",
            "",
            "In `make test` a short version of each runs: the tests that are named, some are a loop in short.",
            "",
            *table(),
            "",
            *_counts(found),
        )
    )


def _rows(found: dict[str, Total]) -> Iterator[str]:
    for name, scenario in SCENARIOS.items():
        t = found.get(name, Total())
        recovery = f"{median(t.p50)} / {max(t.p99)}" if t.p50 else "-"
        yield (
            f"| `{name}`: {scenario.tells} | {t.cycles} | {scenario.wanted} | {t.units} | {t.missing} | {t.extra} "
            f"| {t.doubled} | {t.altered} | {recovery} | {t.not_ok} |"
        )


def _short(found: dict[str, Total]) -> Iterator[str]:
    """What is short of its count, in words."""
    short = [
        f"`{name}` {found[name].cycles if name in found else 0} of {scenario.wanted}"
        for name, scenario in SCENARIOS.items()
        if name not in found or found[name].cycles < scenario.wanted
    ]
    short += [
        f"`{name}` as full starts {found[name].full if name in found else 0} of {count}"
        for name, count in FULL_STARTS.items()
        if name not in found or found[name].full < count
    ]
    yield f"**Short of its count:** {', '.join(short)}." if short else "Every count is reached."


def _bad(legs: list[Line]) -> Iterator[str]:
    """Every leg that was not fine, and why: what was found, else what it said itself."""
    bad = [leg for leg in legs if not leg.ok]
    if bad:
        yield "## Legs that were not fine"
        yield ""
        for leg in bad:
            said = (
                f"not looked into; it said: {leg.problems[0].splitlines()[0]}"
                if leg.problems
                else "not looked into"
            )
            why = NOTES.get((leg.scenario, leg.seed), said)
            yield f"- `{leg.scenario}`, seed {leg.seed}, {leg.cycles} cycles: {why}"
        yield ""


def _counts(found: dict[str, Total]) -> Iterator[str]:
    yield "## What was done"
    yield ""
    for name in SCENARIOS:
        if name in found and found[name].counts:
            told = ", ".join(f"{what} {count}" for what, count in sorted(found[name].counts.items()))
            yield f"- `{name}`: {told}; commits {', '.join(found[name].commits)}"


if __name__ == "__main__":
    sys.exit(main())
