"""The one prompt of a station that stands: until what it speaks of is over, or another takes its place."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from edge_agent.events import Prompt, Until

log = structlog.get_logger()


class Prompting:
    """What a station tells its operator, and what went into the log of it."""

    def __init__(self, station: str) -> None:
        self._station = station
        self._now: Prompt | None = None
        self._logged: Prompt | None = None

    def say(self, prompt: Prompt) -> bool:
        """From now on; whether it was not said already. Logged once: a machine may be written to for days."""
        new = prompt != self._now
        if prompt != self._logged:
            log.info("prompt", station=self._station, code=prompt.code, **prompt.params)
        self._now = self._logged = prompt
        return new

    def over(self, what: Until, tag: str | None = None) -> None:
        """What a prompt waited for has come about; ``tag``: for this one alone."""
        if self._now is not None and self._now.until is what and tag in (None, self._now.params.get("tag")):
            self._now = None

    def standing(self, barriers: Iterable[str]) -> str | None:
        """The code that the operator should see while ``barriers`` (their codes) stand against a start."""
        now = self._now
        if now is None or (now.until is Until.LIFTED and now.code not in barriers):
            return None
        return now.code
