"""Central at the broker: takes what agents send, answers with signed watermarks, publishes documents.

The broker is never trusted to keep anything. A message is acknowledged to it only after central's commit, and
everything central says is retained and published again whenever the connection was lost: the newest watermark of
every stream and the newest version of every document. Of two payloads for one topic the later one wins, also when
the connection breaks between them.

paho's thread only puts messages into a queue; one worker thread takes, commits, acknowledges and publishes. It
waits for messages and for ends of commits alike, never for one of them alone. Whose message is next is decided
there and not by the broker (``central.waiting``). So all that agents have on their way is let in: they bound it
themselves, the receive maximum (MQTT 5) or the broker's own in-flight limit (3.1.1) bounds its number, and the
queue its bytes. A few frames are under way to the disk at once, and committed together. Messages are acknowledged
in the order in which they came, each after its commit. Garbage ends in quarantine; a failed disk ends the process.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from central.broker_connection import BrokerConnection, Retained, stop_loop
from central.ingest import STREAMS, Ingest, Taking
from central.recurring import Recurring
from central.settings import BrokerSettings
from central.store import agents, documents, intake
from central.store.engine import Store, is_away
from central.store.leases import Fenced
from central.waiting import Waiting
from records.clock import MICROSECONDS, Clock
from records.errors import LotkeeperError, StorageFailed
from records.keys import SigningKey
from records.wire import (
    CENTRAL,
    CENTRAL_KEYS,
    REQUESTS,
    TOPIC_ROOT,
    Document,
    Watermark,
    ack_topic,
    down_topic,
    sign,
)

EVERYBODY = "*"
TAKEN_OVER = 0x8E
"""Why a broker ends a connection: another one came with the same client id."""
SHORT_S, SHORT_TIMES = 5.0, 3
"""Connections that end so soon, so often in a row: two processes may have one client id and end each other's.
Mosquitto does not say so. Of a partition both leave then, and who has its lease takes it again."""
UNDER_WAY, UNDER_WAY_RECORDS = 16, 100
"""Most frames and records that are on their way to the disk at once, beside short ones: who comes next waits for
all of them. More of them drain backlogs faster and let others wait longer (docs/explanation/speed.md)."""
SHORT_UNDER_WAY, SHORT_UNDER_WAY_RECORDS = 64, 300
"""The same where short ones are counted too: an agent without a backlog joins the next commit when it comes, and
does not wait until there is room for a frame of those that have one."""
MESSAGE_COST, RECORD_COST = 4096, 2048
"""What taking a message and each of its records costs beside its bytes, in bytes: about 0.5 ms and 0.2 ms of a
processor, to which bytes add little."""
SHORT_COST = 48 * 1024
"""What costs no more is short: some twenty records. By bytes alone a hundred records that differ little are short,
too; while such drained, others waited twice as long."""
WITHDRAWN_KEPT_S, FORGOTTEN_S = 30 * 86_400.0, 60 * 86_400.0
"""How long the broker keeps that a document is withdrawn, and until when it is asked to forget it. Who was away
for longer hears it by a sync. Without the second each order that ever closed would be said at each connect."""
AGAIN_S = 1.0
"""How long it is waited for a database that does not answer before it is asked again what is to be said."""
SAME_WATERMARK_S = 1.0
"""A watermark that has not moved is said again to an agent no more often than this."""


@dataclass(frozen=True, slots=True)
class BrokerState:
    """``error``: why there is no connection, as the broker or the network said; ``since_us``: wall clock."""

    connected: bool
    since_us: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Message:
    connection: int
    topic: str
    payload: bytes
    mid: int
    qos: int


@dataclass(slots=True)
class _Due:
    """A message that the broker is to be told of when it and all before it are ``done``."""

    message: _Message
    done: bool = False


@dataclass(frozen=True, slots=True)
class _Done:
    """A transaction of what is under way has ended."""


@dataclass(frozen=True, slots=True)
class _End:
    pass


@dataclass(frozen=True, slots=True)
class _Tell:
    """A document for an agent, or for every enrolled one (``*``)."""

    agent: str
    document: Document


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    mid: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class _Resync:
    """Say everything again, to all agents or to one."""

    agent: str = EVERYBODY


@dataclass(frozen=True, slots=True)
class Part:
    """What one connection is there for: which topics it hears, whose watermarks and whether documents it says.

    ``partition`` None: all agents.
    """

    client_id: str
    hears: tuple[str, ...]
    watermarks: bool = True
    documents: bool = True
    partition: str | None = None

    @classmethod
    def everything(cls, client_id: str) -> Part:
        """Of a central that is alone."""
        return cls(client_id, ("up/+/+/+", "state/+"))

    @classmethod
    def house(cls, client_id: str) -> Part:
        """All but the agents' records, which are taken in by partition."""
        return cls(client_id, (f"up/+/+/{REQUESTS}", "state/+", f"state/{CENTRAL}/+"), watermarks=False)

    @classmethod
    def records(cls, client_id: str, partition: str) -> Part:
        """The records of one partition, under one broker session whoever takes them in."""
        hears = tuple(f"up/{partition}/+/{stream}" for stream in STREAMS)
        return cls(f"{client_id}-{partition}", hears, documents=False, partition=partition)


