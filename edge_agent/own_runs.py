"""What this agent itself ran on the pieces of open orders: known at once, and while central is away.

Kept with the station's commit under ``route/ORDER/PIECE``, so that it is as true as the records; given up when
the order is over. Only lines with a station that looks at earlier operations keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote, unquote

from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_agent.chart_facts import subject_ref
from edge_agent.recording import identifier
from edge_agent.route_status import FAILED, PASSED, SCRAP, OwnRun, Runs
from edge_agent.station_settings import SubjectSource
from records.model import (
    Data,
    MaterialKind,
    OperationRecord,
    Outcome,
    Result,
    Subject,
    SubjectKind,
)

PREFIX = "route/"
MOST_PIECES = 50_000
"""Most pieces that are kept; of further ones only central's word is known."""
_LETTERS = {Result.PASS: PASSED, Result.NOT_JUDGED: PASSED, Result.FAIL: FAILED, Result.SCRAP: SCRAP}

_RUNS = TypeAdapter(dict[str, OwnRun])


class OwnRuns:
    """Of all stations of one agent. ``states`` are what the outbox has under ``PREFIX``.

    ``wanted``: a station looks at earlier operations; until then nothing is taken in.
    """

    def __init__(self, states: Mapping[str, JsonValue]) -> None:
        self.wanted = False
        self._known: dict[str, dict[str, dict[str, OwnRun]]] = {}
        self._pieces = 0
        for key, value in states.items():
            order, _, ref = key.partition("/")
            try:
                self._put(unquote(order), unquote(ref), _RUNS.validate_python(value))
            except ValidationError:
                continue  # of another version: central's word is left

    def of(self, order: str | None, refs: Iterable[str]) -> Runs:
        """The newest run of each operation on a piece that has these references."""
        found: dict[str, OwnRun] = {}
        known = self._known.get(order or "", {})
        for ref in refs:
            for operation, run in known.get(ref, {}).items():
                if operation not in found or found[operation].at_us < run.at_us:
                    found[operation] = run
        return found

    def of_each(self, order: str | None, subjects: Iterable[Subject]) -> dict[str, Runs]:
        """The same of several subjects, by reference."""
        return {subject_ref(each): self.of(order, [subject_ref(each)]) for each in subjects} if self.wanted else {}

    def of_seen(self, order: str | None, source: SubjectSource, seen: Mapping[str, object]) -> Runs:
        """Of the piece that a station's reader sees among these values."""
        name = identifier(seen.get(source.tag or ""))
        if name is None or not self.wanted:
            return {}
        return self.of(order, [subject_ref(Subject(source.kind, name))])

    def taken(self, facts: Sequence[Data]) -> dict[str, JsonValue]:
        """Take in what these facts say; the states to commit with them."""
        states: dict[str, JsonValue] = {}
        for record in facts if self.wanted else ():
            if not isinstance(record, OperationRecord) or record.order is None:
                continue
            if not record.purpose.counts or record.outcome is not Outcome.COMPLETED:
                continue
            married = _married(record)
            for result in record.subjects:
                letter = _LETTERS.get(result.result)
                if letter is None:
                    continue
                refs = [subject_ref(result.subject)]
                refs += [subject_ref(married[result.subject.key])] if result.subject.key in married else []
                run = OwnRun(letter=letter, at_us=record.ended_us)
                runs = {**self.of(record.order, refs), record.operation: run}
                for ref in refs:
                    if self._put(record.order, ref, runs):
                        states[_key(record.order, ref)] = _RUNS.dump_python(runs, mode="json")
        return states

    def forgotten(self, orders: Iterable[str]) -> dict[str, JsonValue]:
        """Give up these orders; the states to commit."""
        gone: dict[str, JsonValue] = {}
        for order in orders:
            pieces = self._known.pop(order, {})
            self._pieces -= len(pieces)
            gone |= dict.fromkeys(_key(order, ref) for ref in pieces)
        return gone

    @property
    def orders(self) -> tuple[str, ...]:
        return tuple(self._known)

    def _put(self, order: str, ref: str, runs: dict[str, OwnRun]) -> bool:
        of_order = self._known.setdefault(order, {})
        if ref not in of_order:
            if self._pieces >= MOST_PIECES:
                return False
            self._pieces += 1
        of_order[ref] = dict(runs)
        return True


def _married(record: OperationRecord) -> dict[tuple[str, str | None, str, str], Subject]:
    """Unit -> the carrier that became it in this run."""
    return {
        edge.target.key: edge.source
        for edge in record.materials
        if edge.kind is MaterialKind.IDENTIFIED_AS
        and edge.source is not None
        and edge.target is not None
        and edge.source.kind is SubjectKind.CARRIER
    }


def _key(order: str, ref: str) -> str:
    return f"{PREFIX}{quote(order, safe='')}/{quote(ref, safe='')}"
