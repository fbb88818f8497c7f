"""What was held, revoked and announced between a backup and its restore stands on, as far as anything tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from central import restore
from central.app import Central
from central.facts import Origin
from central.holds import Held, Hold
from central.keys import announced
from central.rollover import Rollover
from central.store import agents, documents
from central.store.documents import current
from edge_agent.documents import Documents
from edge_agent.papers import Papers
from edge_agent.sync import Sync
from records.errors import LotkeeperError
from records.keys import KeyRing, PublicKey
from records.model import OperationsEvent
from records.wire import CENTRAL, CENTRAL_KEYS, HOLDS, PLANT, Document, Request, down_topic, sign
from tests.rigs.outboxes import AGENT, open_outbox
from tests.unit.central.test_backup import BY, WHY, Plant
from tests.unit.central.test_quality_holds import person

LOT, LOT2, LOT3 = (Held("lot", id_, "VS-100") for id_ in ("A", "B", "C"))


class Line:
    """One line's documents, which hear central's and compare notes."""

    def __init__(self, folder: Path, plant: Plant) -> None:
        self.plant = plant
        with closing(plant.open()) as central:
            self.key = central.keys.signing
        self.outbox = open_outbox(folder, plant.clock)
        ring = KeyRing([PublicKey(CENTRAL, self.key.public.hex())])
        self.documents = Documents(self.outbox, ring, plant.clock)

    def hear(self, central: Central) -> None:
        """What central publishes at every connect."""
        with central.store.read() as connection:
            told = current(connection)
        for document in told:
            self.take(document)

    def take(self, document: Document) -> None:
        with suppress(LotkeeperError):  # one version with two contents: a comparison settles it
            self.documents.take(down_topic(AGENT, document.kind, document.id), AGENT, sign(document, self.key))

    def compare(self, central: Central) -> None:
        """Compare notes as over the network; what central says is heard."""
        said: list[Document] = []
        central.ingest.requests["sync"].__self__._publish = lambda _, document: said.append(document)  # type: ignore[attr-defined]
        central.holds._tell = lambda _, document: said.append(document)

        def ask(kind: str, content: object) -> None:
            self.plant.clock.advance(0.001)
            request = Request(AGENT, kind, self.plant.clock.now_us(), content)  # type: ignore[arg-type]
            central.ingest.requests[kind](request)

        sync = Sync(AGENT, self.documents, ask, self.plant.clock)
        sync.begin()
        answered = False
        for document in said:
            self.take(document)
            answered = answered or (document.kind == "sync" and sync.answered())
        assert answered

    def held(self) -> set[str]:
        papers = Papers.of(self.documents.all(HOLDS))
        return {held.id for held in (LOT, LOT2, LOT3) if papers.held("lot", held.id, "VS-100")}

    @property
    def version(self) -> int:
        known = self.documents.signed(HOLDS, PLANT)
        (document,) = self.documents.all(HOLDS)
        assert known is not None
        return document.version


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


@pytest.fixture
def line(plant: Plant, tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path / "edge", plant)
    yield made
    made.outbox.close()


def hold(plant: Plant, central: Central, held: Held) -> Hold:
    plant.clock.advance(5)
    return central.holds.hold(held, person(), f"contaminated {held.id}", held.content_hash)


def release(plant: Plant, central: Central, one: Hold) -> None:
    plant.clock.advance(5)
    central.holds.release(one.id, person(), "judged good", one.content_hash)


def restored(central: Central) -> dict[str, object]:
    (fact,) = central.store.facts(codes=["backup-restored"], stream="audit")
    assert isinstance(fact.fact.data, OperationsEvent)
    return dict(fact.fact.data.params)


def lose(plant: Plant) -> None:
    """The disk with central's database dies."""
    for part in (plant.folder / "data").glob("central.db*"):
        part.unlink()


def put_back(plant: Plant, source: Path, origin: Origin) -> restore.Restored:
    plant.clock.advance(5)
    return restore.restore(plant.settings, source, plant.clock, origin, WHY, replace=True)


