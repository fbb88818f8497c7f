"""The uplink against a real Mosquitto with the worst settings: nothing may depend on the broker."""

from __future__ import annotations

import multiprocessing
import queue
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.broker import access_list
from central.store.agents import Agent
from edge_agent.documents import Documents
from edge_agent.outbox import Batch, Outbox, Run, export, verify
from edge_agent.uplink import Limits, Uplink, UplinkSettings
from edge_agent.uplink.broker import address
from edge_agent.uplink.link import Delivered, Link, Sent
from edge_agent.uplink.requests import MOST_WAITING, Requests
from records.clock import FakeClock, SystemClock, new_id
from records.keys import Identity, SigningKey
from records.model import EpochOpened, decode
from records.wire import (
    Document,
    Request,
    Watermark,
    ack_topic,
    down_topic,
    sign,
    state_topic,
    unsign,
)
from simulators.sockets import free_port
from tests.rigs import uplinks
from tests.rigs.certificates import Authority
from tests.rigs.mosquitto import BrokerTls, Mosquitto
from tests.rigs.outboxes import AGENT, fact, fill, make_identity, mark, number_of, open_outbox
from tests.rigs.tiny_central import TinyCentral
from tests.rigs.uplinks import quick, ring_of, until

pytestmark = pytest.mark.mosquitto

CENTRAL = SigningKey.generate()
CLOCK = SystemClock()


@dataclass
class Bench:
    """One agent's parts; each test starts what it needs."""

    folder: Path
    broker: Mosquitto
    identity: Identity
    outbox: Outbox
    events: list[tuple[str, dict[str, JsonValue]]]
    closing: list[Callable[[], None]]

    def uplink(self, settings: UplinkSettings | None = None, cls: type[Uplink] = Uplink, **more: object) -> Uplink:
        made = cls(
            self.outbox,
            self.identity,
            settings or quick(self.broker.url),
            CLOCK,
            lambda code, params: self.events.append((code, params)),
            **more,  # type: ignore[arg-type]
        )
        made.start()
        self.closing.insert(0, made.stop)
        return made

    def central(self) -> TinyCentral:
        return TinyCentral(self.broker.port, CENTRAL, ring_of(self.identity), AGENT)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    outbox = open_outbox(tmp_path / "buffer", CLOCK, keep_acknowledged_s=0.0)
    made = Bench(
        tmp_path,
        Mosquitto(tmp_path / "broker"),
        make_identity(tmp_path / "identity", CENTRAL),
        outbox,
        [],
        [outbox.close],
    )
    yield made
    for close in made.closing:
        close()
    made.broker.kill()


def numbers(central: TinyCentral) -> list[int]:
    """The numbers that central holds, in the order it got them."""
    return [number for body in central.bodies() if (number := number_of(body)) is not None]


def arrived(central: TinyCentral, last: int) -> Callable[[], bool]:
    return lambda: sorted(set(numbers(central))) == list(range(1, last + 1))


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_what_was_committed_while_the_broker_was_away_arrives(bench: Bench, protocol: object) -> None:
    uplink = bench.uplink(quick(bench.broker.url, protocol=protocol))
    fill(bench.outbox, 1, 300)
    until(lambda: uplink.status().last_error is not None)
    status = uplink.status()
    assert (status.connected, status.pending, status.dropped) == (False, 301, 0)
    assert bench.broker.url in (status.last_error or "")
    bench.broker.start()
    with bench.central() as central:
        central.wait(arrived(central, 300))
        fill(bench.outbox, 301, 310)
        central.wait(arrived(central, 310))
        until(lambda: uplink.status().pending == 0)
        assert numbers(central) == list(range(1, 311)), "in order"
    status = uplink.status()
    assert (status.connected, status.last_error, status.oldest_pending_age_s) == (True, None, None)
    assert status.watermark.seq == 311
    until(lambda: list(export(bench.outbox.path)) == []), "what is acknowledged may be forgotten"
    assert verify(bench.outbox.path).ok


