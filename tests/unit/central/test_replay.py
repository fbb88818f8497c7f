"""Charts judged again give what the line's own charts gave: over changeovers, other limits, closings, restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from chart_rig import unit
from pydantic import JsonValue

from central.limit_sets import LimitKey, limits_of
from central.replay import Compared, Replay
from central.stored import StoredFact
from edge_agent.chart_memory import ChartMemory
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.charting import Judged, Occasion, StationCharts
from edge_agent.papers import LIMIT_SETS, NO_PAPERS, RECIPE, Papers
from records.model import (
    Data,
    DocumentUse,
    Fact,
    Header,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Purpose,
    Quality,
    Reading,
    Result,
    SubjectResult,
    decode,
    encode,
    kind_of,
)
from records.wire import Document
from spc.stream import restart

START_US = 1_795_000_000_000_000
S = 1_000_000
LINE: dict[str, Any] = {
    "torque": {
        "tag": "plc.torque",
        "chart": "imr",
        "rules": ["nelson1", {"nelson2": {"window": 5}}],
        "limits": {"from": "phase1", "subgroups": 8},
    },
    "mean": {
        "tag": "plc.torque",
        "chart": "xbar_r",
        "subgroup": {"runs": 3, "after": "30s"},
        "limits": {"from": "phase1", "subgroups": 4},
    },
    "drift": {"tag": "plc.torque", "chart": "ewma", "limits": {"from": "phase1", "subgroups": 5}},
    "dents": {
        "tag": "plc.dents",
        "size": "plc.inspected",
        "chart": "u",
        "subgroup": {"lot": True},
        "limits": {"fixed": {"centre": 0.5, "version": "dents-1"}},
    },
    "heads": {
        "tag": "plc.torque",
        "chart": "imr",
        "position": {"tag": "plc.head"},
        "by": ["product", "position"],
        "limits": {"fixed": {"centre": 2.0, "lower": 1.7, "upper": 2.3, "version": "heads-1"}},
    },
    "deviation": {
        "tag": "plc.torque",
        "chart": "imr",
        "short_run": "z",
        "limits": {"fixed": {"centre": 0.0, "lower": -3.0, "upper": 3.0, "version": "z"}},
    },
}


@dataclass
class Line:
    """A station's charts, and the facts that it would commit."""

    settings: dict[str, Any] = field(default_factory=lambda: dict(LINE))
    memory: ChartMemory = field(default_factory=ChartMemory)
    papers: Papers = NO_PAPERS
    documents: list[Document] = field(default_factory=list)
    facts: list[StoredFact] = field(default_factory=list)
    resolved: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    configuration: str = ""
    at_us: int = START_US
    runs: int = 0

    def __post_init__(self) -> None:
        self.configure(self.settings)

    def configure(self, settings: dict[str, Any]) -> None:
        """Go over to these characteristics, as a reload does."""
        models = {name: CharacteristicSettings.model_validate(told) for name, told in settings.items()}
        was, self.configuration = self.configuration, f"sha256:{len(self.resolved)}"
        self.resolved[self.configuration] = {
            name: model.model_dump(mode="json", by_alias=True) for name, model in models.items()
        }
        self.charts = StationCharts(models, "valve-1")
        resumed = self.charts.resume(self.memory, self.papers)
        self.memory = resumed.memory
        self._state(*resumed.told)
        if was:
            params: dict[str, JsonValue] = {"was": was, "now": self.configuration, "charts": [*resumed.cut]}
            self._state(OperationsEvent("station-configured", params))

    def tell(self, kind: str, name: str, content: JsonValue) -> None:
        """A document of central arrives."""
        version = sum((one.kind, one.id) == (kind, name) for one in self.documents) + 1
        self.documents.append(Document(kind, name, version, self.at_us, content))
        newest = {(one.kind, one.id): one for one in self.documents}
        self.papers = Papers.of(newest.values())

    def run(
        self, value: float | None, *, product: str = "A", lot: str = "L1", head: str = "1", **how: Any
    ) -> None:
        self.runs += 1
        quality = how.get("quality", Quality.GOOD)
        told: dict[str, JsonValue] = {
            "torque": value,
            "dents": how.get("dents", 0),
            "inspected": how.get("inspected", 10),
            "head": head,
        }
        readings = {
            f"plc.{tag}": Reading(
                f"plc.{tag}",
                None if quality is Quality.BAD and tag == "torque" else found,
                None,
                "float64",
                quality if tag == "torque" else Quality.GOOD,
                "",
                None,
                None,
                self.at_us,
            )
            for tag, found in told.items()
        }
        occasion = Occasion(self.at_us, readings, (unit(self.runs),), "WO-1", lot, product, "C", "T1")
        choices = self.charts.chooser.of_run(occasion, self.papers)
        judged = self.charts.judge(self.memory, occasion, choices, self.papers)
        used = tuple(
            DocumentUse(kind, name, self.papers.version(kind, name) or 0, 0.0)
            for kind, name in self.charts.chooser.documents(occasion, choices, self.papers)
        )
        self._take(judged, self._record(occasion, judged, used))

    def _record(self, occasion: Occasion, judged: Judged, used: tuple[DocumentUse, ...]) -> OperationRecord:
        return OperationRecord(
            f"run-{self.runs}",
            "assemble",
            "ASM-01",
            "OP10",
            occasion.order,
            occasion.product,
            occasion.lot,
            Purpose.PRODUCTION,
            1,
            self.runs,
            self.at_us - S,
            self.at_us,
            Outcome.COMPLETED,
            (SubjectResult(occasion.subjects[0], Result.PASS),),
            readings=tuple(occasion.readings.values()),
            spc=judged.states,
            documents=used,
            product_revision="C",
            tool="T1",
        )

    def wait(self, seconds: float) -> None:
        self.at_us += round(seconds * S)
        self._take(self.charts.due(self.memory, self.at_us, self.papers))

    def restart(self, characteristic: str) -> None:
        """A person restarts the charts of a characteristic after a cause."""
        for name, stream in self.memory.streams.items():
            if stream.characteristic == characteristic:
                anew = replace(stream, state=restart(stream.state), opened_us=None)
                self.memory = replace(self.memory, streams={**self.memory.streams, name: anew})
                params: dict[str, JsonValue] = {"characteristic": characteristic, "stream": stream.key}
                self._state(OperationsEvent("chart-restarted", params))

    def _take(self, judged: Judged, record: OperationRecord | None = None) -> None:
        self.memory = judged.memory
        self._state(*judged.before, *(() if record is None else (record,)), *judged.after)

    def _state(self, *found: Data) -> None:
        for data in found:
            header = Header(self.at_us, 0, "suzhou", "valve-1", "assemble", "test", self.configuration)
            fact = decode(kind_of(data), encode(Fact(header, data)))  # as it is read back
            seq = len(self.facts) + 1
            self.facts.append(
                StoredFact("a-1", "e1", "records", seq, f"{seq:064x}", kind_of(data), fact, self.at_us, seq)
            )

    def again(self, facts: list[StoredFact] | None = None) -> list[Compared]:
        def content(kind: str, name: str, version: int) -> JsonValue:
            known = {(one.kind, one.id, one.version): one.content for one in self.documents}
            return known[kind, name, version]

        replay = Replay(lambda _agent, hash_: self.resolved.get(hash_ or ""), content)
        return [one for fact in facts or self.facts for one in replay.take(fact)]


