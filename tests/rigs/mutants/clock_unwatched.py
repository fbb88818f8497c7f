"""Loaded into an agent it breaks a rule: nobody looks whether the wall clock was set."""

from __future__ import annotations

import asyncio

from edge_agent.app import Agent


async def sleep(self: Agent) -> None:
    await asyncio.Event().wait()


Agent._watch_clock = sleep  # type: ignore[method-assign]