def away_then_wiped(bench: Bench, cls: type[Uplink], enough: Callable[[TinyCentral], bool]) -> list[int]:
    """The broker takes records while central is away, is killed and loses all; what central has in the end."""
    bench.broker.start()
    confirmed: list[str] = []
    uplink = bench.uplink(cls=cls, failpoint=confirmed.append)
    fill(bench.outbox, 1, 50)
    until(
        lambda: (
            uplink._records.highest == 51 and confirmed.count("uplink.after_puback") > uplink.status().frames_sent
        )
    )
    assert "not subscribed" in (uplink.status().last_error or ""), "confirmed by the broker and by nobody else"
    bench.broker.restart(kill=True, wipe=True)
    fill(bench.outbox, 51, 60)
    with bench.central() as central:
        central.wait(lambda: enough(central))
        return numbers(central)


def test_a_broker_that_confirms_and_loses_everything_loses_nothing(bench: Bench) -> None:
    assert away_then_wiped(bench, Uplink, lambda central: 60 in numbers(central)) == list(range(1, 61))


class PubackIsProof(Uplink):
    """The mistake that the promise forbids, kept to see the test above red: forget what the broker confirmed."""

    def _publish(self, link: Link, run: Run, frame: bytes) -> bool:
        self.__dict__.setdefault("frames", {})[run.position] = run.envelopes[-1]
        return super()._publish(link, run, frame)

    def _delivered(self, answer: Delivered) -> None:
        row = self.__dict__.get("frames", {}).pop(answer.sent.position, None)
        if row is not None:
            self._outbox.apply(mark(row))
            self._outbox.prune()
        super()._delivered(answer)


def test_the_same_with_puback_as_proof_loses_records(bench: Bench) -> None:
    kept = away_then_wiped(bench, PubackIsProof, lambda central: any(seq == 61 for _, seq in central.received))
    left = {number_of(row.body or b"{}") for row in export(bench.outbox.path)}
    lost = set(range(1, 61)) - set(kept) - left
    assert set(range(1, 51)) <= lost, "neither at central nor at the edge: that is what the promise forbids"


def test_a_broker_killed_and_wiped_again_and_again(bench: Bench) -> None:
    bench.broker.start()
    uplink = bench.uplink(quick(bench.broker.url, max_frame_bytes=2000))
    with bench.central() as central:
        for turn in range(5):
            fill(bench.outbox, turn * 40 + 1, turn * 40 + 40)
            central.wait(lambda turn=turn: len(numbers(central)) > turn * 40)  # type: ignore[misc]
            bench.broker.restart(kill=True, wipe=True)
        central.wait(arrived(central, 200))
        until(lambda: uplink.status().pending == 0)
        assert len(central.records) == 201, "each row once"
    assert {code for code, _ in bench.events} == set()


def test_a_central_that_is_silent_gets_one_frame_again_and_then_all(bench: Bench) -> None:
    bench.broker.start()
    limits = Limits(messages=4, bytes=1 << 20, resend_after_s=0.2, resend_max_s=0.4)
    with bench.central() as central:
        central.commits = False
        fill(bench.outbox, 1, 100)
        uplink = bench.uplink(quick(bench.broker.url, max_frame_bytes=1500, limits=limits))
        epoch = bench.outbox.head().epoch
        central.wait(lambda: central.received[epoch, 1] >= 4)
        received = central.received
        assert len(received) < 40, "the window holds the rest back"
        assert received[epoch, max(seq for _, seq in received)] == 1, "only the first is sent again"
        until(lambda: uplink.status().frames_sent_again >= 3)
        assert "confirmed nothing" in (uplink.status().last_error or "")
        central.commits = True
        central.wait(arrived(central, 100))
        until(lambda: uplink.status().pending == 0)
        assert uplink.status().last_error is None


