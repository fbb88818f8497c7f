"""Loaded into an agent it breaks a rule: the machine is acknowledged before its record is committed."""

from __future__ import annotations

import asyncio
from typing import Any

from edge_agent.runner import StationRunner
from records.model import OperationRecord

honest = StationRunner._commit


async def answer_first(self: StationRunner, effect: Any, cause: Any) -> Any:
    if any(isinstance(data, OperationRecord) for data in effect.facts):
        await self._plant.write(self.station.settings.trigger.acknowledge, True)
        self._failpoint("station.answered_first")
        await asyncio.sleep(0.05)
    return await honest(self, effect, cause)


StationRunner._commit = answer_first  # type: ignore[method-assign]
