"""Ports of servers that come back."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from simulators import sockets


def test_a_port_is_none_that_the_system_gives_to_a_connection() -> None:
    ports = [sockets.free_port() for _ in range(50)]
    assert all(sockets.LOWEST <= port < 32_768 for port in ports)
    assert len(set(ports)) > 40  # two plants side by side do not choose the same one after the other


def test_a_taken_port_is_passed_over() -> None:
    with ExitStack() as stack, patch.object(sockets, "PORTS", 2):
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", sockets.free_port()))
        other = sockets.free_port()
        assert other != taken.getsockname()[1]
        also = stack.enter_context(socket.socket())
        also.bind(("127.0.0.1", other))
        with pytest.raises(OSError, match="no free TCP port"):
            sockets.free_port()


def test_a_reserved_port_is_given_once_though_nothing_listens_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: an agent of one plant found the machine of another at the port of its own, which was down, and answered
    its cycles."""
    monkeypatch.setattr(sockets.tempfile, "gettempdir", lambda: str(tmp_path))  # others may test this, too
    with patch.object(sockets, "OWN_LOWEST", 9_990), patch.object(sockets, "OWN_PORTS", 1):
        assert sockets.reserved_port() == 9_990
        with pytest.raises(OSError, match="could be reserved"):
            sockets.reserved_port()
