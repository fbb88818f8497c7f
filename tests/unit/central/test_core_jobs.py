"""What central says of its own jobs: each change once, and a job that was not due changes nothing."""

from __future__ import annotations

import pytest
import structlog

from central.jobs import SKIPPED, Guarded
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
