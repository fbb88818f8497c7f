"""Documents of central: only signed, only newer, kept over restarts, and honest about their age."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent import documents as module
from edge_agent.documents import Documents
from edge_agent.outbox import Outbox
from records.clock import FakeClock
from records.errors import Damaged, Invalid
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import SYNC, Document, down_topic, sign
from tests.rigs.outboxes import AGENT, open_outbox

KEY = SigningKey.generate()
RING = KeyRing([PublicKey("central", KEY.public.hex())])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path, clock)
    yield opened
    opened.close()


def order(version: int, content: object = "x", number: str = "WO/1") -> Document:
    return Document("work-order", number, version, 1, content)  # type: ignore[arg-type]


def send(documents: Documents, document: Document, key: SigningKey = KEY, *, retained: bool = False) -> bool:
    topic = down_topic(AGENT, document.kind, document.id)
    return documents.take(topic, AGENT, sign(document, key), retained=retained)


def test_the_newest_version_stands(outbox: Outbox, clock: FakeClock) -> None:
    changes: list[tuple[str, str]] = []
    documents = Documents(outbox, RING, clock, lambda kind, name: changes.append((kind, name)))
    assert documents.get("work-order", "WO/1") is None
    assert send(documents, order(2, "second"))
    assert not send(documents, order(1, "first"))
    assert not send(documents, order(2, "second"))
    assert documents.get("work-order", "WO/1") == order(2, "second")
    assert send(documents, order(3, "third"))
    assert documents.all("work-order") == [order(3, "third")]
    assert documents.all("lots") == []
    assert changes == [("work-order", "WO/1")] * 2


def test_an_order_that_a_station_works_on_is_forgotten_when_it_has_left_it(
    outbox: Outbox, clock: FakeClock
) -> None:
    in_use = {("work-order", "WO/1")}
    documents = Documents(outbox, RING, clock, in_use=lambda kind, name: (kind, name) in in_use)
    send(documents, order(1))
    assert not send(documents, order(2, None))
    for known in (documents, Documents(outbox, RING, clock)):
        assert known.get("work-order", "WO/1") == order(1)
    in_use.clear()
    assert send(documents, order(2, None)), "central says it again when notes are compared"
    assert documents.get("work-order", "WO/1") is None


def test_a_withdrawn_document_does_not_come_back(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    send(documents, order(1))
    send(documents, order(2, None))
    send(documents, order(1))
    for known in (documents, Documents(outbox, RING, clock)):
        assert known.get("work-order", "WO/1") is None
        assert known.all("work-order") == []


def test_what_central_did_not_sign_is_not_taken(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    with pytest.raises(Damaged):
        send(documents, order(1), key=SigningKey.generate())
    with pytest.raises(Invalid):
        documents.take(down_topic(AGENT, "work-order", "WO/1"), AGENT, b"garbage")
    with pytest.raises(Invalid, match="came on the topic"):
        documents.take(down_topic(AGENT, "work-order", "WO/2"), AGENT, sign(order(1), KEY))
    with pytest.raises(Invalid, match="came on the topic"):
        documents.take(down_topic("other", "work-order", "WO/1"), AGENT, sign(order(1), KEY))
    assert documents.get("work-order", "WO/1") is None
    assert outbox.documents.all() == []


def test_documents_are_there_after_a_restart_and_verified_again(outbox: Outbox, clock: FakeClock) -> None:
    send(Documents(outbox, RING, clock), order(1))
    assert Documents(outbox, RING, clock).get("work-order", "WO/1") == order(1)
    other = Documents(outbox, KeyRing([PublicKey("central", SigningKey.generate().public.hex())]), clock)
    assert other.get("work-order", "WO/1") is None
    assert other.refused == 1


def test_age_counts_from_arrival_and_from_when_central_was_last_heard(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    assert documents.age_s("work-order", "WO/1") is None
    send(documents, order(1))
    clock.advance(100)
    assert documents.age_s("work-order", "WO/1") == 100
    documents.heard()
    clock.advance(7)
    assert documents.age_s("work-order", "WO/1") == 7
    assert Documents(outbox, RING, clock).age_s("work-order", "WO/1") == 7, "also for a process started now"
    clock.advance(5)
    documents.heard()
    clock.advance(3)
    assert documents.age_s("work-order", "WO/1") == 3
    assert Documents(outbox, RING, clock).age_s("work-order", "WO/1") == 15, "written once a minute at most"


def test_what_the_broker_kept_and_repeats_makes_nothing_young(outbox: Outbox, clock: FakeClock) -> None:
    """Bug: while central was dead each reconnection made all ages young, and "refuse" was defeated."""
    issued = replace(order(1), issued_us=clock.now_us())
    documents = Documents(outbox, RING, clock)
    send(documents, issued)
    documents.heard()
    for away_s in (30, 60, 90):
        clock.advance(30)
        assert not send(documents, issued, retained=True), "the broker was reached anew"
        assert documents.age_s("work-order", "WO/1") == away_s
        documents = Documents(outbox, RING, clock)
        assert not send(documents, issued, retained=True), "and so it is for an agent that was started anew"
        assert documents.age_s("work-order", "WO/1") == away_s
    assert not send(documents, issued)
    assert documents.age_s("work-order", "WO/1") == 0, "central says it again"


def test_one_signed_anew_by_central_s_next_key_is_no_younger_for_it(outbox: Outbox, clock: FakeClock) -> None:
    other = SigningKey.generate()
    ring = KeyRing([PublicKey("central", key.public.hex()) for key in (KEY, other)])
    documents = Documents(outbox, ring, clock)
    send(documents, replace(order(1), issued_us=clock.now_us()))
    documents.heard()
    issued = documents.get("work-order", "WO/1")
    assert issued is not None
    clock.advance(500)
    send(documents, issued, other, retained=True)
    for known in (documents, Documents(outbox, ring, clock)):
        assert known.age_s("work-order", "WO/1") == 500


@pytest.mark.parametrize("ahead_s", [0, 7000, -7000])
def test_one_that_was_issued_while_the_agent_was_off_counts_from_its_issue(
    outbox: Outbox, clock: FakeClock, ahead_s: int
) -> None:
    """Also where the clocks differ: what that was is known from when notes were last compared."""

    def central_us() -> int:
        return clock.now_us() - ahead_s * 1_000_000

    documents = Documents(outbox, RING, clock)
    send(documents, order(1, "x", "before"))
    send(documents, Document(SYNC, AGENT, 1, central_us(), {"round": "r"}))
    documents.heard()
    clock.advance(100)
    later = replace(order(1), issued_us=central_us())
    late_answer = Document(SYNC, AGENT, 2, central_us(), {"round": "of a connection that is over"})
    clock.advance(1000)
    for known in (documents, Documents(outbox, RING, clock)):
        assert not send(known, late_answer, retained=True)
        send(known, later, retained=True)
        assert known.age_s("work-order", "WO/1") == 1000
        assert known.age_s("work-order", "before") == 1100
    assert Documents(outbox, RING, clock).age_s("work-order", "WO/1") == 1000
    clock.advance(5)
    known.heard()
    assert [known.age_s("work-order", each) for each in ("before", "WO/1")] == [0, 0]


def test_an_issue_in_the_future_makes_no_age_below_zero(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    send(documents, replace(order(1), issued_us=clock.now_us() + 10**12), retained=True)
    clock.advance(50)
    assert documents.age_s("work-order", "WO/1") == 50, "from when it came, at the latest"


def test_an_old_one_that_central_says_is_young_after_a_restart_too(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    documents.heard()
    clock.advance(50)
    issued = replace(order(1), issued_us=clock.now_us() - 10**12)
    send(documents, issued)
    documents.heard()
    assert Documents(outbox, RING, clock).age_s("work-order", "WO/1") == 0, "central has just said it"
    clock.advance(100)
    send(documents, replace(issued, id="WO/2"))
    documents.heard()
    clock.advance(9)
    again = Documents(outbox, RING, clock)
    assert [again.age_s("work-order", each) for each in ("WO/1", "WO/2")] == [9, 9]


def test_the_oldest_give_way_withdrawn_ones_first(
    outbox: Outbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_DOCUMENTS", 3)
    documents = Documents(outbox, RING, clock)
    send(documents, Document("holds", "plant", 1, 1, {"holds": []}))  # longest ago, and never given up
    for number, content in (("a", "x"), ("b", None), ("c", "x"), ("d", "x")):
        send(documents, order(1, content, number))
        clock.advance(1)
    assert [document.id for document in documents.all("work-order")] == ["c", "d"]
    assert [kept.id for kept in outbox.documents.all()] == ["plant", "c", "d"]


def test_one_version_with_another_content_and_a_version_that_goes_back_are_refused(
    outbox: Outbox, clock: FakeClock
) -> None:
    documents = Documents(outbox, RING, clock)
    send(documents, order(2, "second"))
    with pytest.raises(Invalid, match="has another content"):
        send(documents, order(2, "another"))
    assert not send(documents, order(1, "first"))
    assert documents.outdated == 1
    assert documents.get("work-order", "WO/1") == order(2, "second")


def test_what_is_too_large_or_has_too_long_a_name_is_refused_in_words(outbox: Outbox, clock: FakeClock) -> None:
    documents = Documents(outbox, RING, clock)
    with pytest.raises(Invalid, match="over the limit of 4194304"):
        send(documents, order(1, "x" * module.LARGEST))
    with pytest.raises(Invalid, match="too long a name"):
        send(documents, order(1, "x", "n" * 501))
    assert documents.held(["work-order"]) == []


def test_a_document_of_a_retired_key_is_believed_when_it_came_in_time(outbox: Outbox, clock: FakeClock) -> None:
    key = PublicKey("central", KEY.public.hex(), 0, clock.now_us() + 1_000_000_000)
    documents = Documents(outbox, KeyRing([key]), clock)
    send(documents, order(1))
    for _ in range(3):
        clock.advance(999)
        documents.heard()  # what is confirmed later is not judged by later keys
    again = Documents(outbox, KeyRing([key]), clock)
    assert (again.get("work-order", "WO/1"), again.refused) == (order(1), 0)
    with pytest.raises(Damaged, match="is not valid"):
        send(again, order(2))
