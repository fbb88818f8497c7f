"""What central signed and is odd all the same: it is taken or refused, and never ends the way to central.

The broker repeats what it keeps at each connect, so that an uplink which one document ended would begin for ever.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from edge_agent import anchors
from edge_agent.app import Agent
from edge_agent.documents import Documents
from edge_agent.uplink.incoming import MISTAKE, REPORT_EVERY_S, Incoming
from records import chain
from records.clock import FakeClock
from records.keys import Identity, SigningKey
from records.kinds import LOT_QUANTITIES, REASONS, ROUTE
from records.wire import (
    AGENT_MODE,
    CENTRAL,
    CENTRAL_KEYS,
    CERTIFICATE,
    CONFIGURATION,
    DOCUMENT_DOMAIN,
    EQUIPMENT,
    FENCE,
    HOLDS,
    PEOPLE,
    PLANT,
    SIGNING_KEY,
    SYNC,
    SYNCED,
    down_topic,
)
from tests.rigs.examples import examples
from tests.rigs.outboxes import AGENT, make_identity
from tests.unit.edge.test_agent_app import build, write_line

NEXT = SigningKey.generate().public.hex()
ODD: tuple[str, ...] = (
    *("null", "true", "0", "-1", "1e999", "Infinity", "NaN", "1.5", '""', '"x"', '"\\u0000"', '"\\ud800"'),
    *("[]", "{}", "[null]", '{"": {}}', '"9223372036854775807"', '"-9223372036854775808"', '"NaN"', '"1e9999"'),
    *(str(2**53), str(2**63), str(-(2**63)), "9" * 400, "9" * 5000, f'"{"é" * 300}"'),
    *("[" * 150 + "]" * 150, "[" * 5000 + "]" * 5000),
)
"""JSON, and what only looks like it, to stand where something else is meant."""
PLAIN: dict[tuple[str, str], JsonValue] = {
    ("work-order", "WO-1"): {
        "reference": "WO-1",
        "product": "P",
        "lot": "L",
        "quantity": "5",
        "state": "released",
        "operations": [{"operation": "OP10", "sequence": 1}],
        "bom": [{"item": "I", "gtin": "1", "quantity": "1"}],
    },
    ("lots", "I"): {"item": "I", "lots": [{"lot": "A", "status": "available", "expiry": "2026-01-01"}]},
    ("recipe", "P/A"): {
        "product": "P",
        "revision": "A",
        "characteristics": {"torque": [{"specification": {"lsl": 1, "usl": 2}, "sigma": 0.1}]},
    },
    ("limit-sets", "torque"): {
        "characteristic": "torque",
        "sets": [
            {"id": "s", "version": 1, "key": {"product": "P"}, "limits": {"chart": "imr"}, "effective_us": "5"}
        ],
    },
    (HOLDS, PLANT): {"holds": [{"hold": "h", "kind": "lot", "id": "L", "product": "P", "reason": "r"}]},
    (PEOPLE, PLANT): {"people": [{"badge": "B1", "until": "2027-01-01", "operations": {"OP10": None}}]},
    (EQUIPMENT, PLANT): {"equipment": [{"equipment": "PRESS-01", "calibrated_until": "2027-01-01"}]},
    (LOT_QUANTITIES, "I"): {"item": "I", "left": {"A": "5.0"}},
    (REASONS, PLANT): {"reasons": {"hold": {"c": {"en": "text"}}}},
    (ROUTE, PLANT): {"operations": {"OP10": "5"}, "orders": {"WO-1": "1"}},
    (ROUTE, "WO-1"): {"order": "WO-1", "operations": ["OP10"], "units": [["c", "s", "p"]]},
    (AGENT_MODE, AGENT): {"mode": "production"},
    (CONFIGURATION, AGENT): {"approved": ["aa"]},
    (FENCE, AGENT): {"instances": ["x"], "kept": "y", "why": "z"},
    (SYNC, AGENT): {"round": "as it was asked"},
    (SYNC, AGENT + " shows"): {"round": "as it was asked", "show": [["work-order", "WO-1"]]},
    (CERTIFICATE, AGENT): {"certificate": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"},
    (SIGNING_KEY, AGENT): {"public": NEXT},
    (CENTRAL_KEYS, CENTRAL): {
        "keys": [
            {"owner": CENTRAL, "public": "of central", "since_us": 0, "until_us": 1},
            {"owner": CENTRAL, "public": NEXT, "since_us": 5, "until_us": None},
        ]
    },
    (anchors.ANCHOR, CENTRAL): {
        "at": "2026",
        "heads": [{"epoch": "e", "stream": "s", "last": "5", "hash": "aa"}],
        "root": "r",
    },
    ("of a later time", "x"): {"a": 1},
}


@dataclass
class Line:
    """An agent that is built and not connected, with the key of its central; ``events``: what it records."""

    agent: Agent
    key: SigningKey
    clock: FakeClock
    events: list[tuple[str, dict[str, JsonValue]]] = field(default_factory=list)
    version: int = 0

    def __post_init__(self) -> None:
        agent, renewal = self.agent, self.agent.renewal
        identity = Identity.open(renewal._identity.folder)
        identity.central = renewal._identity.central
        self.incoming = Incoming(
            identity, self.clock, agent.documents, lambda *event: self.events.append(event), renewal.central_keys
        )

    def payload(self, purpose: str, body: str) -> bytes:
        signature = self.key.sign(chain.fields(DOCUMENT_DOMAIN, purpose, body, self.key.id))
        signed = {"body": body, "key": self.key.id, "signature": base64.b64encode(signature).decode()}
        return json.dumps(signed).encode()

    def take(self, kind: str, name: str, content: str, issued: str = '"5"', *, retained: bool = True) -> None:
        """Give a document, whose content and time are written as JSON, to the agent as its uplink would."""
        self.version += 1
        self.clock.advance(REPORT_EVERY_S)  # so that each that is refused is told
        body = (
            f'{{"kind": {json.dumps(kind)}, "id": {json.dumps(name)}, "version": "{self.version}",'
            f' "issued_us": {issued}, "content": {content}}}'
        )
        topic = down_topic(AGENT, kind, name)
        self.incoming.take(topic, self.payload("document", body), retained=retained)

    def mark(self, **changes: str) -> None:
        """Give a watermark, whose changed fields are written as JSON."""
        head = self.agent.outbox.head()
        said = {"agent": AGENT, "epoch": head.epoch, "stream": "records", "hash": head.hash, "generation": 1}
        told = {name: json.dumps(value) for name, value in said.items()} | {"committed_through": '"1"'} | changes
        body = f"{{{', '.join(f'{json.dumps(name)}: {value}' for name, value in told.items())}}}"
        mark = self.incoming.watermark("records", self.payload("watermark", body))
        if mark is not None:
            lane = self.agent.uplink._records
            lane.put_off(lane_mark := _heard(lane, mark), "no room", 0.0)
            self.incoming.apply(self.agent.outbox, lane_mark.said, retained=True)

    def go_on(self) -> None:
        """What follows at the next connect, in the stations and at a restart."""
        agent = self.agent
        agent.papers()
        agent.sync.connected()
        agent.documents.keep()
        assert agent.uplink._fence.closed in (True, False)
        assert agent.approvals.of("aa") in ("not-required", "approved", "missing")
        held = agent.documents.held(SYNCED)
        assert all((agent.documents.age_s(each.kind, each.id) or 0.0) >= 0.0 for each in held)
        agent.record("agent-started", {})
        Documents(agent.outbox, agent.renewal._identity.central, self.clock)

    @property
    def refusals(self) -> list[str]:
        return [str(params["reason"]) for _, params in self.events]


def _heard(lane: Any, mark: Any) -> Any:
    lane.heard(mark, retained=True)
    return lane._mark


@contextmanager
def one_line(folder: Path) -> Iterator[Line]:
    key, clock = SigningKey.generate(), FakeClock()
    make_identity(folder / "identity", key)
    write_line(folder)
    made = Line(build(folder, clock), key, clock)
    yield made
    made.agent.outbox.close()
    made.agent.trend.outbox.close()


@pytest.fixture(scope="module")
def worn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One line for all examples: what one leaves behind is there for the next."""
    with one_line(tmp_path_factory.mktemp("line")) as made:
        yield made


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with one_line(tmp_path) as made:
        yield made


