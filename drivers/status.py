"""Statuses of readings: one 32-bit number each, laid out as in OPC UA, and the word that people read.

The two highest bits are the severity (00 Good, 01 Uncertain, 10 and 11 Bad), so one shift judges a
whole column. What an OPC UA server says is kept as it is, its information bits included. What only we can know has
numbers of its own under the subcodes 0xF00 to 0xFFF, which OPC UA leaves free (OPC 10000-4, 7.39);
a Modbus exception is 0xFE0 plus its code.

A word begins with its quality: Good, Uncertain or Bad.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

GOOD, UNCERTAIN, BAD = 0, 1, 2
"""Qualities, as in ``quality_of``."""

GOOD_STATUS = 0
BAD_SEVERITY = 0x80000000
"""A status of this number or more is bad."""
BAD_NO_DATA = 0x8F010000
BAD_NOT_FINITE = 0x8F020000
BAD_NOT_TEXT = 0x8F030000
BAD_TYPE_MISMATCH = 0x8F040000
BAD_NAMESPACE_UNKNOWN = 0x8F050000
BAD_SENTINEL = 0x8F100000
BAD_NOT_BCD = 0x8F110000
BAD_NOT_LISTED = 0x8F120000
BAD_TORN = 0x8F130000
BAD_STALE = 0x8F060000
UNCERTAIN_CLOCK = 0x4F010000
_MODBUS = 0x8FE00000

_MODBUS_WORDS = {
    1: "BadIllegalFunction",
    2: "BadIllegalAddress",
    3: "BadIllegalValue",
    4: "BadDeviceFailure",
    5: "BadAcknowledge",
    6: "BadDeviceBusy",
    7: "BadNegativeAcknowledge",
    8: "BadMemoryParity",
    10: "BadGatewayPath",
    11: "BadGatewayNoResponse",
}

WORDS = MappingProxyType(
    {
        GOOD_STATUS: "Good",
        BAD_NO_DATA: "BadNoData",
        BAD_NOT_FINITE: "BadNotFinite",
        BAD_NOT_TEXT: "BadNotText",
        BAD_TYPE_MISMATCH: "BadTypeMismatch",
        BAD_NAMESPACE_UNKNOWN: "BadNamespaceUnknown",
        BAD_SENTINEL: "BadSentinel",
        BAD_NOT_BCD: "BadNotBcd",
        BAD_NOT_LISTED: "BadNotListed",
        BAD_TORN: "BadTorn",
        BAD_STALE: "BadStale",
        UNCERTAIN_CLOCK: "UncertainClock",
        **{_MODBUS + (code << 16): word for code, word in _MODBUS_WORDS.items()},
    }
)
"""Our own statuses. What each is about:

- BadNoData: the server said good and gave no value, or the device gave none at all
- BadNotFinite: NaN or infinity
- BadNotText: bytes that are no text
- BadTypeMismatch: the machine has another type there than the tag map says
- BadNamespaceUnknown: the server has no such namespace
- BadSentinel: a number by which the machine says that it has no value (`invalid` in the tag map)
- BadNotBcd: a digit above 9 where the tag map says BCD
- BadNotListed: a number to which the enumeration of the tag map gives no name
- BadTorn: the machine changed values while they were read, each time they were
- BadStale: the value was not read or told anew for longer than it may be old
- UncertainClock: the value came with a source time that cannot be (before 2020, or a day in the future)
- the others are Modbus exceptions (Modbus Application Protocol 1.1b3, section 7)
"""


def modbus_status(exception: int) -> int:
    """The status of a Modbus exception answer (code 1 to 15)."""
    return _MODBUS + ((exception & 0xF) << 16)


def word(status: int) -> str:
    """The word of a status of ours; another is told as its quality and its number."""
    known = WORDS.get(status)
    if known is not None:
        return known
    if _MODBUS < status < _MODBUS + (16 << 16):
        return f"BadException{status >> 16 & 0xF}"
    return f"{('Good', 'Uncertain', 'Bad', 'Bad')[status >> 30 & 3]}0x{status:08X}"


def is_bad(status: int) -> bool:
    """Whether a reading with this status has no value."""
    return status >= BAD_SEVERITY


def quality_of(status: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The column's qualities: 0 good, 1 uncertain, 2 bad."""
    quality: NDArray[np.uint8] = np.minimum(status >> np.uint32(30), BAD).astype(np.uint8)
    return quality