def test_a_restore_does_not_lift_a_hold_on_the_lines(plant: Plant, line: Line) -> None:
    """Bug: the lines' document was issued as the backup has it, above the one that they held; nothing named it."""
    with closing(plant.open()) as central:
        central.holds.open()
        before = hold(plant, central, LOT)
        source = plant.back_up(central)
        since = hold(plant, central, LOT2)
        over = hold(plant, central, LOT3)
        release(plant, central, over)
        release(plant, central, before)
        line.hear(central)
        assert line.held() == {"B"}
    done = plant.restore(source, replace=True)
    assert done.carried.to_json() == {
        "holds": [since.id],
        "holds_again": [before.id],
        "revoked": [],
        "unknown": False,
    }
    with closing(plant.open()) as central:
        line.hear(central)
        assert line.held() == {"A", "B"}, "what was held since, and what a lost signature had released"
        stands = central.holds.get(since.id)
        assert stands is not None
        assert (stands.by, stands.reason, stands.since_us) == (since.by, since.reason, since.since_us)
        assert stands.carried == str(done.set_aside)
        assert [f.hash for f in central.store.facts(codes=["hold"])] == [before.hash], "no signature is made up"
        assert restored(central)["carried_over"] == done.carried.to_json()
        assert "holds_after" not in restored(central)
        release(plant, central, stands)
        line.hear(central)
        assert line.held() == {"A"}
    assert plant.verify().ok


def test_a_hold_is_not_lifted_where_only_a_line_still_knows_of_it(
    plant: Plant, line: Line, tmp_path: Path
) -> None:
    """The database is lost with its disk. What the lines hold stays, and central learns of it from them."""
    away, third = Line(tmp_path / "away", plant), Line(tmp_path / "third", plant)
    with closing(plant.open()) as central:
        central.holds.open()
        source, origin = plant.back_up(central), central.origin
        hold(plant, central, LOT)
        line.hear(central)
        hold(plant, central, LOT2)
        away.hear(central)
    lose(plant)
    done = put_back(plant, source, origin)
    assert done.carried.to_json() == {"holds": [], "holds_again": [], "revoked": [], "unknown": True}
    with closing(plant.open()) as central:
        for each in (line, away, third):
            each.hear(central)
        assert (line.held(), away.held(), third.held()) == ({"A"}, {"A", "B"}, set())
        line.compare(central)
        hold(plant, central, LOT3)
        assert {one.held for one in central.holds.standing()} == {LOT, LOT3}
        third.hear(central)
        assert third.held() == {"A", "C"}, "a new hold reaches every line at once"
        away.compare(central)  # it asks before it hears what the broker kept
        for each in (line, away, third):
            each.hear(central)
            each.compare(central)
            assert each.held() == {"A", "B", "C"}
        (told,) = (one for one in central.holds.standing() if one.held == LOT2)
        assert (told.by, told.carried) == ("", f"version 3, which {AGENT} held")
        release(plant, central, told)
        away.hear(central)
        assert away.held() == {"A", "C"}
    away.outbox.close()
    third.outbox.close()


def test_a_revoked_agent_is_not_believed_again_after_a_restore(plant: Plant) -> None:
    """Bug: who was revoked after the backup, a stolen PC say, was believed again."""
    with closing(plant.open()) as central:
        source = plant.back_up(central)
        keys = central.enrolment.revoke(plant.agent.name, "stolen", by=BY)
        before = agents_of(central)
    done = plant.restore(source, replace=True)
    assert done.carried.agents == (plant.agent.name,)
    with closing(plant.open()) as central:
        assert central.ingest.take(plant.agent.topic, plant.agent.frame()).result == "quarantined"
        assert agents_of(central) == before
        (fact,) = central.store.facts(codes=["revocation-carried-over"], stream="audit")
        assert isinstance(fact.fact.data, OperationsEvent)
        params = fact.fact.data.params
        assert [params["key"]] == keys
        assert (params["by"], params["reason"], params["source"]) == (BY.user, "stolen", str(done.set_aside))


def agents_of(central: Central) -> list[agents.Revoked]:
    with central.store.read() as connection:
        return agents.revoked(connection)


def test_the_announcement_of_centrals_key_outlives_a_restore(plant: Plant) -> None:
    """Bug: central signed with a key that nobody was told of, so agents that were away never believed it."""
    with closing(plant.open()) as central:
        source = plant.back_up(central)
        roll = Rollover(central.keys, central.store, central.facts, central.clock, lambda *_: None, ())
        roll.roll("yearly", by=BY)
        plant.clock.advance(5)
    plant.restore(source, replace=True)
    with closing(plant.open()) as central:
        with central.store.read() as connection:
            told = documents.newest(connection, CENTRAL_KEYS, CENTRAL)
        assert told is not None, "what is published is what the database has documents of"
        assert announced(told) == central.keys.public