def limits(name: str, product: str, lower: float, effective_us: int, version: int, line: str | None) -> JsonValue:
    key = LimitKey(name, line, product, "C", "T1")
    made = limits_of("imr", 1, {"centre": 2.0, "lower": lower, "upper": 4.0 - lower}, f"{key.id}:{version}")
    return {
        "id": key.id,
        "version": version,
        "line": line,
        "key": key.parts,
        "limits": made.to_json(),  # type: ignore[dict-item]  # JSON by its promise
        "effective_us": str(effective_us),
    }


def told(compared: list[Compared]) -> list[Any]:
    return [
        (one.characteristic, one.subgroup, one.why, dict(one.fields or {})) for one in compared if not one.equal
    ]


RECIPE_A: JsonValue = {
    "product": "A",
    "revision": "C",
    "characteristics": {"deviation": [{"specification": {"target": 2.0}, "sigma": 0.1}]},
}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_at_a_line_is_judged_alike_again(seed: int) -> None:
    chance = np.random.default_rng(seed)
    line = Line()
    line.tell(RECIPE, "A/C", RECIPE_A)
    product, lot = "A", "L1"
    acts: list[Callable[[], None]] = [
        lambda: line.wait(45),
        lambda: line.restart("drift"),
        lambda: line.restart("torque"),
        lambda: line.configure({**LINE, "torque": {**LINE["torque"], "rules": ["nelson1"]}}),
        lambda: line.configure(LINE),
        lambda: line.configure({name: own for name, own in LINE.items() if name != "drift"}),
        lambda: (line.configure({name: LINE[name] for name in ("torque", "mean")}), line.configure(LINE))[0],
        lambda: (
            line.configure({**LINE, "torque": {**LINE["torque"], "constants": "textbook"}}),
            line.configure(LINE),
        )[0],
        lambda: line.tell(
            LIMIT_SETS,
            "torque",
            {
                "characteristic": "torque",
                "sets": [
                    limits("torque", "A", 1.8, line.at_us, 1, None),
                    limits("torque", "A", 1.9, line.at_us + 20 * S, 2, "valve-1"),
                    limits("torque", "A", 0.5, line.at_us, 3, "other-line"),
                ],
            },
        ),
        lambda: line.tell(LIMIT_SETS, "torque", None),
    ]
    for step in range(160):
        line.wait(chance.uniform(1, 4))
        if chance.random() < 0.08:
            product = "AB"[chance.integers(2)]
        if chance.random() < 0.08:
            lot = f"L{step}"
        if chance.random() < 0.06:
            acts[chance.integers(len(acts))]()
        quality = [*[Quality.GOOD] * 20, Quality.UNCERTAIN, Quality.BAD][chance.integers(22)]
        value = round(float(chance.normal(2.0, 0.1)), 3)
        how = {"dents": int(chance.integers(4)), "inspected": (8, 10)[chance.integers(2)], "quality": quality}
        line.run(value, product=product, lot=lot, head="12"[chance.integers(2)], **how)
    compared = line.again()
    assert told(compared) == []
    assert len(compared) > 6 * 100
    states = {state.state for fact in line.facts for state in getattr(fact.fact.data, "spc", ())}
    assert {"in_control", "signal", "open", "gap", "collecting"} <= states