def test_a_broker_that_hangs_is_left_and_found_again(bench: Bench) -> None:
    bench.broker.start()
    uplink = bench.uplink(quick(bench.broker.url, keepalive_s=1.0))
    with bench.central() as central:
        fill(bench.outbox, 1, 5)
        central.wait(arrived(central, 5))
        bench.broker.pause()
        fill(bench.outbox, 6, 10)
        until(lambda: not uplink.status().connected)
        bench.broker.resume()
        central.wait(arrived(central, 10))


def test_duplicate_and_late_watermarks_change_nothing(bench: Bench) -> None:
    bench.broker.start()
    uplink = bench.uplink()
    with bench.central() as central:
        fill(bench.outbox, 1, 20)
        central.wait(arrived(central, 20))
        until(lambda: uplink.status().pending == 0)
        epoch = central.epochs[0]
        rows = [central.records[epoch, seq] for seq in (1, 5, 21)]
        for row in (*rows, *rows):
            central.tell(mark(row))
        fill(bench.outbox, 21, 30)
        central.wait(arrived(central, 30))
        until(lambda: uplink.status().pending == 0)
    assert bench.events == []
    assert bench.outbox.head().epoch == epoch


def test_garbage_is_counted_reported_and_changes_nothing(bench: Bench) -> None:
    bench.broker.start()
    documents = Documents(bench.outbox, bench.identity.central, CLOCK)
    uplink = bench.uplink(documents=documents)
    with bench.central() as central:
        until(lambda: uplink.status().connected)
        stranger = SigningKey.generate()
        row = next(export(bench.outbox.path))
        central.tell(b"\x00garbage", retain=False)
        central.tell(sign(mark(row), stranger), retain=False)
        central.tell(replace(mark(row), hash="no hash"), retain=False)
        central.tell(replace(mark(row), agent="somebody-else"), retain=False)
        for payload in (b"{}", sign(Document("lots", "X", 1, 1, "x"), stranger), b""):
            central.publish(down_topic(AGENT, "lots", "X"), payload)
        central.publish(down_topic(AGENT, "lots", "Y"), sign(Document("lots", "Y", 1, 1, ["y"]), CENTRAL))
        until(lambda: documents.get("lots", "Y") is not None)
        fill(bench.outbox, 1, 3)
        central.wait(arrived(central, 3))
    assert uplink.status().payloads_refused == 6
    assert [code for code, _ in bench.events] == ["payload-refused", "watermark-refused"], "not one event each"
    assert bench.events[0][1]["topic"] == ack_topic(AGENT, "records")
    assert bench.events[1][1]["reason"] == "of another agent or stream"


def test_retained_documents_come_with_the_connection(bench: Bench) -> None:
    bench.broker.start()
    documents = Documents(bench.outbox, bench.identity.central, CLOCK)
    order = Document("work-order", "WO/1 +#", 3, 1, {"lot": "A/1"})
    with bench.central() as central:
        central.publish(down_topic(AGENT, order.kind, order.id), sign(order, CENTRAL), retain=True)
        bench.uplink(documents=documents)
        until(lambda: documents.get("work-order", "WO/1 +#") == order)


class Watched(Documents):
    """Ages by a clock of its own. ``came``: what came, and whether the broker had kept it."""

    def __init__(self, bench: Bench, clock: FakeClock) -> None:
        self.came: set[tuple[str, bool]] = set()
        super().__init__(bench.outbox, bench.identity.central, clock)

    def take(self, topic: str, agent: str, payload: bytes, *, retained: bool = False) -> bool:
        news = super().take(topic, agent, payload, retained=retained)
        self.came.add((topic.rpartition("/")[2], retained))
        return news

    def ages(self) -> list[float | None]:
        return [self.age_s("work-order", name) for name in ("WO-1", "WO-2")]


