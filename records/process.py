"""What a process that serves for weeks settles at its start: its end with any thread, and short pauses. And what a
process says that has too little of something.
"""

from __future__ import annotations

import errno
import gc
import mmap
import os
import sys
import threading
import traceback
from typing import Any

from records.errors import StorageFailed

ENDED, LACKING = 1, 3
"""Exit codes: a thread ended by a fault of ours; the machine does not give the process what it needs."""
NO_MEMORY = "this process may take no more memory (give it more: MemoryMax=, ulimit -v)"
NO_FILES = "this process may open no more files (raise LimitNOFILE=, ulimit -n)"
NO_THREADS = "this process may start no more threads (give it more: MemoryMax=, TasksMax=, ulimit -v, ulimit -u)"
A_THREAD_NEEDS = 1 << 20
"""Bytes, beside its stack."""
_WORDS_WITHOUT_MEMORY = f"error: {NO_MEMORY}\n".encode()


def lacks(error: BaseException | None) -> str | None:
    """What the process may have no more of and who gives it more, where an error says that or came of it."""
    want = None
    while want is None and error is not None:
        want = _want_of(error)
        error = error.__cause__ or error.__context__  # a clean-up may fail for what was never begun
    return want


def _want_of(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return NO_MEMORY
    if isinstance(error, OSError):
        return {errno.EMFILE: NO_FILES, errno.ENFILE: NO_FILES, errno.ENOMEM: NO_MEMORY}.get(error.errno or 0)
    if isinstance(error, RuntimeError) and "start new thread" in str(error):  # as Python says it; it has no code
        return NO_THREADS
    return None


def look_for_room_for_a_thread() -> None:
    """To be asked before a thread is started while others are at work.

    Python cannot tell anybody of a thread that has no memory for its first line, and who starts it waits for ever.

    Raises:
        OSError: there is no room now.
    """
    mmap.mmap(-1, A_THREAD_NEEDS).close()


def end_with_any_thread() -> None:
    """From now on a thread that ends by an error ends the whole process, with a message: code 3 when the process
    may have no more memory, files or threads, else 1.

    For processes that are supervised: without one of its threads an agent or central would go on deaf or dumb and
    look well. The next start recovers. A thread that fails before its first line is heard of in another way,
    and so is an error that nobody can be told of, in a destructor say: without memory that ends it, too.
    """
    threading.excepthook = _end
    sys.unraisablehook = _end_if_it_matters


def end_for_storage(error: StorageFailed) -> None:
    """End the whole process at once since its storage failed; the next start recovers."""
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)


def keep_pauses_short() -> None:
    """From now on the garbage collector passes over what there is now: modules, classes, settings.

    For the end of a start. Else a full collection, at any moment, stops all threads for as long as it takes to
    walk them: 75 to 155 ms in central, seen as the time from a commit at the line to central's.
    """
    gc.collect()
    gc.freeze()


def _end(failed: threading.ExceptHookArgs) -> None:
    _exit("a thread" if failed.thread is None else f"the thread {failed.thread.name}", failed.exc_value)


def _end_if_it_matters(ignored: Any) -> None:
    """A thread that never came to its first line: who started it may wait for that for ever."""
    if "in thread started by" in (ignored.err_msg or ""):
        _exit("a thread", ignored.exc_value)
    if isinstance(ignored.exc_value, MemoryError):
        _exit("some work", ignored.exc_value)
    sys.__unraisablehook__(ignored)


def _exit(what: str, error: BaseException | None) -> None:
    code = ENDED
    try:
        want = lacks(error)
        code = ENDED if want is None else LACKING
        if os.environ.get("LOTKEEPER_DEBUG") == "1" and error is not None:
            traceback.print_exception(error)
        why = want or f"{type(error).__name__}: {error} (a fault of Lotkeeper; start again)"
        sys.stderr.write(f"error: {what} ended: {why}\n")
        sys.stderr.flush()
    except MemoryError:
        os.write(2, _WORDS_WITHOUT_MEMORY)
    finally:
        os._exit(code)
