"""What central holds of one record, as everything above the store reads it."""

from __future__ import annotations

from dataclasses import dataclass

from records.model import Fact


@dataclass(frozen=True, slots=True)
class StoredFact:
    """One committed record: whose it is, where it stands in its chain, and what it says.

    ``hash`` is its chain hash (64 hexadecimal digits), which decisions name as their target. ``received_us`` is
    central's wall clock at the commit. ``cursor`` grows in the order in which central committed records: read on
    with ``Store.facts(after=cursor)``.
    """

    agent: str
    epoch: str
    stream: str
    seq: int
    hash: str
    kind: str
    fact: Fact
    received_us: int
    cursor: int = 0
