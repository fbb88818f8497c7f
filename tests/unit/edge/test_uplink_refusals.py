"""What the uplink does when a broker refuses, cuts, says nothing or sends nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import JsonValue

from edge_agent.documents import Documents
from edge_agent.outbox import Batch, Outbox
from edge_agent.uplink import Limits, Uplink, service
from edge_agent.uplink.link import Event, Link
from records.clock import SystemClock, new_id
from records.keys import Identity, SigningKey
from records.wire import FENCE, HELLO, Document, Envelope, ack_topic, decode_frame, down_topic, sign
from tests.rigs.fake_broker import PUBLISH, Cut, FakeBroker, Published, packet
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.outboxes import AGENT, fact, fill, held, make_identity, mark, number_of, open_outbox
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import quick, ring_of, until

CENTRAL = SigningKey.generate()
CLOCK = SystemClock()
SEEN = Limits(resend_after_s=0.5, resend_max_s=0.5, refused_after_s=0.05)


def noise(characters: int) -> str:
    """What compression makes no smaller than it half."""
    return "".join(new_id(16) for _ in range(characters // 32))


@dataclass
class Bench:
    """One agent's parts. ``committed`` is what a central behind the fake broker has."""

    identity: Identity
    outbox: Outbox
    broker: FakeBroker
    events: list[tuple[str, dict[str, JsonValue]]] = field(default_factory=list)
    uplinks: list[Uplink] = field(default_factory=list)
    committed: dict[int, Envelope] = field(default_factory=dict)

    def telemetry(self, folder: Path) -> Outbox:
        """A buffer of the other stream."""
        return Outbox(folder, AGENT, CLOCK, context=lambda: fact(1).header, stream="telemetry")

    def make(
        self,
        url: str | None = None,
        telemetry: Outbox | None = None,
        on_restored: Callable[[], None] = lambda: None,
        documents: Documents | None = None,
        **changes: object,
    ) -> Uplink:
        """One that is not started yet."""
        settings = quick(url or self.broker.url, **{"settle_s": 0.05, "limits": SEEN} | changes)
        made = Uplink(
            self.outbox,
            self.identity,
            settings,
            CLOCK,
            lambda code, params: self.events.append((code, params)),
            documents=documents,
            telemetry=telemetry,
            on_restored=on_restored,
        )
        self.uplinks.append(made)
        return made

    def uplink(
        self,
        url: str | None = None,
        telemetry: Outbox | None = None,
        on_restored: Callable[[], None] = lambda: None,
        **changes: object,
    ) -> Uplink:
        made = self.make(url, telemetry, on_restored, **changes)
        made.start()
        return made

    def commit(self, seen: Published) -> int:
        """Take what a frame holds, and say so, as central does; the broker's answer for it."""
        if seen.topic.endswith("/records"):
            frame = decode_frame(seen.payload, ring_of(self.identity))
            if frame.first <= len(self.committed) + 1:
                self.committed |= {envelope.seq: envelope for envelope in frame.envelopes}
            if self.committed:
                last = mark(self.committed[len(self.committed)])
                self.broker.tell(ack_topic(AGENT, "records"), sign(last, CENTRAL))
        return 0

    def numbers(self) -> list[int]:
        found = [number_of(each.body or b"{}") for each in self.committed.values()]
        return [number for number in found if number is not None]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    outbox = open_outbox(tmp_path / "buffer", CLOCK)
    with FakeBroker() as broker:
        made = Bench(make_identity(tmp_path / "identity", CENTRAL), outbox, broker)
        broker.answer = made.commit
        yield made
        for uplink in made.uplinks:
            uplink.stop()
    outbox.close()


def firsts(bench: Bench) -> list[int]:
    """Where each frame of records began that came to the broker."""
    return [decode_frame(payload, ring_of(bench.identity)).first for payload in bench.broker.payloads("records")]


