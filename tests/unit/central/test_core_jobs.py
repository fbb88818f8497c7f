"""What central says of its own jobs: each change once, and a job that was not due changes nothing."""

from __future__ import annotations

import threading
from itertools import count

import pytest
import structlog
from apscheduler.events import EVENT_JOB_MAX_INSTANCES

from central.jobs import SKIPPED, Guarded, Schedule
from records.clock import SystemClock
from records.errors import StorageFailed, Unreachable


def test_a_job_that_was_not_due_is_no_recovery() -> None:
    outcomes: list[object] = [Unreachable("gone"), SKIPPED, Unreachable("gone"), SKIPPED, "done", "done"]

    def job() -> object:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with structlog.testing.capture_logs() as said:
        guarded = Guarded("poll", job, structlog.get_logger(), lambda error: pytest.fail(str(error)))
        done = [guarded() for _ in range(6)]
    assert [line["event"] for line in said] == ["job-failed", "job-works-again"]
    assert done == [False, True, False, True, True, True]


def test_a_failed_disk_goes_to_whoever_ends_the_process() -> None:
    failed: list[StorageFailed] = []

    def job() -> object:
        raise StorageFailed("the disk")

    assert Guarded("sweep", job, structlog.get_logger(), failed.append)() is False
    assert [str(error) for error in failed] == ["the disk"]


def test_turns_that_are_left_out_are_counted_under_the_job_s_name_and_do_not_fill_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    began, go_on, again, turns = threading.Event(), threading.Event(), threading.Event(), list[int]()

    def job() -> None:
        turns.append(0)
        (again if len(turns) > 1 else began).set()
        assert go_on.wait(60)

    with structlog.testing.capture_logs() as said:
        log = structlog.get_logger()
        schedule = Schedule(SystemClock(), "Asia/Shanghai", log)
        guarded = Guarded("slow", job, log, lambda error: pytest.fail(str(error)))
        left_out, enough = count(1), threading.Event()
        schedule._scheduler.add_listener(lambda _: next(left_out) >= 5 and enough.set(), EVENT_JOB_MAX_INSTANCES)
        schedule.every(0.02, guarded)
        schedule.start()
        try:
            assert began.wait(60)
            assert enough.wait(60)
            go_on.set()
            assert again.wait(60)
        finally:
            go_on.set()
            schedule.stop()
    assert [(line["event"], line["job"]) for line in said] == [
        ("job-skipped", "slow"),
        ("job-in-time-again", "slow"),
    ]
    assert said[1]["times"] >= 5
    assert capfd.readouterr() == ("", "")
