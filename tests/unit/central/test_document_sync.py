"""An agent and central compare notes: what is missing, newer, gone, or was taken back by a restore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from central import doctor_keeping
from central.document_sync import MOST_REFUSED, DocumentSync
from central.holds import Held, Holds
from central.store import documents
from edge_agent import sync as sync_module
from edge_agent.clock_offset import ClockOffset
from edge_agent.documents import Documents
from edge_agent.sync import Sync, pieces
from records.clock import FakeClock
from records.errors import Invalid
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import (
    HOLDS,
    PLANT,
    SHOW,
    SYNC,
    SYNC_REFUSED,
    Document,
    Request,
    canonical_json,
    down_topic,
    sign,
)
from tests.rigs.outboxes import AGENT, open_outbox
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig
from tests.unit.central.test_quality_holds import person

KEY = SigningKey.generate()
RING = KeyRing([PublicKey("central", KEY.public.hex())])


@dataclass
class Both:
    """Central's side, and an agent's documents. ``said``: what central published, in order."""

    rig: Rig
    documents: Documents
    clock: FakeClock
    said: list[tuple[str, Document]] = field(default_factory=list)
    between: Callable[[], None] = lambda: None
    """Called after central has compared, before it is shown anything."""

    def __post_init__(self) -> None:
        parts = (self.rig.store, self.rig.facts, self.rig.clock, self.publish)
        self.holds = Holds(*parts)
        self.central = DocumentSync(*parts, self.holds, RING)
        self.offset = ClockOffset(self.clock, lambda *_: None)
        self.sync = Sync(AGENT, self.documents, self.ask, self.clock, self.offset)

    def issue(self, name: str, content: JsonValue, kind: str = "work-order") -> Document:
        return self.rig.store.write(lambda c: self.rig.facts.issue(c, kind, name, content))

    def publish(self, agent: str, document: Document) -> None:
        self.said.append((agent, document))

    def hear(self, document: Document) -> None:
        self.documents.take(down_topic(AGENT, document.kind, document.id), AGENT, sign(document, KEY))

    def ask(self, kind: str, content: JsonValue) -> None:
        self.rig.clock.advance(0.001)
        if kind == SHOW:
            self.between()
        answer = self.central.answer if kind == SYNC else self.central.shown
        answer(Request(AGENT, kind, self.rig.clock.now_us(), content))

    def round(self) -> list[tuple[str, int]]:
        """One comparison; what central said, as (id, version), and the agent heard."""
        self.said.clear()
        self.sync.begin()
        for agent, document in self.said:  # it grows while the agent shows what it is asked for
            assert agent in (AGENT, "*")
            self.hear(document)
            if document.kind == SYNC and isinstance(document.content, dict) and "show" in document.content:
                assert not self.sync.answered()
        assert self.said[-1][1].kind == SYNC
        assert self.said[-1][1].id == AGENT
        told = [(document.id, document.version) for _, document in self.said if document.kind != SYNC]
        return list(dict.fromkeys(told))

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


def test_a_refusal_tells_of_the_clock_once_and_confirms_nothing(both: Both) -> None:
    """What somebody recorded and plays again, to central or to the agent, has the round of another time."""
    both.hear(both.issue("WO-1", "one"))
    both.rig.clock.advance(1200)
    asked: list[Request] = []
    sync = Sync(
        AGENT,
        both.documents,
        lambda kind, content: asked.append(Request(AGENT, kind, both.clock.now_us(), content)),
        both.clock,
        both.offset,
    )
    for _ in range(2):
        sync.begin()
        both.clock.advance(1)
    both.said.clear()
    for request in (*asked, asked[-1]):
        both.central.refused(request)
    both.central.refused(Request(AGENT, SYNC, 1, {"round": "x" * 100}))
    told = [document for _, document in both.said]
    assert len(told) == 2, "of each comparison once"
    found = []
    for document in (*told, told[-1]):
        both.hear(document)
        sync.refused()
        found.append(both.offset.now())
        both.rig.clock.advance(3600)
    assert found[0] is None
    assert found[1] == found[2]
    assert found[1] is not None
    assert found[1].seconds == pytest.approx(-1198.5)
    assert len(found) == 3
    assert both.documents.age_s("work-order", "WO-1") == 2
    assert not sync.answered()
    both.clock.advance(1000)
    assert sync.unanswered_s() == 1002


def test_who_is_refused_in_a_loop_is_told_a_few_times_a_minute(both: Both) -> None:
    """Bug: each refused request made a document, which the broker kept."""
    for number in range(1000):
        both.central.refused(Request(AGENT, SYNC, 1, {"round": f"r{number}"}))
        both.central.refused(Request("press-2", SYNC, 1, {"round": "r"}))
        if number % 100 == 99:
            both.rig.clock.advance(6)
    assert [agent for agent, _ in both.said].count(AGENT) <= 2 * MOST_REFUSED
    assert [agent for agent, _ in both.said].count("press-2") == 1, "what is played again is another round's"
    both.rig.clock.advance(60)
    both.said.clear()
    both.central.refused(Request(AGENT, SYNC, 1, {"round": "the next"}))
    assert len(both.said) == 1


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


def asked_within(sync: Sync, clock: FakeClock, asked: list[str], seconds: int) -> list[int]:
    """The seconds after which it asks, while it is looked at every second."""
    found = []
    for second in range(1, seconds + 1):
        clock.advance(1)
        before = len(asked)
        sync.look()
        found += [second] * (len(asked) - before)
    return found


def test_who_is_not_answered_asks_again_ever_more_seldom(both: Both) -> None:
    """Bug: what an agent asked before central was at the broker was lost, and asked again ten minutes later."""
    asked: list[str] = []
    sync = Sync(AGENT, both.documents, lambda kind, _: asked.append(kind), both.clock, both.offset)
    assert asked_within(sync, both.clock, asked, 100) == [], "it was never connected"
    sync.connected()
    first, *more = asked_within(sync, both.clock, asked, 86_400)
    assert 5 <= first <= 16
    assert 86_400 / 900 < len(more) + 1 < 86_400 / 300, "from half of ten minutes to one and a half"
    sync.connected()
    assert min(asked_within(sync, both.clock, asked, 60)) <= 16, "a new connection begins anew"


def test_central_that_comes_back_is_asked_soon_and_one_that_is_only_late_is_not(both: Both) -> None:
    asked: list[str] = []
    sync = Sync(AGENT, both.documents, lambda kind, _: asked.append(kind), both.clock, both.offset)
    sync.connected()
    asked_within(sync, both.clock, asked, 5000)
    while not asked_within(sync, both.clock, asked, 1):
        pass
    asked_within(sync, both.clock, asked, 70)
    both.hear(both.issue("WO-1", "it is there again"))
    assert asked_within(sync, both.clock, asked, 20), "at once, but all lines not in one moment"
    late = []
    for _ in range(30):
        both.documents.heard()
        late += asked_within(sync, both.clock, asked, 20)
    assert len(late) < 8, "it works up a backlog, and is not asked in a loop meanwhile"


def test_who_is_answered_or_refused_waits_ten_minutes(both: Both) -> None:
    asked: list[str] = []
    both.round()
    assert both.sync.answered()
    both.sync._ask = lambda kind, _: asked.append(kind)
    assert asked_within(both.sync, both.clock, asked, 599) == []
    assert asked_within(both.sync, both.clock, asked, 1) == [1]
    told = {"round": both.sync._round}
    both.hear(Document(SYNC_REFUSED, AGENT, 1, 1, told))
    both.sync.refused()
    assert asked_within(both.sync, both.clock, asked, 599) == [], "asked sooner, central says the same"
    assert asked_within(both.sync, both.clock, asked, 1) == [1]


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
    assert {document.id for agent, document in both.said if agent == "*"} == {"WO-1", "WO-2", "WO-9"}
    assert both.sync.answered()
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
        {"round": "r" * 99, "known": {}},
    ],
)
def test_nonsense_is_refused_and_changes_nothing(both: Both, content: JsonValue) -> None:
    with pytest.raises(Invalid):
        both.ask("sync", content)
    assert both.said == []


def ahead(both: Both, version: int, kind: str = "work-order", name: str = "WO-1") -> JsonValue:
    """What is asked when an agent says that it holds this version; its request's answer."""
    both.said.clear()
    both.ask(SYNC, {"round": "r", "known": {kind: {name: [str(version), "x"]}}})
    return both.said[-1][1].content


