"""What the agent has done since it started, in numbers: overload and loss must be visible."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that only ever grow while the agent runs.

    ``values_captured``: readings read for runs. ``telemetry_values``: readings of telemetry tags that came from
    devices; each of them is thinned by the tag's own filter, committed, or lost. ``telemetry_acknowledged``: bytes
    of committed chunks are in ``telemetry_bytes``, chunks that central has committed in ``chunks_acknowledged``.
    ``chunks_thinned``: their extremes stand for them; ``chunks_given_up``: nothing does.
    """

    values_captured: int = 0
    telemetry_values: int = 0
    telemetry_thinned: int = 0
    telemetry_committed: int = 0
    telemetry_lost: int = 0
    chunks_committed: int = 0
    chunks_acknowledged: int = 0
    chunks_thinned: int = 0
    chunks_given_up: int = 0
    telemetry_bytes: int = 0

    def to_json(self) -> dict[str, int]:
        return asdict(self)


class Counters:
    """Counts that several threads add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Counts().to_json(), 0)

    def add(self, **more: int) -> None:
        """Add to the counts of these names."""
        with self._lock:
            for name, count in more.items():
                self._counts[name] += count

    def snapshot(self) -> Counts:
        """All of them at one moment."""
        with self._lock:
            return Counts(**self._counts)
