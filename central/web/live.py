"""The desk over the running central: every question goes to the part that owns the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from central import ahead, ground_view, reasons, telemetry, worker_states
from central.access import CAPABILITIES, Access, Capability, Scope
from central.audit import Audit, AuditEntry
from central.backup import last_backup_us
from central.certificates import parts_of
from central.charts import ChartPoint, ChartRef, Charts
from central.configurations import Configuration, Configurations
from central.domain import ChainPart, DeviceHistoryRecord, DhrSummary, Finding, SignatureLine
from central.erp import ErpStatus
from central.facts import Origin
from central.ground_view import Ground, StationLine
from central.holds import Held, Hold, Holds
from central.ingest import Ingest, Presence
from central.limit_sets import LimitSets
from central.links.base import ErpLot, WorkOrder
from central.orders import Orders
from central.postings import Posting
from central.proposals import Proposals
from central.recompute import Recomputed, recompute
from central.reviews import Reviews
from central.settings import CentralSettings
from central.shares import SERVE
from central.store import agents, documents, intake
from central.store.brought import Brought, brought
from central.store.engine import Store
from central.stored import StoredFact
from central.telemetry import DeviceTags, Points, TagTrend
from central.web.chart_desk import ChartDesk, person_of
from central.web.desk import AgentLine, QuarantineLine, Signing, Visitor
from central.web.verdicts import CODES
from central.worker_states import WorkerState
from records.clock import Clock, from_us
from records.errors import LotkeeperError
from records.model import Decision, OperationsEvent
from records.reasons import Catalogue
from records.wire import CENTRAL, EQUIPMENT, PEOPLE, PLANT, Head, Watermark

RECORDS = "records"
SAME_COMMIT = 50
"""Facts before a record among which the events of its own commit are."""
MOST_SIGNALS = 2000
"""Most events of signals that are read for one page."""
MESSAGE_CODES = ("document-issued", "erp-posted", "erp-refused", "erp-unreachable")

SCOPES: dict[Scope, frozenset[Capability]] = {
    Scope.READ: frozenset({Capability.VIEW, Capability.VIEW_AUDIT}),
    Scope.WRITE: frozenset({Capability.VIEW, Capability.VIEW_AUDIT, Capability.CLOSE_FINDING, Capability.CHART}),
    Scope.SIGN: frozenset({Capability.VIEW, Capability.VIEW_AUDIT, Capability.CLOSE_FINDING, Capability.CHART}),
}
"""What a token's scope lets a program do."""


class CentralParts(Protocol):
    """The parts of the running central that the pages and the interface use."""

    @property
    def settings(self) -> CentralSettings: ...
    @property
    def store(self) -> Store: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def origin(self) -> Origin: ...
    @property
    def ingest(self) -> Ingest: ...
    @property
    def access(self) -> Access: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def orders(self) -> Orders: ...
    @property
    def reviews(self) -> Reviews: ...
    @property
    def configurations(self) -> Configurations: ...
    @property
    def holds(self) -> Holds: ...
    @property
    def charts(self) -> Charts: ...
    @property
    def limit_sets(self) -> LimitSets: ...
    @property
    def recipes(self) -> Proposals: ...


