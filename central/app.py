"""Central's composition root: every part made once, from plain arguments, and the threads that keep it going.

``build`` opens everything and starts nothing: the command line's one-off commands and tests use it like that.
``Central.start`` connects to the broker and begins the jobs; ``Central.stop`` ends them; ``Central.close`` gives
the folder back. A disk that does not keep its promise ends the process (``on_failure``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import structlog
from pydantic import JsonValue
from structlog.typing import FilteringBoundLogger

from central import anchors, limit_sets, recipes
from central.access import Access, Actor, Limits
from central.admin import ORIGIN, Administration, AdminServer
from central.assessment import Limits as ReviewLimits
from central.audit import Audit
from central.backup import VERIFIED, Backups, last_backup_us
from central.broker import BrokerFiles
from central.certificates import Certificates
from central.chart_admin import ChartAdministration
from central.charts import Charts, prepare
from central.configurations import Configurations
from central.document_sync import DocumentSync
from central.enrol import Enrolment
from central.erp import Erp
from central.facts import Facts, Origin, software
from central.fencing import Fencing
from central.footing import assert_own
from central.ground import Ground
from central.holds import Holds
from central.importing import Importer, settle
from central.ingest import Ingest
from central.jobs import SKIPPED, Guarded, OnFailure, Schedule, Woken
from central.keep_admin import Keeping
from central.keys import CentralKeys
from central.limit_sets import LimitSets
from central.line_status import LineStatus
from central.links.factory import open_link
from central.mqtt import EVERYBODY, Mqtt, Part
from central.orders import Orders
from central.proposals import Issue, Kind, Proposals
from central.renewals import Renewals
from central.requests import LOCK_FILE
from central.restore import assert_whole
from central.retention import Retention
from central.reviews import Reviews
from central.rollover import Rollover
from central.settings import CentralSettings
from central.shares import SERVE, Shares
from central.signature import Rules
from central.store import documents, intake, partitions, snapshots
from central.store.engine import Store
from central.verify import Verification, verify
from central.worker import shares
from records.clock import MICROSECONDS, Clock
from records.errors import NoRoom, StorageFailed
from records.files import InstanceLock
from records.model import OperationsEvent
from records.wire import CENTRAL, CENTRAL_KEYS, HELLO, SHOW, SYNC, Document, Head, Watermark

SWEEP = "sweep"
ANCHOR = "anchor"
PARTS = "parts"
PARTS_INTERVAL_S = 3600.0
POLL = "erp-poll"
POST = "erp-post"
WITHDRAW = "withdraw-closed"
WITHDRAW_INTERVAL_S = 3600.0
VERIFY = "verify"
BACKUP = "backup"
VERIFY_HOUR = 3
POST_INTERVAL_S = 5.0
HORIZON = "horizon"
HORIZON_INTERVAL_S = 5.0
"""How often lines hear how far central knows the operations, where a station asks for that, and of lots what had
to wait."""
WAKE = "wake"
WAKE_INTERVAL_S = 1.0
SWEEP_ALL = "sweep-all"
SWEEP_ALL_INTERVAL_S = 60.0
"""Time alone changes what stands against a release: how old a head is, that an answer of the ERP is overdue."""


@dataclass
class Central:
    """Every part of one central, opened. The folder is its own until ``close``."""

    settings: CentralSettings
    clock: Clock
    origin: Origin
    keys: CentralKeys
    store: Store
    facts: Facts
    access: Access
    audit: Audit
    enrolment: Enrolment
    ingest: Ingest
    mqtt: Mqtt
    erp: Erp | None
    orders: Orders
    reviews: Reviews
    lines: LineStatus
    configurations: Configurations
    holds: Holds
    charts: Charts
    limit_sets: LimitSets
    recipes: Proposals
    backups: Backups
    administration: Administration
    schedule: Schedule
    admin_server: AdminServer
    _log: FilteringBoundLogger
    _on_failure: OnFailure
    _lock: InstanceLock
    _make_shares: Callable[..., Shares] | None = None
    _anchored: dict[tuple[str, str, str], Watermark] = field(default_factory=dict)
    _sweeper: Woken | None = None
    _shares: Shares | None = None
    _started: bool = False

    def start(self) -> None:
        """Connect to the broker, begin the jobs, listen for the command line; returns at once."""
        self._started = True
        self.reviews.begin()
        self.store.write(
            lambda c: self.facts.state(
                c, OperationsEvent("central-started", {"software": self.origin.software}), stream="audit"
            )
        )
        self.schedule.every(PARTS_INTERVAL_S, self._guarded(PARTS, self._make_parts))
        self.holds.open()
        self.schedule.every(self.settings.anchor_interval, self._guarded(ANCHOR, self.anchor), at_once=False)
        self.schedule.daily(VERIFY_HOUR, self._guarded(VERIFY, self.verify))
        if self.settings.backup is not None:
            due_s = self._backup_due_s(self.settings.backup.every)
            self.schedule.every(self.settings.backup.every, self._guarded(BACKUP, self._back_up), first_s=due_s)
        self.schedule.every(SWEEP_ALL_INTERVAL_S, self._guarded(SWEEP_ALL, self._sweep_all), at_once=False)
        if self.settings.erp is not None:
            self.schedule.every(self.settings.erp.poll_interval, self._guarded(POLL, self._poll))
            self.schedule.every(POST_INTERVAL_S, self._guarded(POST, self._post), at_once=False)
            self.schedule.every(WITHDRAW_INTERVAL_S, self._guarded(WITHDRAW, self.orders.withdraw_closed))
        self.schedule.every(HORIZON_INTERVAL_S, self._guarded(HORIZON, self._keep_horizon), at_once=False)
        self._sweeper = Woken(self._guarded(SWEEP, self.reviews.sweep), self.clock)
        self.ingest.on_committed = self._committed
        self._sweeper.start()
        if (told := self.enrolment.spread()) is not None:
            self._log.error("broker-lists", error=told)
        self.mqtt.start()
        if self._make_shares is not None:
            self._shares = self._make_shares(on_committed=self._committed)
            self._shares.start()
            # what other processes take in
            self.schedule.every(WAKE_INTERVAL_S, self._guarded(WAKE, self._sweeper.wake))
        self.schedule.start()
        self.admin_server.start()

    def stop(self) -> None:
        """End what ``start`` began, the newest first, and anchor what was committed. Safe to call twice."""
        if self._started:
            self._started = False
            self.reviews.leave()
            self.admin_server.stop()
            if self._shares is not None:
                self._shares.stop()
            self.mqtt.stop()
            self.schedule.stop()
            if self._sweeper is not None:
                self._sweeper.stop()
            self.anchor()

    def close(self) -> None:
        """Stop, close the store, free the folder. Safe to call twice."""
        self.stop()
        self.store.close()
        self._lock.release()

    def anchor(self) -> None:
        """Sign the heads of all chains that have moved since the last time into the anchors file, and tell agents.

        Raises:
            StorageFailed: the file could not be written. Unreachable, Damaged: its copy elsewhere.
        """
        with self.store.read() as connection:
            marks = {(w.agent, w.stream, w.epoch): w for w in intake.watermarks(connection)}
        moved = [mark for key, mark in marks.items() if self._anchored.get(key) != mark]
        if not moved:
            return
        # central's own come last, in every batch: the next start finds them at the end of the file
        newest = {(w.agent, w.stream): w for w in marks.values() if w.agent == CENTRAL}
        signed = self.facts.anchor([w for w in moved if w not in newest.values()] + list(newest.values()))
        self._anchored = marks
        at_us = signed[0].at_us
        self.store.write(lambda connection: snapshots.note_anchored(connection, at_us))
        heads = [Head(w.agent, w.epoch, w.stream, w.committed_through, w.hash, at_us) for w in marks.values()]
        told = Document(anchors.KIND, CENTRAL, at_us, at_us, anchors.told(heads, at_us))
        self.mqtt.publish_document(EVERYBODY, told)
        if self.settings.anchors.also is not None:
            anchors.mirror(self.settings.anchors_file, self.settings.anchors.also)

    def _back_up(self) -> None:
        try:
            self.backups.make(None, by=Actor(CENTRAL, "schedule"))
        except StorageFailed as error:  # the backups' disk is not central's, whose store ends the process itself
            raise NoRoom(error.message, hint=error.hint) from error

    def _backup_due_s(self, every_s: float) -> float:
        """When the next backup is due, so that a central that is restarted often is backed up all the same."""
        last_us = last_backup_us(self.store)
        since_s = every_s if last_us is None else (self.clock.now_us() - last_us) / MICROSECONDS
        return min(every_s, max(0.0, every_s - since_s))

    def verify(self) -> Verification:
        """Check the whole store and put the result into the audit stream."""
        own, also = self.settings.anchors_file, self.settings.anchors.also
        result = verify(self.settings.database, own, self.keys.public, also=also)
        found: dict[str, JsonValue] = {"ok": result.ok, "records": result.records}
        event = OperationsEvent(VERIFIED, found | ({} if result.ok else {"reason": result.flaws[0]}))
        self.store.write(lambda connection: self.facts.state(connection, event, stream="audit"))
        if not result.ok:
            self._log.error("chain-damaged", reason=result.reason, place=str(result.first_bad))
        return result

    def _committed(self) -> None:
        if self._sweeper is not None:
            self._sweeper.wake()

    def _keep_horizon(self) -> None:
        if (self.lines.asked or self.lines.waits) and self._sweeper is not None:
            self._sweeper.wake()

    def _sweep_all(self) -> None:
        self.reviews.sweep(everything=True)

    def _make_parts(self) -> object:
        now_us = self.clock.now_us()
        return self.store.write(lambda connection: partitions.make_ahead(connection, now_us)) or SKIPPED

    def _poll(self) -> object:
        if not self.orders.polling_due:
            return SKIPPED
        synced = self.orders.sync()
        if synced.orders or synced.items:
            self.reviews.sweep(everything=True)
        return synced

    def _post(self) -> None:
        if self.orders.post_ready(self.reviews.confirmation_for) and self._sweeper is not None:
            self._sweeper.wake()

    def _guarded(self, name: str, job: Callable[[], object]) -> Guarded:
        return Guarded(name, job, self._log, self._on_failure)


def build(
    settings: CentralSettings,
    clock: Clock,
    *,
    configuration: str | None = None,
    on_failure: OnFailure | None = None,
    log: FilteringBoundLogger | None = None,
    failpoint: Callable[[str], None] = lambda _: None,
) -> Central:
    """Open central's folder and make its parts. ``configuration`` is the hash of the settings' file.

    Raises:
        Refused: another process has the folder, or the database is not the one that central's anchors name.
        ConfigurationError: keys are missing. Damaged, StorageFailed: the database or the anchors file.
    """
    log = log or structlog.get_logger()
    failed = on_failure or (lambda error: log.critical("storage-failed", error=str(error)))
    with ExitStack() as undo:
        lock = InstanceLock(settings.folder / LOCK_FILE)
        undo.callback(lock.release)
        assert_whole(settings.folder)
        keys = CentralKeys.open(settings.keys)
        assert_own(settings, keys.ring)
        origin = Origin(settings.site, settings.time_zone, software(), configuration)
        store = Store(settings.database, failed)
        undo.callback(store.close)
        with store.read() as connection:
            keys.settle(documents.newest(connection, CENTRAL_KEYS, CENTRAL))
        facts = Facts(keys.signing, keys.ring, clock, origin, settings.anchors_file)
        store.write(facts.open)
        store.write(lambda connection: settle(connection, facts))
        prepare(store)
        central = _assemble(settings, clock, origin, keys, store, facts, lock, log, failed, failpoint)
        undo.pop_all()
    return central


def _assemble(
    settings: CentralSettings,
    clock: Clock,
    origin: Origin,
    keys: CentralKeys,
    store: Store,
    facts: Facts,
    lock: InstanceLock,
    log: FilteringBoundLogger,
    on_failure: OnFailure,
    failpoint: Callable[[str], None],
) -> Central:
    access = Access(store, facts, clock, limits_of(settings))
    ingest = Ingest(store, facts, clock)
    mqtt, make_shares = _broker_parts(settings, ingest, store, facts, keys, clock, log, on_failure, failpoint)
    lists = BrokerFiles(settings.broker_files, keys.folder, store, clock)
    enrolment = Enrolment(store, facts, clock, lists, mqtt.resync)
    ingest.requests[HELLO] = Fencing(store, facts, clock, mqtt.publish_document).hello
    ingest.requests |= Renewals(store, facts, clock, enrolment, keys.folder, mqtt.publish_document).handlers
    configurations = Configurations(store, facts, clock, mqtt.publish_document)
    holds = Holds(store, facts, clock, mqtt.publish_document)
    sync = DocumentSync(store, facts, clock, mqtt.publish_document, holds, keys.ring)
    ingest.requests |= {SYNC: sync.answer, SHOW: sync.shown}
    ingest.untimely[SYNC] = sync.refused
    charts, sets, products = _chart_parts(settings, store, facts, clock, configurations, mqtt)
    backups = Backups(settings, keys, store, facts, clock, origin, failpoint)
    erp = _erp(settings, store, facts, clock)
    orders = Orders(store, facts, clock, erp, settings.items, mqtt)
    lines = LineStatus(store, facts, clock, mqtt.publish_document)
    reviews = _reviews(settings, store, facts, clock, orders, holds, lines)
    administration = Administration(
        access,
        enrolment,
        configurations,
        holds,
        Ground(store, facts, clock, mqtt.publish_document),
        ChartAdministration(access, charts, sets, products, ORIGIN),
        _keeping(settings, store, facts, clock, backups, ingest, mqtt, reviews),
        Rollover(keys, store, facts, clock, mqtt.publish_document, (facts.sign_with, mqtt.sign_with)),
    )
    return Central(
        settings,
        clock,
        origin,
        keys,
        store,
        facts,
        access,
        Audit(store),
        enrolment,
        ingest,
        mqtt,
        erp,
        orders,
        reviews,
        lines,
        configurations,
        holds,
        charts,
        sets,
        products,
        backups,
        administration,
        Schedule(clock, settings.time_zone, log),
        AdminServer(settings.folder, administration, log),
        log,
        on_failure,
        lock,
        make_shares,
    )


def _erp(settings: CentralSettings, store: Store, facts: Facts, clock: Clock) -> Erp | None:
    at = settings.erp
    return None if at is None else Erp(open_link(at), store, facts, clock, at.poll_interval)


def _reviews(
    settings: CentralSettings,
    store: Store,
    facts: Facts,
    clock: Clock,
    orders: Orders,
    holds: Holds,
    lines: LineStatus,
) -> Reviews:
    return Reviews(
        store,
        facts,
        clock,
        orders,
        limits=ReviewLimits(settings.review.document_age, settings.head_grace_s),
        rules=Rules(settings.review.four_eyes),
        holds=holds.on_lot,
        lines=lines,
    )


def _keeping(
    settings: CentralSettings,
    store: Store,
    facts: Facts,
    clock: Clock,
    backups: Backups,
    ingest: Ingest,
    mqtt: Mqtt,
    reviews: Reviews,
) -> Keeping:
    """What keeps and shows the evidence as a whole."""
    importer = Importer(store, facts, ingest, mqtt.resync)
    certificates = Certificates(store, reviews, clock, settings.head_grace_s)
    retention = Retention(store, facts, clock, settings.retention)
    return Keeping(backups, importer, certificates, retention)


def _broker_parts(
    settings: CentralSettings,
    ingest: Ingest,
    store: Store,
    facts: Facts,
    keys: CentralKeys,
    clock: Clock,
    log: FilteringBoundLogger,
    on_failure: OnFailure,
    failpoint: Callable[[str], None],
) -> tuple[Mqtt, Callable[..., Shares] | None]:
    """The connection of this process; on a server, where others take records in too, its share of that apart."""
    rest = (store, keys.signing, clock, log, on_failure, failpoint)
    if settings.postgres is None:
        return Mqtt(settings.broker, ingest, *rest, announcement=keys.announcement), None
    house = Part.house(settings.broker.client_id)
    mqtt = Mqtt(settings.broker, ingest, *rest, house, announcement=keys.announcement)
    return mqtt, partial(
        shares, settings, SERVE, store, facts, lambda: keys.signing, clock, log, on_failure, failpoint
    )


def _chart_parts(
    settings: CentralSettings, store: Store, facts: Facts, clock: Clock, configurations: Configurations, mqtt: Mqtt
) -> tuple[Charts, LimitSets, Proposals]:
    """Charts, limit sets and recipes."""
    causes = {name: tuple(told) for name, told in settings.charts.causes.items()}
    charts = Charts(store, facts, clock, causes)

    def proposals(kind: Kind, issue: Issue) -> Proposals:
        four_eyes = settings.review.four_eyes
        return Proposals(kind, store, facts, clock, mqtt.publish_document, issue, four_eyes=four_eyes)

    sets = LimitSets(proposals("limit-set", limit_sets.issue), charts, configurations.resolved, store.fact)
    return charts, sets, proposals("recipe", recipes.issue)


def limits_of(settings: CentralSettings) -> Limits:
    """The settings' times and counts for sign-in."""
    return Limits(
        settings.sessions.idle, settings.sessions.longest, settings.lockout.attempts, settings.lockout.period
    )
