"""What happens to a station, and what a station wants done: the words between the pure core and its runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from pydantic import JsonValue

from drivers.udi import Barcode
from edge_agent.route_status import Runs
from records.model import Data, Purpose, Reading, Subject

# -- events ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Observed:
    """Watched tags were seen with these values (None: bad quality). ``new_id`` is a fresh id for a run."""

    values: Mapping[str, object]
    at_us: int
    new_id: str
    ran: Runs = field(default_factory=dict)  # what this agent ran on the piece that the reader sees now


@dataclass(frozen=True, slots=True)
class Captured:
    """The answer to ``Capture``: one reading per tag, all read after the machine said done.

    ``attempts`` tells, per subject key, how many runs of this operation the order already has. ``held`` are the
    holds of other stations on these subjects.
    """

    readings: Mapping[str, Reading]
    at_us: int
    new_id: str
    attempts: Mapping[tuple[str, str | None, str, str], int] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    ran: Mapping[str, Runs] = field(default_factory=dict)  # by the subject's reference: what this agent ran on it


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    error: str


@dataclass(frozen=True, slots=True)
class Scanned:
    """One scan. ``carrier`` is what stands at the station now, ``known_as`` the carrier already married to it.

    ``number`` tells it from the scanner's other scans, ``utc_offset_min`` is how far local time was ahead of UTC.
    ``held`` names the hold of another station on the unit; then ``purpose`` is what the machine says it is to be
    run for, if it says so. ``ran`` is what this agent ran on the piece. ``late``: its operator was told no, since
    it was not answered in time.
    """

    scanner: str
    text: str
    raw: bytes
    barcode: Barcode
    at_us: int
    carrier: str | None = None
    known_as: str | None = None
    number: int = 0
    utc_offset_min: int = 0
    held: str | None = None
    purpose: Purpose | None = None
    ran: Runs = field(default_factory=dict)
    late: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time goes on. ``full``: nothing new may begin, since the buffer has no room for what comes of it."""

    at_us: int
    monotonic_s: float
    full: bool = False


@dataclass(frozen=True, slots=True)
class Committed:
    """The last ``Commit`` is on disk."""


@dataclass(frozen=True, slots=True)
class WriteDone:
    tag: str


@dataclass(frozen=True, slots=True)
class WriteFailed:
    tag: str
    error: str


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """A device is connected (again): what was written to it before may be gone."""

    device: str


@dataclass(frozen=True, slots=True)
class Lift:
    """A person ends a hold or an alarm; answered with the ``Reply`` of this number.

    ``unit``: of a hold of units, only this one, by its id or its whole reference.
    """

    number: int
    hold: str
    by: str
    reason: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class RestartChart:
    """A person begins a chart anew after a cause was found; answered with the ``Reply`` of this number.

    ``stream`` None: the only one that the chart has.
    """

    number: int
    characteristic: str
    stream: str | None
    by: str
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """The papers are newer than at the last event."""


Event = (
    Observed
    | Captured
    | CaptureFailed
    | Scanned
    | Tick
    | Committed
    | WriteDone
    | WriteFailed
    | DeviceBack
    | Lift
    | RestartChart
    | DocumentChanged
)

# -- effects -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capture:
    """Read these tags now; answer with ``Captured`` or ``CaptureFailed``."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Married:
    """A unit is known to sit on a carrier."""

    unit: Subject
    order: str
    carrier: str


@dataclass(frozen=True, slots=True)
class Ran:
    """These subjects had a run that counts; the next one is another attempt."""

    order: str
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Store facts and station state in one transaction; answer with ``Committed``.

    ``charts`` are the chart streams that changed, by name; None: gone.
    """

    facts: tuple[Data, ...]
    kept: JsonValue
    charts: Mapping[str, JsonValue] = field(default_factory=dict)
    ran: Ran | None = None
    married: tuple[Married, ...] = ()


@dataclass(frozen=True, slots=True)
class Write:
    """Write a tag, read back and verified; answer with ``WriteDone`` or ``WriteFailed``."""

    tag: str
    value: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the scanner whether the scan with this number counts (after the commit that holds it)."""

    scanner: str
    accepted: bool
    number: int = 0


class Until(Enum):
    """What ends a prompt, if none takes its place before."""

    NEXT = auto()  # nothing else
    ACCEPTED = auto()  # a scan counts
    WRITTEN = auto()  # the tag that it names was written
    READ = auto()  # the machine's values were read, or are not asked for any more
    STORED = auto()  # there is room again
    LIFTED = auto()  # it does not stand against a start any more
    APPROVED = auto()  # the line file is


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the operator should know or do now: a code and its parameters."""

    code: str
    params: Mapping[str, JsonValue]
    until: Until = Until.NEXT


@dataclass(frozen=True, slots=True)
class Reply:
    """Tell the person whose act has this number whether it counts (after its commit).

    ``refused`` is a code of ``edge_agent.acts``; ``params`` are what its text names, or what was done.
    """

    number: int
    refused: str | None = None
    params: Mapping[str, str | int] = field(default_factory=dict)


Effect = Capture | Commit | Write | Answer | Prompt | Reply