@pytest.mark.parametrize(
    ("code", "said"),
    [(0x97, "Quota exceeded; its quota"), (0x87, "Not authorized; its access list"), (0x83, "Implementation")],
)
def test_a_puback_that_refuses_is_no_delivery(bench: Bench, code: int, said: str) -> None:
    bench.broker.answer = lambda seen: code if seen.topic.endswith("/records") else 0
    fill(bench.outbox, 1, 50)
    uplink = bench.uplink(max_frame_bytes=1500)
    until(lambda: firsts(bench).count(1) >= 4)
    status = uplink.status()
    assert status.last_error is not None
    assert said in status.last_error
    assert (status.connected, status.pending, status.dropped) == (True, 51, 0)
    first = firsts(bench)
    assert first[first.index(1, 1) :] == [1] * (len(first) - first.index(1, 1)), "then one frame, again and again"
    bench.broker.answer = bench.commit
    until(lambda: uplink.status().pending == 0)
    assert uplink.status().last_error is None
    assert bench.numbers() == list(range(1, 51))


def test_a_refused_head_is_said_and_records_go_on(bench: Bench) -> None:
    bench.broker.answer = lambda seen: 0x87 if "/state/" in seen.topic else bench.commit(seen)
    uplink = bench.uplink()
    until(lambda: "Not authorized" in (uplink.status().last_error or ""))
    fill(bench.outbox, 1, 20)
    until(lambda: uplink.status().pending == 0)
    uplink.request_head()
    until(lambda: "Not authorized" in (uplink.status().last_error or ""))
    bench.broker.answer = bench.commit
    uplink.request_head()
    until(lambda: uplink.status().last_error is None)


def test_what_keeps_only_telemetry_is_said_until_it_goes(bench: Bench, tmp_path: Path) -> None:
    telemetry = bench.telemetry(tmp_path / "trend")
    telemetry.keep([b"a chunk"]).result()
    code = [0x87]
    bench.broker.answer = lambda seen: code[0] if seen.topic.endswith("/telemetry") else bench.commit(seen)
    uplink = bench.uplink(telemetry=telemetry)
    until(lambda: (uplink.status().last_error or "").startswith("telemetry waits: the broker did not take"))
    assert uplink.status().pending == 0
    code[0] = 0
    until(lambda: "confirmed nothing" in (uplink.status().last_error or ""))
    last = held(telemetry)[-1]
    bench.broker.tell(ack_topic(AGENT, "telemetry"), sign(mark(last), CENTRAL))
    until(lambda: uplink.status().last_error is None)
    uplink.stop()
    telemetry.close()


@pytest.mark.parametrize("how", ["told when it ends", "cut without a word"])
def test_a_limit_that_the_broker_does_not_tell_is_learnt(bench: Bench, how: str) -> None:
    """Frames shrink until they pass; one record over it waits and is told once; a raised limit is found out."""
    limit, brisk = 6000, {"max_frame_bytes": 12_000, "reconnect_max_s": 0.1}

    def answer(seen: Published) -> int:
        if len(seen.payload) <= limit:
            return bench.commit(seen)
        raise Cut(0x95 if how == "told when it ends" else None)

    bench.broker.answer = answer
    for number in range(1, 11):
        bench.outbox.commit(Batch((fact(number, text=noise(4000)),))).result()
    bench.outbox.commit(Batch((fact(11, text=noise(20_000)),))).result()
    fill(bench.outbox, 12, 13)
    uplink = bench.uplink(protocol="3.1.1" if how == "cut without a word" else 5, **brisk)
    until(lambda: len(bench.numbers()) == 10 and bench.events)
    until(lambda: "which the broker does not take" in (uplink.status().last_error or ""))
    large = [payload for payload in bench.broker.payloads("records") if len(payload) > limit]
    until(lambda: [len(each) for each in bench.broker.payloads("records")].count(len(large[-1])) >= 2)
    assert [code for code, _ in bench.events] == ["record-undeliverable"], "once"
    assert bench.events[0][1] | {"bytes": ""} == {
        "epoch": bench.outbox.head().epoch,
        "seq": "12",
        "bytes": "",
        "limit": "",
    }
    assert bench.numbers() == list(range(1, 11)), "nothing goes past it"
    limit = 100_000
    until(lambda: uplink.status().pending == 0)
    assert bench.numbers() == list(range(1, 14))
    assert uplink.status().last_error is None


