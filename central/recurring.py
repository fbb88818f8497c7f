"""A trouble that meets all that is tried, such as a database that is away, told of without filling the log."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from records.clock import MICROSECONDS, Clock, iso_z

FIRST_S, LONGEST_S = 10.0, 600.0


class Recurring:
    """Told when it begins, again after ten seconds and then after twice as long each time, up to ten minutes, with
    how often it was met; and once when it is over. For one thread.
    """

    def __init__(
        self,
        what: str,
        log: FilteringBoundLogger,
        clock: Clock,
        *,
        met: str = "failed",
        over: str = "works-again",
        warn: bool = False,
    ) -> None:
        """The lines are ``what`` with ``met`` or ``over``. ``warn``: no error, a warning."""
        self._what, self._log, self._clock = what, log, clock
        self._met, self._over, self._warn = met, over, warn
        self._times = 0
        self._since_us = 0
        self._next_s = self._pause_s = 0.0

    def met(self, error: str) -> None:
        """It was met, once more or for the first time."""
        now_s = self._clock.monotonic_s()
        if not self._times:
            self._since_us, self._pause_s, self._next_s = self._clock.now_us(), FIRST_S, now_s
        self._times += 1
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_S)
        more = {} if self._times == 1 else {"times": self._times, "since": iso_z(self._since_us)}
        tell = self._log.warning if self._warn else self._log.error
        tell(f"{self._what}-{self._met}", error=error, **more)

    def over(self) -> None:
        """Something was done that it would have met."""
        if self._times:
            lasted_s = (self._clock.now_us() - self._since_us) // MICROSECONDS
            self._log.info(f"{self._what}-{self._over}", times=self._times, lasted_s=lasted_s)
            self._times = 0