def places(value: JsonValue) -> list[tuple[str | int, ...]]:
    """Every place in a value, the whole first."""
    found: list[tuple[str | int, ...]] = [()]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        found += [(step, *rest) for rest in places(part)]
    return found


def written(value: JsonValue, place: tuple[str | int, ...], odd: str) -> str:
    """A value as JSON with something odd at one place."""
    if not place:
        return odd
    told: Any = json.loads(json.dumps(value))
    held = told
    for step in place[:-1]:
        held = held[step]
    held[place[-1]] = "here it is odd"
    return json.dumps(told).replace('"here it is odd"', odd)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), retained=st.booleans(), issued=st.sampled_from(('"5"', '"1795000000000000"', *ODD)))
def test_whatever_central_signed_is_taken_or_refused(
    worn: Line, data: st.DataObject, retained: bool, issued: str
) -> None:
    (kind, name), content = data.draw(st.sampled_from(list(PLAIN.items())))
    odd = data.draw(st.sampled_from(ODD))
    text = written(content, data.draw(st.sampled_from(places(content))), odd)
    if kind == SYNC:
        worn.agent.sync.connected()
        text = text.replace("as it was asked", str(worn.agent.sync._round))
    text = text.replace("of central", worn.key.public.hex())
    worn.take(kind, name.partition(" ")[0], text, issued, retained=retained)
    worn.go_on()
    assert not [reason for reason in worn.refusals if MISTAKE in reason]


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(("agent", "epoch", "stream", "committed_through", "hash", "generation")),
    odd=st.sampled_from(ODD),
    further=st.sampled_from(('"0"', '"1"', '"2"', '"9223372036854775807"')),
)
def test_whatever_watermark_central_signed_is_heeded_or_refused(
    worn: Line, name: str, odd: str, further: str
) -> None:
    worn.mark(**{"committed_through": further, name: odd})


