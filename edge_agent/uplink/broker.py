"""Where the broker is and how it is spoken to; what can be wrong about it is found before connecting."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edge_agent.uplink.window import Limits
from records.errors import ConfigurationError
from records.keys import Identity

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
class Tls:
    """The files of mutual TLS."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address; ``tls`` None: plain, on this machine only."""

    host: str
    port: int
    tls: Tls | None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtt' if self.tls is None else 'mqtts'}://{host}:{self.port}"


def address(url: str, identity: Identity) -> Address:
    """The address that a URL and an identity folder give.

    Raises:
        ConfigurationError: no such form, plain MQTT to another machine, or a file of mutual TLS is missing.
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
        return Address(host, port, _tls(identity))
    if not _on_this_machine(host):
        raise ConfigurationError(
            f"the broker {url} is on another machine and would be spoken to without TLS",
            hint="write mqtts:// and enrol the agent with certificates",
        )
    return Address(host, port, None)


def _tls(identity: Identity) -> Tls:
    tls = Tls(identity.folder / "ca.crt", identity.folder / "tls.crt", identity.folder / "tls.key")
    missing = [path.name for path in (tls.ca, tls.certificate, tls.key) if not path.is_file()]
    if missing:
        raise ConfigurationError(
            f"the identity {identity.folder} lacks {', '.join(missing)}, which mqtts:// needs",
            hint="enrol the agent again",
        )
    return tls


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
