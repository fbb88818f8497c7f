"""Serves the page in the agent's loop. A port that is taken is said once and tried again; the agent goes on."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn

from edge_agent.report import Parts
from edge_agent.web.pages import create_page

HOST = "127.0.0.1"
AGAIN_S = 10.0
MOST_AT_ONCE = 32
"""Connections; more are answered with 503."""

log = structlog.get_logger()


async def serve_page(parts: Parts, port: int) -> None:
    """Until cancelled."""
    app = create_page(parts)
    told = False
    while True:
        try:
            listening = _listen(port)
        except OSError as error:
            if not told:
                log.warning(
                    "status-page-not-served",
                    port=port,
                    error=error.strerror,
                    hint="does another agent use it? status: {port: ...} in the line file gives another",
                )
            told = True
            await asyncio.sleep(AGAIN_S)
            continue
        log.info("status-page", url=f"http://{HOST}:{port}/")
        told = False
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=MOST_AT_ONCE,
        )
        await _serve(_Server(config), listening)
        await asyncio.sleep(AGAIN_S)


class _Server(uvicorn.Server):
    """A server beside others in one loop: signals belong to the agent."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: _Server, listening: socket.socket) -> None:
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = server.force_exit = True
        with suppress(asyncio.CancelledError):
            await asyncio.wait([serving])
        listening.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        if sys.platform != "win32":  # there it would let two agents share one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(16)
    except OSError:
        listening.close()
        raise
    return listening