def test_a_broker_that_sends_nonsense_is_left_and_found_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise IndexError("a mistake")

    monkeypatch.setattr(Link, "_on_message", raising)  # it ends paho's thread without a word
    uplink = bench.uplink(reconnect_max_s=0.1)
    mistake = packet(PUBLISH, 0, b"\0\x01a\0text")
    for nonsense in (b"\x40\x02\xff\xff", b"\xf0\x03abc", mistake):
        until(lambda: uplink.status().connected)
        connection = bench.broker.connections
        bench.broker.send(nonsense)
        until(lambda connection=connection: bench.broker.connections > connection)  # type: ignore[misc]
    until(lambda: uplink.status().connected)


def test_what_the_broker_has_not_answered_is_not_sent_again_on_the_same_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "UNANSWERED_S", 2.0)
    bench.broker.answer = lambda seen: None if seen.topic.endswith("/records") else 0
    fill(bench.outbox, 1, 10)
    uplink = bench.uplink()
    bench.broker.wait(lambda: bench.broker.connections == 2)
    assert len([each for each in bench.broker.published if each.connection == 1 and "/up/" in each.topic]) == 1
    bench.broker.answer = bench.commit
    until(lambda: uplink.status().pending == 0)


def test_telemetry_never_stands_before_a_record_with_more_than_one_frame(bench: Bench, tmp_path: Path) -> None:
    telemetry = bench.telemetry(tmp_path / "trend")
    telemetry.keep([new_id(2000).encode() for _ in range(20)]).result()
    held = [True]
    bench.broker.answer = lambda seen: (
        None if seen.topic.endswith("/telemetry") and held[0] else bench.commit(seen)
    )
    uplink = bench.uplink(telemetry=telemetry, max_frame_bytes=5000)
    until(lambda: uplink.status().pending == 0 and bench.broker.payloads("telemetry"))
    fill(bench.outbox, 1, 3)
    until(lambda: uplink.status().pending == 0)
    assert len(bench.broker.payloads("telemetry")) == 1
    uplink.stop()
    telemetry.close()