@dataclass(frozen=True, slots=True)
class _Sign:
    """Sign with this key from here on."""

    key: SigningKey


class Mqtt:
    """A connection to the broker. Starts while the broker is away and lives through its restarts.

    ``lost``: another process takes this part in by now; nothing more is taken here.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        ingest: Ingest,
        store: Store,
        key: SigningKey,
        clock: Clock,
        log: FilteringBoundLogger,
        on_failure: Callable[[StorageFailed], None],
        failpoint: Callable[[str], None] = lambda _: None,
        part: Part | None = None,
        *,
        announcement: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        self.lost = False
        self._part = part or Part.everything(settings.client_id)
        self._settings = settings
        self._ingest = ingest
        self._store = store
        self._clock = clock
        self._log = log
        self._on_failure = on_failure
        self._failpoint = failpoint
        self._work: Waiting[_Due | _Tell | _Acknowledged | _Resync | _Sign | _Done | _End] = Waiting()
        self._trouble = Recurring("ingest", log, clock)
        self._due: deque[_Due] = deque()  # what is to be acknowledged, in the order in which it came
        self._under_way: deque[tuple[_Due, Taking]] = deque()
        self._announcement = announcement
        self._worker = threading.Thread(target=self._run, name="central broker", daemon=True)
        self._closing = threading.Event()
        self._client = self._make_client()
        self._retained = Retained(self._client, key, log)
        self._connection = 0
        self._connected_s, self._short = 0.0, 0
        self._state = BrokerState(False, clock.now_us(), "not started")
        self._said: dict[str, tuple[Watermark, float]] = {}

    @property
    def state(self) -> BrokerState:
        return self._state

    def start(self) -> None:
        """Begin to connect, and keep at it; returns at once."""
        self._ingest.on_done = lambda: self._work.urgent(_Done())
        self._worker.start()
        self._client.begin()

    def stop(self) -> None:
        """Disconnect. What was not acknowledged comes again."""
        self._closing.set()
        self._client.disconnect()
        stop_loop(self._client)
        if self._worker.ident is not None:
            self._work.urgent(_End())
            self._worker.join()

    def publish_document(self, agent: str, document: Document) -> None:
        """Sign a document and retain it for an agent, or for every enrolled one (``*``). Returns at once, whatever
        the database does: what it is about is committed already, and who committed it is to be told so.
        """
        self._work.urgent(_Tell(agent, document))

    def sign_with(self, key: SigningKey) -> None:
        """Sign with another key after what was given before, and say everything again with it."""
        self._work.urgent(_Sign(key))

    def _signed(self, document: Document) -> bytes:
        """Its payload; that of central's own keys is signed by the key before the present one."""
        announced = self._announcement() if document.kind == CENTRAL_KEYS else None
        return sign(document, self._retained.key) if announced is None else announced

    def resync(self, agent: str = EVERYBODY) -> None:
        """Publish every newest watermark and document again, to all agents or to one that is new."""
        self._work.urgent(_Resync(agent))

    # -- paho's thread ---------------------------------------------------------------------------------

    def _make_client(self) -> BrokerConnection:
        client = BrokerConnection(self._settings, self._part.client_id, self._closing, self._mistaken)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        client.on_publish = self._published
        return client

    def _connected(
        self, client: paho.Client, _data: object, flags: paho.ConnectFlags, code: ReasonCode, _p: object
    ) -> None:
        if code.is_failure:
            self._change(False, f"the broker refuses: {code}")
            return
        self._connection += 1
        self._connected_s = self._clock.monotonic_s()
        self._ingest.workers.forget()
        client.subscribe([(f"{TOPIC_ROOT}/{topic}", 1) for topic in self._part.hears])
        self._change(True, None)
        self._work.urgent(_Resync())

    def _not_connected(self, _client: paho.Client, _data: object) -> None:
        self._change(False, "the broker does not answer")

    def _disconnected(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _p: object
    ) -> None:
        if self._state.connected:
            meant = self._closing.is_set() or self.lost
            self._change(False, f"the connection ended: {code}", meant=meant)
            lasted_s = self._clock.monotonic_s() - self._connected_s
            self._short = self._short + 1 if lasted_s < SHORT_S and not meant else 0
            if self._short == SHORT_TIMES:
                do = "a worker or central that still runs on another database has it: stop that one"
                self._log.error("broker-session-contested", client_id=self._part.client_id, perhaps=do)
        if self._part.partition is not None and (code.value == TAKEN_OVER or self._short == SHORT_TIMES):
            self._leave()  # who has the lease takes it in again; the database of the other may tell nothing

    def _mistaken(self, error: Exception) -> None:
        self._log.error("broker-connection-mistaken", error=repr(error), exc_info=error)
        self._change(False, f"the connection ended by a mistake: {error!r}")

    def _leave(self) -> None:
        """Another process takes this part in: two with one session would end each other's connection for ever."""
        self.lost = True
        self._client.disconnect()

    def _received(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = repr(message._topic)  # noqa: SLF001  paho has no other door to a topic that is no text
        payload = bytes(message.payload)
        due = _Due(_Message(self._connection, topic, payload, message.mid, message.qos))
        self._due.append(due)
        self._work.put(_sender(topic), len(payload), due)

    def _published(self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _p: object) -> None:
        # paho holds its own lock here: never publish from this place
        self._work.urgent(_Acknowledged(mid, str(code) if code.is_failure else None))

    def _change(self, connected: bool, error: str | None, *, meant: bool = False) -> None:
        if (self._state.connected, self._state.error) != (connected, error):
            self._state = BrokerState(connected, self._clock.now_us(), error)
            host, port = self._settings.address
            if connected:
                self._log.info("broker-connected", address=f"{host}:{port}")
            elif meant:  # a stop, or another process takes this part in
                self._log.info("broker-left", address=f"{host}:{port}")
            else:
                self._log.warning("broker-lost", address=f"{host}:{port}", error=error)

    # -- the worker's thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        item: _Due | _Tell | _Acknowledged | _Resync | _Sign | _Done | _End | None = None
        while not isinstance(item, _End):
            try:
                item = self._work.get(self._dearest_next)
                self._do(item)
            except StorageFailed as error:
                self._on_failure(error)
                return
            except Fenced as error:
                if not self.lost:
                    self._log.warning("ingest-fenced", error=str(error))
                self._leave()
            except LotkeeperError as error:
                self._trouble.met(str(error))
            except Exception as error:  # one payload must not end the intake of all agents
                self._log.error("ingest-failed", error=repr(error), exc_info=True)
            else:
                continue
            if self._under_way:
                self._work.urgent(_Done())  # what ended together with it is still to be answered

    def _do(self, item: _Due | _Tell | _Acknowledged | _Resync | _Sign | _Done | _End) -> None:
        match item:
            case _Due():
                self._begin(item)
                self._finish_done()
            case _Done():
                self._finish_done()
                self._ingest.send()  # what has gathered meanwhile
            case _End():
                while self._under_way:
                    self._finish()
            case _Tell():
                self._once_it_answers(lambda: self._tell(item), item.agent)
            case _Acknowledged():
                self._retained.settle(item.mid, item.refused)
            case _Sign():
                self._retained.key = item.key
                self._once_it_answers(lambda: self._say_everything(EVERYBODY), EVERYBODY)
            case _Resync():
                self._once_it_answers(lambda: self._say_everything(item.agent), item.agent)

    @property
    def _dearest_next(self) -> float:
        """What the message that is taken next may cost, by what is under way already; below 0: none may be.

        Short ones take no room from those that are not: else these would wait for as long as many come.
        """
        records = [
            (_cost(due.message.payload, taking.records) > SHORT_COST, taking.records)
            for due, taking in self._under_way
        ]
        if len(records) >= SHORT_UNDER_WAY or sum(count for _, count in records) >= SHORT_UNDER_WAY_RECORDS:
            return -1
        large = [count for is_large, count in records if is_large]
        return math.inf if len(large) < UNDER_WAY and sum(large) < UNDER_WAY_RECORDS else SHORT_COST

    def _finish_done(self) -> None:
        while self._under_way and self._under_way[0][1].done:
            self._finish()

    def _begin(self, due: _Due) -> None:
        self._failpoint("ingest.before_commit")
        topic, payload, records = due.message.topic, due.message.payload, 1
        try:
            taking = self._ingest.begin(topic, payload)
            records = taking.records
            self._under_way.append((due, taking))
        except StorageFailed:
            raise
        except Exception:
            self._acknowledge(due)  # the watermark did not move: the agent sends it again
            raise
        finally:
            self._work.charge(_cost(payload, records))

    def _finish(self) -> None:
        """Wait for the oldest that is under way, and answer it."""
        due, taking = self._under_way.popleft()
        try:
            outcome = taking.result()
        except (StorageFailed, Fenced):
            raise  # what was not committed is not answered
        except Exception:
            self._acknowledge(due)
            raise
        self._trouble.over()
        self._failpoint("ingest.after_commit")
        self._acknowledge(due)
        self._failpoint("ingest.after_ack")
        if outcome.result in ("hole", "conflict", "quarantined"):
            self._log.warning(f"ingest-{outcome.result}", agent=outcome.agent, detail=outcome.detail)
        if outcome.watermark is not None:
            self._say_watermark(outcome.watermark)

    def _acknowledge(self, due: _Due) -> None:
        due.done = True
        while self._due and self._due[0].done:
            message = self._due.popleft().message
            if message.connection == self._connection:  # on another connection the number means another message
                self._client.ack(message.mid, message.qos)

    def _say_watermark(self, watermark: Watermark) -> None:
        topic = ack_topic(watermark.agent, watermark.stream)
        now_s = self._clock.monotonic_s()
        said = self._said.get(topic)
        if said is not None and said[0] == watermark and now_s - said[1] < SAME_WATERMARK_S:
            return
        self._said[topic] = (watermark, now_s)
        self._retained.say(topic, watermark)

    def _once_it_answers(self, say: Callable[[], None], agent: str) -> None:
        """Where the database does not answer, that agent is told everything when it does: the newest of each
        document, also what was to be said now.
        """
        try:
            say()
        except StorageFailed:
            raise
        except Exception as error:
            if not is_away(error):
                raise
            self._trouble.met(str(error))
            if not self._closing.wait(AGAIN_S):
                self._work.urgent(_Resync(agent))

    def _tell(self, tell: _Tell) -> None:
        document = tell.document
        names = self._agents() if tell.agent == EVERYBODY else [tell.agent]
        payload = self._signed(document) if names else b""
        for name in names:
            self._retained.say(down_topic(name, document.kind, document.id), payload)

    def _say_everything(self, agent: str) -> None:
        names = [name for name in self._agents() if agent in (EVERYBODY, name)]
        with self._store.read() as connection:
            newest = {(w.agent, w.stream): w for w in intake.watermarks(connection) if w.agent != CENTRAL}
            current = documents.current(connection) if self._part.documents else []
        self._said.clear()
        for watermark in newest.values():
            # one agent alone is told also of what did not come by this connection: what was imported from a file
            if watermark.agent in names and (self._part.watermarks or agent != EVERYBODY):
                self._say_watermark(watermark)
        now_us = self._clock.now_us()
        for document in current:
            withdrawn_s = (now_us - document.issued_us) / MICROSECONDS if document.content is None else 0.0
            if withdrawn_s > FORGOTTEN_S:
                continue
            payload = b"" if withdrawn_s > WITHDRAWN_KEPT_S else self._signed(document)
            for name in names:
                if documents.is_for(name, document):
                    self._retained.say(down_topic(name, document.kind, document.id), payload)

    def _agents(self) -> list[str]:
        with self._store.read() as connection:
            known = agents.all_agents(connection)
        mine = self._part.partition
        return [each.id for each in known if each.revoked_us is None and mine in (None, each.partition)]


def _cost(payload: bytes, records: int) -> int:
    return len(payload) + MESSAGE_COST + RECORD_COST * records


def _sender(topic: str) -> str:
    """The agent in a topic that it writes; of others, the topic."""
    levels = topic.removeprefix(f"{TOPIC_ROOT}/").split("/")
    return levels[2] if levels[0] == "up" and len(levels) > 2 else levels[-1]
