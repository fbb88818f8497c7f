"""Central at a real broker: commits before it acknowledges, says everything again, lives through anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from paho.mqtt.enums import MQTTProtocolVersion

from central.access import Actor
from central.app import Central, build
from central.authority import create_authority
from central.ingest import Ingest
from central.keys import CentralKeys
from central.mqtt import Mqtt, Part
from central.settings import BrokerSettings, CentralSettings, DatabaseSettings, HttpSettings
from central.store import envelopes
from records.clock import SystemClock
from records.keys import KeyRing
from records.model import OperationsEvent
from records.wire import Document
from tests.process.central_rig import Wire, wait_until
from tests.rigs.mosquitto import Mosquitto
from tests.unit.central.core_rig import Agent, event

pytestmark = pytest.mark.mosquitto


def make_central(
    folder: Path, url: str, protocol: object = 5, database: DatabaseSettings | None = None
) -> Central:
    settings = CentralSettings(
        site="suzhou",
        time_zone="Asia/Shanghai",
        folder=folder,
        http=HttpSettings(port=0),
        broker=BrokerSettings.model_validate({"url": url, "protocol": protocol}),
        database=database,
    )
    if not settings.keys.exists():
        CentralKeys.create(settings.keys, SystemClock().now_us())
        create_authority(settings.keys, settings.site, SystemClock().now_us())
    central = build(settings, SystemClock(), log=structlog.get_logger())
    central.mqtt._client.reconnect_delay_set(1, 1)
    return central


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """With the worst settings: it keeps nothing."""
    made = Mosquitto(tmp_path / "broker")
    made.folder.mkdir(exist_ok=True)
    yield made
    made.kill()


@pytest.fixture
def central(tmp_path: Path, broker: Mosquitto) -> Iterator[Central]:
    made = make_central(tmp_path / "central", broker.url)
    yield made
    made.close()


def enrolled(central: Central, name: str = "assembly-1") -> Agent:
    agent = Agent(name)
    central.enrolment.register(name, "p0", agent.key.public.hex(), by=Actor("test", "test"))
    agent.write(*(event(order=f"WO-{n}") for n in range(9)))
    return agent


def held(central: Central, agent: Agent) -> list[bytes]:
    with central.store.read() as connection:
        return [e.hash for e in envelopes.walk(connection, agent.name, agent.epoch, "records")]


def hashes(agent: Agent) -> list[bytes]:
    return [e.hash for e in agent.envelopes]


def issue(central: Central, kind: str, name: str, version: int, content: str) -> Document:
    document = Document(kind, name, version, central.clock.now_us(), content)
    data = OperationsEvent(
        "document-issued", {"kind": kind, "id": name, "version": str(version), "content": content}
    )
    central.store.write(lambda connection: central.facts.state(connection, data))
    return document


@pytest.mark.parametrize(
    ("setting", "protocol"), [(5, MQTTProtocolVersion.MQTTv5), ("3.1.1", MQTTProtocolVersion.MQTTv311)]
)
def test_records_in_watermarks_and_documents_out(
    tmp_path: Path, broker: Mosquitto, setting: object, protocol: MQTTProtocolVersion
) -> None:
    broker.start()
    central = make_central(tmp_path / "central", broker.url, setting)
    try:
        agent = enrolled(central)
        issue(central, "work-order", "WO/1 #+", 1, "old")
        central.start()
        with Wire(broker.port, agent, protocol=protocol) as wire:
            wire.deliver(central.keys.ring, 10, agent.frame(1, 5), agent.frame(4, 10))
            assert held(central, agent) == hashes(agent)
            wait_until(lambda: ("work-order", "WO/1 #+") in wire.documents(central.keys.ring), "the document")
            central.mqtt.publish_document("*", issue(central, "work-order", "WO/1 #+", 2, "new"))
            wait_until(
                lambda: wire.documents(central.keys.ring)["work-order", "WO/1 #+"].content == "new",
                "the newer version",
            )
    finally:
        central.close()


def test_central_hears_again_after_a_mistake_in_paho_s_thread(
    central: Central, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A soak found it: paho's thread had ended by an OSError, central served on and heard nothing any more."""
    broker.start()
    agent = enrolled(central)
    central.start()
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.keys.ring, 3, agent.frame(1, 3))
        client, mistakes = central.mqtt._client, ["filedescriptor out of range in select()", "as before"]
        loop = client._loop

        def mistaken(timeout: float) -> object:
            if mistakes:
                raise ValueError(mistakes.pop())
            return loop(timeout)

        monkeypatch.setattr(client, "_loop", mistaken)
        wait_until(lambda: not mistakes, "the mistakes")
        wire.deliver(central.keys.ring, 10, agent.frame(4, 10))
        assert held(central, agent) == hashes(agent)


