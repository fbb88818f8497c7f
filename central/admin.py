"""Administration while central runs, and while it does not.

Only one process may write in central's folder: the one that holds ``instance.lock``. When that is the running
server, a command hands its request over to it (``central.requests``); when nothing runs, the command takes the
lock, opens the store itself and does the same.
"""

from __future__ import annotations

import hmac
import json
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue, TypeAdapter
from structlog.typing import FilteringBoundLogger

from central.access import Access, Actor
from central.chart_admin import ChartAdministration
from central.configurations import Configurations
from central.enrol import Enrolment
from central.ground import Ground
from central.holds import Held, Holds
from central.keep_admin import Keeping
from central.requests import (
    ADMIN_FILE,
    TIMEOUT_S,
    AgentCertificate,
    AgentRegister,
    AgentRevoke,
    AuthorityRenew,
    BackupMake,
    BrokerLists,
    CertificateAsk,
    ConfigurationDecide,
    ConfigurationList,
    ExportImport,
    GroundLoad,
    GroundShow,
    HoldList,
    HoldRelease,
    HoldSet,
    KeysRoll,
    Request,
    RetentionApply,
    RetentionShow,
    TokenCreate,
    TokenRevoke,
    UserAdd,
    UserDisable,
    UserPassword,
    read_request,
)
from central.rollover import Rollover
from records.clock import SystemClock, iso_z, new_secret
from records.errors import Invalid, LotkeeperError
from records.foreign import ours
from records.keys import write_private
from records.progress import Tell, silent
from records.wire import Document

ORIGIN = "command line"
LONGEST_LINE = 1024 * 1024
TELL_EVERY_S = 1.0


class Administration:
    """Does what a request asks, with central's own parts."""

    def __init__(
        self,
        access: Access,
        enrolment: Enrolment,
        configurations: Configurations,
        holds: Holds,
        ground: Ground,
        charts: ChartAdministration,
        keeping: Keeping,
        rollover: Rollover,
    ) -> None:
        self._access = access
        self._enrolment = enrolment
        self._configurations = configurations
        self._holds = holds
        self._ground = ground
        self._charts = charts
        self._keeping = keeping
        self._rollover = rollover

    def do(self, request: Request, tell: Tell = silent) -> JsonValue:
        """The answer as JSON. ``tell`` hears how far what takes long is. Raises what the parts raise."""
        by = Actor(request.by, ORIGIN)
        match request:
            case UserAdd():
                user = self._access.add_user(
                    request.user, request.role, request.password, by=by, name=request.name
                )
                return {"user": user.id, "name": user.name, "role": user.role.value}
            case UserDisable():
                return {"user": self._access.disable_user(request.user, by=by).id, "disabled": True}
            case UserPassword():
                return {"user": self._access.change_password(request.user, request.password, by=by).id}
            case TokenCreate():
                token = self._access.create_token(request.name, request.scope, by=by)
                return {"name": request.name, "scope": request.scope, "token": token}
            case TokenRevoke():
                self._access.revoke_token(request.name, by=by)
                return {"name": request.name, "revoked": True}
            case (
                AgentRegister()
                | AgentCertificate()
                | AgentRevoke()
                | BrokerLists()
                | KeysRoll()
                | AuthorityRenew()
            ):
                return self._identities(request, by)
            case ConfigurationList():
                return [one.to_json() for one in self._configurations.listed()]
            case ConfigurationDecide():
                return self._decide(request)
            case BackupMake() | CertificateAsk() | ExportImport() | RetentionShow():
                return self._keeping.do(request, by, tell)
            case RetentionApply():
                return self._give_up(request)
            case HoldList() | HoldSet() | HoldRelease() | GroundShow() | GroundLoad():
                return self._of_quality(request)
            case _:
                return self._charts.do(request)

    def _identities(
        self,
        request: AgentRegister | AgentCertificate | AgentRevoke | BrokerLists | KeysRoll | AuthorityRenew,
        by: Actor,
    ) -> JsonValue:
        match request:
            case AgentRegister():
                return self._register(request, by)
            case AgentCertificate():
                found = self._enrolment.certified(request.agent, request.certificate.encode(), "plant", by=by)
                return {"agent": request.agent, "until": iso_z(found.until_us)}
            case AgentRevoke():
                keys = self._enrolment.revoke(request.agent, request.reason, by=by)
                return {"agent": request.agent, "keys": [*keys], "broker": self._enrolment.broker()}
            case BrokerLists():
                written = self._enrolment.lists_into(Path(request.folder), revocation=request.revocation)
                return {"written": [*written]}
            case KeysRoll():
                return self._rollover.roll(request.reason, by=by, clock_was_ahead=request.clock_was_ahead)
            case AuthorityRenew():
                until = self._rollover.renew_authority(request.reason, by=by)
                self._enrolment.spread()  # the list of what is revoked ends with the authority
                return {"until": until, "broker": self._enrolment.broker()}

    def _register(self, request: AgentRegister, by: Actor) -> JsonValue:
        stored, mode = self._enrolment.register(
            request.agent,
            request.partition,
            request.public,
            by=by,
            production=request.production,
            certificate=None if request.certificate is None else request.certificate.encode(),
            authority=request.authority,
        )
        told: JsonValue = None if mode is None else _DOCUMENT.dump_python(mode, mode="json")
        since = iso_z(stored.received_us)
        return {"agent": request.agent, "since": since, "mode": told, "broker": self._enrolment.broker()}

    def _give_up(self, request: RetentionApply) -> JsonValue:
        """A person's decision, by password."""
        user = self._access.verify_password(request.user, request.password, origin=ORIGIN, target="retention")
        return self._keeping.give_up(user, ORIGIN, request.reason)

    def _decide(self, request: ConfigurationDecide) -> JsonValue:
        """A person's decision, by password, as on the page."""
        target = f"configuration {request.agent}/{request.configuration}"
        user = self._access.verify_password(request.user, request.password, origin=ORIGIN, target=target)
        one = self._configurations.get(request.agent, request.configuration)
        shown = "" if one is None else one.content_hash
        decided = self._configurations.decide(
            request.agent, request.configuration, request.act, user, request.reason, shown
        )
        return {"agent": request.agent, "configuration": request.configuration, "state": decided.state}

    def _of_quality(self, request: HoldList | HoldSet | HoldRelease | GroundShow | GroundLoad) -> JsonValue:
        """What quality holds, and the lists that it signs."""
        match request:
            case HoldList():
                return [one.to_json() for one in self._holds.listed()]
            case GroundShow():
                return self._ground.shown()
            case GroundLoad():
                user = self._access.verify_password(request.user, request.password, origin=ORIGIN, target="ground")
                return self._ground.load(request.content, user, request.reason)
            case _:
                return self._hold(request)

    def _hold(self, request: HoldSet | HoldRelease) -> JsonValue:
        """A person's hold or release, by password, as on the page."""
        id_ = request.id if isinstance(request, HoldSet) else request.hold
        user = self._access.verify_password(request.user, request.password, origin=ORIGIN, target=f"hold {id_}")
        if isinstance(request, HoldSet):
            held = Held(request.kind, request.id, request.product)  # type: ignore[arg-type]  # checked there
            return self._holds.hold(held, user, request.reason, held.content_hash).to_json()
        one = self._holds.get(request.hold)
        shown = "" if one is None else one.content_hash
        return self._holds.release(request.hold, user, request.reason, shown).to_json()