def test_a_number_that_json_cannot_write_is_in_no_document(line: Line) -> None:
    before = line.incoming.refused
    for number in ("Infinity", "NaN", "1e999", "9" * 5000):
        line.take("work-order", "WO-1", f'{{"lot": [{number}]}}')
        line.go_on()
    assert line.incoming.refused == before + 4


@pytest.mark.parametrize("wrong", ['"no key"', f'"{"ab" * 31}"', "5", f'"{"ab" * 33}"'])
def test_central_s_keys_that_are_none_are_refused(line: Line, wrong: str) -> None:
    before = line.incoming.refused
    keys = f'[{{"owner": "central", "public": {wrong}, "since_us": 5, "until_us": null}}]'
    line.take(CENTRAL_KEYS, CENTRAL, f'{{"keys": {keys}}}')
    line.take(HOLDS, PLANT, '{"holds": []}')
    assert line.incoming.refused == before + 1, "and what is signed by the former is believed"
    assert MISTAKE not in line.refusals[-1]


def test_one_issued_before_all_time_is_old_and_kept(line: Line) -> None:
    line.take(SYNC, AGENT, "{}", '"1795000600000000"', retained=False)  # central's clock is ahead of the line's
    line.take("work-order", "WO-9", '{"lot": "L"}', '"-9223372036854775808"')
    line.go_on()
    assert line.agent.documents.get("work-order", "WO-9") is not None


def test_a_watermark_ahead_of_all_rows_is_one_of_another_disk(line: Line) -> None:
    epochs = {line.agent.outbox.head().epoch}
    for _ in range(2):  # the second one behind rows of an epoch before
        line.mark(committed_through=f'"{2**63 - 1}"', hash=f'"{"ab" * 32}"')
        epochs.add(line.agent.outbox.head().epoch)
    assert len(epochs) == 3


def test_a_mistake_with_one_document_is_told_and_keeps_no_other_from_being_taken(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(kind: str, name: str) -> None:
        raise RuntimeError(f"a mistake with {kind} {name}")

    with monkeypatch.context() as patch:
        patch.setattr(line.agent.documents, "_on_change", fail)
        line.take("work-order", "WO-8", '{"lot": "L"}')
    assert MISTAKE in line.refusals[-1]
    assert "a mistake with work-order WO-8" in line.refusals[-1]
    before = line.incoming.refused
    line.take("work-order", "WO-7", '{"lot": "L"}')
    assert line.incoming.refused == before
    assert line.agent.documents.get("work-order", "WO-7") is not None
