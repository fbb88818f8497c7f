"""What a bad value's status means to the person who just read it, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from records.texts.statuses import status_text

MOST = 20
"""Most tags that are told one by one."""


def explained(
    readings: Iterable[Mapping[str, JsonValue]], types: Mapping[str, tuple[str, str]], silent: Iterable[str]
) -> Iterator[str]:
    """One line for each bad reading, ``MOST`` at most.

    ``types``: what the line file says and what came, by tag; ``silent``: devices whose trouble was told already.
    """
    away = set(silent)
    bad = [one for one in readings if one["quality"] == "bad" and str(one["tag"]).partition(".")[0] not in away]
    for reading in bad[:MOST]:
        tag, status = str(reading["tag"]), str(reading["status"])
        mapped, actual = types.get(tag, ("", ""))
        why = status_text(status, "en")
        if status == "BadTypeMismatch" and actual and mapped:
            why = f"the machine's value is a {actual}, the line file says {mapped}"
        yield f"bad: {tag}: {status}" + (f": {why}" if why else "")
    if len(bad) > MOST:
        yield f"bad: {len(bad) - MOST} more"
