"""Addresses for servers that must keep their port over a restart."""

from __future__ import annotations

import socket


def free_port(host: str) -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    return int(port)