def unreached(both: Both) -> list[JsonValue]:
    facts = both.rig.store.facts(codes=["document-unreached"], stream="audit")
    return [fact.fact.data.params["why"] for fact in facts]  # type: ignore[union-attr]


@pytest.mark.parametrize("version", [7, 20_002, 2**62, 2**63 - 2])
def test_there_is_no_version_that_central_does_not_go_above(both: Both, version: int) -> None:
    """Bug: after restores of older backups lines held more than 10,000 versions more; each comparison of theirs
    was refused, and a new hold never reached them.
    """
    both.issue("WO-1", "as the backup has it")
    both.hear(Document("work-order", "WO-1", version, 1, "lost"))
    assert both.round() == [("WO-1", version + 1)]
    assert both.sync.answered()
    assert both.held() == {"WO-1": "as the backup has it"}
    assert unreached(both) == []


def test_what_central_never_signed_is_not_gone_above_and_a_person_hears_of_it(both: Both) -> None:
    both.issue("WO-1", "one")
    assert ahead(both, 99_999) == {"round": "r", "show": [["work-order", "WO-1"]]}
    for _ in range(2):
        assert unreached(both) == [], "a request may be lost with a connection"
        assert ahead(both, 99_999) == {"round": "r", "show": [["work-order", "WO-1"]]}
    assert unreached(both) == ["it does not show its version 99999"]
    forged = sign(Document("work-order", "WO-1", 99_999, 1, "mine"), SigningKey.generate()).decode()
    other = sign(Document("work-order", "WO-2", 99_999, 1, "of another"), KEY).decode()
    for signed in (forged, other, "{}"):
        with pytest.raises(Invalid):
            both.ask(SHOW, {"kind": "work-order", "id": "WO-1", "signed": signed})
    assert len(unreached(both)) == 4
    highest = sign(Document("work-order", "WO-1", 2**63 - 1, 1, "the last"), KEY).decode()
    with pytest.raises(Invalid, match="no version above"):
        both.ask(SHOW, {"kind": "work-order", "id": "WO-1", "signed": highest})
    assert both.rig.store.facts(codes=["document-issued"])[-1].fact.data.params["version"] == "1"  # type: ignore[union-attr]
    with both.rig.store.read() as connection:
        (told,) = doctor_keeping.unreached(connection, both.rig.clock)
    assert (told.state, AGENT in told.says) == ("bad", True)


