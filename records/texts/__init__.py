"""What the codes of events and their parameters are called, on the agent's page and on central's.

Records hold codes. These texts are made at display, in the reader's language; a code or a parameter of a later
build stands for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from records.texts import central_events, chart_events, line_events, parameters, station_events
from records.texts.said import EventText as EventText
from records.texts.said import Said as Said
from records.texts.statuses import STATUSES

EVENT_TEXTS: Mapping[str, EventText] = {
    **line_events.TEXTS,
    **station_events.TEXTS,
    **chart_events.TEXTS,
    **central_events.TEXTS,
}
"""Every code of ``records.codes.EVENTS``."""

PARAMETER_NAMES: Mapping[str, Said] = parameters.NAMES
"""Parameters of events."""


def event_title(code: str, language: str) -> str:
    """What an event is called."""
    found = EVENT_TEXTS.get(code)
    return code if found is None else found.title.in_language(language)


def parameter_name(name: str, language: str) -> str:
    """What a parameter of an event is called."""
    found = PARAMETER_NAMES.get(name)
    return name.replace("_", " ") if found is None else found.in_language(language)


def every_text() -> Iterator[Said]:
    """All of them, for a catalogue."""
    for text in EVENT_TEXTS.values():
        yield text.title
        yield text.meaning
    yield from PARAMETER_NAMES.values()
    yield from STATUSES.values()
