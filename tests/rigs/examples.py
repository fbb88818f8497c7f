"""How many examples a property is tried with: the full count in a deep run, a share of it in every other one.

``pytest -m hypothesis --hypothesis-profile=deep`` is the deep run, and ``make faults`` begins with it. A property
that guards what cannot be made good (the outbox, the chain, a scan, what a station has committed) names its count
itself, and has it in every run.
"""

from __future__ import annotations

from hypothesis import settings

FULL = 100
"""Hypothesis' own count for a property that names none."""
SHARE = 40
"""What of each ``FULL`` examples is tried in a run that is not deep: chosen anew each time."""
LEAST = 10


def register() -> None:
    """The two profiles, and the quick one as what a run has that asks for none.

    Neither has a deadline: a machine that is busy with something else turns nothing red.
    """
    settings.register_profile("deep", deadline=None, max_examples=FULL)
    settings.register_profile("quick", deadline=None, max_examples=SHARE)
    settings.load_profile("quick")


def examples(full: int) -> int:
    """This run's share of a property's full count."""
    return max(min(LEAST, full), full * settings().max_examples // FULL)
