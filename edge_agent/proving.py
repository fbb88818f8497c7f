"""The background check of an agent's buffer, all of its files in turn; see ``edge_agent.outbox.proof``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from edge_agent.outbox import Outbox
from edge_agent.outbox.proof import Prover, Tell
from records.clock import Clock

LONGEST_S = 60.0
"""A wall clock that is set is noticed after this time at most."""


class Proving:
    """``tell`` records an event of what does not hold."""

    def __init__(self, outboxes: Sequence[Outbox], clock: Clock, tell: Tell) -> None:
        self._provers = [
            Prover(one.path, clock, one.bury_damaged, tell, anew=one.finding.why is not None) for one in outboxes
        ]

    async def run(self) -> None:
        """Prove a little, for ever."""
        try:
            while True:
                waits_s = [await asyncio.to_thread(prover.step) for prover in self._provers]
                await asyncio.sleep(min(*waits_s, LONGEST_S))
        finally:
            for prover in self._provers:
                prover.keep()