def test_a_second_central_at_the_same_broker_is_guessed_at(
    tmp_path: Path, central: Central, broker: Mosquitto
) -> None:
    """Mosquitto ends the one's connection when the other comes, and does not say why."""
    other = make_central(tmp_path / "other", broker.url)
    broker.start()
    with structlog.testing.capture_logs() as said:
        central.start()
        other.start()
        try:
            wait_until(lambda: any(e["event"] == "broker-session-contested" for e in said), "a guess")
        finally:
            other.close()
    told = next(e for e in said if e["event"] == "broker-session-contested")
    assert told["client_id"] == "lotkeeper-central"
    assert "another database" in told["perhaps"]


def test_who_shares_the_session_of_a_partition_leaves_it_though_its_database_tells_nothing(
    central: Central, broker: Mosquitto
) -> None:
    """Bug: a worker whose database was away did not learn that another had its lease, and both ended each other's
    connection until it was back. Who still has the lease takes the partition again.
    """
    broker.start()

    def make() -> Mqtt:
        ingest = Ingest(central.store, central.facts, SystemClock())
        log, part = structlog.get_logger(), Part.records("central", "p0")
        settings, key = central.settings.broker, central.keys.signing
        return Mqtt(settings, ingest, central.store, key, SystemClock(), log, lambda _: None, part=part)

    with ExitStack() as undo:
        both = [make(), make()]
        for one in both:
            undo.callback(one.stop)
            one.start()
        wait_until(lambda: any(one.lost for one in both), "that one of them leaves")


def test_an_agent_enrolled_later_is_told_what_there_is(central: Central, broker: Mosquitto) -> None:
    broker.start()
    issue(central, "lots", "VB-10", 3, "lots")
    central.start()
    agent = Agent("testing-1")
    with Wire(broker.port, agent) as wire:
        wait_until(lambda: central.mqtt.state.connected, "the connection")
        central.enrolment.register(agent.name, "p0", agent.key.public.hex(), by=Actor("test", "test"))
        wait_until(lambda: ("lots", "VB-10") in wire.documents(central.keys.ring), "the document")


def test_garbage_stops_nothing(central: Central, broker: Mosquitto) -> None:
    broker.start()
    agent = enrolled(central)
    central.start()
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.keys.ring, 1, agent.frame(1, 1))
        for topic in (agent.topic, agent.state_topic, "lotkeeper/v1/up/p0/nobody-1/records"):
            for payload in (b"", b"\x00\xff" * 50, b"LKF1" + b"\x00" * 40, b"{}", b"[" * 10_000):
                wire.send(payload, topic)
        wire.send(b"kept by the broker", agent.topic, retain=True)
        wire.deliver(central.keys.ring, 10, agent.frame())
    assert held(central, agent) == hashes(agent)
    assert len(central.store.facts(codes=["quarantined"])) >= 12


def test_a_broker_that_comes_late_dies_and_forgets_everything(central: Central, broker: Mosquitto) -> None:
    agent = enrolled(central)
    issue(central, "lots", "SR-20", 1, "lots")
    central.start()
    assert not central.mqtt.state.connected
    broker.start()
    ring = central.keys.ring
    with Wire(broker.port, agent) as wire:
        wire.deliver(ring, 4, agent.frame(1, 4))
        wait_until(lambda: ("lots", "SR-20") in wire.documents(ring), "the document")
    broker.restart(kill=True, wipe=True)
    with Wire(broker.port, agent) as wire:
        wait_until(
            lambda: wire.through(ring) == 4 and ("lots", "SR-20") in wire.documents(ring),
            "both again",
        )
        wire.deliver(ring, 10, agent.frame())
    assert held(central, agent) == hashes(agent)
    assert [f.seq for f in central.store.facts(agent=agent.name)] == list(range(1, 11))


def test_a_hole_is_answered_with_where_central_stands(central: Central, broker: Mosquitto) -> None:
    broker.start()
    agent = enrolled(central)
    central.start()
    ring: KeyRing = central.keys.ring
    with Wire(broker.port, agent) as wire:
        wire.deliver(ring, 3, agent.frame(1, 3))
        wire.said.clear()
        central.mqtt._said.clear()
        wire.send(agent.frame(6, 10))
        wait_until(lambda: wire.through(ring) == 3, "the same watermark again")
        wire.deliver(ring, 10, agent.frame(4, 10))


def test_what_central_stated_is_anchored_at_the_end(central: Central, broker: Mosquitto) -> None:
    broker.start()
    agent = enrolled(central)
    central.start()
    with Wire(broker.port, agent) as wire:
        wire.deliver(central.keys.ring, 10, agent.frame())
    central.stop()
    result = central.verify()
    assert result.ok, result
    assert agent.envelopes[-1].hash.hex() in central.settings.anchors_file.read_text()
