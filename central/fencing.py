"""Two agents with one identity: which of them may send.

Each start of an agent says hello with an id of its own and those of the starts before it in the same buffer. One
start holds the name. A restart names the holder among those before it and takes its place. Anybody else only
claims the name, until the holder is heard again: then both are alive, and the claimant is fenced. A holder that is
silent for ``SILENT_US`` is gone, and the claimant takes its place: a PC that was replaced, or a disk that was
restored. Another stranger meanwhile is the claimant's rival and takes nothing from it; when the claimant is heard
again, these two are alive, whatever became of the holder, and the rival is fenced. An earlier start that is heard
after its successor shows that the successor is a copy of its disk: the copy is fenced. A key that was enrolled
later wins at once; so a person decides by enrolling one PC again. A key that an agent changes by itself says
nothing.

To be fenced costs no record: the agent goes on recording, and stops sending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from pydantic import TypeAdapter, ValidationError

from central.facts import Facts
from central.renewals import enrolled_us
from central.store import documents, instances
from central.store.engine import Connection, Store
from records.clock import MICROSECONDS, Clock
from records.errors import Invalid
from records.fence import Fenced
from records.model import OperationsEvent
from records.wire import FENCE, Document, Request

SILENT_US = 120 * MICROSECONDS
TWO_ARE_ALIVE, COPY = "two-are-alive", "copy-of-a-running-agent"
MOST_FENCED = 50
"""How many fenced starts a document names, the newest."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of an agent: its id, those before it in its buffer, and since when its identity is believed: a key
    that was enrolled, with those that the agent has made in place of it.
    """

    instance: str
    before: tuple[str, ...]
    key_us: int = 0

    @property
    def newest_first(self) -> tuple[str, ...]:
        return self.instance, *self.before

    @property
    def own(self) -> frozenset[str]:
        return frozenset(self.newest_first)


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds an agent's name, when it was heard last, who claims it since when, and who does beside it."""

    holder: Start
    heard_us: int
    claimant: Start | None = None
    claimed_us: int = 0
    rival: Start | None = None
    rival_us: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What holds now, and the start that is to be fenced, with why."""

    held: Held
    fenced: str | None = None
    why: str = ""
    spared: Start | None = None
    """Who goes on sending instead where that is not the holder, of which nothing is heard."""

    @property
    def kept(self) -> Start:
        return self.spared or self.held.holder


def judge(held: Held | None, hello: Start, now_us: int) -> Verdict:
    """What a hello means. See the module."""
    mine = Held(hello, now_us)
    if held is None:
        return Verdict(mine)
    held = _present(held, now_us)
    holder, claimant = held.holder, held.claimant
    if holder.instance in hello.own:
        alive = claimant is not None and claimant.instance not in hello.own
        return Verdict(mine, claimant.instance if claimant and alive else None, TWO_ARE_ALIVE)
    if hello.key_us != holder.key_us:
        if hello.key_us > holder.key_us:  # most often of a PC that is gone: two there are when it is heard again
            return Verdict(mine)
        return Verdict(held, hello.instance, "another-was-enrolled-later")
    if hello.instance in holder.before:
        return Verdict(mine, holder.instance, COPY)
    return _claim(held, hello, now_us)


def _present(held: Held, now_us: int) -> Held:
    """Who holds the name now: holders that have been silent since others claimed it are gone."""
    while held.claimant is not None and held.heard_us < held.claimed_us < now_us - SILENT_US:
        held = Held(held.claimant, held.claimed_us, held.rival, held.rival_us)
    return held


def _claim(held: Held, hello: Start, now_us: int) -> Verdict:
    """A stranger to the holder is heard."""
    claimant, rival = held.claimant, held.rival
    if claimant is None:
        return Verdict(replace(held, claimant=hello, claimed_us=now_us))
    alone = replace(held, claimant=hello, rival=None, rival_us=0)
    if claimant.instance in hello.own:
        alive = rival is not None and rival.instance not in hello.own
        return Verdict(alone, rival.instance if rival and alive else None, TWO_ARE_ALIVE, hello)
    if hello.instance in claimant.before:
        return Verdict(alone, claimant.instance, COPY, hello)
    since_us = held.rival_us if rival is not None and rival.instance in hello.own else now_us
    return Verdict(replace(held, rival=hello, rival_us=since_us))


@dataclass(frozen=True, slots=True)
class _Hello:
    instance: str
    before: tuple[str, ...]
    key: str


_HELLO = TypeAdapter(_Hello)
_HELD = TypeAdapter(Held)


class Fencing:
    """Answers ``hello``. ``publish`` brings a document to an agent."""

    def __init__(self, store: Store, facts: Facts, clock: Clock, publish: Callable[[str, Document], None]) -> None:
        self._store, self._facts, self._clock, self._publish = store, facts, clock, publish

    def hello(self, request: Request) -> None:
        """Take one hello.

        Raises:
            Invalid: it has not the content of one.
        """
        try:
            told = _HELLO.validate_python(request.content)
        except ValidationError as error:
            raise Invalid(f"no hello: {error.errors()[0]['msg']}") from error
        document = self._store.write(lambda connection: self._take(connection, request.agent, told))
        if document is not None:
            self._publish(request.agent, document)

    def _take(self, connection: Connection, agent: str, told: _Hello) -> Document | None:
        """The document to publish: a new one, or the one that this start has not heeded."""
        start = Start(told.instance, told.before, enrolled_us(connection, agent).get(told.key, 0))
        stored = instances.held(connection, agent)
        held = None if stored is None else _HELD.validate_json(stored)
        document = documents.newest(connection, FENCE, agent)
        fenced = Fenced.of(document)
        decided = held is not None and start.key_us > held.holder.key_us
        if fenced.names(start.newest_first) is not None and not decided:
            return document
        verdict = judge(held, start, self._clock.now_us())
        instances.keep(connection, agent, _HELD.dump_json(verdict.held).decode())
        kept, holder = fenced.instances, verdict.held.holder
        if fenced.names(holder.newest_first) is not None:
            kept = tuple(each for each in kept if each not in holder.own)
        if verdict.fenced is not None:
            kept = (verdict.fenced, *kept)[:MOST_FENCED]
            self._say(connection, agent, verdict)
        if kept == fenced.instances:
            return None
        content = Fenced(kept, verdict.kept.instance, verdict.why).to_json()
        return self._facts.issue(connection, FENCE, agent, content)

    def _say(self, connection: Connection, agent: str, verdict: Verdict) -> None:
        kept = verdict.kept.instance
        structlog.get_logger().error("agent-doubled", agent=agent, fenced=verdict.fenced, kept=kept)
        params = {"agent": agent, "instance": verdict.fenced, "kept": kept, "reason": verdict.why}
        self._facts.state(connection, OperationsEvent("agent-doubled", dict(params)))
