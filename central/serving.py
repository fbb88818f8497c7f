"""Central as a process: its parts started, its pages served, until it is told to stop or the disk fails."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn

from central.app import build
from central.settings import CentralSettings
from central.web.site import create_app
from records.clock import SystemClock
from records.errors import Refused
from records.failpoint import failpoint_from_environment
from records.logs import set_up_log
from records.process import end_for_storage, end_with_any_thread, keep_pauses_short
from records.yaml import Loaded

TURN_S = 0.0005
"""How long a thread that computes may keep the interpreter from others: each answer of disk or network waits so
long for its turn, and taking a record in is made of many such."""
WAITING = 128
"""Most connections that wait until they are taken."""


def run_central(loaded: Loaded[CentralSettings]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        Refused: the port is taken, or another process has the folder. Else what ``central.app.build`` raises.
    """
    sys.setswitchinterval(TURN_S)
    set_up_log()
    end_with_any_thread()
    settings = loaded.value
    listening = _listen(settings.http.host, settings.http.port)
    try:
        central = build(
            settings,
            SystemClock(),
            configuration=loaded.hash,
            on_failure=end_for_storage,
            failpoint=failpoint_from_environment(),
        )
        try:
            config = uvicorn.Config(
                create_app(central),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
            server = uvicorn.Server(config)

            def end(_number: int, _frame: object) -> None:
                """Before uvicorn listens to signals itself, this one is remembered; afterwards it has ended."""
                server.should_exit = True

            for name in (signal.SIGTERM, signal.SIGINT):
                signal.signal(name, end)
            central.start()
            keep_pauses_short()
            host, port = listening.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            sys.stderr.write(f"central serves {settings.site} at http://{shown}:{port}\n")
            sys.stderr.flush()
            server.run(sockets=[listening])
        finally:
            central.close()
    finally:
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two processes share the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(WAITING)  # who calls from here on waits and is not refused
    except OSError as error:
        listening.close()
        raise Refused(
            f"cannot listen at {host}:{port}: {error.strerror}", hint="is another central running? set http.port"
        ) from error
    return listening
