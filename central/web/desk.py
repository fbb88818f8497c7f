"""What the pages and the interface ask of central: one narrow port, so that both can be shown over anything.

``central.web.live`` is the real one. Nothing here knows SQL or HTTP. Every method may raise ``LotkeeperError``;
its message and hint are shown to the person as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from central.audit import AuditEntry
from central.charts import ChartPoint, ChartRef, Charts
from central.configurations import Configuration
from central.domain import ChainPart, DeviceHistoryRecord, DhrSummary, Finding, SignatureLine
from central.erp import ErpStatus
from central.ground_view import Ground
from central.holds import Held, Hold, Holds
from central.links.base import ErpLot, WorkOrder
from central.postings import Posting
from central.recompute import Recomputed
from central.store.brought import Brought
from central.stored import StoredFact
from central.telemetry import DeviceTags, Points, TagTrend
from central.web.chart_desk import ChartDesk
from central.web.visitors import Signing, Visitor
from central.worker_states import WorkerState
from records.errors import LotkeeperError
from records.reasons import Catalogue

__all__ = ["AgentLine", "Desk", "QuarantineLine", "Signing", "Visitor"]


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent and its stream ``records``: how far central has it, how far the agent says that it is.

    ``head`` is the last seq that the agent itself has signed for; None where none has come. ``state``: online,
    waiting (the agent has records that central has not), offline, silent (enrolled, nothing received), revoked
    (none of its keys is believed any more). ``ahead``: it goes on behind records that central once confirmed and
    has no more.
    """

    agent: str
    partition: str
    enrolled_us: int | None
    state: str
    epoch: str | None
    epochs: int
    committed: int
    hash: str | None
    head: int | None
    head_us: int | None
    quarantined: int
    conflicts: int
    last_record_us: int | None
    ahead: bool

    @property
    def healthy(self) -> bool:
        return self.state == "online" and not self.quarantined and not self.conflicts and not self.ahead


@dataclass(frozen=True, slots=True)
class QuarantineLine:
    """One message that could not be read; ``detail`` is for experts, ``trouble`` the same for any language."""

    agent: str | None
    reason: str
    detail: str
    size: int
    received_us: int
    digest: str
    trouble: JsonValue = None


