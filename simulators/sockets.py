"""Addresses for servers that must keep their port over a restart."""

from __future__ import annotations

import socket

from records.clock import new_id

LOWEST, PORTS = 20_000, 12_000
"""Below the ports that Linux (from 32768) and Windows (from 49152) give to connections: one of those may take the
port of a server while it is down."""
TRIES = 100


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now and that no outgoing connection is given.

    Raises OSError when a hundred in a row are taken.
    """
    for _ in range(TRIES):
        port = LOWEST + int(new_id(4), 16) % PORTS
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free TCP port of {host} found in {TRIES} tries from {LOWEST} on")
