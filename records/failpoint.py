"""Named places where a test may end the process, as a power cut would."""

from __future__ import annotations

import os
from collections.abc import Callable

ENDED = 137
"""The exit code of a process that ended at such a place."""


def failpoint_from_environment() -> Callable[[str], None]:
    """LOTKEEPER_FAILPOINT=NAME[:N] ends the process when it comes to NAME the N-th time; read once, at a root."""
    name, _, count = os.environ.get("LOTKEEPER_FAILPOINT", "").partition(":")
    if not name:
        return lambda _: None
    left = int(count or 1)

    def reached(here: str) -> None:
        nonlocal left
        if here == name:
            left -= 1
            if left == 0:
                os._exit(ENDED)

    return reached
