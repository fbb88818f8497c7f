"""What agents ask for their own identity: another certificate, another signing key.

Only an agent that is believed now can ask (``central.agent_requests``), and only for itself. A certificate is
signed by central's own authority; where the plant's signs, a person brings it. Both answers are documents for that
agent alone. Asked again, because the answer was lost, central answers the same again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue

from central.access import Actor
from central.agent_requests import Handler
from central.authority import authority_pem, sign_request
from central.enrol import Enrolment, check_new_key
from central.facts import Facts
from central.store import agents, documents, snapshots
from central.store.engine import Connection, Store
from records.certificates import certificate_of, same_key
from records.clock import Clock, iso_z
from records.errors import Invalid, Refused
from records.keys import OVERLAP_US, check_proof
from records.model import OperationsEvent
from records.wire import CERTIFICATE, SIGNING_KEY, Document, Request

ORIGIN = "the agent itself"
KEY_CHANGED = "agent-key-changed"
"""Code of the fact, in the audit stream, that an agent signs with a key of its own making from now on."""
APART_US = 600 * 1_000_000
"""Between two certificates, or two keys, of one agent: a broken one must not fill central's store."""


class Renewals:
    """Answers requests of the kinds ``certificate`` and ``signing-key``."""

    def __init__(
        self,
        store: Store,
        facts: Facts,
        clock: Clock,
        enrolment: Enrolment,
        authority: Path,
        publish: Callable[[str, Document], None],
    ) -> None:
        self._store = store
        self._facts = facts
        self._clock = clock
        self._enrolment = enrolment
        self._authority = authority
        self._publish = publish

    @property
    def handlers(self) -> dict[str, Handler]:
        """Who answers which kind of request."""
        return {CERTIFICATE: self.certificate, SIGNING_KEY: self.signing_key}

    def certificate(self, request: Request) -> None:
        """Sign what an agent asks for itself.

        Raises:
            Invalid: no certificate request of this agent. Refused: the plant's authority signs for it, it asks too
            often, or was revoked meanwhile.
        """
        agent, csr = request.agent, _text(request.content, "csr").encode()
        with self._store.read() as connection:
            held = documents.newest(connection, CERTIFICATE, agent)
            last = [each for each in agents.certificates(connection) if each.owner == agent][-1:]
        if held is not None and same_key(csr, _text(held.content, "certificate").encode()):
            self._publish(agent, held)
            return
        if last and last[0].authority == agents.PLANT:
            raise Refused(
                f"the plant's own authority signs the certificates of {agent}", hint="a person brings it"
            )
        now_us = self._clock.now_us()
        _not_too_often(held, now_us)
        signed = sign_request(self._authority, csr, agent, now_us)
        content: dict[str, JsonValue] = {
            "certificate": signed.decode(),
            "ca": authority_pem(self._authority).decode(),
            "not_after": iso_z(certificate_of(signed).until_us),
        }

        def job(connection: Connection) -> Document:
            _check_believed(connection, agent)
            self._enrolment.note_certificate(connection, agent, signed, "own", Actor(agent, ORIGIN))
            return self._facts.issue(connection, CERTIFICATE, agent, content)

        self._publish(agent, self._store.write(job))

    def signing_key(self, request: Request) -> None:
        """Believe another key that an agent shows to hold; the former one is believed for 30 days more.

        Raises:
            Invalid: it does not show that. Refused: the key is known otherwise, it asks too often, or was revoked
            meanwhile.
        """
        agent, public = request.agent, _text(request.content, "public")
        check_proof(agent, public, _text(request.content, "proof"))
        now_us = self._clock.now_us()

        def job(connection: Connection) -> Document:
            _check_believed(connection, agent)
            own = [key for key in agents.keys(connection) if key.owner == agent]
            held = documents.newest(connection, SIGNING_KEY, agent)
            if held is not None and own[-1].public == public:
                return held
            check_new_key(connection, public)
            _not_too_often(held, now_us)
            since_us = agents.add_key(connection, agent, public, now_us).since_us
            params: dict[str, JsonValue] = {
                "agent": agent,
                "key": public,
                "replaced": own[-1].public,
                "until": iso_z(since_us + OVERLAP_US),
            }
            self._facts.state(connection, OperationsEvent(KEY_CHANGED, params), stream="audit")
            return self._facts.issue(connection, SIGNING_KEY, agent, {"public": public})

        self._publish(agent, self._store.write(job))


def enrolled_us(connection: Connection, agent: str) -> dict[str, int]:
    """By the id of each key of an agent: since when the identity is believed that it belongs to. A key that the
    agent made for itself belongs to the one before it, so that no PC gets ahead of another by changing its key.
    """
    changes = map(snapshots.said_by, snapshots.coded(connection, KEY_CHANGED, "audit"))
    renewed = {said.params.get("key") for said in changes if said is not None}
    found: dict[str, int] = {}
    since_us = 0
    for key in agents.keys(connection):
        if key.owner == agent:
            since_us = since_us if key.public in renewed else key.since_us
            found[key.id] = since_us
    return found


def _check_believed(connection: Connection, agent: str) -> None:
    """Inside the very job that answers: a request that was checked before may be answered after a revocation."""
    known = agents.agent_of(connection, agent)
    if known is None or known.revoked_us is not None:
        raise Refused(f"{agent} was revoked while its request was on its way")


def _not_too_often(held: Document | None, now_us: int) -> None:
    if held is not None and now_us < held.issued_us + APART_US:
        raise Refused(f"{held.id} was answered on {iso_z(held.issued_us)}, and asks for something else already")


def _text(content: JsonValue, name: str) -> str:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, str):
        raise Invalid(f"the request has no {name}")
    return found