def test_ages_go_on_while_central_is_dead_and_the_broker_repeats_what_it_kept(bench: Bench) -> None:
    """Bug: with "refuse", an agent that was started again worked by holds of which nobody knew any more."""
    bench.broker.start()
    clock = FakeClock()
    documents = Watched(bench, clock)
    uplink = bench.uplink(documents=documents)

    def issue(name: str) -> None:
        document = Document("work-order", name, 1, clock.now_us(), {"lot": "A"})
        topic = down_topic(AGENT, document.kind, name)
        central.publish(topic, sign(document, CENTRAL), retain=True).wait_for_publish(60.0)

    def hears_what_was_kept(documents: Watched) -> None:
        documents.came.clear()
        uplink = bench.uplink(documents=documents)
        until(lambda: documents.came == {("WO-1", True), ("WO-2", True)} and uplink.status().connected)
        uplink.stop()

    with bench.central() as central:
        until(lambda: uplink.status().connected)
        issue("WO-1")
        fill(bench.outbox, 1, 1)
        until(lambda: documents.came == {("WO-1", False)} and uplink.status().pending == 0)
        uplink.stop()
        clock.advance(35)
        issue("WO-2")
    clock.advance(25)
    started_anew = Watched(bench, clock)
    for each in (documents, started_anew):
        hears_what_was_kept(each)
        assert each.ages() == [60, 25]
    uplink = bench.uplink(documents=started_anew)
    with bench.central():
        until(lambda: uplink.status().connected)
        fill(bench.outbox, 2, 2)
        until(lambda: started_anew.ages() == [0, 0])


def test_a_disk_that_was_rolled_back_sends_its_rows_under_a_new_epoch(bench: Bench) -> None:
    fill(bench.outbox, 1, 5)
    old = bench.outbox.head().epoch
    bench.broker.start()
    with bench.central() as central:
        central.tell(Watermark(AGENT, old, "records", 99, "ab" * 32, 1))
        bench.uplink()
        central.wait(arrived(central, 5))
    assert {epoch for epoch, _ in central.records} == {bench.outbox.head().epoch} != {old}
    first = next(iter(central.records.values()))
    assert decode(first.kind, first.body or b"").data == EpochOpened("rolled_back", old, 99, "ab" * 32)
    assert len(list(export(bench.outbox.path))) >= 6


def test_a_restored_central_is_sent_again_what_it_lost(bench: Bench) -> None:
    bench.outbox.close()
    bench.closing.remove(bench.outbox.close)
    bench.outbox = open_outbox(bench.folder / "buffer", CLOCK, keep_acknowledged_s=1000.0)
    bench.closing.append(bench.outbox.close)
    bench.broker.start()
    uplink = bench.uplink()
    with bench.central() as central:
        fill(bench.outbox, 1, 30)
        central.wait(arrived(central, 30))
        until(lambda: uplink.status().pending == 0)
        for key in [key for key in central.records if key[1] > 10]:
            del central.records[key]
        central.generation = 2
        central.tell(central.watermark(central.epochs[0]))
        central.wait(arrived(central, 30))
        until(lambda: uplink.status().pending == 0)


# -- the head, and being offline -----------------------------------------------------------------------------


def test_the_head_is_stated_at_connection_on_request_and_at_the_end(bench: Bench) -> None:
    bench.broker.start()
    uplink = bench.uplink()
    with bench.central() as central:
        central.wait(lambda: central.heads)
        fill(bench.outbox, 1, 4)
        central.wait(arrived(central, 4))
        uplink.request_head()
        central.wait(lambda: central.heads[-1] is not None and central.heads[-1].last == 5)
        fill(bench.outbox, 5, 5)
        uplink.stop()
        central.wait(lambda: central.heads[-1] is None)
        last = central.heads[-2]
        assert last is not None
        assert (last.last, last.hash) == (6, bench.outbox.head().hash)
    with bench.central() as later:
        later.wait(lambda: later.heads == [None]), "retained"


