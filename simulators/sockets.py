"""Addresses for servers that must keep their port over a restart."""

from __future__ import annotations

import atexit
import socket
import tempfile
from pathlib import Path

from records.clock import new_id
from records.errors import Refused
from records.files import InstanceLock

LOWEST, PORTS = 20_000, 12_000
"""Below the ports that Linux (from 32768) and Windows (from 49152) give to connections: one of those may take the
port of a server while it is down."""
TRIES = 100
OWN_LOWEST, OWN_PORTS = 10_000, 10_000
"""Where ports are reserved for as long as their process lives: nobody else takes one of these by chance."""
_reserved: list[InstanceLock] = []


@atexit.register
def _give_back() -> None:
    while _reserved:
        _reserved.pop().release()


def reserved_port(host: str = "127.0.0.1") -> int:
    """As ``free_port``, and no other process that asks here is given the same one before this process has ended.

    For long runs beside others on one machine: an agent that looks for a machine that is down must find no other.
    """
    folder = Path(tempfile.gettempdir()) / "lotkeeper-ports"
    for _ in range(TRIES):
        port = OWN_LOWEST + int(new_id(4), 16) % OWN_PORTS
        try:
            lock = InstanceLock(folder / f"{port}")
        except Refused:
            continue
        if _free(host, port):
            _reserved.append(lock)
            return port
        lock.release()
    raise OSError(f"no TCP port of {host} could be reserved in {TRIES} tries from {OWN_LOWEST} on")


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now and that no outgoing connection is given.

    Raises OSError when a hundred in a row are taken.
    """
    for _ in range(TRIES):
        port = LOWEST + int(new_id(4), 16) % PORTS
        if _free(host, port):
            return port
    raise OSError(f"no free TCP port of {host} found in {TRIES} tries from {LOWEST} on")


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
