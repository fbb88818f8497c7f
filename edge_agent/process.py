"""The agent as a process: its signals, its log, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import sys

from edge_agent.app import Agent
from edge_agent.settings import LineSettings
from records.clock import SystemClock
from records.failpoint import failpoint_from_environment
from records.logs import set_up_log
from records.process import end_for_storage, end_with_any_thread
from records.threads import run_with_threads
from records.yaml import Loaded


def run_agent(loaded: Loaded[LineSettings]) -> None:
    """Run one agent as a process until SIGTERM or Ctrl-C; SIGHUP reads the line file again at once."""
    set_up_log()
    end_with_any_thread()

    async def main() -> None:
        agent = Agent(loaded, SystemClock(), failpoint=failpoint_from_environment(), on_failure=end_for_storage)
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(agent.stop))
            signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(agent.stop))
        else:
            for name in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(name, agent.stop)
            loop.add_signal_handler(signal.SIGHUP, agent.watch.now)
        await agent.run()

    run_with_threads(main())
