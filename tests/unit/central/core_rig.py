"""A central without a broker: store, facts, ingest, and agents that write frames as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from central.app import Central, build
from central.facts import Facts, Origin
from central.ingest import Ingest
from central.keys import CentralKeys
from central.settings import CentralSettings
from central.store import agents
from central.store.engine import Store
from records import chain
from records.clock import FakeClock, new_id
from records.keys import KeyRing, PublicKey, SigningKey
from records.model import Data, EpochOpened, Fact, Header, OperationsEvent, encode, kind_of
from records.wire import CENTRAL, Envelope, Head, encode_frame, seal, sign, state_topic, up_topic
from tests.rigs import stores

HEADER = Header(1_795_000_000_000_000, 480, "suzhou", "valve-1", "weld", "lotkeeper 0", "sha256:0")


def event(code: str = "order-started", **params: str) -> OperationsEvent:
    return OperationsEvent(code, dict(params))


@dataclass
class Agent:
    """Seals records into one epoch and packs any run of them into a frame."""

    name: str = "assembly-1"
    key: SigningKey = field(default_factory=SigningKey.generate)
    epoch: str = field(default_factory=new_id)
    stream: str = "records"
    envelopes: list[Envelope] = field(default_factory=list)
    partition: str = "p0"

    def __post_init__(self) -> None:
        self.write(EpochOpened("created"))

    @property
    def topic(self) -> str:
        return up_topic(self.partition, self.name, self.stream)

    def previous(self, seq: int) -> bytes:
        return chain.first_hash(self.name, self.epoch, self.stream) if seq == 1 else self.envelopes[seq - 2].hash

    def write(self, *facts: Data) -> None:
        for data in facts:
            self.write_body(kind_of(data), encode(Fact(HEADER, data)))

    def write_body(self, kind: str, body: bytes) -> None:
        seq = len(self.envelopes) + 1
        link = self.previous(seq)
        self.envelopes.append(seal(self.name, self.epoch, self.stream, seq, 1, kind, body, link))

    def frame(
        self, first: int = 1, last: int | None = None, *, compress: bool = True, heard: int | None = None
    ) -> bytes:
        last = last or len(self.envelopes)
        rows = self.envelopes[first - 1 : last]
        return encode_frame(rows, self.previous(first), self.key, compress=compress, heard=heard)

    def head(self, at_us: int, last: int | None = None) -> bytes:
        last = last or len(self.envelopes)
        link = self.envelopes[last - 1].hash.hex()
        return sign(Head(self.name, self.epoch, self.stream, last, link, at_us), self.key)

    @property
    def state_topic(self) -> str:
        return state_topic(self.name)


@dataclass
class StoppedCentral:
    """A central without a broker, which a test opens and closes, and its one agent, enrolled."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    agent: Agent = field(default_factory=Agent)

    def __post_init__(self) -> None:
        CentralKeys.create(self.settings.keys, self.clock.now_us())
        with closing(self.open()) as central:
            now_us, public = self.clock.now_us(), self.agent.key.public.hex()
            central.store.write(lambda c: agents.enrol(c, self.agent.name, "p0", public, now_us))
            self.begin(central)

    @property
    def settings(self) -> CentralSettings:
        raise NotImplementedError

    def begin(self, central: Central) -> None:
        """What it has before the test begins."""

    def open(self) -> Central:
        self.clock.advance(5)
        return build(self.settings, self.clock)


class Rig:
    """One central over one folder; open it again to see what a restart finds."""

    def __init__(self, folder: Path, *, key: SigningKey | None = None, clock: FakeClock | None = None) -> None:
        self.folder = folder
        self.key = key or SigningKey.generate()
        self.clock = clock or FakeClock()
        self.ring = KeyRing([PublicKey(CENTRAL, self.key.public.hex())])
        self.committed = 0
        self.store = stores.opened(folder)
        origin = Origin("suzhou", "Asia/Shanghai", "lotkeeper 0", "sha256:1")
        self.facts = Facts(self.key, self.ring, self.clock, origin, folder / "anchors.jsonl")
        self.store.write(self.facts.open)
        self.ingest = Ingest(self.store, self.facts, self.clock, self._count)

    def _count(self) -> None:
        self.committed += 1

    def enrol(self, agent: Agent) -> Agent:
        now_us = self.clock.now_us()
        public = agent.key.public.hex()
        self.store.write(lambda c: agents.enrol(c, agent.name, "p0", public, now_us))
        return agent

    def reopen(self) -> Rig:
        self.store.close()
        return Rig(self.folder, key=self.key, clock=self.clock)


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    opened = Rig(folder)
    try:
        yield opened
    finally:
        opened.store.close()


def in_one_group(store: Store, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """``act`` writes in another thread, and its job shares the transaction of the next one of this thread."""
    submit, here = store.submit, threading.get_ident()
    queued, gate = threading.Event(), threading.Event()
    store.submit(lambda _: gate.wait(60))

    def noted(job: Callable[[Any], Any], weight: int = 0) -> Future[Any]:
        future = submit(job, weight)
        (gate if threading.get_ident() == here else queued).set()
        return future

    monkeypatch.setattr(store, "submit", noted)
    threading.Thread(target=act, daemon=True).start()
    assert queued.wait(60)
