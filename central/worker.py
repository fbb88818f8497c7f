"""A process that takes records in beside ``serve``: no pages, no jobs, any number of them on one PostgreSQL."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from central.facts import Facts, Origin, software
from central.ingest import Ingest
from central.jobs import OnFailure
from central.keys import CentralKeys
from central.mqtt import Mqtt, Part
from central.settings import CentralSettings
from central.shares import PARTITION, Shares
from central.store import intake, leases
from central.store.engine import Store
from central.stored import StoredFact
from records.clock import Clock, SystemClock
from records.errors import ConfigurationError, Refused, StorageFailed
from records.failpoint import failpoint_from_environment
from records.keys import SigningKey
from records.wire import CENTRAL
from records.yaml import Loaded


def shares(
    settings: CentralSettings,
    name: str,
    store: Store,
    facts: Facts,
    key: SigningKey,
    clock: Clock,
    log: FilteringBoundLogger,
    on_failure: OnFailure,
    failpoint: Callable[[str], None],
    on_committed: Callable[[list[StoredFact]], None] | None = None,
) -> Shares:
    """The part that a process has in taking records in; not started yet."""

    def make(partition: str, token: int) -> Mqtt:
        fence = partial(leases.assert_held, name=PARTITION + partition, token=token)
        ingest = Ingest(store, facts, clock, on_committed, fence)
        part = Part.records(settings.broker.client_id, partition)
        return Mqtt(settings.broker, ingest, store, key, clock, log, on_failure, failpoint, part)

    return Shares(store, name, make, settings.lease, log, on_failure)


def run_worker(loaded: Loaded[CentralSettings], name: str) -> None:
    """Take records in until SIGTERM or Ctrl-C.

    Raises:
        ConfigurationError: the database is a file, which one process alone may write. Refused: ``serve`` never ran
        on this database. Else what opening keys and database raises.
    """
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    settings = loaded.value
    if settings.postgres is None:
        raise ConfigurationError(
            "a worker needs a PostgreSQL server: a file is written by one process alone",
            hint="name a server under database: in central.yaml; until then serve takes everything in by itself",
        )
    keys = CentralKeys.open(settings.keys)
    clock, log = SystemClock(), structlog.get_logger()
    store = Store(settings.database, _die, writer=f"worker {name}")
    try:
        with store.read() as connection:
            if intake.newest_watermark(connection, CENTRAL, "records") is None:
                raise Refused("this database has no central yet", hint="start lotkeeper-central serve on it once")
        origin = Origin(settings.site, settings.time_zone, software(), loaded.hash)
        facts = Facts(keys.signing, keys.ring, clock, origin, settings.anchors_file)
        failpoint = failpoint_from_environment()
        taking = shares(settings, name, store, facts, keys.signing, clock, log, _die, failpoint)
        ended = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: ended.set())
        taking.start()
        sys.stderr.write(f"worker {name} takes records in for {settings.site}\n")
        sys.stderr.flush()
        while not ended.wait(0.5):
            pass
        taking.stop()
    finally:
        store.close()


def _die(error: StorageFailed) -> None:
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
