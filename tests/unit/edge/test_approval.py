"""A production agent makes production runs only by what central signed; nothing on the line PC lifts that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from edge_agent.app import Agent
from edge_agent.settings import load_line
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from records.clock import FakeClock
from records.configuration import ConfigurationRecord
from records.errors import ConfigurationError
from records.keys import SigningKey
from records.model import OperationRecord, Purpose
from records.wire import Document, down_topic, sign
from tests.rigs.outboxes import make_identity
from tests.unit.edge.stations import ASSEMBLE, captured, papers
from tests.unit.edge.test_agent_app import build, events, facts, run, write_line

AGENT = "press-1"


@pytest.fixture
def central(tmp_path: Path) -> SigningKey:
    key = SigningKey.generate()
    make_identity(tmp_path / "identity", key)
    write_line(tmp_path)
    return key


def document(kind: str, version: int, content: JsonValue) -> Document:
    return Document(kind, AGENT, version, 0, content)


def mode(folder: Path, key: SigningKey, content: JsonValue = None, version: int = 1) -> None:
    payload = sign(document("agent-mode", version, content or {"mode": "production"}), key)
    (folder / "identity" / "mode.json").write_bytes(payload)


def take(agent: Agent, key: SigningKey, told: Document) -> None:
    agent.documents.take(down_topic(AGENT, told.kind, told.id), AGENT, sign(told, key))


def close(agent: Agent) -> None:
    agent.trend.outbox.close()
    agent.outbox.close()


def approval(folder: Path) -> str:
    """What a start finds."""
    agent = build(folder)
    found = agent.approvals.of(load_line(folder / "line.yaml").hash)
    close(agent)
    return found


def test_an_agent_that_was_not_enrolled_as_production_needs_nothing(tmp_path: Path, central: SigningKey) -> None:
    assert approval(tmp_path) == "not-required"


def test_a_production_agent_needs_central_s_word_for_this_very_hash(tmp_path: Path, central: SigningKey) -> None:
    mode(tmp_path, central)
    assert approval(tmp_path) == "missing"
    agent = build(tmp_path)
    hash_ = load_line(tmp_path / "line.yaml").hash
    take(agent, central, document("configuration", 1, {"approved": ["sha256:" + "0" * 64]}))
    assert agent.approvals.of(hash_) == "missing"
    take(agent, central, document("configuration", 2, {"approved": [hash_]}))
    assert agent.approvals.of(hash_) == "approved"
    close(agent)
    assert approval(tmp_path) == "approved"  # kept over a restart, without central
    file = tmp_path / "line.yaml"
    file.write_text(file.read_text() + "# approved by me\n")
    assert approval(tmp_path) == "missing"


@pytest.mark.parametrize("content", [{"mode": "production"}, {"mode": "something new"}, {}, ["?"]])
def test_what_cannot_be_understood_binds(tmp_path: Path, central: SigningKey, content: JsonValue) -> None:
    mode(tmp_path, central, content)
    assert approval(tmp_path) == "missing"


def test_nothing_on_the_line_pc_lifts_it(tmp_path: Path, central: SigningKey) -> None:
    mode(tmp_path, central)
    assert approval(tmp_path) == "missing"
    (tmp_path / "identity" / "mode.json").unlink()
    assert approval(tmp_path) == "missing"
    mode(tmp_path, SigningKey.generate(), {"mode": "open"}, version=9)  # signed by somebody else
    assert approval(tmp_path) == "missing"


def test_a_mode_that_central_did_not_sign_does_not_start(tmp_path: Path, central: SigningKey) -> None:
    mode(tmp_path, SigningKey.generate(), {"mode": "open"})
    with pytest.raises(ConfigurationError, match=r"mode\.json is not central's"):
        build(tmp_path)
    mode(tmp_path, central)
    payload = (tmp_path / "identity" / "mode.json").read_bytes()
    (tmp_path / "identity" / "mode.json").write_bytes(payload.replace(b"production", b"open"))
    with pytest.raises(ConfigurationError, match=r"mode\.json is not central's"):
        build(tmp_path)
    (tmp_path / "identity" / "mode.json").unlink()
    close(build(tmp_path))


def test_central_lifts_it(tmp_path: Path, central: SigningKey) -> None:
    mode(tmp_path, central)
    agent = build(tmp_path)
    take(agent, central, document("agent-mode", 2, {"mode": "open"}))
    assert agent.approvals.of("any") == "not-required"
    close(agent)


def test_the_stations_say_what_they_wait_for_and_go_over_when_it_comes(
    tmp_path: Path, central: SigningKey
) -> None:
    mode(tmp_path, central)
    hash_ = load_line(tmp_path / "line.yaml").hash
    steps: list[Callable[[Agent], None]] = [
        lambda agent: take(agent, central, document("configuration", 1, {"approved": [hash_]})),
        lambda agent: take(agent, central, document("configuration", 2, {"approved": []})),
    ]
    seen: list[tuple[bool, str | None]] = []

    def scene(agent: Agent, _: FakeClock) -> bool:
        codes = [event.code for event in events(tmp_path) if event.code.startswith("configuration-")]
        if len(codes) < 2 + len(seen):  # loaded, and one for each step so far
            return False
        status = agent.runners[0].status
        seen.append((status.approved, status.prompt))
        if not steps:
            return True
        steps.pop(0)(agent)
        return False

    run(tmp_path, scene)
    codes = [event.code for event in events(tmp_path) if event.code.startswith("configuration-")]
    assert codes == [
        "configuration-loaded",
        "configuration-not-approved",
        "configuration-approved",
        "configuration-not-approved",
    ]
    assert [approved for approved, _ in seen] == [False, True, False]
    assert seen[0][1] == "configuration-not-approved"
    (kept,) = [fact.data for fact in facts(tmp_path) if isinstance(fact.data, ConfigurationRecord)]
    assert kept.approval == "missing"


@pytest.mark.parametrize(("told", "code"), [(Purpose.PRODUCTION, 1), (Purpose.RETEST, 3), (Purpose.SETUP, 4)])
def test_a_run_by_an_unapproved_configuration_is_setup_and_says_what_the_machine_said(
    told: Purpose, code: int
) -> None:
    def record(approved: bool) -> OperationRecord:
        station = Station("s", StationSettings.model_validate(ASSEMBLE), {}, approved)
        _, effects = station.step(station.open(None), captured(7, mode=code), papers())
        (made,) = [
            fact
            for effect in effects
            for fact in getattr(effect, "facts", ())
            if isinstance(fact, OperationRecord)
        ]
        return made

    free, bound = record(True), record(False)
    assert (free.purpose, free.purpose_told, free.purpose_reason) == (told, None, None)
    assert (bound.purpose, bound.purpose_told) == (Purpose.SETUP, told)
    assert bound.purpose_reason == "configuration-not-approved"
