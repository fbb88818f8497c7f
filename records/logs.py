"""The log of a process: lines on stderr that nothing else depends on.

A volume that is full, a reader that has gone: what cannot be written is dropped and counted, and the first line
that can be written again stands behind one that tells how many were not. Nobody who writes to stderr gets an error
of it, and at the end of the process it does not change the exit code.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from contextlib import suppress

import structlog

from records.clock import SystemClock, iso_z


class DroppingWriter(io.RawIOBase):
    """Bytes that go to ``below`` where it takes them; an error of its is kept here. May be used by all threads.

    ``dropped``: lines that were not written, since the start of the process.
    """

    def __init__(self, below: io.RawIOBase) -> None:
        self._below = below
        self._clock = SystemClock()
        self._lock = threading.RLock()  # a signal's handler may write in the midst of a line of its own thread
        self._untold = 0
        self._since_us = 0
        self._reason = ""
        self._cut = False  # the volume took the beginning of the last line alone
        self.dropped = 0

    def write(self, data: object) -> int:
        """Write, or drop; in either way all of it is done with."""
        block = bytes(memoryview(data))  # type: ignore[arg-type]
        with self._lock:
            if self._cut:
                self._cut = not self._written(b"\n")
            if self._cut or not (self._told() and self._written(block)):
                self._drop(max(1, block.count(b"\n")))
        return len(block)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._below.fileno()

    def isatty(self) -> bool:
        return self._below.isatty()

    def _told(self) -> bool:
        """Whether nothing is left to be told of what was dropped."""
        if self._untold:
            words = f"{iso_z(self._clock.now_us())} [warning  ] log-lines-dropped lines={self._untold} "
            words += f"since={iso_z(self._since_us)} reason={self._reason!r}\n"
            if not self._written(words.encode()):
                return False
            self._untold = 0
        return True

    def _drop(self, lines: int) -> None:
        if not self._untold:
            self._since_us = self._clock.now_us()
        self._untold += lines
        self.dropped += lines

    def _written(self, block: bytes) -> bool:
        """Whether all of a block, whole lines, was taken."""
        done = 0
        try:
            while done < len(block):
                taken = self._below.write(block[done:])
                if not taken:  # None: it would have to wait
                    raise BlockingIOError("its reader is too slow")
                done += taken
        except (OSError, ValueError) as error:  # ValueError: it was closed
            self._reason = getattr(error, "strerror", None) or str(error)
            self._cut = done > 0
            return False
        return True


def keep_stderr() -> None:
    """From now on nobody who writes to ``sys.stderr`` gets an error of it. Called again it does nothing.

    A process that was started without a stderr is given one that goes nowhere; it also keeps that number from the
    next file that is opened, the buffer say, into which every line that a library writes there would go.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  until the process ends
    below = _raw_stderr()
    if below is None or isinstance(below, DroppingWriter):
        return
    with suppress(OSError):
        sys.stderr.flush()
    writer = DroppingWriter(below)
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(writer), encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def set_up_log() -> None:
    """The log of a process that serves, on stderr: what a person is to know of, and with LOTKEEPER_DEBUG=1
    everything.
    """
    keep_stderr()
    level = logging.DEBUG if os.environ.get("LOTKEEPER_DEBUG") == "1" else logging.INFO
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def lines_dropped() -> int:
    """Lines of this process's log that could not be written."""
    writer = _raw_stderr()
    return writer.dropped if isinstance(writer, DroppingWriter) else 0


def _raw_stderr() -> io.RawIOBase | None:
    """What stderr writes to; None where that is no file, in a test say."""
    buffer = getattr(sys.stderr, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with PYTHONUNBUFFERED there is no buffer between
    return raw if isinstance(raw, io.RawIOBase) else None
