"""A process without one of its threads must not look well, and none stands still for its garbage."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading
from records.process import end_with_any_thread

def fail():
    raise OSError(22, "no more")

end_with_any_thread()
threading.Thread(target=fail, name="listener").start()
threading.Event().wait(60)
"""


def test_a_thread_that_ends_by_an_error_takes_its_process_along() -> None:
    """Bug: central's connection to the broker ended by an error of its thread, and central went on without it."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 1
    assert ran.stderr == (
        "error: the thread listener ended: OSError: [Errno 22] no more (a fault of Lotkeeper; start again)\n"
    )


def test_what_there_is_at_the_end_of_a_start_is_walked_by_no_later_collection() -> None:
    """Full collections stopped central's threads for 75 to 155 ms."""
    program = """
import gc
from records.process import keep_pauses_short
import pydantic, sqlalchemy
before = len(gc.get_objects())
keep_pauses_short()
print(before > 10_000, gc.get_freeze_count() > before // 2, len(gc.get_objects()) < before // 10)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert ran.stdout == "True True True\n"