def test_a_stream_whose_beginning_is_not_held_says_so_until_nothing_earlier_matters() -> None:
    line = Line()
    for n in range(12):
        line.wait(1)
        line.run(2.0 + 0.01 * (n % 3))
    later = line.facts[12:]
    found = line.again(later)
    assert {one.why for one in found if one.characteristic in ("torque", "drift")} == {"begins-later"}
    for n in range(3):  # a changeover away and back: fixed limits need no past
        line.wait(1)
        line.run(2.0, product="B" if n == 0 else "A")
    found = line.again(line.facts[12:])
    assert told(found[-6:]) == told([one for one in found[-6:] if one.why])
    assert [one.why for one in found if one.characteristic == "heads"][-1] is None
    assert [one.why for one in found if one.characteristic == "torque" and "product=A" in one.stream][
        -1
    ] is not None


def test_a_recipe_that_gives_nothing_but_a_sigma_is_named_and_used() -> None:
    own = {**LINE["deviation"], "specification": {"lsl": 1.0, "target": 2.0}}
    line = Line({"deviation": own})
    sigma = {"deviation": [{"sigma": 0.1}]}
    line.tell(RECIPE, "A/C", {"product": "A", "revision": "C", "characteristics": sigma})
    line.run(2.1)
    (compared,) = line.again()
    assert compared.equal
    record = line.facts[0].fact.data
    assert isinstance(record, OperationRecord)
    assert [use.id for use in record.documents] == ["A/C"]
    assert record.spc[0].statistic == pytest.approx(1.0)


def test_what_judged_is_missing_says_so() -> None:
    line = Line()
    line.tell(LIMIT_SETS, "torque", {"characteristic": "torque", "sets": [limits("torque", "A", 1.8, 0, 1, None)]})
    line.run(2.0)
    assert told(line.again()) == []
    line.documents.clear()
    assert [one.why for one in line.again() if one.characteristic == "torque"] == ["document-unknown"]
    line.resolved.clear()
    assert {one.why for one in line.again()} == {"configuration-unknown"}


def test_records_of_before_streams_are_not_compared() -> None:
    line = Line()
    line.run(2.0)
    (fact,) = [one for one in line.facts if isinstance(one.fact.data, OperationRecord)]
    data = fact.fact.data
    assert isinstance(data, OperationRecord)
    old = replace(data, spc=tuple(replace(state, stream=None, segment=None) for state in data.spc))
    found = line.again([replace(fact, fact=replace(fact.fact, data=old))])
    assert {one.why for one in found} == {"before-streams"}


def test_an_agent_that_begins_anew_is_followed_and_one_that_lost_its_memory_is_not_judged() -> None:
    line = Line()
    for _ in range(4):
        line.wait(1)
        line.run(2.0)
    first = [one for one in line.facts if isinstance(one.fact.data, OperationRecord)]
    anew = Line()
    for n in range(4):
        anew.wait(1)
        anew.run(2.0 + 0.01 * n)
    second = [replace(one, epoch="e2", hash="f" + one.hash[1:]) for one in anew.facts]
    whole = [*line.facts, *second]
    assert told(line.again(whole)) == []
    lost = [one for one in second if isinstance(one.fact.data, OperationRecord)][2:]
    found = line.again([*first, *lost])
    assert {one.why for one in found if one.fact.epoch == "e2"} == {"memory-lost"}