class Desk(Protocol):
    """Central, as its users see it."""

    @property
    def site(self) -> str: ...
    @property
    def time_zone(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def secure_cookies(self) -> bool:
        """Whether cookies may only travel over HTTPS, which is set up in front."""

    @property
    def charts(self) -> Charts:
        """The control charts of the lines and the notes on their points."""

    def verdicts(self, subject: str) -> list[StoredFact]:
        """Events of charts that name a subject with this id: closing verdicts, signals, reactions, holds."""

    def overridden(self, fact: StoredFact) -> list[StoredFact]:
        """The events of the hold that a person's override is about; none for any other fact."""

    @property
    def chart_desk(self) -> ChartDesk:
        """Limit sets, recipes, and every act on control charts."""

    def signals(self, ref: ChartRef, since: ChartPoint) -> list[Mapping[str, JsonValue]]:
        """What the agent told of signals on a chart from a point on, oldest first: parameters of its events."""

    def now_us(self) -> int: ...

    def sign_in(self, user: str, password: str, origin: str) -> str:
        """The cookie of a new session. Raises SignInRefused."""

    def sign_out(self, cookie: str, origin: str) -> None: ...

    def session(self, cookie: str, origin: str) -> Visitor | None:
        """Whose session it is, while it is valid."""

    def bearer(self, token: str, origin: str) -> Visitor | None:
        """Which program's token it is, while it is valid."""

    def person(self, user: str, password: str, origin: str, target: str) -> Visitor:
        """Who stands behind user and password, for an act on ``target``. Raises SignInRefused."""

    def queue(self) -> list[DhrSummary]: ...

    def dhr(self, dhr_id: str) -> DeviceHistoryRecord | None: ...

    def findings(self) -> list[Finding]:
        """All, the open ones first, then the newest."""

    def finding(self, finding_id: str) -> Finding | None: ...

    def decide(self, finding_id: str, content_hash: str, visitor: Visitor, act: str, reason: str) -> Finding:
        """Close a finding that was shown with this content hash; as it stands then. Raises Refused: no right,
        closed already; FindingChanged: it says something else by now; Invalid: no reason.
        """

    def sign(self, dhr_id: str, signing: Signing) -> SignatureLine:
        """Sign what has this hash. Raises SignInRefused: password; SignatureRefused: right, blockers, changed."""

    def configurations(self) -> list[Configuration]:
        """The line files that agents have sent, by agent, the one in use first."""

    def configuration(self, agent: str, hash_: str) -> Configuration | None: ...

    def configuration_before(self, one: Configuration) -> Configuration | None:
        """What it is compared with: the one approved last, else the one before it."""

    def decide_configuration(self, agent: str, hash_: str, signing: Signing) -> Configuration:
        """Approve or withdraw (``meaning``). Raises SignInRefused: password; SignatureRefused: right, changed."""

    @property
    def holds(self) -> Holds:
        """What quality holds."""

    def reasons(self) -> Catalogue:
        """The plant's reasons to choose from; an empty catalogue where it has none."""

    def ground(self) -> Ground:
        """Who may work where and which machines are fit to, today."""

    def holds_on(self, dhr: DeviceHistoryRecord) -> Sequence[Hold]:
        """What stands against a lot, its orders or its pieces."""

    def hold(self, held: Held, signing: Signing) -> Hold:
        """Hold it on every line. Raises SignInRefused: password; SignatureRefused: right, changed; Invalid."""

    def release_hold(self, hold: str, signing: Signing) -> Hold:
        """Let it be worked on again. Raises SignInRefused: password; SignatureRefused: right, changed; Invalid."""

    def orders(self) -> list[WorkOrder]: ...

    def order(self, reference: str) -> WorkOrder | None: ...

    def posting(self, reference: str) -> Posting | None:
        """How far the report of an order to the ERP is."""

    def erp(self) -> ErpStatus | None:
        """How the ERP answers; None when there is none."""

    def lots(self) -> list[ErpLot]:
        """Component lots that the ERP ever told of."""

    def messages(self, reference: str) -> list[StoredFact]:
        """What went between central, ERP and agents about an order, oldest first."""

    def fact(self, chain_hash: str) -> StoredFact | None: ...
    def facts(self, hashes: Iterable[str]) -> dict[str, StoredFact]:
        """By hash; what cannot be read is left out."""

    def records(
        self,
        *,
        after: int | None,
        limit: int,
        order: str | None = None,
        lot: str | None = None,
        product: str | None = None,
        station: str | None = None,
        serial: str | None = None,
    ) -> list[StoredFact]:
        """Operation records in the order of their commit."""

    def telemetry(self, agent: str, tag: str, from_us: int, to_us: int, limit: int) -> Points:
        """Readings of a telemetry tag (``DEVICE.TAG``) over a span of the agent's clock."""

    def trend(self, agent: str, tag: str, from_us: int, to_us: int, buckets: int) -> TagTrend:
        """The same as a trend of so many buckets. Raises Invalid: its values are no numbers."""

    def telemetry_agents(self) -> set[str]:
        """The agents of which there is telemetry."""

    def telemetry_devices(self) -> list[DeviceTags]:
        """Every device that ever sent telemetry, with its tags."""

    def recompute(self, lot: str, product: str | None) -> Recomputed:
        """Readings and verdicts of a lot again. Raises Unknown: no such lot; Invalid: of several products."""

    def about(self, subject: str) -> list[StoredFact]:
        """Every record of the line that names a subject with this id."""

    def agents(self) -> list[AgentLine]: ...

    def quarantine(self) -> list[QuarantineLine]: ...

    def dropped(self) -> dict[str, int]:
        """What was only counted since the start, because as much as is kept was there: by what it was."""
        ...

    def brought(self, chains: Sequence[ChainPart]) -> list[Brought]:
        """The imports of files that brought records of these."""

    def write_under_way_s(self) -> float:
        """How long the write that all others wait for has been under way; 0: none is."""
        ...

    def write_refused(self) -> LotkeeperError | None:
        """Why the last write was refused, by a full disk say; None: it was stored."""
        ...

    def workers(self) -> list[WorkerState]:
        """The other processes that take records in, by name."""
        ...

    def workers_refused(self) -> list[WorkerState]:
        """Those of them that are refused what they are to store, also while the database is away."""
        ...

    def last_backup_us(self) -> int | None:
        """When the newest backup was made; None: never."""

    def audit(self, *, user: str | None, code: str | None, before: int | None, limit: int) -> list[AuditEntry]:
        """Entries of the audit stream and decisions, the newest first; ``before`` is a cursor."""
