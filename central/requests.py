"""What the command line can ask of central, and how it asks the running server.

The server listens on a loopback port of its own choice and writes port and a secret into ``admin.json``, which
only the account that runs central can read. One request and one answer, each one line of JSON; before the answer
to what takes long come lines ``{"done": [count, total]}``.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from records.errors import Invalid, Unreachable, from_json
from records.progress import Tell, silent

ADMIN_FILE, LOCK_FILE = "admin.json", "instance.lock"
"""In central's folder: where a running server is asked, and the lock of the one process that may write there."""
TIMEOUT_S = 30.0
LONG_S = 6 * 3600.0
"""For what reads the whole database."""
Kind = Literal["recipe", "limit-set"]
"""Of proposals. Commands start without loading the store, so that it is written here too."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    by: str


class _Signed(_Request):
    """A decision as its person signs it."""

    act: Literal["approve", "withdraw"]
    user: str
    password: str
    reason: str


class _Proposal(_Request):
    """``user``: who proposes it."""

    user: str
    reason: str


class UserAdd(_Request):
    do: Literal["user-add"] = "user-add"
    user: str
    role: str
    password: str
    name: str | None = None


class UserDisable(_Request):
    do: Literal["user-disable"] = "user-disable"
    user: str


class UserPassword(_Request):
    do: Literal["user-password"] = "user-password"
    user: str
    password: str


class TokenCreate(_Request):
    do: Literal["token-create"] = "token-create"
    name: str
    scope: str


class TokenRevoke(_Request):
    do: Literal["token-revoke"] = "token-revoke"
    name: str


class AgentRegister(_Request):
    do: Literal["agent-register"] = "agent-register"
    agent: str
    partition: str
    public: str
    production: bool | None = None
    certificate: str | None = None
    authority: Literal["own", "plant"] = "own"


class AgentCertificate(_Request):
    """A certificate (PEM) of the plant's authority that an enrolled agent was given."""

    do: Literal["agent-certificate"] = "agent-certificate"
    agent: str
    certificate: str


class AgentRevoke(_Request):
    do: Literal["agent-revoke"] = "agent-revoke"
    agent: str
    reason: str


class KeysRoll(_Request):
    """Central signs with a new key from now on."""

    do: Literal["keys-roll"] = "keys-roll"
    reason: str
    clock_was_ahead: bool = False


class AuthorityRenew(_Request):
    """Central's own authority gets another certificate."""

    do: Literal["authority-renew"] = "authority-renew"
    reason: str


class BrokerLists(_Request):
    """Write the broker's lists now, also into ``folder``."""

    do: Literal["broker-lists"] = "broker-lists"
    folder: str
    revocation: bool = True


class ConfigurationList(_Request):
    do: Literal["configuration-list"] = "configuration-list"


class ConfigurationDecide(_Signed):
    do: Literal["configuration-decide"] = "configuration-decide"
    agent: str
    configuration: str


class HoldList(_Request):
    do: Literal["hold-list"] = "hold-list"


class HoldSet(_Request):
    """``kind``: what is held, one of central.holds.KINDS."""

    do: Literal["hold-set"] = "hold-set"
    kind: str
    id: str
    product: str | None = None
    user: str
    password: str
    reason: str


class HoldRelease(_Request):
    do: Literal["hold-release"] = "hold-release"
    hold: str
    user: str
    password: str
    reason: str


# -- recipes and limit sets --------------------------------------------------------------------------------


class ProposalList(_Request):
    do: Literal["proposal-list"] = "proposal-list"
    kind: Kind


class ProposalDecide(_Signed):
    """``effective_us``: from when on approved limits hold; None: from now."""

    do: Literal["proposal-decide"] = "proposal-decide"
    kind: Kind
    id: str
    effective_us: int | None = None


class RecipeImport(_Proposal):
    """``content``: a recipe as its file says it."""

    do: Literal["recipe-import"] = "recipe-import"
    content: dict[str, Any]


class LimitsStudy(_Proposal):
    """Limits from points of a chart (``AGENT/STATION/CHARACTERISTIC?STREAM``, or its id)."""

    do: Literal["limits-study"] = "limits-study"
    chart: str
    first: int | None = None
    last: int | None = None
    from_us: int | None = None
    to_us: int | None = None
    method: dict[str, Any]


