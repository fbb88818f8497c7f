"""The agent looks after its own identity: certificate and signing key are renewed before anybody has to.

Every minute it looks at what it holds. When a third of the certificate's time is left (30 days at least) it makes
a new key, asks central for a certificate, and takes both into use at once; a signing key is replaced once a year
in the same way, but not while central keeps to another agent of this identity, whose key that would end. The
private keys never leave the identity folder, and a process killed in between goes on with what it asked. Where the
plant's authority signs, the agent warns instead, from the same moment on, and a person brings the file
(``lotkeeper-edge identity``).

Central's keys change by an announcement that the former key signed. Who was away for longer than both are believed
(30 days) does not believe it: then a person brings central's keys, by enrolling the agent again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import structlog
from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_agent.documents import Documents
from edge_agent.identity_view import FILES
from records.certificates import (
    ASKED,
    AUTHORITY,
    DAY_US,
    Certificate,
    ask,
    certificate_of,
    forget,
    install,
    is_renewed,
    look_at_files,
)
from records.certificates import CERTIFICATE as CERTIFICATE_FILE
from records.clock import Clock, iso_z
from records.enrolment import SIGNING_ASKED, asked_key
from records.errors import Damaged, Invalid, LotkeeperError, trouble_of
from records.keys import Identity, KeyRing, PublicKey, SigningKey, prove
from records.trouble import Trouble
from records.wire import CENTRAL, CENTRAL_KEYS, CERTIFICATE, SIGNING_KEY, Document, signed_by, unsign

LOOK_EVERY_S = 60.0
ASK_EVERY_S = 600.0
"""What is not answered is asked again so often."""
SIGNING_KEY_US = 365 * DAY_US
"""How old a signing key becomes."""
WARN_EVERY_S = 86_400.0
NOT_ANSWERED = Trouble.of("renewal-not-answered")
NOT_ASKED = Trouble.of("renewal-not-asked")
ENDED = Trouble.of("certificate-ended-here")
"""Why a certificate that ends was not renewed."""


_KEYS = TypeAdapter(tuple[PublicKey, ...])


class Way(Protocol):
    """The way to central, as ``edge_agent.uplink`` is one."""

    @property
    def tls(self) -> bool:
        """Whether the broker asks for a certificate."""

    @property
    def reached(self) -> bool:
        """Whether the broker is reached now."""

    @property
    def fenced(self) -> bool:
        """Whether central keeps to another agent of this identity."""

    def request(self, kind: str, content: JsonValue) -> None:
        """Ask central."""

    def reconnect(self) -> None:
        """Connect anew, with the files that are there then."""


class Renewal:
    """Safe from any thread."""

    def __init__(
        self,
        identity: Identity,
        documents: Documents,
        clock: Clock,
        on_event: Callable[[str, dict[str, JsonValue]], None],
        way: Way,
    ) -> None:
        self._identity, self._documents, self._clock = identity, documents, clock
        self._on_event, self._way = on_event, way
        self._agent = identity.file.agent
        self._lock = threading.RLock()
        self._reached_s: float | None = None
        self._unreached_s: float | None = None
        self._asked_s: dict[str, float] = {}
        self._warned_s: dict[tuple[str, str], float] = {}
        self._problems: dict[str, Trouble] = {}
        self._log = structlog.get_logger().bind(agent=self._agent)

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Ask for what will be needed, or say that a person is."""
        with self._lock:
            failed = False
            for look in (self._look_at_files, self._look_at_certificate, self._look_at_signing_key):
                try:
                    look()
                except (OSError, LotkeeperError) as error:
                    failed = True
                    self._log.error("identity-not-renewed", error=str(error))
                    self._problem("folder", Trouble.of("folder-unusable", why=_why(error)))
            if not failed:
                self._fine("folder")

    def told(self, kind: str) -> None:
        """Central answered with a document of this kind."""
        take = {CERTIFICATE: self._take_certificate, SIGNING_KEY: self._take_signing_key}.get(kind)
        if take is not None:
            with self._lock:
                try:
                    take()
                except (OSError, LotkeeperError) as error:
                    self._log.error("identity-answer-refused", kind=kind, error=str(error))
                    self._problem(kind, Trouble.of("answer-not-taken", why=_why(error)))

    @property
    def problems(self) -> Mapping[str, Trouble]:
        """What a person must do something about, by what it concerns."""
        return dict(self._problems)

    # -- the certificate -----------------------------------------------------------------------------------

    def _look_at_files(self) -> None:
        """The connection that there is needs them no more; the next one will."""
        try:
            if self._way.tls or (self._identity.folder / CERTIFICATE_FILE).exists():
                look_at_files(self._identity.folder)
            self._fine(FILES)
        except Invalid as error:
            self._warn(FILES, trouble_of(error), None)

    def certificate(self) -> Certificate | None:
        """The one in use; None for an agent that has none (its broker is on this machine).

        Raises:
            Invalid: the file holds none.
        """
        path = self._identity.folder / CERTIFICATE_FILE
        return certificate_of(path.read_bytes()) if path.exists() else None

    def _look_at_certificate(self) -> None:
        now_us = self._clock.now_us()
        try:
            found = self.certificate()
        except Invalid:
            return  # told of with the other files
        if found is None or now_us < found.renew_us:
            self._fine("certificate")
            self._reached_s = self._unreached_s = None
            return
        if self._identity.file.authority == "plant":
            why = Trouble.of("plant-must-sign", until=str(iso_z(found.until_us)))
            self._warn("certificate", why, found.until_us)
            return
        if self._may_ask(CERTIFICATE):
            csr = ask(self._identity.folder, self._agent, tell=partial(self._hear, "certificate"))
            self._way.request(CERTIFICATE, {"csr": csr.decode()})
        missing = self._why_none_came(ended=now_us >= found.until_us)
        if missing is not None and now_us > (found.renew_us + found.until_us) // 2:
            self._warn("certificate", missing, found.until_us)
        elif self._problems.get("certificate") in (NOT_ANSWERED, NOT_ASKED, ENDED):
            self._fine("certificate")
        self.told(CERTIFICATE)

    def _why_none_came(self, *, ended: bool) -> Trouble | None:
        """Why another certificate is not there though it was asked for; None while it may still come."""
        now_s = self._clock.monotonic_s()
        if self._way.reached:
            self._unreached_s = None
            self._reached_s = now_s if self._reached_s is None else self._reached_s
            return NOT_ANSWERED if now_s - self._reached_s >= ASK_EVERY_S else None
        if ended and self._way.tls:
            return ENDED
        self._unreached_s = now_s if self._unreached_s is None else self._unreached_s
        return NOT_ASKED if now_s - self._unreached_s >= ASK_EVERY_S else None

    def _take_certificate(self) -> None:
        document = self._documents.get(CERTIFICATE, self._agent)
        content = None if document is None else document.content
        if not isinstance(content, dict) or not (self._identity.folder / ASKED).exists():
            return
        pem, offered = str(content.get("certificate")).encode(), str(content.get("ca")).encode()
        # renewed, it has its key still; another authority comes by enrolling only, for it must be the broker's too
        authority = offered if is_renewed((self._identity.folder / AUTHORITY).read_bytes(), offered) else None
        try:
            found = install(self._identity.folder, pem, authority, self._clock.now_us(), self._agent)
        except Invalid as error:
            if "another key" in error.message:
                return  # the answer to an earlier request
            raise
        self._renewed("certificate", found.serial, found.until_us)
        self._way.reconnect()

    # -- the signing key -----------------------------------------------------------------------------------

    def _look_at_signing_key(self) -> None:
        since_us = self._identity.file.signing_since_us
        waiting = (self._identity.folder / SIGNING_ASKED).exists()
        if not waiting and (since_us == 0 or self._clock.now_us() < since_us + SIGNING_KEY_US):
            return
        may_ask = not self._way.fenced  # a newer key ends the one of whom central keeps to
        if may_ask and self._may_ask(SIGNING_KEY):
            key = self._asked_key()
            content: dict[str, JsonValue] = {"public": key.public.hex(), "proof": prove(self._agent, key)}
            self._way.request(SIGNING_KEY, content)
        self.told(SIGNING_KEY)

    def _take_signing_key(self) -> None:
        document = self._documents.get(SIGNING_KEY, self._agent)
        content = None if document is None else document.content
        waiting = self._identity.folder / SIGNING_ASKED
        if not isinstance(content, dict) or not waiting.exists():
            return
        key = self._asked_key()
        if content.get("public") != key.public.hex():
            return  # the answer to an earlier request
        self._identity.sign_with(key, self._clock.now_us())
        forget(waiting)
        self._renewed("signing-key", key.id, None)

    def _asked_key(self) -> SigningKey:
        return asked_key(self._identity.folder, tell=partial(self._hear, "signing-key"))

    # -- central's keys ------------------------------------------------------------------------------------

    def central_keys(self, payload: bytes) -> None:
        """Take an announcement of central's keys, signed by one that is or was believed.

        Raises:
            Invalid, Damaged: it is none.
        """
        with self._lock:
            known = {key.id: key for key in self._identity.file.central_keys}
            document = unsign(Document, payload, KeyRing(known.values()), CENTRAL)
            keys = _announced(document)
            newest = keys[-1]
            if newest.id in known:  # central tells all of its keys each time, so this is none or an older one
                return
            signer = next((key for key in keys if key.id == signed_by(payload)), None)
            if signer is None or signer.ended(self._clock.now_us()):
                until_us = None if signer is None else signer.until_us
                self._warn("central-keys", Trouble.of("central-key-changed"), until_us)
                return
            try:
                self._identity.believe(keys)
                self._fine("central-keys")
            except OSError as error:
                self._problem("central-keys", Trouble.of("central-key-not-kept", why=_why(error)))
            self._renewed("central-keys", newest.id, None)
        self._way.reconnect()  # what was signed with it and refused before comes again

    # -- telling -------------------------------------------------------------------------------------------

    def _may_ask(self, kind: str) -> bool:
        now_s = self._clock.monotonic_s()
        if now_s - self._asked_s.get(kind, now_s - ASK_EVERY_S) < ASK_EVERY_S:
            return False
        self._asked_s[kind] = now_s
        return True

    def _renewed(self, what: str, name: str, until_us: int | None) -> None:
        self._fine(what)
        self._log.info("identity-renewed", what=what, id=name)
        self._on_event("identity-renewed", {"what": what, "id": name, "until": iso_z(until_us)})

    def _hear(self, what: str, said: str) -> None:
        self._warn(what, Trouble.of("as-said", said=said), None)

    def _warn(self, what: str, why: Trouble, until_us: int | None) -> None:
        """Tell a person: in the status at once, as an event once a day for each reason."""
        self._problem(what, why)
        now_s, said = self._clock.monotonic_s(), why.whole
        if now_s - self._warned_s.get((what, said), now_s - WARN_EVERY_S) >= WARN_EVERY_S:
            self._warned_s[what, said] = now_s
            told: dict[str, JsonValue] = {"what": what, "why": said, "until": iso_z(until_us)}
            self._on_event("identity-warning", told | {"trouble": why.to_json()})

    def _problem(self, what: str, why: Trouble) -> None:
        if self._problems.get(what) != why:
            self._log.warning("identity-problem", what=what, why=why.whole)
        self._problems[what] = why

    def _fine(self, what: str) -> None:
        self._problems.pop(what, None)


def _why(error: OSError | LotkeeperError) -> Trouble:
    return trouble_of(error) if isinstance(error, LotkeeperError) else Trouble.of("as-said", said=str(error))


def _announced(document: Document) -> tuple[PublicKey, ...]:
    content = document.content
    if document.kind != CENTRAL_KEYS or not isinstance(content, dict):
        raise Invalid("the announcement of central's keys holds none")
    try:
        keys = _KEYS.validate_python(content.get("keys"))
    except ValidationError as error:
        raise Invalid("the announcement of central's keys holds none") from error
    if not keys or any(key.owner != CENTRAL for key in keys):
        raise Damaged("the announcement of central's keys names keys of somebody else")
    return keys
