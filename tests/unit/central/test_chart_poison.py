"""What agents write wrong about charts is kept and shown, and never stops central or moves another's points."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chart_rig import ChartRig, closing, run, verdict
from core_rig import HEADER, rig

from records.model import Act, Data, Decision, Fact, Person, StoredAs, Target, encode, kind_of

WRONG = [
    "--5",
    "²",
    "9" * 40,
    9**90,
    -(2**70),
    float("inf"),
    float("nan"),
    -1,
    True,
    None,
    [],
    {},
    [None],
    "",
    "zz",
]


@pytest.fixture
def charts(tmp_path: Path) -> Iterator[ChartRig]:
    with rig(tmp_path) as central:
        yield ChartRig(central)


def body(data: Data, *place: str | int, put: object) -> bytes:
    """The bytes of a record with something else at one place."""
    header = replace(HEADER, station="assemble", stored_as=StoredAs("e", 1, "ab"))
    told: Any = json.loads(encode(Fact(header, data)))
    held = told
    for step in place[:-1]:
        held = held[step]
    held[place[-1]] = put
    return json.dumps(told).encode()


CLOSED = closing(1, 3, [1, 2], "lot", statistic=2.0, range_statistic=0.2, sample=2, lower=1.5, upper=2.5, centre=2)
JUDGED = run(3, 2.0, verdict(3, 2.0, spread=0.2))
EXCLUDED = Decision(
    Act.EXCLUDE,
    Target("chart-point", "x", "ab"),
    Person("a"),
    "why",
    new={"chart": "x", "segment": 1, "subgroup": 1},
)
PLACES: list[tuple[Data, tuple[str | int, ...]]] = [
    *((CLOSED, ("data", "params", name)) for name in CLOSED.params),
    *(
        (JUDGED, ("data", "spc", 0, name))
        for name in ("subgroup", "position", "size", "segment", "statistic", "rules")
    ),
    *((JUDGED, ("data", "readings", 0, name)) for name in ("value", "data_type")),
    (JUDGED, ("header", "stored_as", "hash")),
    *((EXCLUDED, ("data", "new", name)) for name in ("chart", "segment", "subgroup")),
    (EXCLUDED, ("data", "target", "hash")),
]


def test_wrong_words_about_charts_do_not_stop_the_chain(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1])
    whole_numbers = body(replace(JUDGED, readings=()), "data", "spc", 0, "segment", put=1)
    bodies = [(data, body(data, *place, put=put)) for data, place in PLACES for put in WRONG]
    digits = replace(JUDGED.readings[0], data_type="int64", value="many")
    bodies += [(JUDGED, whole_numbers), (JUDGED, encode(Fact(HEADER, replace(JUDGED, readings=(digits,)))))]
    for data, told in bodies:
        charts.agent.write_body(kind_of(data), told)
    charts.commit()
    for head in charts.charts.heads():
        charts.charts.points(head.ref, limit=5000)
        charts.charts.versions(head.ref)


def test_only_central_leaves_a_point_out(charts: ChartRig) -> None:
    charts.singles([2.0, 2.1])
    (head,) = charts.charts.heads()
    assert head.last is not None
    told = {"chart": head.id, "segment": head.last.segment, "subgroup": head.last.subgroup, "cause": "unknown"}
    target = Target("chart-point", "its name", head.last.ref.hash)
    charts.commit(Decision(Act.EXCLUDE, target, Person("an agent"), "why", new=told))
    point = charts.charts.points(head.ref)[-1]
    assert (point.excluded, point.cause, point.notes) == (False, None, ())
