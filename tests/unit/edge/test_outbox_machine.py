"""Any order of commits, watermarks, prunings, crashes, roll-backs and restored centrals against a small model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.outbox import Batch, Outbox, Outcome, export, verify
from records import chain
from records.clock import FakeClock
from records.wire import Watermark
from tests.rigs.outboxes import AGENT, fact, held, number_of, open_outbox

KEEP_S = 100.0


class OutboxMachine(RuleBasedStateMachine):
    """``committed``: every number the outbox promised. ``central``: what central holds now.

    ``past``: what central held at each watermark that it gave in this generation, to be restored to.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="outbox-machine-"))
        self.lives = 0
        self.clock = FakeClock()
        self.committed: list[int] = []
        self.central: set[int] = set()
        self.ends: dict[str, tuple[int, bytes]] = {}
        self.mark: Watermark | None = None
        self.past: list[tuple[Watermark, frozenset[int], dict[str, tuple[int, bytes]]]] = []
        self.generation = 1
        self.forgotten: set[int] = set()
        self.ended: set[str] = set()

    @initialize()
    def first(self) -> None:
        self.outbox = self.open()

    def open(self) -> Outbox:
        return open_outbox(self.root / str(self.lives), self.clock, keep_acknowledged_s=KEEP_S)

    def teardown(self) -> None:
        while self.deliver(100, refuse=False):
            pass
        missing = set(self.committed) - self.central
        assert missing <= self.forgotten, f"never came: {missing - self.forgotten}"
        self.outbox.close()
        shutil.rmtree(self.root)

    @rule(count=st.integers(0, 4))
    def commit(self, count: int) -> None:
        first = len(self.committed) + 1
        numbers = list(range(first, first + count))
        state = {"last": numbers[-1]} if numbers else {}
        self.outbox.commit(Batch(tuple(fact(number) for number in numbers), state)).result()
        self.committed += numbers

    @rule(records=st.integers(1, 5))
    def send(self, records: int) -> None:
        self.deliver(records)

    def deliver(self, records: int, *, refuse: bool = True) -> bool:
        """One frame reaches central, which commits it and says so."""
        run = self.outbox.next_run(self.outbox.acknowledged()[0], records, 1 << 20)
        if run is None:
            return False
        rows = run.envelopes
        assert rows[0].epoch not in self.ended, "central may hold other rows of that epoch"
        seq, link = self.ends.get(rows[0].epoch, (0, chain.first_hash(AGENT, rows[0].epoch, "records")))
        assert rows[0].seq <= seq + 1, "central sees no hole"
        if rows[0].seq == seq + 1:
            assert run.previous == link, "and no other chain"
        self.central |= {n for row in rows if (n := number_of(row.body or b"{}")) is not None}
        if rows[-1].seq > seq:
            self.ends[rows[0].epoch] = (rows[-1].seq, rows[-1].hash)
        self.mark = Watermark(AGENT, rows[0].epoch, "records", rows[-1].seq, rows[-1].hash.hex(), self.generation)
        assert self.outbox.apply(self.mark).outcome is Outcome.ADVANCED
        self.past.append((self.mark, frozenset(self.central), dict(self.ends)))
        return True

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def late_watermark(self, data: st.DataObject) -> None:
        late, _, _ = data.draw(st.sampled_from(self.past))
        before = self.outbox.acknowledged()
        assert self.outbox.apply(late).outcome in (Outcome.UNCHANGED, Outcome.REFUSED)
        assert self.outbox.acknowledged() == before

    @rule(ahead=st.integers(1, 3), known=st.booleans())
    def rolled_back(self, ahead: int, known: bool) -> None:
        """Central has rows that this disk does not have."""
        head = self.outbox.head()
        epoch = head.epoch if known else f"{ahead:024x}{len(self.committed):08x}{self.lives}"
        strange = Watermark(AGENT, epoch, "records", head.last + ahead, "ab" * 32, self.generation)
        outcome = self.outbox.apply(strange).outcome
        assert outcome in (Outcome.ROLLED_BACK, Outcome.UNCHANGED)
        if outcome is Outcome.ROLLED_BACK:
            self.ended.add(head.epoch)

    @precondition(lambda self: len(self.past) > 2)
    @rule(data=st.data())
    def central_is_restored(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.past) - 1))
        mark, central, ends = self.past[place]
        self.past = [*self.past[:place]]
        self.generation += 1
        self.central, self.ends = set(central), dict(ends)
        again = Watermark(mark.agent, mark.epoch, mark.stream, mark.committed_through, mark.hash, self.generation)
        assert self.outbox.apply(again).outcome in (Outcome.REWOUND, Outcome.ADVANCED)

    @rule(seconds=st.sampled_from([1.0, 60.0, 150.0]))
    def time_passes_and_prune(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.outbox.prune()
        kept = {number_of(row.body or b"{}") for row in export(self.outbox.path)}
        gone = set(self.committed) - {number for number in kept if number is not None}
        assert gone - self.forgotten <= self.central, "only what central holds is forgotten"
        self.forgotten |= gone

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.outbox = self.open()
        assert self.outbox.finding.why is None

    @rule()
    def crash(self) -> None:
        """The files as they lie at this moment, opened by another process."""
        before = self.root / str(self.lives)
        self.lives += 1
        shutil.copytree(before, self.root / str(self.lives))
        self.outbox.close()
        self.outbox = self.open()
        assert self.outbox.finding.why is None

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "outbox"):
            return
        waiting = [
            number
            for row in held(self.outbox, self.outbox.acknowledged()[0])
            if (number := number_of(row.body or b"{}")) is not None
        ]
        assert waiting == sorted(set(waiting)), "in order, each once"
        assert set(self.committed) <= set(waiting) | self.central | self.forgotten
        assert self.outbox.state("last") == (self.committed[-1] if self.committed else None)
        assert self.outbox.pending().records == len(held(self.outbox, self.outbox.acknowledged()[0]))

    @invariant()
    def the_file_proves_itself(self) -> None:
        if hasattr(self, "outbox"):
            answer = verify(self.outbox.path)
            assert answer.ok, answer


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