class LimitsGive(_Proposal):
    """Limits by numbers; ``content`` as their file says it."""

    do: Literal["limits-give"] = "limits-give"
    content: dict[str, Any]


class RetentionShow(_Request):
    """What is past its retention."""

    do: Literal["retention-show"] = "retention-show"


class RetentionApply(_Request):
    """``user``: who decides that it is given up, ``reason``: why."""

    do: Literal["retention-apply"] = "retention-apply"
    user: str
    password: str
    reason: str


class BackupMake(_Request):
    """``out``: the folder to make it in; None: that of the settings."""

    do: Literal["backup-make"] = "backup-make"
    out: str | None = None


class ExportImport(_Request):
    """``reason``: why records by keys that were revoked or replaced are taken too; None: they are not."""

    do: Literal["export-import"] = "export-import"
    file: str
    reason: str | None = None


class CertificateAsk(_Request):
    """Of one agent, or of one lot."""

    do: Literal["certificate-ask"] = "certificate-ask"
    agent: str | None = None
    lot: str | None = None
    product: str | None = None


class GroundShow(_Request):
    do: Literal["ground-show"] = "ground-show"


class GroundLoad(_Request):
    """``content``: the lists as their file says them."""

    do: Literal["ground-load"] = "ground-load"
    content: dict[str, Any]
    user: str
    password: str
    reason: str


GroundRequest = GroundShow | GroundLoad
HoldRequest = HoldList | HoldSet | HoldRelease
ChartRequest = ProposalList | ProposalDecide | RecipeImport | LimitsStudy | LimitsGive
Request = (
    UserAdd
    | BackupMake
    | CertificateAsk
    | RetentionShow
    | RetentionApply
    | ExportImport
    | UserDisable
    | UserPassword
    | TokenCreate
    | TokenRevoke
    | AgentRegister
    | AgentCertificate
    | AgentRevoke
    | BrokerLists
    | AuthorityRenew
    | KeysRoll
    | ConfigurationList
    | ConfigurationDecide
    | HoldRequest
    | GroundRequest
    | ChartRequest
)
LONG = (BackupMake, CertificateAsk, ExportImport, RetentionShow, RetentionApply)
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="do")])


def read_request(line: bytes) -> tuple[str, Request]:
    """Secret and request.

    Raises:
        Invalid: it is none.
    """
    try:
        message = json.loads(line)
        return str(message["secret"]), _REQUEST.validate_python(message["request"])
    except (ValueError, TypeError, KeyError, ValidationError):
        raise Invalid("no request") from None


class NoServer(Unreachable):
    """Nobody listens in a folder that a process holds: another command, or a central that starts or ends."""


def ask_server(folder: Path, request: Request, tell: Tell = silent) -> JsonValue:
    """Have the running server do it. ``tell`` hears how far it is.

    Raises:
        NoServer: none listens. Unreachable: it may not be asked, or it ended before it answered. LotkeeperError:
            what the server refused, as it said it.
    """
    try:
        place = json.loads((folder / ADMIN_FILE).read_bytes())
        connection = socket.create_connection(("127.0.0.1", int(place["port"])), TIMEOUT_S)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoServer(
            f"{folder} is in use by a process that takes no requests",
            hint="another command is at work, or central starts or ends: try again when it has",
        ) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Unreachable(
            f"central is running in {folder} but cannot be asked: {error}",
            hint="run this command as the account that runs central, or stop central first",
        ) from error
    try:
        with connection:
            connection.settimeout(LONG_S if isinstance(request, LONG) else TIMEOUT_S)
            line = {"secret": place["secret"], "request": request.model_dump()}
            connection.sendall(json.dumps(line).encode() + b"\n")
            with connection.makefile("rb") as file:
                while "done" in (answer := json.loads(file.readline())):
                    tell(*answer["done"])
    except (OSError, ValueError) as error:
        raise Unreachable(
            f"central in {folder} was asked and has not answered: it ended, or is still at work",
            hint="what it did is not known: see its log and the audit trail, then ask again",
        ) from error
    if "error" in answer:
        raise from_json(answer["error"])
    result: JsonValue = answer["answer"]
    return result