def test_who_shows_it_late_is_not_told_of(both: Both) -> None:
    """Bug: a request that was lost in a reconnect was told for a document that is not shown."""
    both.issue("WO-1", "one")
    for _ in range(2):
        assert ahead(both, 7) == {"round": "r", "show": [["work-order", "WO-1"]]}
    signed = sign(Document("work-order", "WO-1", 7, 1, "lost"), KEY).decode()
    both.ask(SHOW, {"kind": "work-order", "id": "WO-1", "signed": signed})
    assert (both.said[-1][1].version, unreached(both)) == (8, [])


def test_two_documents_that_are_not_reached_are_told_of_twice_a_day(both: Both) -> None:
    """Bug: each was compared with the newest fact, and every round wrote both into the audit stream."""
    both.issue("WO-1", "one")
    both.issue("WO-2", "two")
    for _ in range(6):
        ahead(both, 99_999)
        ahead(both, 99_999, name="WO-2")
    assert len(unreached(both)) == 2
    both.rig.clock.advance(86_400)
    ahead(both, 99_999)
    assert len(unreached(both)) == 3


def test_a_document_that_is_not_believed_is_shown_once_in_each_round(both: Both) -> None:
    """An agent whose disk holds what central cannot believe does not ask without end."""
    stranger = SigningKey.generate()
    ring = KeyRing([PublicKey("central", key.public.hex()) for key in (stranger, KEY)])
    both.documents = Documents(both.documents._outbox, ring, both.clock)
    document = Document("work-order", "WO-1", 7, 1, "of another central")
    both.documents.take(down_topic(AGENT, "work-order", "WO-1"), AGENT, sign(document, stranger))
    shown: list[str] = []

    def ask(kind: str, content: JsonValue) -> None:
        shown.append(kind)
        if kind == SYNC:
            both.ask(kind, content)

    sync = Sync(AGENT, both.documents, ask, both.clock, both.offset)
    sync.begin()
    for _, document in both.said:
        both.hear(document)
        assert not sync.answered()
    assert shown == [SYNC, SHOW, SYNC]


