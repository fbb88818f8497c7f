"""A scanner's bytes to frames: pure but for the clock that stamps them.

What is handed over as text was sent in one piece between its own beginning and end. All else (a frame whose end
did not come, two without an end between them, noise) is a frame with an error and no text, never a shortened scan.
"""

from __future__ import annotations

import re

from drivers.base import ScanFrame
from drivers.tags import SerialScannerDevice
from records.clock import Clock

_STX, _ETX = b"\x02", b"\x03"
_ENDS = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "STX_ETX": _ETX, "idle": b""}
_NOISE = re.compile(rb"[\x00-\x03\x05-\x1b\x7f]")
"""Control characters that no code holds; EOT and the four separators (FS, GS, RS, US) are part of some."""

_IDENTIFIER = re.compile(rb"\][A-Za-z][0-9A-Za-z]")


class Framer:
    """The frames of one opening of one scanner."""

    def __init__(self, settings: SerialScannerDevice, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._by_pause = settings.terminator == "idle"
        self._prefix = settings.prefix.encode(settings.encoding)
        self._suffix = settings.suffix.encode(settings.encoding)
        self._end = b"" if self._by_pause else self._suffix + _ENDS[settings.terminator]
        self._limit = 1 + len(self._prefix) + settings.max_length + len(self._suffix) + len(self._end)
        self._buffer = b""
        self._skipping = False
        self._doubtful = False
        self._data_s = self._watched_s = float("-inf")

    def feed(self, data: bytes, now_s: float) -> list[ScanFrame]:
        """The frames that are complete now; ``data`` is what came since the last call, empty where nothing did.

        ``now_s`` is monotonic. Between two calls a frame may have been broken off and another begun: where they
        lie further apart than a pause, the frame under way is not believed.
        """
        unwatched = now_s - self._watched_s >= self._settings.idle
        self._watched_s = now_s
        if not data:
            return self._silence() if now_s - self._data_s >= self._settings.idle else []
        self._data_s = now_s
        self._doubtful |= unwatched and bool(self._buffer)
        self._buffer += data
        return self._by_end()

    def _by_end(self) -> list[ScanFrame]:
        frames: list[ScanFrame] = []
        while self._end and (at := self._buffer.find(self._end)) >= 0:
            raw, self._buffer = self._buffer[:at], self._buffer[at + len(self._end) :]
            frames += self._completed(raw)
        if len(self._buffer) > self._limit:
            if not self._skipping:
                frames.append(self._wrong(self._buffer[: self._limit], "too_long"))
            self._skipping = True
            self._buffer = self._buffer[-max(1, len(self._end)) :]
        return frames

    def _silence(self) -> list[ScanFrame]:
        """Nothing came for a pause: the frame under way is over, or never will be."""
        raw, self._buffer = self._buffer, b""
        if self._by_pause:
            return self._completed(raw)
        raw = raw.strip(b"\r\n")
        skipped, self._skipping, self._doubtful = self._skipping, False, False
        return [self._wrong(raw, "incomplete")] if raw and not skipped else []

    def _completed(self, raw: bytes) -> list[ScanFrame]:
        skipped, self._skipping = self._skipping, False
        doubtful, self._doubtful = self._doubtful, False
        if len(self._end) <= 1:  # a scanner set to CR LF leaves the other half where one was expected
            raw = raw.strip(b"\r\n")
        if skipped or not raw:
            return []
        if doubtful:
            return [self._wrong(raw, "incomplete")]
        if self._settings.terminator != "STX_ETX":
            return [self._frame(raw)]
        before, begun, raw = raw.rpartition(_STX)
        if not begun:
            return [self._wrong(raw, "incomplete")]
        broken = before.strip(b"\r\n")
        return [*([self._wrong(broken, "incomplete")] if broken else []), self._frame(raw)]

    def _frame(self, raw: bytes) -> ScanFrame:
        settings = self._settings
        content = raw
        if self._by_pause and self._suffix:
            if not content.endswith(self._suffix):
                return self._wrong(raw, "incomplete")
            content = content[: -len(self._suffix)]
        if not content.startswith(self._prefix):
            return self._wrong(raw, "prefix")
        content = content[len(self._prefix) :]
        error = self._error(content)
        if error is not None:
            return self._wrong(raw, error)
        try:
            text = content.decode(settings.encoding)
        except UnicodeDecodeError:
            return self._wrong(raw, "encoding")
        return ScanFrame(raw, text, self._clock.now_us())

    def _error(self, content: bytes) -> str | None:
        settings = self._settings
        if any(mark and mark in content for mark in (self._prefix, self._suffix)):
            return "glued"
        if _NOISE.search(content):
            return "noise"
        if len(content) > settings.max_length:
            return "too_long"
        if settings.length is not None and len(content) != settings.length:
            return "length"
        if settings.symbology_identifiers and not _IDENTIFIER.match(content):
            return "symbology"
        return None

    def _wrong(self, raw: bytes, error: str) -> ScanFrame:
        return ScanFrame(raw, "", self._clock.now_us(), error)
