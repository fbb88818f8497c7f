"""What a mosquitto for Lotkeeper needs: its configuration, who may say what, whose certificates are revoked.

The configuration is the shipped ``config/mosquitto.conf``, with paths, port and account replaced and every other
line as it is. The access list and the revocation list follow from who is enrolled; central writes both anew at
each start and whenever an agent is enrolled, moved or revoked (``BrokerFiles``). Mosquitto reads both again on
SIGHUP: a revoked agent is then cut off although its connection stays, since nothing in the list is its own.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import central
from central.authority import listed_serials, revocation_list
from central.store import agents
from central.store.agents import Agent
from central.store.engine import Store
from records.certificates import AUTHORITY, CERTIFICATE, KEY
from records.clock import Clock, new_id
from records.errors import ConfigurationError
from records.files import make_folder, replace_file
from records.keys import write_private
from records.wire import CENTRAL, REQUESTS, TOPIC_ROOT, state_topic, up_topic

ACCESS_LIST, REVOKED, CONFIGURATION = "access.acl", "revoked.crl", "mosquitto.conf"
STREAMS = ("records", "telemetry")
PASSWORD_ROUNDS = 20_000
"""PBKDF2 rounds of broker passwords; these are random, so this many are plenty."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where one mosquitto listens and keeps its files.

    ``revocation``: whether there is a revocation list (the plant's own authority has its own). ``user``: the
    account that it runs as; None: what mosquitto itself takes. ``persistence`` False: nothing outlives a restart.
    """

    port: int
    files: Path
    data: Path
    address: str | None = None
    user: str | None = None
    revocation: bool = True
    persistence: bool = True


def broker_configuration(broker: Broker) -> str:
    """The shipped configuration for this broker.

    Raises:
        ConfigurationError: the shipped file lacks a line that must be replaced.
    """
    return shipped_configuration(
        {
            "listener": f"{broker.port} {broker.address}" if broker.address else str(broker.port),
            "cafile": str(broker.files / AUTHORITY),
            "certfile": str(broker.files / CERTIFICATE),
            "keyfile": str(broker.files / KEY),
            "crlfile": str(broker.files / REVOKED) if broker.revocation else None,
            "acl_file": str(broker.files / ACCESS_LIST),
            "persistence": "true" if broker.persistence else "false",
            "persistence_location": f"{broker.data}/",
        },
        () if broker.user is None else (f"user {broker.user}",),
    )


def shipped_configuration(replaced: Mapping[str, str | None], first: Sequence[str] = ()) -> str:
    """``config/mosquitto.conf`` with other values of some words (None: that line left out), ``first`` before it.

    Raises:
        ConfigurationError: the shipped file lacks a line that must be replaced.
    """
    example = Path(central.__file__).parent.parent / "config" / CONFIGURATION
    left, lines = dict(replaced), [*first]
    for line in example.read_text(encoding="utf-8").splitlines():
        word = line.partition(" ")[0]
        if word not in left:
            lines.append(line)
        elif (value := left.pop(word)) is not None:
            lines.append(f"{word} {value}")
    if left:
        raise ConfigurationError(f"{example} lacks {', '.join(left)}", hint="take the shipped file again")
    return "".join(f"{line}\n" for line in lines)


def access_list(known: Iterable[Agent]) -> str:
    """Mosquitto's access list: each agent under its own name and partition only, central under all.

    A revoked agent has no line, so it may do nothing.
    """
    blocks = [
        f"# Written by lotkeeper-central whenever an agent is enrolled or revoked. Do not change it by hand.\n\n"
        f"user {CENTRAL}\n"
        f"topic read {TOPIC_ROOT}/up/#\n"
        f"topic read {TOPIC_ROOT}/state/#\n"
        f"topic write {state_topic(CENTRAL)}/#\n"
        f"topic write {TOPIC_ROOT}/ack/#\n"
        f"topic write {TOPIC_ROOT}/down/#\n"
    ]
    for agent in known:
        if agent.revoked_us is None:
            up = [f"topic write {up_topic(agent.partition, agent.id, each)}\n" for each in (*STREAMS, REQUESTS)]
            blocks.append(
                f"user {agent.id}\n"
                + "".join(up)
                + f"topic readwrite {state_topic(agent.id)}\n"
                + f"topic read {TOPIC_ROOT}/ack/{agent.id}/#\n"
                + f"topic read {TOPIC_ROOT}/down/{agent.id}/#\n"
            )
    return "\n".join(blocks)


class BrokerFiles:
    """The two files that follow from who is enrolled, kept as they must be in one folder."""

    def __init__(self, folder: Path, authority: Path, store: Store, clock: Clock) -> None:
        self.folder = folder
        self._authority, self._store, self._clock = authority, store, clock
        self._lock = threading.Lock()

    def write(self, folder: Path | None = None, *, revocation: bool = True) -> list[str]:
        """Write what has changed, here or into another folder; the names of those files.

        Raises:
            OSError: the folder cannot be written. ConfigurationError: the authority is missing.
        """
        place = folder or self.folder
        with self._lock, self._store.read() as connection:
            known = agents.all_agents(connection)
            revoked = [(each.serial, at_us) for each, at_us in agents.revoked_certificates(connection)]
            make_folder(place)
            changed = []
            rights, listed = place / ACCESS_LIST, place / REVOKED
            wanted = access_list(known).encode()
            if not rights.exists() or rights.read_bytes() != wanted:
                replace_file(rights, wanted)
                changed.append(ACCESS_LIST)
            serials = {serial for serial, _ in revoked}
            if not revocation:
                return changed
            if not listed.exists() or listed_serials(self._authority, listed.read_bytes()) != serials:
                replace_file(listed, revocation_list(self._authority, revoked, self._clock.now_us()))
                changed.append(REVOKED)
        return changed


# -- passwords, for a broker on loopback --------------------------------------------------------------------


def password_line(user: str, password: str) -> str:
    """A line of mosquitto's password file (PBKDF2 with SHA-512)."""
    salt = bytes.fromhex(new_id(12))
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PASSWORD_ROUNDS, 64)
    return f"{user}:$7${PASSWORD_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def add_password(file: Path, line: str) -> None:
    """Put a line into a password file, in the place of the same user's former one."""
    user = line.split(":", 1)[0]
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [other for other in lines if other.split(":", 1)[0] != user]
    write_private(file, "".join(f"{each}\n" for each in (*kept, line)).encode())
