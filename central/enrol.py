"""Enrolment: which agents central knows, which keys it believes of them, and when it ends.

Every change is a fact of central's own, with who and why, in the transaction that makes it. Enrolling an agent
again replaces its key; the former one is believed for 30 days more. A revoked agent is believed in nothing from
that moment on: what was committed before stays and verifies, and enrolling it again makes a new beginning.

After each change the broker's lists are written anew (``central.broker``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from central.access import Actor
from central.broker import BrokerFiles
from central.facts import Facts
from central.folders import check_name
from central.store import agents, documents
from central.store.agents import Agent
from central.store.configurations import OPEN, mode_of
from central.store.engine import Connection, Store
from central.stored import StoredFact
from records.certificates import Certificate, certificate_of
from records.clock import Clock, iso_z
from records.errors import ConfigurationError, LotkeeperError, Refused, Unknown
from records.keys import key_id
from records.model import OperationsEvent
from records.wire import AGENT_MODE, Document

PRODUCTION = "production"
"""The mode of an agent that may make production runs by approved configurations only."""

Authority = Literal["own", "plant"]


class Enrolment:
    """Which agents central knows. ``on_enrolled`` is called with each name that was registered."""

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        files: BrokerFiles,
        on_enrolled: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._files = files
        self._on_enrolled = on_enrolled
        self.broker_error: str | None = None

    def register(
        self,
        agent: str,
        partition: str,
        public: str,
        *,
        by: Actor,
        production: bool | None = None,
        certificate: bytes | None = None,
        authority: Authority = "own",
    ) -> tuple[StoredFact, Document | None]:
        """Believe this public key (64 hexadecimal digits) of this agent from now on; said again, of the key that
        it has, it is only stated again.

        ``production`` binds the agent to approved configurations, or unbinds it; None leaves it as it is.
        ``certificate`` (PEM) is what it was given for TLS, and ``authority`` who signed it. Gives the fact, and
        the document that says how the agent is to work (None: nothing was ever said).

        Raises:
            ConfigurationError: the name or the key cannot be one. Refused: it is a key of
            another, one that was revoked or one that this agent has replaced.
        """
        check_name(agent)
        check_name(partition, "partition")
        if not re.fullmatch(r"[0-9a-f]{64}", public):
            raise ConfigurationError("the public key is not 64 hexadecimal digits")

        def job(connection: Connection) -> tuple[StoredFact, Document | None]:
            if _is_present_key(connection, agent, public):  # the answer to a line PC may have been lost
                agents.place(connection, agent, partition)
            else:
                check_new_key(connection, public)
                agents.enrol(connection, agent, partition, public, self._clock.now_us())
            params: dict[str, JsonValue] = {"agent": agent, "key": public, "partition": partition}
            event = OperationsEvent("agent-enrolled", {**params, "by": by.user, "origin": by.origin})
            stored = self._facts.state(connection, event)
            if certificate is not None:
                self.note_certificate(connection, agent, certificate, authority, by)
            return stored, self._mode(connection, agent, production)

        stored = self._store.write(job)
        self.spread()
        if self._on_enrolled is not None:
            self._on_enrolled(agent)
        return stored

    def certified(self, agent: str, certificate: bytes, authority: Authority, *, by: Actor) -> Certificate:
        """Remember a certificate that an enrolled agent was given later.

        Raises:
            Unknown: nobody of that name is enrolled. Refused: it was revoked.
        """

        def job(connection: Connection) -> None:
            known = self._enrolled(connection, agent)
            if known.revoked_us is not None:
                raise Refused(f"{agent} was revoked on {iso_z(known.revoked_us)}", hint="enrol it again first")
            self.note_certificate(connection, agent, certificate, authority, by)

        self._store.write(job)
        return certificate_of(certificate)

    def revoke(self, agent: str, reason: str, *, by: Actor) -> list[str]:
        """Believe nothing that any key of this agent signs from now on; the ids of those keys.

        Its certificates go into the broker's revocation list and its name out of the access list.

        Raises:
            ConfigurationError: no reason. Unknown: nobody of that name. Refused: it was revoked before.
        """
        if not reason.strip():
            raise ConfigurationError("revoking needs a reason", hint="--reason TEXT")

        def job(connection: Connection) -> list[str]:
            known = self._enrolled(connection, agent)
            keys = agents.revoke(connection, agent, reason, by.user, self._clock.now_us())
            if not keys:
                raise Refused(f"{agent} was revoked before, on {iso_z(known.revoked_us)}")
            params: dict[str, JsonValue] = {"agent": agent, "keys": [*keys], "reason": reason}
            event = OperationsEvent("agent-revoked", {**params, "by": by.user, "origin": by.origin})
            self._facts.state(connection, event, stream="audit")
            return keys

        keys = self._store.write(job)
        self.spread()
        return keys

    def spread(self) -> str | None:
        """Write the broker's lists where they have changed; what went wrong with that, or None."""
        try:
            self._files.write()
        except (OSError, LotkeeperError) as error:
            self.broker_error = f"the broker's lists in {self._files.folder} could not be written: {error}"
        else:
            self.broker_error = None
        return self.broker_error

    def lists_into(self, folder: Path, *, revocation: bool = True) -> list[str]:
        """Write the broker's lists into another folder too; their names.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        try:
            return self._files.write(folder, revocation=revocation)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be written by the account of central: {error}") from error

    def broker(self) -> dict[str, JsonValue]:
        """Where the broker's lists are, and what is wrong with them, for who has just changed them."""
        return {"folder": str(self._files.folder), "error": self.broker_error}

    def note_certificate(
        self, connection: Connection, agent: str, certificate: bytes, authority: Authority, by: Actor
    ) -> None:
        """State that the agent was given this certificate, inside a write job."""
        found = certificate_of(certificate)
        if agents.add_certificate(connection, agent, authority, found, self._clock.now_us()):
            params: dict[str, JsonValue] = {
                "agent": agent,
                "serial": found.serial,
                "fingerprint": found.fingerprint,
                "until": iso_z(found.until_us),
                "authority": authority,
            }
            event = OperationsEvent("certificate-issued", {**params, "by": by.user, "origin": by.origin})
            self._facts.state(connection, event, stream="audit")

    def agents(self) -> list[Agent]:
        """Enrolled agents by name, revoked ones too."""
        with self._store.read() as connection:
            return agents.all_agents(connection)

    def _enrolled(self, connection: Connection, agent: str) -> Agent:
        known = agents.agent_of(connection, agent)
        if known is None:
            raise Unknown(f"no agent {agent} is enrolled", hint="lotkeeper-central enrol AGENT")
        return known

    def _mode(self, connection: Connection, agent: str, production: bool | None) -> Document | None:
        """State how the agent is to work, where that is asked for and news."""
        held = documents.newest(connection, AGENT_MODE, agent)
        mode = None if production is None else PRODUCTION if production else OPEN
        if mode is None or mode == (mode_of(held) or OPEN):
            return held
        return self._facts.issue(connection, AGENT_MODE, agent, {"mode": mode})


def _is_present_key(connection: Connection, agent: str, public: str) -> bool:
    """Whether it is the newest key of this agent, and not revoked."""
    own = [key for key in agents.keys(connection) if key.owner == agent]
    return bool(own) and own[-1].public == public and own[-1].until_us is None


def check_new_key(connection: Connection, public: str) -> None:
    """Raises Refused when this key was believed before, of whomever."""
    held = next((key for key in agents.keys(connection) if key.id == key_id(bytes.fromhex(public))), None)
    if held is not None:
        raise Refused(
            f"the key {held.id} was enrolled before, for {held.owner}, and is "
            + ("its key now" if held.until_us is None else "replaced or revoked"),
            hint="make new keys on the line PC: lotkeeper-edge identity request --agent AGENT --out FOLDER --new",
        )
