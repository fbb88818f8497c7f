"""What an agent computed over real drivers, central computes again; what was changed afterwards is found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from central.cli import app
from central.facts import Facts, Origin
from central.ingest import Ingest
from central.recompute import Recomputed, recompute
from central.store import agents, charts
from central.store.engine import Store
from records import chain
from records.clock import SystemClock
from records.configuration import ConfigurationRecord
from records.keys import KeyRing, PublicKey, SigningKey
from records.model import Data, OperationRecord, OperationsEvent, decode, encode
from records.wire import CENTRAL, Envelope, encode_frame, seal, up_topic
from tests.rigs.two_machines import AGENT, LOT, record

RUNS = 24
Change = Callable[[Data], Data]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[SigningKey, list[Envelope]]:
    return record(tmp_path_factory.mktemp("line"), RUNS)


def changed(envelopes: Sequence[Envelope], change: Change) -> list[Envelope]:
    """The same records but for what ``change`` makes of them, chained as a forger with the key would."""
    link = chain.first_hash(AGENT, envelopes[0].epoch, "records")
    found = []
    for one in envelopes:
        fact = decode(one.kind, one.body or b"")
        body = encode(replace(fact, data=change(fact.data)))
        sealed = seal(AGENT, one.epoch, "records", one.seq, one.schema, one.kind, body, link)
        found.append(sealed)
        link = sealed.hash
    return found


@contextmanager
def central(folder: Path, key: SigningKey, envelopes: Sequence[Envelope]) -> Iterator[Store]:
    """A central that has taken all of them."""
    own, clock = SigningKey.generate(), SystemClock()
    store = Store(folder / "central.db")
    try:
        origin = Origin("suzhou", "Asia/Shanghai", "test", None)
        ring = KeyRing([PublicKey(CENTRAL, own.public.hex())])
        facts = Facts(own, ring, clock, origin, folder / "anchors.jsonl")
        store.write(facts.open)
        store.write(lambda c: agents.enrol(c, AGENT, "p0", key.public.hex(), clock.now_us()))
        start = chain.first_hash(AGENT, envelopes[0].epoch, "records")
        taken = Ingest(store, facts, clock).take(
            up_topic("p0", AGENT, "records"), encode_frame(envelopes, start, key)
        )
        assert taken.result == "committed", taken
        yield store
    finally:
        store.close()


def again(
    folder: Path, recorded: tuple[SigningKey, list[Envelope]], change: Change = lambda data: data
) -> Recomputed:
    key, envelopes = recorded
    with central(folder, key, changed(envelopes, change)) as store, store.read() as connection:
        return recompute(connection, LOT)


def test_what_the_line_computed_is_computed_again(
    tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]
) -> None:
    found = again(tmp_path, recorded)
    assert found.to_json()["readings"] == {
        "compared": found.readings.compared,
        "equal": found.readings.compared,
        "not_comparable": 0,
        "reasons": {},
        "differ": [],
    }
    assert found.verdicts.differ == []
    assert found.verdicts.reasons == {}
    assert found.ok
    assert found.records >= 2 * RUNS
    assert found.readings.compared >= 5 * RUNS
    records = [decode(e.kind, e.body or b"").data for e in recorded[1]]
    told = [one for data in records if isinstance(data, OperationRecord) for one in data.spc]
    closings = [d for d in records if isinstance(d, OperationsEvent) and d.code == "spc-subgroup"]
    assert closings
    assert found.verdicts.compared == len(told) + len(closings)
    assert {"in_control", "collecting", "open"} <= {one.state for one in told}


def test_the_points_of_its_charts_are_those_that_the_line_closed(
    tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]
) -> None:
    key, envelopes = recorded
    with central(tmp_path, key, envelopes) as store, store.read() as connection:
        heads = {head.ref.characteristic: head for head in charts.heads(connection, "valve-1", "VS-100", None, 10)}
        points = {name: charts.points(connection, head.ref, limit=500) for name, head in heads.items()}
    assert {name: head.chart for name, head in heads.items()} == {
        "torque": "imr",
        "leak_rate": "xbar_r",
        "pressure": "ewma",
    }
    assert all(head.ref.key == {"product": "VS-100", "revision": "C"} for head in heads.values())
    assert [point.number for point in points["torque"]] == list(range(1, len(points["torque"]) + 1))
    assert len(points["torque"]) >= RUNS
    for point in points["leak_rate"]:
        values = [value for (value,) in point.readings if value is not None]
        assert (len(values), point.closed_by, point.subjects_total) == (3, "runs", 3)
        assert point.statistic == pytest.approx(sum(values) / 3)
    assert points["pressure"][-1].limit_version == "phase1-5"
    assert points["pressure"][-1].readings[0][0] != points["pressure"][-1].statistic  # z, not the value


def _at(station: str, number: int, change: Callable[[OperationRecord], OperationRecord]) -> Change:
    """Change the so-manieth record of a station."""
    seen = 0

    def changing(data: Data) -> Data:
        nonlocal seen
        if not isinstance(data, OperationRecord) or data.station != station:
            return data
        seen += 1
        return change(data) if seen == number else data

    return changing


def _read(data: OperationRecord, tag: str, **other: object) -> OperationRecord:
    """The record with another reading of this tag."""
    readings = tuple(replace(one, **other) if one.tag == tag else one for one in data.readings)  # type: ignore[arg-type]
    return replace(data, readings=readings)


def _value(data: OperationRecord) -> OperationRecord:
    (reading,) = [one for one in data.readings if one.tag == "tester.leak_rate"]
    assert isinstance(reading.value, float)
    return _read(data, reading.tag, value=math.nextafter(reading.value, math.inf))


def _verdict(data: OperationRecord) -> OperationRecord:
    (state,) = data.spc
    return replace(data, spc=(replace(state, state="signal", rules=("nelson1",)),))


def _statistic(data: OperationRecord) -> OperationRecord:
    (state,) = data.spc
    assert state.statistic is not None
    return replace(data, spc=(replace(state, statistic=state.statistic + 1e-6),))


def test_a_tampered_value_is_found(tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]) -> None:
    found = again(tmp_path, recorded, _at("leak", 20, _value))
    (one,) = found.readings.differ
    assert (one["tag"], one["station"]) == ("tester.leak_rate", "leak")
    assert one["recorded"] != one["recomputed"]
    assert not found.ok


@pytest.mark.parametrize("change", [_verdict, _statistic])
def test_a_tampered_verdict_is_found(
    tmp_path: Path,
    recorded: tuple[SigningKey, list[Envelope]],
    change: Callable[[OperationRecord], OperationRecord],
) -> None:
    found = again(tmp_path, recorded, _at("assemble", 20, change))
    (one,) = found.verdicts.differ
    assert one["characteristic"] == "torque"
    assert found.readings.differ == []


def test_a_reading_with_its_raw_bytes_tampered_is_found_by_its_chart(
    tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]
) -> None:
    """Who changes value and raw bytes alike still has the verdicts against them."""

    def both(data: OperationRecord) -> OperationRecord:
        return _read(data, "assembler.torque", value=2.5, raw="0b0000000000000440")

    found = again(tmp_path, recorded, _at("assemble", 20, both))
    assert found.readings.differ == []
    assert {one["characteristic"] for one in found.verdicts.differ} == {"torque"}


def test_a_scale_that_was_changed_in_the_configuration_is_found(
    tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]
) -> None:
    def change(data: Data) -> Data:
        if not isinstance(data, ConfigurationRecord):
            return data
        resolved = json.loads(json.dumps(data.resolved).replace('"scale": 1000.0', '"scale": 100.0'))
        return replace(data, resolved=resolved)

    found = again(tmp_path, recorded, change)
    assert {one["tag"] for one in found.readings.differ} == {"tester.leak_rate"}
    assert found.readings.differing == len(found.readings.differ) >= RUNS


def test_what_cannot_be_compared_says_why(tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]]) -> None:
    def change(data: Data) -> Data:
        if isinstance(data, ConfigurationRecord):
            return replace(data, resolved=None)
        return data

    found = again(tmp_path, recorded, change)
    assert not found.ok  # nothing proven is not fine
    assert not found.differing
    assert found.readings.compared == found.verdicts.compared == 0
    assert set(found.readings.reasons) == set(found.verdicts.reasons) == {"configuration-unknown"}

    def no_raw(data: OperationRecord) -> OperationRecord:
        return replace(data, readings=tuple(replace(one, raw=None) for one in data.readings))

    folder = tmp_path / "second"
    folder.mkdir()
    found = again(folder, recorded, _at("leak", 3, no_raw))
    assert set(found.readings.reasons) == {"no-raw"}


def test_the_command_tells_it(
    tmp_path: Path, recorded: tuple[SigningKey, list[Envelope]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("central.yaml").write_text('site: "suzhou"\ntime_zone: "Asia/Shanghai"\nfolder: "."\n')

    def said(*words: str) -> Any:
        return CliRunner().invoke(app, ["recompute", *words])

    key, envelopes = recorded
    with central(tmp_path, key, changed(envelopes, _at("assemble", 20, _verdict))):
        answer = said(LOT, "--json")  # while a server has the database open
        told = json.loads(answer.stdout)
        assert (answer.exit_code, told["ok"], told["lot"]) == (1, False, LOT)
        assert [one["characteristic"] for one in told["verdicts"]["differ"]] == ["torque"]
    answer = said(LOT)
    assert answer.exit_code == 1
    assert "NOT EQUAL: lot L-1" in answer.stdout
    assert "differs: torque point 20" in answer.stdout
    assert isinstance(said("no-such-lot").exception, Exception)
