"""A line of so many Mbit/s towards a broker: what is behind it hears and answers as fast as it can."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection

PIECE = 8 * 1024
QUEUE = 64 * 1024
"""What a router holds before it lets the sender wait, in bytes."""


def serve(port: int, mbit_s: float, told: Connection) -> None:
    """Relay every connection to ``port``, for ever; sends the port that it listens on."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE)  # of those that are accepted, too
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    told.send(listener.getsockname()[1])
    while True:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_carry, args=(near, far, mbit_s * 1e6 / 8), daemon=True).start()
        threading.Thread(target=_carry, args=(far, near, None), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, bytes_per_s: float | None) -> None:
    free_s = time.perf_counter()
    with suppress(OSError):
        while data := source.recv(PIECE):
            if bytes_per_s is not None:
                now_s = time.perf_counter()
                free_s = max(free_s, now_s) + len(data) / bytes_per_s
                time.sleep(max(free_s - now_s, 0.0))
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