def test_where_telemetry_ends_is_stated_too_and_kept_by_no_broker(bench: Bench, tmp_path: Path) -> None:
    """Without it no certificate of an agent that reads telemetry was ever complete."""
    bench.broker.start()
    telemetry = Outbox(tmp_path / "trend", AGENT, CLOCK, context=lambda: fact(1).header, stream="telemetry")
    bench.closing.append(telemetry.close)
    telemetry.keep([b"a chunk"]).result()
    with bench.central() as central:
        uplink = bench.uplink(telemetry=telemetry)
        central.wait(lambda: {head.stream for head in central.heads if head} == {"records", "telemetry"})
        told = next(head for head in central.heads if head is not None and head.stream == "telemetry")
        assert told == replace(telemetry.head(), at_us=told.at_us)
        assert told.last == 2
        with bench.central() as later:
            later.wait(lambda: later.heads)
            first = later.heads[0]
            assert first is not None
            assert first.stream == "records"
        uplink.stop()
        central.wait(lambda: central.heads[-1] is None)
        assert {head.stream for head in central.heads[-3:-1] if head is not None} == {"records", "telemetry"}


@pytest.mark.parametrize("protocol", [5, "3.1.1"])
def test_a_request_reaches_central_signed_also_when_it_was_made_before_the_connection(
    bench: Bench, protocol: object
) -> None:
    bench.broker.start()
    with bench.central() as central:
        central.wait(lambda: central.subscribed)
        uplink = bench.uplink(quick(bench.broker.url, protocol=protocol))
        uplink.request("sync", {"known": {}})
        central.wait(lambda: central.requests)
        for number in range(30):
            uplink.request("sync", {"piece": number})
        central.wait(lambda: central.requests and central.requests[-1][1].content == {"piece": 29})
        fill(bench.outbox, 1, 3)
        central.wait(arrived(central, 3))
    assert {topic for topic, _ in central.requests} == {f"lotkeeper/v1/up/p0/{AGENT}/requests"}
    assert {(request.agent, request.kind) for _, request in central.requests} == {(AGENT, "sync")}
    times = [request.at_us for _, request in central.requests]
    assert times == sorted(times)
    assert central.refused == []


def test_requests_that_find_no_connection_are_bounded(bench: Bench) -> None:
    requests = Requests(bench.identity, FakeClock())
    for number in range(MOST_WAITING + 5):
        requests.ask("sync", number)
    sent = []
    while (payload := requests.next()) is not None:
        sent.append(unsign(Request, payload, ring_of(bench.identity), AGENT))
    assert [request.content for request in sent] == list(range(5, MOST_WAITING + 5))
    assert len({request.at_us for request in sent}) == MOST_WAITING, "also while the clock stands"


def test_a_clock_that_was_far_ahead_dates_no_request_after_it_was_set_right(bench: Bench) -> None:
    """Bug: until its restart, or until that time, the agent asked in the time to come, and was refused."""
    clock = FakeClock()
    requests = Requests(bench.identity, clock)

    def asked_us() -> int:
        requests.ask("sync", None)
        payload = requests.next()
        assert payload is not None
        return unsign(Request, payload, ring_of(bench.identity), AGENT).at_us

    begun_us = clock.now_us()
    clock.jump(60)
    near_us = asked_us()
    clock.jump(-60)
    assert asked_us() == near_us + 1, "of a clock that was set by a little, order is kept"
    clock.jump(31 * 86_400)
    asked_us()
    clock.jump(-31 * 86_400)
    assert asked_us() == begun_us


def test_a_small_packet_goes_out_at_once(bench: Bench) -> None:
    """Else it may wait 40 ms for the acknowledgement of the one before, which the other end holds back."""
    bench.broker.start()
    inbox: queue.Queue[object] = queue.Queue()
    link = Link(bench.identity, address(bench.broker.url), quick(bench.broker.url), inbox)  # type: ignore[arg-type]
    inbox.get(timeout=30)
    sock = link._client.socket()
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    link.close()


