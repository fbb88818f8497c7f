"""A process that takes records in beside ``serve``: no pages, no jobs, any number of them on one PostgreSQL."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from central.facts import Facts, Origin, software
from central.footing import assert_own
from central.ingest import Ingest
from central.jobs import OnFailure
from central.keys import CentralKeys, announced
from central.mqtt import Mqtt, Part
from central.settings import CentralSettings
from central.shares import PARTITION, Shares
from central.store import documents, intake, leases
from central.store.engine import Store
from central.worker_voice import Voice
from records.clock import Clock, SystemClock, iso_z
from records.errors import ConfigurationError, Refused
from records.failpoint import failpoint_from_environment
from records.keys import SigningKey
from records.logs import set_up_log
from records.process import end_for_storage, end_with_any_thread, keep_pauses_short
from records.wire import CENTRAL, CENTRAL_KEYS
from records.yaml import Loaded

COPY_KEYS = "copy central's folder of keys from the machine of serve; this worker follows by itself"


def shares(
    settings: CentralSettings,
    name: str,
    store: Store,
    facts: Facts,
    signing: Callable[[], SigningKey],
    clock: Clock,
    log: FilteringBoundLogger,
    on_failure: OnFailure,
    failpoint: Callable[[str], None],
    on_committed: Callable[[], None] = lambda: None,
) -> Shares:
    """The part that a process has in taking records in; not started yet."""

    def make(partition: str, token: int, key: SigningKey) -> Mqtt:
        fence = partial(leases.assert_held, name=PARTITION + partition, token=token)
        ingest = Ingest(store, facts, clock, on_committed, fence)
        part = Part.records(settings.broker.client_id, partition)
        return Mqtt(settings.broker, ingest, store, key, clock, log, on_failure, failpoint, part)

    return Shares(store, name, make, signing, settings.lease, log, on_failure)


class FollowedKey:
    """Central's present key as the folder has it, which ``serve`` changes. ``over``: agents believe it no more."""

    def __init__(self, keys: CentralKeys, store: Store, clock: Clock, log: FilteringBoundLogger) -> None:
        self._keys, self._store, self._clock, self._log = keys, store, clock, log
        self._behind = False
        self._told = ""
        self.over = False

    def __call__(self) -> SigningKey:
        """Ask every few seconds; a folder that is only a copy is told of once."""
        self._keys.follow()
        mine = self._keys.signing
        with self._store.read() as connection:
            document = documents.newest(connection, CENTRAL_KEYS, CENTRAL)
        known = () if document is None else announced(document)
        present = max(known, key=lambda key: key.since_us, default=None)
        behind = present is not None and present.id != mine.id
        until_us = next((key.until_us for key in known if key.id == mine.id), None)
        self.over = behind and (until_us is None or self._clock.now_us() >= until_us)
        if behind and self._behind and present is not None and self._told != present.id:  # not just this moment
            until = None if until_us is None else iso_z(until_us)
            self._log.error("keys-folder-outdated", key=mine.id, present=present.id, until=until, hint=COPY_KEYS)
            self._told = present.id
        self._behind = behind
        return mine


def run_worker(loaded: Loaded[CentralSettings], name: str) -> None:
    """Take records in until SIGTERM or Ctrl-C.

    Raises:
        ConfigurationError: the database is a file, which one process alone may write; or central's key was
        changed 30 days ago and this folder has the former one only. Refused: ``serve`` never ran on this
        database. Else what opening keys and database raises.
    """
    set_up_log()
    end_with_any_thread()
    settings = loaded.value
    if settings.postgres is None:
        raise ConfigurationError(
            "a worker needs a PostgreSQL server: a file is written by one process alone",
            hint="name a server under database: in central.yaml; until then serve takes everything in by itself",
        )
    keys = CentralKeys.open(settings.keys)
    clock, log = SystemClock(), structlog.get_logger()
    assert_own(settings, keys.ring, anchors_too=False)
    store = Store(settings.database, end_for_storage, alone=False)
    try:
        with store.read() as connection:
            if intake.newest_watermark(connection, CENTRAL, "records") is None:
                raise Refused("this database has no central yet", hint="start lotkeeper-central serve on it once")
        origin = Origin(settings.site, settings.time_zone, software(), loaded.hash)
        facts = Facts(keys.signing, keys.ring, clock, origin, settings.anchors_file)
        failpoint = failpoint_from_environment()
        followed = FollowedKey(keys, store, clock, log)
        taking = shares(settings, name, store, facts, followed, clock, log, end_for_storage, failpoint)
        voice = Voice(settings.broker, name, lambda: keys.signing, clock, log)
        ended = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: ended.set())
        voice.start()
        taking.start()
        keep_pauses_short()
        sys.stderr.write(f"worker {name} takes records in for {settings.site}\n")
        sys.stderr.flush()
        while not ended.wait(0.5) and not followed.over:
            voice.tell(store.refusing)
        voice.stop()
        taking.stop()
        if followed.over:
            raise ConfigurationError(
                f"agents believe no more what is signed with {keys.signing.id}", hint=COPY_KEYS
            )
    finally:
        store.close()
