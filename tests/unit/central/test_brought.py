"""Certificates say which records came by file, who brought them and when; and since when an agent is silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from central.access import Actor
from central.agent_certificate import certificate_of
from central.cli_keep import certificate_lines
from central.committing import Outcome
from central.importing import settle
from central.ingest import Ingest
from records.clock import iso_z
from records.model import Fact, encode
from tests.unit.central import core_rig
from tests.unit.central.core_rig import HEADER, Agent, Rig, event
from tests.unit.central.test_import import BY, exported, importer


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def agent(rig: Rig) -> Agent:
    made = Agent()
    made.write(*(event(order=f"WO-{n}") for n in range(11)))  # with the epoch's first: twelve records
    return rig.enrol(made)


def certificate(rig: Rig, agent: Agent) -> dict[str, Any]:
    with rig.store.read() as connection:
        return certificate_of(connection, agent.name, rig.clock.now_us(), 120.0)


def test_records_that_came_by_file_are_told_with_who_brought_them(rig: Rig, agent: Agent, tmp_path: Path) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 4))
    assert certificate(rig, agent)["brought"] == []
    rig.clock.advance(5)
    begun = iso_z(rig.clock.now_us())
    part_of_it = exported(tmp_path, agent, agent.frame(1, 4), agent.frame(5, 8))
    importer(rig).take(part_of_it, by=BY, reason="its PC died")
    rig.ingest.take(agent.topic, agent.frame(9, 12))
    importer(rig).take(exported(tmp_path, agent), by=BY)
    told = certificate(rig, agent)
    (brought,) = told["brought"]
    assert (brought["by"], brought["reason"], brought["begun"], brought["ended"]) == (
        "anna",
        "its PC died",
        begun,
        begun,
    )
    part = {"epoch": agent.epoch, "stream": "records", "first": 5, "last": 8, "records": 4}
    assert brought["records"] == [part], "what was here before, and what came later, came over the network"
    text = "\n".join(certificate_lines(told))
    assert f"4 records of 5 to 8 came by file, not over the network, at {begun} by anna (its PC died)" in text


def test_an_import_that_was_cut_short_is_told_of_what_it_may_have_brought(
    rig: Rig, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.ingest.take(agent.topic, agent.frame(1, 4))
    path, bring = exported(tmp_path, agent), Ingest.bring

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    def cut_short() -> None:
        monkeypatch.setattr(Ingest, "bring", killed)
        with pytest.raises(SystemExit):
            importer(rig).take(path, by=BY)
        monkeypatch.setattr(Ingest, "bring", bring)

    def start() -> None:
        rig.store.write(lambda connection: settle(connection, rig.facts))

    cut_short()
    assert certificate(rig, agent)["brought"] == [], "what was here before did not come by it"
    rig.ingest.take(agent.topic, agent.frame(5, 8))  # it may as well have come by the file
    may_have = {"epoch": agent.epoch, "stream": "records", "first": 5, "last": 8, "records": 4}
    told = certificate(rig, agent)
    assert [(one["ended"], one["cut_short"], one["records"]) for one in told["brought"]] == [
        (None, None, [may_have])
    ]
    assert "is under way: it may have brought 4 records of 5 to 8" in "\n".join(certificate_lines(told))
    start()
    text = "\n".join(certificate_lines(certificate(rig, agent)))
    assert "was cut short: it may have brought 4 records of 5 to 8" in text
    cut_short()
    start()
    importer(rig).take(path, by=BY)
    (first, again) = certificate(rig, agent)["brought"]
    assert first["records"] == [may_have], "what came after it was done again came by another"
    assert (again["ended"] is None, again["records"][0]["first"], again["records"][0]["last"]) == (False, 9, 12)
    cut_short()
    rig.clock.advance(60)
    header = replace(HEADER, at_us=rig.clock.now_us())
    agent.write_body("operations_event", encode(Fact(header, event(order="WO-later"))))
    rig.ingest.take(agent.topic, agent.frame(13, 13))
    assert len(certificate(rig, agent)["brought"]) == 2, "no file holds what was made after its import began"


def test_two_imports_of_one_file_at_once_are_each_told_with_its_own_end(
    rig: Rig, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the first was told as cut short by the second, though both went well."""
    path, bring = exported(tmp_path, agent), Ingest.bring
    others = [Actor("ben", "test")]

    def at_once(self: Ingest, name: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        outcome = bring(self, name, payload, by_any_key=by_any_key)
        if others:
            importer(rig).take(path, by=others.pop())
        return outcome

    monkeypatch.setattr(Ingest, "bring", at_once)
    importer(rig).take(path, by=BY)
    told = certificate(rig, agent)["brought"]
    assert [(one["by"], one["ended"] is None, one["cut_short"]) for one in told] == [
        ("anna", False, None),
        ("ben", False, None),
    ]
    parts = [one["records"][0] for one in told]
    assert [(part["records"], part["first"], part["last"]) for part in parts] == [(4, 1, 12), (8, 5, 12)]
    others.append(Actor("eve", "test"))
    importer(rig).take(path, by=BY)
    assert len(certificate(rig, agent)["brought"]) == 2, "who brought nothing is not told of"


def test_what_the_successor_of_a_dead_pc_sends_during_an_import_did_not_come_by_file(
    rig: Rig, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: as many of the successor's own records as the file brought were told as brought by it."""
    path, bring = exported(tmp_path, agent), Ingest.bring
    successor = Agent(agent.name, agent.key)
    successor.write(event(order="WO-11"), event(order="WO-12"))
    rig.ingest.take(successor.topic, successor.frame(1, 1))

    def meanwhile(self: Ingest, name: str, payload: bytes, *, by_any_key: bool) -> Outcome:
        rig.ingest.take(successor.topic, successor.frame(2, 3))
        return bring(self, name, payload, by_any_key=by_any_key)

    monkeypatch.setattr(Ingest, "bring", meanwhile)
    importer(rig).take(path, by=BY)
    told = certificate(rig, agent)
    assert {chain["epoch"]: chain["last"] for chain in told["chains"]} == {agent.epoch: 12, successor.epoch: 3}
    (brought,) = told["brought"]
    assert [(part["epoch"], part["records"]) for part in brought["records"]] == [(agent.epoch, 12)]


def test_a_silent_agent_is_told_with_since_when(rig: Rig, agent: Agent) -> None:
    rig.ingest.take(agent.topic, agent.frame())
    rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us()))
    at = iso_z(rig.clock.now_us())
    assert f"signed through 12 at {at}: complete" in "\n".join(certificate_lines(certificate(rig, agent)))
    rig.clock.advance(3600)
    assert f"signed through 12, silent since {at}: tail-unknown" in "\n".join(
        certificate_lines(certificate(rig, agent))
    )
