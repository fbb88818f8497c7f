"""Where the broker is and how it is spoken to; what can be wrong about it is found before connecting."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from edge_agent.uplink.window import Limits
from records.errors import ConfigurationError

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """How records travel. Times in seconds, sizes in bytes.

    ``protocol`` is what the agent speaks; it never falls back to another by itself. ``settle_s``: how long a new
    connection waits for central's retained watermark before it sends. ``taken_over_s``: how long another client
    that took over this agent's session is left alone, twice as long each time.
    """

    broker: str
    protocol: Literal[5, "3.1.1"] = 5
    head_interval_s: float = 30.0
    keepalive_s: float = 30.0
    max_frame_bytes: int = 64 * 1024
    limits: Limits = field(default_factory=Limits)
    prune_interval_s: float = 60.0
    settle_s: float = 1.0
    reconnect_max_s: float = 30.0
    taken_over_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address; plain, without ``tls``, on this machine only."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def address(url: str) -> Address:
    """The address that a URL gives. The files of mutual TLS are looked at for each connection: they come and go.

    Raises:
        ConfigurationError: no such form, or plain MQTT to another machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in _PORTS or not host or parts.path not in ("", "/") or parts.username or parts.query:
        raise ConfigurationError(
            f"the broker {url!r} has no address that can be used",
            hint="write mqtts://HOST:PORT, or mqtt://127.0.0.1:PORT for a broker on this machine",
        )
    port = port or _PORTS[parts.scheme]
    if parts.scheme == "mqtts":
        return Address(host, port, True)
    if not _on_this_machine(host):
        raise ConfigurationError(
            f"the broker {url} is on another machine and would be spoken to without TLS",
            hint="write mqtts:// and enrol the agent with certificates",
        )
    return Address(host, port, False)


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
