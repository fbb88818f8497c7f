"""An agent and central compare notes: what is missing, newer, gone, or was taken back by a restore."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.document_sync import DocumentSync
from edge_agent import sync as sync_module
from edge_agent.clock_offset import ClockOffset
from edge_agent.documents import Documents
from edge_agent.sync import Sync, pieces
from records.clock import FakeClock
from records.errors import Invalid
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import Document, Request, canonical_json, down_topic, sign
from tests.rigs.outboxes import AGENT, open_outbox
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

KEY = SigningKey.generate()
RING = KeyRing([PublicKey("central", KEY.public.hex())])


@dataclass
class Both:
    """Central's side, and an agent's documents. ``said``: what central published, in order."""

    rig: Rig
    documents: Documents
    clock: FakeClock
    said: list[tuple[str, Document]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.central = DocumentSync(
            self.rig.store,
            self.rig.facts,
            self.rig.clock,
            lambda agent, document: self.said.append((agent, document)),
        )
        self.offset = ClockOffset(self.clock, lambda *_: None)
        self.sync = Sync(AGENT, self.documents, self.ask, self.clock, self.offset)

    def issue(self, name: str, content: JsonValue, kind: str = "work-order") -> Document:
        return self.rig.store.write(lambda c: self.rig.facts.issue(c, kind, name, content))

    def hear(self, document: Document) -> None:
        self.documents.take(down_topic(AGENT, document.kind, document.id), AGENT, sign(document, KEY))

    def ask(self, kind: str, content: JsonValue) -> None:
        self.rig.clock.advance(0.001)
        self.central.answer(Request(AGENT, kind, self.rig.clock.now_us(), content))

    def round(self) -> list[tuple[str, int]]:
        """One comparison; what central said, as (id, version), and the agent heard."""
        self.said.clear()
        self.sync.begin()
        for agent, document in self.said:
            assert agent in (AGENT, "*")
            self.hear(document)
        *told, (_, last) = self.said
        assert (last.kind, last.id) == ("sync", AGENT)
        return [(document.id, document.version) for _, document in told]

    def held(self) -> dict[str, JsonValue]:
        return {document.id: document.content for document in self.documents.all("work-order")}


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    clock = FakeClock()
    outbox = open_outbox(tmp_path / "edge", clock)
    (tmp_path / "central").mkdir()
    with core_rig.rig(tmp_path / "central") as opened:
        yield Both(opened, Documents(outbox, RING, clock), clock)
    outbox.close()


def test_what_is_missing_or_newer_comes_and_nothing_else(both: Both) -> None:
    first = both.issue("WO-1", "one")
    both.issue("WO-2", "two")
    gone = both.issue("WO-3", "three")
    both.hear(first)
    both.hear(gone)
    both.issue("WO-1", "one more")
    both.issue("WO-3", None)
    both.issue("WO-4", None)  # withdrawn before the agent ever knew it
    both.issue("other-1", {"approved": []}, "configuration")
    assert both.round() == [("WO-1", 2), ("WO-2", 1), ("WO-3", 2)]
    assert both.held() == {"WO-1": "one more", "WO-2": "two"}
    assert both.round() == []


def test_the_answer_says_that_all_is_the_newest(both: Both) -> None:
    both.hear(both.issue("WO-1", "one"))
    both.clock.advance(500)
    assert both.documents.age_s("work-order", "WO-1") == 500
    both.round()
    assert both.sync.answered()
    assert both.documents.age_s("work-order", "WO-1") == 0
    both.clock.advance(5)
    assert not both.sync.answered(), "an answer counts once"
    assert both.documents.age_s("work-order", "WO-1") == 5


def test_who_is_not_answered_knows_since_when(both: Both) -> None:
    """Bug: an agent whose requests were refused looked well, and knew of no hold."""
    both.sync.connected()
    both.clock.advance(60)
    assert both.sync.unanswered_s() is None, "it may still come"
    both.clock.advance(540)
    both.sync.begin()
    both.clock.advance(400)
    assert both.sync.unanswered_s() == 1000
    both.sync.connected()
    assert both.sync.unanswered_s() is None, "while nobody was reached nobody could answer"
    both.clock.advance(1200)
    assert both.sync.unanswered_s() == 1200
    both.round()
    assert both.sync.answered()
    both.clock.advance(1200)
    assert both.sync.unanswered_s() is None


def test_an_answer_to_another_round_says_nothing(both: Both) -> None:
    both.round()
    late = both.said[-1][1]
    both.said.clear()
    both.sync.begin()
    both.hear(Document("sync", AGENT, late.version + 1, 1, late.content))
    assert not both.sync.answered()


def test_a_central_that_was_set_back_says_again_what_is_so(both: Both) -> None:
    both.issue("WO-1", "as the backup has it")
    both.issue("WO-2", "the other one")
    for document in (
        Document("work-order", "WO-1", 7, 1, "lost"),
        Document("work-order", "WO-2", 1, 1, "lost too"),
        Document("work-order", "WO-9", 3, 1, "never heard of"),
    ):
        both.hear(document)
    assert both.round() == [("WO-1", 8), ("WO-2", 2), ("WO-9", 4)]
    assert {agent for agent, _ in both.said[:-1]} == {"*"}
    assert both.held() == {"WO-1": "as the backup has it", "WO-2": "the other one"}
    assert both.round() == []


def test_what_is_not_of_central_s_facts_is_left_alone(both: Both) -> None:
    both.hear(Document("anchor", "central", 5, 1, {"root": "x"}))
    assert both.round() == []
    both.said.clear()
    both.ask("sync", {"round": "r", "known": {"configuration": {"another": ["9", "x"]}, "work-order": {}}})
    assert [document.kind for _, document in both.said] == ["sync"]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"round": "r", "known": []},
        {"round": "r", "known": {"work-order": {"WO-1": "1"}}},
        {"round": "r", "known": {"work-order": {"WO-1": ["one", "x"]}}},
        {"round": "r", "known": {"work-order": {"WO-1": ["99999", "x"]}}},
        {"round": "r" * 99, "known": {}},
    ],
)
def test_nonsense_is_refused_and_changes_nothing(both: Both, content: JsonValue) -> None:
    with pytest.raises(Invalid):
        both.ask("sync", content)
    assert both.said == []


def test_pieces_are_bounded_and_leave_nothing_out(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_module, "PIECE", 3)
    for number in range(7):
        both.issue(f"WO-{number}", number)
    for number in (0, 1, 4, 6):
        both.hear(Document("work-order", f"WO-{number}", 1, 1, number))
    assert both.round() == [("WO-2", 1), ("WO-3", 1), ("WO-5", 1)]
    assert len(both.held()) == 7
    held = both.documents.held(["work-order"])
    assert [piece["through"] for piece in pieces(held)] == [["work-order", "WO-2"], ["work-order", "WO-5"], None]


def test_a_piece_has_at_most_so_many_bytes() -> None:
    held = [Document("work-order", f"{'长' * 150}{n:04}", 1, 1, n) for n in range(2000)]
    found = list(pieces(held))
    assert max(len(canonical_json(piece)) for piece in found) < 2 * sync_module.PIECE_BYTES
    assert [piece["after"] for piece in found[1:]] == [piece["through"] for piece in found[:-1]]
    assert (found[0]["after"], found[-1]["through"]) == (None, None)


def test_the_answer_tells_the_agent_how_far_its_clock_is_off(both: Both) -> None:
    both.clock.jump((both.rig.clock.now_us() - both.clock.now_us()) / 1e6 + 42.0)
    both.round()
    assert both.sync.answered()
    assert both.offset.milliseconds() == pytest.approx(42_000, abs=10)
    assert not both.sync.answered(), "an answer counts once"
