"""``python -m tests.sim``: tell one seed's story, or live through many and name those that fail."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import structlog

from records.clock import SystemClock
from tests.rigs.statements import compiled_once
from tests.sim.world import STEPS, Told, run


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@compiled_once()
def main() -> int:
    """0: nothing was wrong; 1: the seeds that failed are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell the story of this one")
    parser.add_argument("--seeds", type=int, default=1000, help="how many, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    told = parser.parse_args()
    _quiet()
    if told.seed is not None:
        story = run(told.seed, told.steps)
        print("\n".join([*story.lines, *story.wrong]))
        return 1 if story.wrong else 0
    clock = SystemClock()
    began_s = clock.monotonic_s()
    failed: list[Told] = []
    counts: dict[str, int] = {}
    with ProcessPoolExecutor(os.cpu_count(), initializer=_quiet) as pool:
        seeds = range(told.first, told.first + told.seeds)
        for story in pool.map(run, seeds, [told.steps] * told.seeds, chunksize=8):
            for name, count in story.counts.items():
                counts[name] = counts.get(name, 0) + count
            if story.wrong:
                failed.append(story)
                print(f"seed {story.seed}: {'; '.join(story.wrong)}", flush=True)
    minutes = (clock.monotonic_s() - began_s) / 60
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    print(f"{told.seeds} seeds in {minutes:.1f} min ({told.seeds / minutes:.0f} a minute), {len(failed)} failed")
    for story in failed:
        print(f"python -m tests.sim --seed {story.seed} --steps {told.steps}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