def test_an_agent_that_is_gone_is_called_offline_by_the_broker(bench: Bench) -> None:
    bench.broker.start()
    inbox: queue.Queue[object] = queue.Queue()
    with bench.central() as central:
        link = Link(bench.identity, address(bench.broker.url), quick(bench.broker.url), inbox)  # type: ignore[arg-type]
        inbox.get(timeout=30)
        head = sign(bench.outbox.head(), bench.identity.signing)
        link.publish(state_topic(AGENT), head, Sent("head", len(head)), retain=True)
        central.wait(lambda: central.heads)
        sock = link._client.socket()
        assert isinstance(sock, socket.socket)
        sock.shutdown(socket.SHUT_RDWR)
        central.wait(lambda: central.heads[-1] is None)
        link.close()


# -- limits of the broker ------------------------------------------------------------------------------------


def test_frames_fit_the_packets_that_the_broker_takes(bench: Bench) -> None:
    bench.broker = Mosquitto(bench.folder / "small", settings=("max_packet_size 5000",))
    bench.broker.start()
    fill(bench.outbox, 1, 100)
    uplink = bench.uplink()
    with bench.central() as central:
        central.wait(arrived(central, 100))
        noise = "".join(new_id(16) for _ in range(400))  # what compression does not make small enough
        bench.outbox.commit(Batch((fact(101, text=noise),))).result()
        bench.outbox.commit(Batch((fact(102),))).result()
        until(lambda: uplink.status().pending == 2)
        until(lambda: "the broker takes 5000" in (uplink.status().last_error or ""))
        assert [code for code, _ in bench.events] == ["record-undeliverable"]
        assert uplink.status().pending == 2, "it waits; nothing goes past it"
        assert bench.broker.running


def test_more_frames_than_the_broker_takes_at_once_all_arrive(bench: Bench) -> None:
    """Mosquitto's Receive Maximum is 20 by default; paho does not keep it by itself."""
    bench.broker.start()
    fill(bench.outbox, 1, 200)
    bench.uplink(quick(bench.broker.url, max_frame_bytes=700))
    with bench.central() as central:
        central.wait(arrived(central, 200))
        assert numbers(central) == list(range(1, 201))


# -- who may do what -----------------------------------------------------------------------------------------

ACL = access_list([Agent(AGENT, "p0", 0), Agent("other", "p0", 0)])


def tls_broker(bench: Bench, authority: Authority) -> Mosquitto:
    certificate, key = authority.issue("broker", server=True)
    return Mosquitto(bench.folder / "tls-broker", tls=BrokerTls(authority.certificate, certificate, key), acl=ACL)


def give_certificate(authority: Authority, name: str, folder: Path) -> None:
    certificate, key = authority.issue(name)
    (folder / "tls.crt").write_bytes(certificate.read_bytes())
    (folder / "tls.key").write_bytes(key.read_bytes())
    (folder / "ca.crt").write_bytes(authority.certificate.read_bytes())


def test_mutual_tls_with_the_access_list_of_central(bench: Bench) -> None:
    authority = Authority(bench.folder / "authority")
    bench.broker = tls_broker(bench, authority)
    bench.broker.start()
    give_certificate(authority, AGENT, bench.identity.folder)
    fill(bench.outbox, 1, 20)
    uplink = bench.uplink(quick(f"mqtts://localhost:{bench.broker.port}"))
    until(lambda: "not subscribed" in (uplink.status().last_error or ""))
    certificate, key = authority.issue("central")
    with TinyCentral(
        bench.broker.port,
        CENTRAL,
        ring_of(bench.identity),
        AGENT,
        tls=BrokerTls(authority.certificate, certificate, key),
    ) as central:
        central.wait(arrived(central, 20))
        until(lambda: uplink.status().pending == 0)
        central.wait(lambda: central.heads)