def test_restores_of_older_backups_keep_documents_above_what_lines_hold(plant: Plant, line: Line) -> None:
    """Bug: versions were counted from the backup's alone, so that an older one led below what lines held."""
    with closing(plant.open()) as central:
        central.holds.open()
        hold(plant, central, LOT)
        first, origin = plant.back_up(central), central.origin
        line.hear(central)
    put_back(plant, first, origin)
    with closing(plant.open()) as central:
        line.hear(central)
        second = plant.back_up(central)
    put_back(plant, second, origin)
    with closing(plant.open()) as central:
        hold(plant, central, LOT2)
        release(plant, central, central.holds.standing()[0])
        line.hear(central)
        highest = line.version
    lose(plant)
    put_back(plant, first, origin)
    with closing(plant.open()) as central:
        line.hear(central)
        assert line.version == highest, "nobody knows what was held: the line keeps what it has"
        new = hold(plant, central, LOT3)
        line.hear(central)
        assert line.version > highest
        assert "C" in line.held()
        assert new.carried is None


def test_a_clock_that_was_ahead_does_not_keep_central_from_the_lines(plant: Plant, line: Line) -> None:
    """A restore while the clock was a year ahead, and another one of the same backup when it was right again."""
    with closing(plant.open()) as central:
        central.holds.open()
        source, origin = plant.back_up(central), central.origin
    plant.clock.jump(31_536_000)
    put_back(plant, source, origin)
    with closing(plant.open()) as central:
        hold(plant, central, LOT)
        line.hear(central)
    plant.clock.jump(-31_536_000)
    lose(plant)
    put_back(plant, source, origin)
    with closing(plant.open()) as central:
        hold(plant, central, LOT2)
        line.hear(central)
        line.compare(central)
        assert line.held() == {"A", "B"}
        hold(plant, central, LOT3)
        line.hear(central)
        assert line.held() == {"A", "B", "C"}


def test_a_hold_that_is_told_oddly_stands_and_ends_no_restore(plant: Plant) -> None:
    """Bug: nobody has verified the database that is set aside, and one odd fact in it ended every restore."""
    odd = {"hold": "H-odd", "held": LOT2.to_json(), "reason": "contaminated", "by": "", "since_us": "soon"}
    with closing(plant.open()) as central:
        central.holds.open()
        source, origin = plant.back_up(central), central.origin
        hold(plant, central, LOT)
        for params in (odd, odd | {"hold": "H-none", "held": {"kind": "spirit"}}):
            event = OperationsEvent("hold-carried-over", params)
            central.store.write(lambda c, event=event: central.facts.state(c, event))  # type: ignore[misc]
    put_back(plant, source, origin)
    with closing(plant.open()) as central:
        assert {one.held for one in central.holds.standing()} == {LOT, LOT2}


@pytest.mark.parametrize("place", ["copied", "declared", "set_aside", "replaced"])
def test_a_restore_that_is_done_again_still_knows_what_was_held(plant: Plant, place: str) -> None:
    with closing(plant.open()) as central:
        central.holds.open()
        source, origin = plant.back_up(central), central.origin
        hold(plant, central, LOT)
        central.anchor()

    def cut(name: str) -> None:
        if name == f"restore.{place}":
            raise KeyboardInterrupt

    plant.clock.advance(5)
    earlier = plant.settings.folder / "central.db.replaced-29990101T000000Z"
    earlier.write_bytes(b"of a restore while the clock was ahead")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            restore.restore(plant.settings, source, plant.clock, origin, WHY, replace=True, failpoint=cut)
    done = put_back(plant, source, origin)
    assert len(done.carried.holds) == 1
    assert not done.carried.unknown, "what lies aside was whole before the restore was begun"
    assert done.set_aside is not None
    assert done.set_aside.exists()
    assert done.set_aside != earlier
    with closing(plant.open()) as central:
        assert {one.held for one in central.holds.standing()} == {LOT}
    assert plant.verify().ok