def test_a_flood_of_messages_and_answers_never_locks_the_uplink(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PUBACKs come while the inbox is full: paho tells them under a lock that a publish needs."""
    monkeypatch.setattr(service, "INBOX", 1)

    def answer(seen: Published) -> int:
        for _ in range(3):
            bench.broker.tell(ack_topic(AGENT, "records"), b"nonsense")
        return bench.commit(seen)

    bench.broker.answer = answer
    uplink = bench.uplink(max_frame_bytes=1500)
    for number in range(1, 101):  # each commit wakes the uplink, too
        bench.outbox.commit(Batch((fact(number),))).result()
    until(lambda: uplink.status().pending == 0)
    assert bench.numbers() == list(range(1, 101))


@pytest.mark.mosquitto
@pytest.mark.parametrize(
    ("setting", "protocol"), [("message_size_limit 6000", 5), ("max_packet_size 6000", "3.1.1")]
)
def test_limits_that_mosquitto_does_not_tell_are_learnt(
    bench: Bench, tmp_path: Path, setting: str, protocol: object
) -> None:
    for number in range(1, 11):
        bench.outbox.commit(Batch((fact(number, text=noise(4000)),))).result()
    broker = Mosquitto(tmp_path / "broker", settings=("persistence false", setting))
    with broker, TinyCentral(broker.port, CENTRAL, ring_of(bench.identity), AGENT) as central:
        central.wait(lambda: central.subscribed)
        uplink = bench.uplink(broker.url, protocol=protocol, max_frame_bytes=12_000)
        until(lambda: uplink.status().pending == 0)
        assert len(central.records) == 11
        uplink.stop()
    assert bench.events == []


@pytest.mark.mosquitto
def test_a_record_over_the_brokers_limit_goes_once_the_limit_is_raised(bench: Bench, tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker", settings=("persistence false", "max_packet_size 5000"))
    bench.outbox.commit(Batch((fact(1, text=noise(20_000)),))).result()
    fill(bench.outbox, 2, 3)
    with broker, TinyCentral(broker.port, CENTRAL, ring_of(bench.identity), AGENT) as central:
        uplink = bench.uplink(broker.url)
        until(lambda: "the broker takes 5000" in (uplink.status().last_error or ""))
        broker.reconfigure("max_packet_size 5000", "max_packet_size 50000")
        until(lambda: uplink.status().pending == 0)
        assert [seq for _, seq in central.records] == [1, 2, 3, 4]
        until(lambda: uplink.status().last_error is None)
        uplink.stop()
    assert [code for code, _ in bench.events] == ["record-undeliverable"]


def test_notes_are_compared_at_once_when_central_was_restored(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lack what this line holds: a hold, say, that no other line has heard of. What it says of the other
    stream may be older, or say the same later: nothing was restored by that.
    """
    monkeypatch.setattr(service, "TELEMETRY_APPLY_S", 0.05)
    telemetry, asked = bench.telemetry(tmp_path / "trend"), list[int]()
    uplink = bench.uplink(telemetry=telemetry, on_restored=lambda: asked.append(1))
    fill(bench.outbox, 1, 2)
    until(lambda: uplink.status().pending == 0)
    assert asked == []
    last = bench.committed[len(bench.committed)]
    bench.broker.tell(ack_topic(AGENT, "records"), sign(mark(last, generation=2), CENTRAL))
    until(lambda: asked == [1])
    for generation in (1, 2):
        telemetry.keep([b"a chunk"]).result()
        said = mark(held(telemetry)[-1], generation)
        bench.broker.tell(ack_topic(AGENT, "telemetry"), sign(said, CENTRAL))
        until(lambda: telemetry.pending().records == 0)
    bench.broker.tell(ack_topic(AGENT, "records"), sign(mark(last, generation=3), CENTRAL))
    until(lambda: len(asked) > 1)
    uplink.stop()
    assert asked == [1, 1]
    telemetry.close()


def waits_of(uplink: Uplink, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long it means to wait whenever it looks for what has come, from now on."""
    waits: list[float] = []
    get = uplink._inbox.get

    def noted(block: bool = True, timeout: float | None = None) -> Event:
        if timeout is not None:
            waits.append(timeout)
        return get(block, timeout)

    monkeypatch.setattr(uplink._inbox, "get", noted)
    return waits


def test_an_agent_that_may_only_listen_waits_for_central_and_does_not_spin(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = Documents(bench.outbox, bench.identity.central, CLOCK)
    uplink = bench.make(documents=documents)
    fence = Document(FENCE, AGENT, 1, CLOCK.now_us(), {"instances": [uplink._fence.instance], "kept": "other"})
    documents.take(down_topic(AGENT, FENCE, AGENT), AGENT, sign(fence, CENTRAL))
    waits = waits_of(uplink, monkeypatch)
    uplink.start()
    bench.broker.wait(lambda: any(HELLO.encode() in each for each in bench.broker.payloads("requests")))
    before = len(waits)
    for _ in range(3):
        uplink._wake()
    until(lambda: len(waits) >= before + 3)
    assert 0.0 not in waits


def test_a_broker_that_answers_no_message_is_waited_for_without_spinning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.broker.answer = lambda _: None
    monkeypatch.setattr(Link, "room_for_others", property(lambda link: link.oldest is None))
    uplink = bench.make(head_interval_s=0.01, prune_interval_s=30.0)
    waits = waits_of(uplink, monkeypatch)
    uplink.start()
    bench.broker.wait(lambda: bench.broker.payloads(AGENT))
    before = len(waits)
    for _ in range(3):
        uplink._wake()
    until(lambda: len(waits) >= before + 3)
    assert 0.0 not in waits[before:]