class LiveDesk:
    """See ``central.web.desk.Desk``; its methods block, so call them from threads."""

    def __init__(self, central: CentralParts) -> None:
        self._central = central

    @property
    def site(self) -> str:
        return self._central.origin.site

    @property
    def time_zone(self) -> str:
        return self._central.origin.time_zone

    @property
    def version(self) -> str:
        return self._central.origin.software

    @property
    def secure_cookies(self) -> bool:
        return self._central.settings.http.secure_cookies

    def now_us(self) -> int:
        return self._central.clock.now_us()

    @property
    def charts(self) -> Charts:
        return self._central.charts

    @property
    def chart_desk(self) -> ChartDesk:
        return ChartDesk(self._central)

    # -- control charts --------------------------------------------------------------------------------

    def signals(self, ref: ChartRef, since: ChartPoint) -> list[Mapping[str, JsonValue]]:
        first = self._central.store.fact(since.ref.hash)
        found = self._central.store.facts(
            codes=["spc-signal"],
            agent=ref.agent,
            stations=[ref.station],
            after=None if first is None else max(0, first.cursor - SAME_COMMIT),
            limit=MOST_SIGNALS,
        )
        told = [f.fact.data.params for f in found if isinstance(f.fact.data, OperationsEvent)]
        of_chart = (ref.characteristic, ref.stream)
        return [p for p in told if (p.get("characteristic"), p.get("stream") or "") == of_chart]

    def verdicts(self, subject: str) -> list[StoredFact]:
        return self._central.store.facts(subject=subject, codes=CODES, kinds=["operations_event"])

    def overridden(self, fact: StoredFact) -> list[StoredFact]:
        data = fact.fact.data
        if not isinstance(data, Decision) or data.target.kind != "hold":
            return []
        station, _, hold = data.target.id.rpartition("/")
        found = self._central.store.facts(
            order=data.order, codes=["unit-held", "station-held"], agent=fact.agent, stations=[station]
        )
        events = [(f, f.fact.data) for f in found if f.cursor < fact.cursor]
        return [f for f, e in events if isinstance(e, OperationsEvent) and e.params.get("hold") == hold]

    # -- people ----------------------------------------------------------------------------------------

    def sign_in(self, user: str, password: str, origin: str) -> str:
        return self._central.access.sign_in(user, password, origin=origin).cookie

    def sign_out(self, cookie: str, origin: str) -> None:
        self._central.access.sign_out(cookie, origin=origin)

    def session(self, cookie: str, origin: str) -> Visitor | None:
        found = self._central.access.session(cookie)
        if found is None:
            return None
        user = found.user
        return Visitor(user.id, user.name, user.role.value, CAPABILITIES[user.role], origin)

    def bearer(self, token: str, origin: str) -> Visitor | None:
        found = self._central.access.token(token)
        if found is None:
            return None
        may_bring = found.scope.allows(Scope.SIGN)
        return Visitor(found.name, found.name, "program", SCOPES[found.scope], origin, True, may_bring)

    def person(self, user: str, password: str, origin: str, target: str) -> Visitor:
        found = self._central.access.verify_password(user, password, origin=origin, target=target)
        return Visitor(found.id, found.name, found.role.value, CAPABILITIES[found.role], origin)

    # -- review ----------------------------------------------------------------------------------------

    def queue(self) -> list[DhrSummary]:
        return self._central.reviews.queue()

    def dhr(self, dhr_id: str) -> DeviceHistoryRecord | None:
        return self._central.reviews.get(dhr_id)

    def findings(self) -> list[Finding]:
        found = self._central.reviews.findings()
        return sorted(found, key=lambda f: (not f.open, -(f.at_us or f.opened_us or 0), f.id))

    def finding(self, finding_id: str) -> Finding | None:
        return self._central.reviews.finding(finding_id)

    def decide(self, finding_id: str, content_hash: str, visitor: Visitor, act: str, reason: str) -> Finding:
        return self._central.reviews.close(finding_id, content_hash, person_of(visitor), act, reason)

    def sign(self, dhr_id: str, signing: Signing) -> SignatureLine:
        person = self._central.access.verify_password(
            signing.user, signing.password, origin=signing.origin, target=f"dhr {dhr_id}"
        )
        return self._central.reviews.sign(dhr_id, signing.meaning, person, signing.reason, signing.content_hash)

    # -- line files ------------------------------------------------------------------------------------

    def configurations(self) -> list[Configuration]:
        return self._central.configurations.listed()

    def configuration(self, agent: str, hash_: str) -> Configuration | None:
        return self._central.configurations.get(agent, hash_)

    def configuration_before(self, one: Configuration) -> Configuration | None:
        return self._central.configurations.before(one)

    def decide_configuration(self, agent: str, hash_: str, signing: Signing) -> Configuration:
        person = self._central.access.verify_password(
            signing.user, signing.password, origin=signing.origin, target=f"configuration {agent}/{hash_}"
        )
        return self._central.configurations.decide(
            agent, hash_, signing.meaning, person, signing.reason, signing.content_hash
        )

    # -- holds -----------------------------------------------------------------------------------------

    @property
    def holds(self) -> Holds:
        return self._central.holds

    def reasons(self) -> Catalogue:
        return reasons.catalogue(self._central.store)

    def ground(self) -> Ground:
        with self._central.store.read() as connection:
            newest = [documents.newest(connection, kind, PLANT) for kind in (PEOPLE, EQUIPMENT)]
        told = {one.kind: one for one in newest if one is not None and one.content is not None}
        today = from_us(self.now_us()).astimezone(ZoneInfo(self.time_zone)).date()
        return ground_view.look(told, list(self._station_lines()), today)

    def _station_lines(self) -> Iterator[StationLine]:
        for one in self.configurations():
            resolved = one.record.resolved if one.in_use else None
            stations = resolved.get("stations") if isinstance(resolved, dict) else None
            for name, told in stations.items() if isinstance(stations, dict) else ():
                if isinstance(told, dict):
                    place = (str(told.get("equipment")), str(told.get("operation")))
                    yield StationLine(one.agent, name, *place)

    def holds_on(self, dhr: DeviceHistoryRecord) -> Sequence[Hold]:
        return self._central.reviews.holds(dhr)

    def hold(self, held: Held, signing: Signing) -> Hold:
        person = self._central.access.verify_password(
            signing.user, signing.password, origin=signing.origin, target=f"hold {held.id}"
        )
        return self._central.holds.hold(held, person, signing.reason, signing.content_hash)

    def release_hold(self, hold: str, signing: Signing) -> Hold:
        person = self._central.access.verify_password(
            signing.user, signing.password, origin=signing.origin, target=f"hold {hold}"
        )
        return self._central.holds.release(hold, person, signing.reason, signing.content_hash)

    # -- orders ----------------------------------------------------------------------------------------

    def orders(self) -> list[WorkOrder]:
        return list(self._central.orders.list())

    def order(self, reference: str) -> WorkOrder | None:
        return self._central.orders.get(reference)

    def posting(self, reference: str) -> Posting | None:
        return self._central.orders.posting(reference)

    def erp(self) -> ErpStatus | None:
        return self._central.orders.status()

    def lots(self) -> list[ErpLot]:
        return [lot for held in self._central.orders.lots().values() for lot in held.values()]

    def messages(self, reference: str) -> list[StoredFact]:
        return self._central.store.facts(order=reference, codes=MESSAGE_CODES, agent=CENTRAL)

    # -- records ---------------------------------------------------------------------------------------

    def fact(self, chain_hash: str) -> StoredFact | None:
        return self._central.store.fact(chain_hash)

    def facts(self, hashes: Iterable[str]) -> dict[str, StoredFact]:
        return self._central.store.facts_by_hash(hashes)

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
        return self._central.store.facts(
            kinds=["operation_record"],
            order=order,
            lot=lot,
            product=product,
            stations=None if station is None else [station],
            subject=serial,
            after=after,
            limit=limit,
        )

    def telemetry(self, agent: str, tag: str, from_us: int, to_us: int, limit: int) -> Points:
        with self._central.store.read() as connection:
            return telemetry.read(connection, agent, tag, from_us, to_us, limit)

    def trend(self, agent: str, tag: str, from_us: int, to_us: int, buckets: int) -> TagTrend:
        with self._central.store.read() as connection:
            return telemetry.read_trend(connection, agent, tag, from_us, to_us, buckets, self.now_us())

    def telemetry_agents(self) -> set[str]:
        with self._central.store.read() as connection:
            return telemetry.agents(connection)

    def telemetry_devices(self) -> list[DeviceTags]:
        with self._central.store.read() as connection:
            return telemetry.devices(connection)

    def recompute(self, lot: str, product: str | None) -> Recomputed:
        with self._central.store.read() as connection:
            return recompute(connection, lot, product)

    def about(self, subject: str) -> list[StoredFact]:
        return self._central.store.facts(subject=subject, kinds=["operation_record"])

    # -- agents and audit ------------------------------------------------------------------------------

    def agents(self) -> list[AgentLine]:
        store = self._central.store
        with store.read() as connection:
            enrolled = agents.all_agents(connection)
            marks = [w for w in intake.watermarks(connection) if w.stream == RECORDS and w.agent != CENTRAL]
            heads = [(h, us) for h, us, _ in intake.heads(connection) if h.stream == RECORDS]
            held = Counter(q.agent for q in intake.quarantined(connection))
            conflicts = Counter(c.agent for c in intake.conflicts(connection))
            gone = {one.agent for one in ahead.gone(connection)}
        presence = self._central.ingest.presence()
        known = {a.id: a for a in enrolled}
        lines: list[AgentLine] = []
        for name in sorted({*known, *(w.agent for w in marks)}):
            mine = [w for w in marks if w.agent == name]
            newest = mine[-1] if mine else None
            head = next(
                ((h, us) for h, us in heads if newest and (h.agent, h.epoch) == (name, newest.epoch)), None
            )
            last = None if newest is None else store.fact(newest.hash)
            agent = known.get(name)
            lines.append(
                AgentLine(
                    name,
                    agent.partition if agent else "",
                    agent.enrolled_us if agent else None,
                    "revoked" if agent and agent.revoked_us else _agent_state(newest, head, presence.get(name)),
                    newest.epoch if newest else None,
                    len(mine),
                    newest.committed_through if newest else 0,
                    newest.hash if newest else None,
                    head[0].last if head else None,
                    head[1] if head else None,
                    held[name],
                    conflicts[name],
                    last.received_us if last else None,
                    name in gone,
                )
            )
        return lines

    def quarantine(self) -> list[QuarantineLine]:
        with self._central.store.read() as connection:
            rows = intake.troubles(connection, intake.quarantined(connection))
        return [
            QuarantineLine(q.agent, q.reason, q.detail, q.size, q.received_us, q.digest, q.trouble)
            for q in rows[::-1]
        ]

    def dropped(self) -> dict[str, int]:
        kept = self._central.ingest.quarantine
        return {"quarantine": kept.dropped, "conflict": kept.conflicts_dropped}

    def brought(self, chains: Sequence[ChainPart]) -> list[Brought]:
        with self._central.store.read() as connection:
            return brought(connection, parts_of(chains))

    def write_under_way_s(self) -> float:
        return self._central.store.under_way_s

    def write_refused(self) -> LotkeeperError | None:
        return self._central.store.refusing

    def workers(self) -> list[WorkerState]:
        with self._central.store.read() as connection:
            leased = worker_states.look(connection, self._central.settings.lease)
        every = {one.name: one for one in (*leased, *self.workers_refused())}
        return [one for name, one in sorted(every.items()) if name != SERVE]

    def workers_refused(self) -> list[WorkerState]:
        return sorted(self._central.ingest.workers.refused(), key=lambda one: one.name)

    def last_backup_us(self) -> int | None:
        return last_backup_us(self._central.store)

    def audit(self, *, user: str | None, code: str | None, before: int | None, limit: int) -> list[AuditEntry]:
        return self._central.audit.entries(user=user, code=code, before=before, limit=limit)


def _agent_state(newest: Watermark | None, head: tuple[Head, int] | None, presence: Presence | None) -> str:
    """What one word says of an agent. Without a word from the broker, arrivals have to do."""
    if presence is not None and not presence.online:
        return "offline"
    if newest is None:
        return "silent"
    if head is not None and head[0].last > newest.committed_through:
        return "waiting"
    return "online"
