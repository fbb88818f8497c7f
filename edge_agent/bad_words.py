"""What a bad value's status means to the person who just read it, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pydantic import JsonValue

MOST = 20
"""Most tags that are told one by one."""

_WORDS = MappingProxyType(
    {
        "BadNodeIdUnknown": "the server has no such node; lotkeeper-edge browse lists what it has",
        "BadNamespaceUnknown": "the server has no such namespace; lotkeeper-edge browse lists what it has",
        "BadNoMatch": "the browse path leads nowhere; lotkeeper-edge browse lists what the server has",
        "BadIndexRangeNoData": "the array is shorter than array_index",
        "BadUserAccessDenied": "this user may not read it",
        "BadNotReadable": "the server does not let it be read",
        "BadNoData": "the machine gave no value",
        "BadNotFinite": "NaN or infinity is no value",
        "BadNotText": "the bytes are no text; is data_type right?",
        "BadNotBcd": "a digit is above 9; is it BCD, and is byte_order right?",
        "BadNotListed": "the enumeration gives this number no name",
        "BadSentinel": "the number by which the machine says that it has no value (invalid)",
        "BadTorn": "the machine changed values while they were read, each time they were",
        "BadIllegalFunction": "the device does not know this register table (exception 1)",
        "BadIllegalAddress": "the device has no such register (exception 2); look at address and address_base",
        "BadIllegalValue": "the device refuses this request (exception 3); try one_request_per_tag: true",
        "BadGatewayPath": "the gateway has no way to this unit (exception 10); is unit_id right?",
        "BadGatewayNoResponse": "the unit behind the gateway does not answer (exception 11)",
    }
)


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
        why = _WORDS.get(status)
        if status == "BadTypeMismatch":
            why = f"the machine's value is a {actual}, the line file says {mapped}" if actual and mapped else None
            why = why or "the machine has another type there than the line file says"
        yield f"bad: {tag}: {status}" + (f": {why}" if why else "")
    if len(bad) > MOST:
        yield f"bad: {len(bad) - MOST} more"
