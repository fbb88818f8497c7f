"""A person decides, and the server is killed around the commit: the answer is true, and the lines are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import JsonValue

from central.app import Central
from central.domain import DhrState
from central.ground import Ground
from central.holds import Holds
from central.settings import DatabaseSettings
from central.store import documents
from central.store.database import Server
from records.errors import Unreachable
from records.model import Act, Decision, Result
from records.wire import CENTRAL, HOLDS, PLANT
from tests.process.central_rig import Wire, wait_until
from tests.process.test_central_broker import enrolled, issue, make_central
from tests.rigs import postgres
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.postgres import Killed
from tests.rigs.stores import on_postgres
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig
from tests.unit.central.factories import Line
from tests.unit.central.test_domain_reviews import MANAGER, QA, Plant
from tests.unit.central.test_quality_holds import LOT, Desk, person

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(psycopg, "connect", Killed.connect)
    with on_postgres(), core_rig.rig(tmp_path) as opened:
        yield opened


@contextmanager
def letting_nobody_in(place: Server) -> Iterator[None]:
    with postgres.shared().admin() as admin:
        admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS false".encode())
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (place.name,)
        )
        try:
            yield
        finally:
            admin.execute(f"ALTER DATABASE {place.name} ALLOW_CONNECTIONS true".encode())


@pytest.mark.parametrize("when", ["before", "while", "after"])
def test_a_hold_and_its_release_are_stored_once_and_told_once(rig: Rig, when: str) -> None:
    desk = Desk(rig)
    for number in range(1, 4):
        Killed.when = when
        hold = desk.hold(LOT, f"complaint {number}")
        assert Killed.when == "", "the server was killed"
        assert [one.id for one in desk.again().standing()] == [hold.id]
        Killed.when = when
        assert not desk.release(hold).stands
        assert desk.again().standing() == []
        assert [document.version for document in desk.told] == list(range(1, 2 * number + 1))
    with rig.store.read() as connection:
        assert documents.version_of(connection, HOLDS, PLANT) == 6
    assert len(desk.again().listed()) == 3


@pytest.mark.parametrize("when", ["before", "while", "after"])
def test_a_finding_is_closed_and_a_lot_reviewed_and_released_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr(psycopg, "connect", Killed.connect)
    with on_postgres():
        plant = Plant(tmp_path)
        line = Line().clean(units=3)
        line.assemble(4)
        line.weld(4, result=Result.SCRAP)
        plant.all_here(line)
        (finding,) = (one for one in plant.reviews.findings() if one.open)
        Killed.when = when
        assert not plant.reviews.close(finding.id, finding.content_hash, QA, "close", "looked at").open
        assert Killed.when == "", "the server was killed"
        plant.post()
        for meaning, user in (("reviewed", QA), ("released", MANAGER)):
            record = plant.reviews.get(plant.id)
            assert record is not None
            Killed.when = when
            assert plant.reviews.sign(plant.id, meaning, user, "", record.content_hash).current
            assert Killed.when == "", "the server was killed"
        stated = plant.rig.store.facts(agent=CENTRAL, kinds=["decision"])
        acts = [one.fact.data.act for one in stated if isinstance(one.fact.data, Decision)]
        assert acts == [Act.CLOSE, Act.REVIEW, Act.RELEASE]
        record = plant.make().get(plant.id)
        assert record is not None
        assert record.state is DhrState.RELEASED
        plant.rig.store.close()


def test_who_holds_hears_that_it_is_stored_though_the_server_is_away_by_then(rig: Rig) -> None:
    """Bug: it was read again after the commit, and who had set the hold was told that the database is away."""
    place = rig.store.database
    assert isinstance(place, Server)
    away = letting_nobody_in(place)
    holds = Holds(rig.store, rig.facts, rig.clock, lambda *_: away.__enter__())
    rig.clock.advance(1)
    try:
        made = holds.hold(LOT, person(), "complaint 4711", LOT.content_hash)
    finally:
        away.__exit__(None, None, None)
    assert [one.id for one in Desk(rig).holds.standing()] == [made.id]


def test_who_signs_the_lists_hears_that_they_are_stored_though_the_server_is_away_by_then(rig: Rig) -> None:
    """Bug: they were read again after the commit, and who had signed them was told that the database is away."""
    place = rig.store.database
    assert isinstance(place, Server)
    away = letting_nobody_in(place)
    ground = Ground(rig.store, rig.facts, rig.clock, lambda *_: away.__enter__())
    machines: JsonValue = [{"equipment": "WELD-02", "blocked": "holder cracked"}]
    try:
        loaded = ground.load({"equipment": machines}, person(), "list of November")
    finally:
        away.__exit__(None, None, None)
    assert loaded == ground.shown()
    assert [*loaded] == ["equipment"]


@pytest.mark.mosquitto
def test_what_is_to_be_told_while_the_server_is_away_is_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    """Bug: the lines heard of it at the next comparison of notes, up to ten minutes later."""
    server = postgres.shared()
    place = server.place(server.copy())
    with Mosquitto(tmp_path / "broker") as broker:
        central = make_central(
            tmp_path / "central", broker.url, database=DatabaseSettings(url=server.url(place.name))
        )
        with closing(central):
            agent = enrolled(central)
            central.start()
            with Wire(broker.port, agent) as wire:
                wait_until(lambda: central.mqtt.state.connected, "the connection")
                news = issue(central, HOLDS, PLANT, 2, "new")
                with letting_nobody_in(place):
                    with pytest.raises(Unreachable), central.store.read():
                        pass
                    central.mqtt.publish_document("*", news)
                    central.mqtt.resync()
                wait_until(lambda: held_at(wire, central) == "new", "what was to be told")


def held_at(wire: Wire, central: Central) -> JsonValue:
    document = wire.documents(central.keys.ring).get((HOLDS, PLANT))
    return None if document is None else document.content
