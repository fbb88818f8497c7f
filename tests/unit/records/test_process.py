"""A process without one of its threads must not look well, and none stands still for its garbage."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


MEMORY = "this process may take no more memory (give it more: MemoryMax=, ulimit -v)"
FILES = "this process may open no more files (raise LimitNOFILE=, ulimit -n)"
LACKING = """
import _thread, errno, threading
from records.process import end_with_any_thread

class Held:
    def __del__(self):
        raise MemoryError

def fail(error):
    raise error

end_with_any_thread()
{act}
threading.Event().wait(60)
"""


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            "threading.Thread(target=fail, args=(MemoryError(),), name='uplink').start()",
            f"error: the thread uplink ended: {MEMORY}\n",
        ),
        (
            "threading.Thread(target=fail, args=(OSError(errno.EMFILE, 'x'),), name='uplink').start()",
            f"error: the thread uplink ended: {FILES}\n",
        ),
        ("_thread.start_new_thread(fail, (MemoryError(),))", f"error: a thread ended: {MEMORY}\n"),
        ("Held()", f"error: some work ended: {MEMORY}\n"),
    ],
)
def test_a_process_that_lacks_something_ends_and_says_what(act: str, said: str) -> None:
    """Bug: a thread that had no memory for its first step was gone without the process, and who had started it
    waited for ever: an agent recorded and never sent again. One that had no file left ended it with code 1.
    """
    program = LACKING.format(act=act)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (ran.returncode, ran.stderr) == (3, said)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_whether_there_is_room_for_a_thread_is_known_before_it_is_started() -> None:
    """Bug: where there was none, Python could not even call what hears of a thread that fails."""
    program = """
import resource
from records.process import lacks, look_for_room_for_a_thread

look_for_room_for_a_thread()
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken, taken))
try:
    look_for_room_for_a_thread()
except OSError as error:
    print(lacks(error))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)
    assert ran.stdout == f"{MEMORY}\n"


def test_what_is_ignored_elsewhere_is_shown_and_costs_nothing() -> None:
    program = LACKING.format(act="Held.__del__ = lambda self: fail(KeyError('x')); Held(); raise SystemExit(7)")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 7
    assert "Exception ignored in" in ran.stderr


BESIDE = """
import asyncio, threading
from records.threads import run_with_threads

def refuse(thread):
    raise RuntimeError("can't start new thread")

async def main():
    there = threading.Barrier(3)
    {refused}
    print(await asyncio.gather(*(asyncio.to_thread(there.wait, 20) for _ in range(3))))

{begun}
run_with_threads(main(), 3)
print("ended")
"""
REFUSED = "threading.Thread.start = refuse"


def test_what_a_loop_has_done_beside_it_needs_no_thread_that_is_begun_later() -> None:
    """Nor does its end."""
    program = BESIDE.format(refused=REFUSED, begun="")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("]\nended\n")


def test_a_process_that_may_start_none_says_so_at_its_start() -> None:
    program = BESIDE.format(refused="raise SystemExit(9)", begun=REFUSED)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)
    assert ran.returncode == 1
    assert ran.stderr.endswith("RuntimeError: can't start new thread\n")
    assert "never awaited" not in ran.stderr
