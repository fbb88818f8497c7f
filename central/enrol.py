"""Enrolment: an agent gets an identity folder, central believes its key from then on, the broker lets it in.

The private keys are made here and stay in the folder, which is carried to the line PC. Central keeps the public
key, and a fact that says so. Enrolling an agent again replaces its key; the former one is believed for 30 days
more.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from central.access import Actor
from central.authority import issue_client, issue_server
from central.facts import Facts
from central.keys import CentralKeys
from central.store import agents, documents
from central.store.agents import Agent
from central.store.configurations import OPEN, mode_of
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.clock import Clock, new_id, new_secret
from records.errors import ConfigurationError
from records.files import make_folder, replace_file
from records.keys import Identity, IdentityFile, SigningKey, write_private
from records.model import OperationsEvent
from records.wire import AGENT_MODE, CENTRAL, TOPIC_ROOT, Document, sign

PASSWORD_ROUNDS = 20_000
"""PBKDF2 rounds of broker passwords; these are random, so this many are plenty."""

PRODUCTION = "production"
"""The mode of an agent that may make production runs by approved configurations only."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class MadeIdentity:
    """A new identity folder. ``password_line`` belongs into mosquitto's password file; None without password."""

    agent: str
    partition: str
    public: str
    folder: Path
    password_line: str | None


def check_name(name: str, what: str = "agent") -> str:
    """The name itself.

    Raises:
        ConfigurationError: it cannot be one.
    """
    if not _NAME.fullmatch(name) or name == CENTRAL:
        raise ConfigurationError(
            f"{name!r} cannot be the name of an {what}",
            hint="lower-case letters, digits and dashes, at most 63, beginning with a letter or digit",
        )
    return name


def make_identity(
    keys: CentralKeys, agent: str, folder: Path, now_us: int, *, partition: str = "p0", password: bool = False
) -> MadeIdentity:
    """Write an identity folder: signing key, TLS key and certificate, central's keys, perhaps a broker password.

    Raises:
        ConfigurationError: the name cannot be one, or the authority is missing.
    """
    check_name(agent)
    check_name(partition, "partition")
    make_folder(folder)
    issue_client(keys.folder, folder, agent, now_us)
    secret = new_secret() if password else None
    signing = SigningKey.generate()
    file = IdentityFile(agent, partition, keys.public, agent if password else None)
    Identity.write(folder, file, signing, secret)
    line = None if secret is None else password_line(agent, secret)
    return MadeIdentity(agent, partition, signing.public.hex(), folder, line)


def write_mode(keys: CentralKeys, folder: Path, registered: JsonValue) -> str:
    """Put central's signed word on how the agent is to work into its identity folder; the mode.

    ``registered`` is what the registration answered.
    """
    told = registered.get("mode") if isinstance(registered, dict) else None
    if told is None:
        (folder / "mode.json").unlink(missing_ok=True)
        return OPEN
    document = _DOCUMENT.validate_python(told)
    replace_file(folder / "mode.json", sign(document, keys.signing))
    return mode_of(document) or OPEN


_DOCUMENT = TypeAdapter(Document)


class Enrolment:
    """Which agents central knows. ``on_enrolled`` is called with each name that was registered."""

    def __init__(
        self, store: Store, facts: Facts, clock: Clock, on_enrolled: Callable[[str], None] | None = None
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._on_enrolled = on_enrolled

    def register(
        self, agent: str, partition: str, public: str, *, by: Actor, production: bool | None = None
    ) -> tuple[StoredFact, Document | None]:
        """Believe this public key (64 hexadecimal digits) of this agent from now on.

        ``production`` binds the agent to approved configurations, or unbinds it; None leaves it as it is. Gives
        the fact, and the document that says how the agent is to work (None: nothing was ever said).

        Raises:
            ConfigurationError: the name or the key cannot be one.
        """
        check_name(agent)
        check_name(partition, "partition")
        if not re.fullmatch(r"[0-9a-f]{64}", public):
            raise ConfigurationError("the public key is not 64 hexadecimal digits")

        def job(connection: Connection) -> tuple[StoredFact, Document | None]:
            agents.enrol(connection, agent, partition, public, self._clock.now_us())
            params: dict[str, JsonValue] = {"agent": agent, "key": public, "partition": partition}
            event = OperationsEvent("agent-enrolled", {**params, "by": by.user, "origin": by.origin})
            stored = self._facts.state(connection, event)
            return stored, self._mode(connection, agent, production)

        stored = self._store.write(job)
        if self._on_enrolled is not None:
            self._on_enrolled(agent)
        return stored

    def _mode(self, connection: Connection, agent: str, production: bool | None) -> Document | None:
        """State how the agent is to work, where that is asked for and news."""
        held = documents.newest(connection, AGENT_MODE, agent)
        mode = None if production is None else PRODUCTION if production else OPEN
        if mode is None or mode == (mode_of(held) or OPEN):
            return held
        return self._facts.issue(connection, AGENT_MODE, agent, {"mode": mode})

    def agents(self) -> list[Agent]:
        """Enrolled agents by name."""
        with self._store.read() as connection:
            return agents.all_agents(connection)


# -- the broker --------------------------------------------------------------------------------------------


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


def access_list() -> str:
    """Mosquitto's access list: every agent speaks and listens under its own name only, central to all."""
    return (
        f"user {CENTRAL}\n"
        f"topic read {TOPIC_ROOT}/up/#\n"
        f"topic read {TOPIC_ROOT}/state/#\n"
        f"topic write {TOPIC_ROOT}/ack/#\n"
        f"topic write {TOPIC_ROOT}/down/#\n"
        "\n"
        f"pattern write {TOPIC_ROOT}/up/+/%u/+\n"
        f"pattern readwrite {TOPIC_ROOT}/state/%u\n"
        f"pattern read {TOPIC_ROOT}/ack/%u/#\n"
        f"pattern read {TOPIC_ROOT}/down/%u/#\n"
    )


def broker_configuration(folder: Path, port: int) -> str:
    """A configuration for mosquitto with mutual TLS; who a client is, its certificate says."""
    return (
        "# Lotkeeper needs nothing of the broker's own storage: agents keep every record until central has it.\n"
        f"listener {port}\n"
        "allow_anonymous false\n"
        f"cafile {folder / 'ca.crt'}\n"
        f"certfile {folder / 'tls.crt'}\n"
        f"keyfile {folder / 'tls.key'}\n"
        "require_certificate true\n"
        "use_identity_as_username true\n"
        "tls_version tlsv1.2\n"
        f"acl_file {folder / 'access.acl'}\n"
        "message_size_limit 8400000\n"
        "max_queued_messages 10000\n"
        "persistence true\n"
        "autosave_on_changes true\n"
        "autosave_interval 1\n"
        f"persistence_location {folder}/\n"
    )


def make_broker(keys: CentralKeys, hosts: Iterable[str], folder: Path, port: int, now_us: int) -> list[Path]:
    """Write what a mosquitto with mutual TLS needs: certificate, key, access list, configuration."""
    make_folder(folder)
    issue_server(keys.folder, folder, list(hosts), now_us)
    replace_file(folder / "access.acl", access_list().encode())
    replace_file(folder / "mosquitto.conf", broker_configuration(folder.resolve(), port).encode())
    return [folder / name for name in ("tls.key", "tls.crt", "ca.crt", "access.acl", "mosquitto.conf")]