LOT, LOT2 = Held("lot", "A", "VS-100"), Held("lot", "B", "VS-100")


def newest_holds(both: Both) -> tuple[int, list[str]]:
    """Version and holds of what the lines are told."""
    with both.rig.store.read() as connection:
        told = documents.newest(connection, HOLDS, PLANT)
    assert told is not None
    assert isinstance(told.content, dict)
    held = told.content["holds"]
    assert isinstance(held, list)
    return told.version, [str(one["hold"]) for one in held if isinstance(one, dict)]


def hold(both: Both, held: Held) -> str:
    both.rig.clock.advance(1)
    return both.holds.hold(held, person(), "complaint", held.content_hash).id


def test_a_hold_set_while_notes_are_compared_stays_in_the_lines_document(both: Both) -> None:
    """Bug: the comparison read the document in one transaction and issued it in another, above the hold."""
    both.holds.open()
    first = hold(both, LOT)
    both.hear(Document(HOLDS, PLANT, 12, 1, {"holds": []}))
    both.issue("WO-1", "one")
    both.hear(Document("work-order", "WO-1", 9, 1, "lost"))
    second: list[str] = []

    def between() -> None:
        if not second:
            second.append(hold(both, LOT2))
            both.issue("WO-1", "two")

    both.between = between
    both.round()
    assert newest_holds(both) == (13, [first, *second])
    assert {one.id for one in both.holds.standing()} == {first, *second}
    assert both.held() == {"WO-1": "two"}


def test_a_hold_that_only_a_line_knows_of_stands_again_until_a_person_releases_it(both: Both) -> None:
    """Bug: a restore lifted the holds that were set after its backup on lines that still had them signed."""
    both.holds.open()
    lost = {"hold": "H-1a2b3c4d", **LOT.to_json(), "reason": "contaminated", "since_us": "1794000000000000"}
    both.hear(Document(HOLDS, PLANT, 12, 1, {"holds": [lost]}))
    assert both.round() == [("plant", 13)]
    (stands,) = both.holds.standing()
    assert (stands.id, stands.held, stands.by, stands.since_us) == ("H-1a2b3c4d", LOT, "", 1_794_000_000_000_000)
    assert stands.carried == f"version 12, which {AGENT} held"
    assert both.rig.store.facts(codes=["hold"]) == [], "nobody's signature is made up"
    assert newest_holds(both) == (13, ["H-1a2b3c4d"])
    both.rig.clock.advance(1)
    both.holds.release(stands.id, person(), "judged good", stands.content_hash)
    assert newest_holds(both) == (14, [])
    both.holds.carry_over(Document(HOLDS, PLANT, 12, 1, {"holds": [lost]}), "another line that was away")
    assert newest_holds(both) == (14, []), "it was released"


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
