"""What central does by itself: sweep new facts, poll and answer the ERP, sign anchors, check its own chains.

The sweep has a thread of its own, woken by every commit; where it stood is stored, so that no fact is left out by
a crash. The other jobs run on a schedule, never two of a kind at once. A job that fails is tried again at its next
turn; a failed disk ends the process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta

from apscheduler.events import (
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MAX_INSTANCES,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from structlog.typing import FilteringBoundLogger

from central.recurring import Recurring
from records.clock import Clock, from_us
from records.errors import LotkeeperError, StorageFailed

OnFailure = Callable[[StorageFailed], None]


REST_TIMES, REST_MOST_S = 3, 30.0
"""Who works for long by itself rests so many times as long: what comes from the lines meanwhile goes first."""

_QUIET = logging.getLogger("central.jobs.scheduler")
_QUIET.setLevel(logging.ERROR)
"""Of the library: what it says of jobs has no level, no UTC, and a line for each turn that it leaves out."""

SKIPPED = object()
"""What a job returns that was not due: neither a success nor a failure."""


class Guarded:
    """Calls a job so that its failure is told once per change, and a failed disk ends the process."""

    def __init__(
        self, name: str, job: Callable[[], object], log: FilteringBoundLogger, on_failure: OnFailure
    ) -> None:
        self.name = name
        self._job = job
        self._log = log
        self._on_failure = on_failure
        self._trouble: str | None = None

    def __call__(self) -> bool:
        """Run it; whether it did its work."""
        try:
            result = self._job()
        except StorageFailed as error:
            self._on_failure(error)
            return False
        except LotkeeperError as error:
            self._tell(str(error), fault=False)
            return False
        except Exception as error:  # a fault of one job must not end the others
            self._tell(repr(error), fault=True)
            return False
        if self._trouble is not None and result is not SKIPPED:
            self._log.info("job-works-again", job=self.name)
            self._trouble = None
        return True

    def _tell(self, trouble: str, *, fault: bool) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if fault:
            self._log.error("job-failed", job=self.name, error=trouble, exc_info=True)
        else:
            self._log.warning("job-failed", job=self.name, error=trouble)


class Woken:
    """A thread that runs a job when it is woken, and again after ``again_s`` when the job failed.

    Between two runs it rests for ``rest_s``, after a long one ``REST_TIMES`` as long as that took, up to
    ``REST_MOST_S``: what arrives meanwhile is done together.
    """

    def __init__(self, job: Guarded, clock: Clock, again_s: float = 5.0, rest_s: float = 0.5) -> None:
        self._job, self._clock = job, clock
        self._again_s = again_s
        self._rest_s = rest_s
        self._bell = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"central {job.name}", daemon=True)

    def start(self) -> None:
        self._bell.set()  # whatever came before this start
        self._thread.start()

    def wake(self) -> None:
        """Return at once; the job runs soon, once for any number of calls."""
        self._bell.set()

    def stop(self) -> None:
        self._ending.set()
        self._bell.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._bell.wait()
            if self._ending.is_set():
                return
            self._bell.clear()
            began_s = self._clock.monotonic_s()
            done = self._job()
            rest_s = min(REST_TIMES * (self._clock.monotonic_s() - began_s), REST_MOST_S)
            self._ending.wait(max(self._rest_s, rest_s) if done else self._again_s)
            if not done:
                self._bell.set()


class Schedule:
    """Jobs at intervals and at a time of day, in a few threads.

    A turn that is left out, since the one before is not over (or no thread was free for it), is told of.
    """

    def __init__(self, clock: Clock, time_zone: str, log: FilteringBoundLogger) -> None:
        self._clock, self._log = clock, log
        self._skipped: dict[str, Recurring] = {}
        self._telling = threading.Lock()
        self._scheduler = BackgroundScheduler(
            timezone=time_zone,
            executors={"default": ThreadPoolExecutor(3)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            logger=_QUIET,
        )
        self._scheduler.add_listener(self._left_out, EVENT_JOB_MAX_INSTANCES)
        self._scheduler.add_listener(self._done, EVENT_JOB_EXECUTED)

    def every(self, seconds: float, job: Guarded, *, at_once: bool = True, first_s: float | None = None) -> None:
        """Run a job again and again; ``at_once``: the first time right after the start, ``first_s``: then."""
        wait_s = first_s if first_s is not None else 0 if at_once else seconds
        first = from_us(self._clock.now_us()) + timedelta(seconds=wait_s)
        self._scheduler.add_job(job, "interval", seconds=seconds, next_run_time=first, id=job.name, name=job.name)

    def daily(self, hour: int, job: Guarded) -> None:
        """Run a job once a day at this hour of the site's time."""
        self._scheduler.add_job(job, "cron", hour=hour, id=job.name, name=job.name)

    def soon(self, name: str) -> None:
        """Run a job now instead of at its next turn."""
        self._scheduler.modify_job(name, next_run_time=from_us(self._clock.now_us()))

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """Let running jobs end; no more begin."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _left_out(self, event: JobSubmissionEvent) -> None:
        with self._telling:
            name = event.job_id
            if name not in self._skipped:
                log = self._log.bind(job=name)
                self._skipped[name] = Recurring(
                    "job", log, self._clock, met="skipped", over="in-time-again", warn=True
                )
            self._skipped[name].met("its turn before is not over")

    def _done(self, event: JobExecutionEvent) -> None:
        with self._telling:
            if event.job_id in self._skipped:
                self._skipped.pop(event.job_id).over()