def test_another_agents_certificate_may_not_speak_for_this_one(bench: Bench) -> None:
    authority = Authority(bench.folder / "authority")
    bench.broker = tls_broker(bench, authority)
    bench.broker.start()
    give_certificate(authority, "other-1", bench.identity.folder)
    uplink = bench.uplink(quick(f"mqtts://localhost:{bench.broker.port}"))
    until(lambda: "did not take a message: Not authorized" in (uplink.status().last_error or ""))
    assert uplink.status().pending == 1


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves that socket to the collector
@pytest.mark.parametrize("wrong", ["stranger's certificate", "stranger's broker", "no TLS"])
def test_a_broker_or_agent_that_nobody_vouches_for_is_not_spoken_to(bench: Bench, wrong: str) -> None:
    authority, stranger = Authority(bench.folder / "authority"), Authority(bench.folder / "stranger")
    bench.broker = tls_broker(bench, stranger if wrong == "stranger's broker" else authority)
    bench.broker.start()
    give_certificate(stranger if wrong == "stranger's certificate" else authority, AGENT, bench.identity.folder)
    if wrong != "no TLS":
        (bench.identity.folder / "ca.crt").write_bytes(authority.certificate.read_bytes())
    scheme = "mqtt" if wrong == "no TLS" else "mqtts"
    uplink = bench.uplink(quick(f"{scheme}://localhost:{bench.broker.port}"))
    until(lambda: uplink.status().last_error is not None)
    assert not uplink.status().connected
    if wrong == "stranger's broker":
        assert "certificate verify failed" in (uplink.status().last_error or "")


def test_a_wrong_password_is_said_and_tried_again(bench: Bench) -> None:
    bench.identity = make_identity(bench.folder / "with-user", CENTRAL, user=AGENT)
    bench.broker = Mosquitto(bench.folder / "pw", passwords={AGENT: "another secret"})
    bench.broker.start()
    uplink = bench.uplink()
    until(lambda: "Not authorized" in (uplink.status().last_error or ""))
    assert not uplink.status().connected


def test_the_right_password_is_taken(bench: Bench) -> None:
    bench.identity = make_identity(bench.folder / "with-user", CENTRAL, user=AGENT)
    bench.broker = Mosquitto(bench.folder / "pw", passwords={AGENT: "secret"})
    bench.broker.start()
    uplink = bench.uplink()
    until(lambda: uplink.status().connected)


def test_a_stop_does_not_wait_for_a_broker_that_is_not_there(bench: Bench) -> None:
    uplink = bench.uplink(quick(f"mqtt://127.0.0.1:{free_port()}"))
    until(lambda: uplink.status().last_error is not None)
    uplink.stop()
    uplink.stop()


# -- kills ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_an_agent_killed_at_each_of_the_uplinks_moments_loses_nothing(bench: Bench) -> None:
    bench.outbox.close()
    bench.closing.remove(bench.outbox.close)
    bench.broker.start()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([uplinks.__name__])
    points = ("uplink.before_publish", "uplink.after_puback", "uplink.before_prune") * 3
    with bench.central() as central:
        for turn, point in enumerate(points):
            agent = context.Process(
                target=uplinks.run_until_killed, args=(bench.folder, bench.broker.url, point, 1 + turn // 3)
            )
            agent.start()
            agent.join(60)
            assert agent.exitcode == -9, f"turn {turn}: {point}"
        bench.outbox = open_outbox(bench.folder / "buffer", CLOCK, keep_acknowledged_s=0.0)
        bench.closing.append(bench.outbox.close)
        uplink = bench.uplink()
        until(lambda: uplink.status().pending == 0 and uplink.status().connected)
        last = bench.outbox.state("last")
        assert isinstance(last, int)
        central.wait(arrived(central, last))
        assert len(numbers(central)) == last, "nothing twice"
    assert bench.outbox.finding.why is None
    assert verify(bench.outbox.path).ok