_DOCUMENT = TypeAdapter(Document)


class _Telling:
    """Says how far a request is, once a second."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say, self._clock = say, SystemClock()
        self._next_s = self._clock.monotonic_s()

    def __call__(self, count: int, total: int | None = None, /) -> None:
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + TELL_EVERY_S
            self._say(json.dumps({"done": [count, total]}).encode())


class AdminServer:
    """The running server's side."""

    def __init__(self, folder: Path, administration: Administration, log: FilteringBoundLogger) -> None:
        self._file = folder / ADMIN_FILE
        self._administration, self._log = administration, log
        self._secret = new_secret()
        self._server: socketserver.ThreadingTCPServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, and tell commands where."""
        answer = self.answer

        class Handler(socketserver.StreamRequestHandler):
            timeout = TIMEOUT_S

            def handle(self) -> None:
                with suppress(OSError):  # the other side is gone: nobody is left to be told
                    self.wfile.write(answer(self.rfile.readline(LONGEST_LINE), self._tell) + b"\n")

            def _tell(self, line: bytes) -> None:
                with suppress(OSError):  # what was begun is done all the same
                    self.wfile.write(line + b"\n")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="administration", daemon=True
        )
        self._thread.start()
        content = {"port": self._server.server_address[1], "secret": self._secret}
        write_private(self._file, json.dumps(content).encode())

    def stop(self) -> None:
        """Listen no more. Safe to call twice."""
        if self._server is not None and self._thread is not None:
            self._file.unlink(missing_ok=True)
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def answer(self, line: bytes, say: Callable[[bytes], None]) -> bytes:
        """One request's answer, as JSON; before it ``say`` hears every second how far it is."""
        try:
            secret, request = read_request(line)
            if not hmac.compare_digest(secret.encode(), self._secret.encode()):
                raise Invalid("wrong secret")
            return json.dumps({"answer": self._administration.do(request, _Telling(say))}).encode()
        except Exception as error:  # the command that asked must hear of it, whatever it is
            if not isinstance(error, LotkeeperError):  # it tells the command one line, and where it was stays here
                self._log.error("administration-failed", exc_info=True)
            return json.dumps({"error": ours(error).to_json()}).encode()
