"""The words of the outbox: what goes in, what comes out, what it says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from records.model import Fact
from records.wire import Envelope


@dataclass(frozen=True, slots=True)
class RunIndex:
    """Says that one run of ``station`` worked on one subject of ``order``; ``prior_runs`` counts them.

    ``subject`` is any text that names the subject the same way each time.
    """

    order: str | None
    station: str
    subject: str


@dataclass(frozen=True, slots=True)
class IdentityIndex:
    """Says that the unit (product, scheme, id) is the piece that ``carrier`` carried; a later one replaces it."""

    product: str | None
    scheme: str
    id: str
    carrier: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit holds, all or nothing: facts, station and SPC state, and the indexes over them.

    A state of None takes its key away.
    """

    facts: tuple[Fact, ...] = ()
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    runs: tuple[RunIndex, ...] = ()
    identities: tuple[IdentityIndex, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """One row of one epoch and its chain hash (32 bytes); seq 0 with hash_0 is the place before the first."""

    epoch: str
    seq: int
    hash: bytes

    def to_json(self) -> dict[str, JsonValue]:
        return {"epoch": self.epoch, "seq": str(self.seq), "hash": self.hash.hex()}


@dataclass(frozen=True, slots=True)
class Gap:
    """Rows ``first`` to ``last`` of an epoch that were made and that this file cannot send."""

    epoch: str
    first: int
    last: int

    def to_json(self) -> dict[str, JsonValue]:
        return {"epoch": self.epoch, "first": str(self.first), "last": str(self.last)}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore of central, heard of at ``at_us`` (edge wall clock), asked for and is not here any more."""

    at_us: int
    generation: int
    gaps: tuple[Gap, ...]


class Outcome(StrEnum):
    """What became of a watermark."""

    ADVANCED = "advanced"  # central holds more than we knew
    UNCHANGED = "unchanged"  # known already, or an older one that came late
    REWOUND = "rewound"  # central was restored (new generation): sending begins again from there
    REFUSED = "refused"  # not ours, of an older generation, or against what central said before
    ROLLED_BACK = "rolled_back"  # central knows rows that this file does not: a new epoch was opened


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer to a watermark.

    ``lost``: what a restored central misses and cannot be sent again; ``reason``: why refused.
    ``stored_again``: how many rows a new epoch took over.
    """

    outcome: Outcome
    acknowledged: Place
    reason: str | None = None
    lost: tuple[Gap, ...] = ()
    stored_again: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A contiguous run of one epoch, ready to be framed; ``previous`` is the hash before its first.

    ``position`` is the place of its last row in the file's own order, to go on from; ``size``: about what its rows
    take unpacked, in bytes; ``heard``: central's generation as it is known here, None before any was.
    """

    previous: bytes
    envelopes: tuple[Envelope, ...]
    position: int
    size: int
    heard: int | None


@dataclass(frozen=True, slots=True)
class Pending:
    """What central has not committed yet; ``oldest_us`` is when the oldest of it was stored."""

    records: int
    oldest_us: int | None


@dataclass(frozen=True, slots=True)
class FirstBad:
    agent: str
    epoch: str
    stream: str
    seq: int


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer of ``verify``: what was checked and the first row that does not hold."""

    ok: bool
    records: int
    tombstones: int
    first_bad: FirstBad | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """A signed document of central as it came. ``newest_us``: until when it is known of this one alone that it was
    the newest, as ``edge_agent.counted_time`` counts.
    """

    kind: str
    id: str
    version: int
    payload: bytes
    newest_us: int
