"""Scans between the scanner and its stations: one answer each, after all that it concerns have said theirs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.base import ScanFrame
from edge_agent import acquire
from edge_agent.acquire import Machines, ScanDesk, by_device
from edge_agent.events import Answer, Scanned
from edge_agent.holds import Cause, Hold
from edge_agent.papers import Papers
from edge_agent.settings import LineSettings
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from edge_agent.ticket import Ticket
from records.errors import Unreachable
from records.model import LONGEST_ID, Purpose, Quality, Reading
from tests.unit.edge.stations import ASSEMBLE, LABEL, NOW_US, VS, papers, reading

UNIT = f"]d201{VS}10WO-1\x1d210001"
WELD = {
    "equipment": "WELD-01",
    "operation": "OP20",
    "order": {"tag": "welder.order"},
    "operator": {"scan": "scanner", "pattern": "B[0-9]{6}"},
    "trigger": {"tag": "welder.done", "acknowledge": "welder.ack", "cycle": "welder.cycle"},
    "subject": {"kind": "carrier", "tag": "welder.carrier"},
}


class Wand:
    """A scanner that reads what it is given; ``answers`` is what its operator saw."""

    def __init__(self, *frames: ScanFrame | str, deaf: bool = False) -> None:
        self._frames = [f if isinstance(f, ScanFrame) else frame(f) for f in frames]
        self._deaf = deaf
        self.answers: list[bool] = []

    async def frames(self) -> AsyncIterator[ScanFrame]:
        for one in self._frames:
            yield one

    async def answer(self, accepted: bool) -> None:
        if self._deaf:
            raise Unreachable("scanner: unplugged")
        self.answers.append(accepted)


def frame(text: str, error: str | None = None) -> ScanFrame:
    return ScanFrame(text.encode(), "" if error else text, NOW_US, error)


@dataclass
class Post:
    """A station's runner that answers each scan by a rule; None: says nothing."""

    name: str
    settings: Any
    rule: Callable[[Scanned], bool | None]
    desk: list[ScanDesk]
    machines: Reader
    seen: list[Scanned] = field(default_factory=list)
    holds: tuple[Hold, ...] = ()

    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        return await self.machines.read(tags)

    @property
    def station(self) -> Station:
        return Station(self.name, StationSettings.model_validate(self.settings), {})

    async def post(self, event: Scanned, ticket: Ticket) -> None:
        self.seen.append(event)
        said = self.rule(event)
        if said is not None:
            ticket.decide()
            answer = Answer(event.scanner, said, event.number)
            asyncio.get_running_loop().call_soon(self.desk[0].answered, answer)


class Reader:
    """The machines: readings by tag, or the device is away."""

    def __init__(self, **values: object) -> None:
        self.values = values

    async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
        if not self.values:
            raise Unreachable("plc (10.0.0.5): no answer")
        quality = Quality.BAD if self.values.get("bad") else Quality.GOOD
        return {tag: reading(tag, self.values.get("carrier"), quality) for tag in tags}  # type: ignore[arg-type]


class Known:
    """The outbox: which unit is which carrier's."""

    def __init__(self, carrier: str | None = None) -> None:
        self.carrier = carrier
        self.asked: list[tuple[str | None, str, str]] = []

    def identity(self, product: str | None, scheme: str, unit: str) -> str | None:
        self.asked.append((product, scheme, unit))
        return self.carrier


def work(
    wand: Wand,
    *stations: tuple[Any, Callable[[Scanned], bool | None]],
    machines: Reader | None = None,
    outbox: Known | None = None,
    holds: tuple[Hold, ...] = (),
    known: Papers | None = None,
    zone: str = "UTC",
    schemes: Mapping[str, re.Pattern[str]] | None = None,
) -> list[Post]:
    """Let the scanner read everything; gives the stations as they were left."""
    desks: list[ScanDesk] = []
    reader = machines or Reader(carrier="C-1")
    posts = [Post(f"station {n}", settings, rule, desks, reader) for n, (settings, rule) in enumerate(stations)]
    posts[-1].holds = holds
    desk = ScanDesk(
        "scanner",
        wand,  # type: ignore[arg-type]
        posts,  # type: ignore[arg-type]
        outbox or Known(),  # type: ignore[arg-type]
        lambda: known or papers(),
        zone,
        schemes or {},
    )
    desks.append(desk)
    asyncio.run(desk.run())
    return posts


def yes(_: Scanned) -> bool:
    return True


def no(_: Scanned) -> bool:
    return False


def test_a_scan_goes_to_the_stations_that_it_concerns_and_to_no_other() -> None:
    wand = Wand("WO-1", "B000001")
    assemble, weld = work(wand, (ASSEMBLE, yes), (WELD, yes))
    assert [scan.text for scan in assemble.seen] == ["WO-1", "B000001"]
    assert [scan.text for scan in weld.seen] == ["B000001"]
    assert wand.answers == [True, True]


@pytest.mark.parametrize("refusing", [0, 1])
def test_one_of_two_stations_refuses_and_the_operator_is_told_no(refusing: int) -> None:
    wand = Wand("B000001", "B000001")
    rules = [yes, yes]
    rules[refusing] = no  # type: ignore[assignment]
    posts = work(wand, (ASSEMBLE, rules[0]), (WELD, rules[1]))
    assert [len(post.seen) for post in posts] == [2, 2]
    assert wand.answers == [False, False]


def test_a_scan_that_nobody_understands_is_recorded_by_one_station() -> None:
    wand = Wand("???")
    posts = work(wand, (ASSEMBLE, no), (WELD, no))
    assert [len(post.seen) for post in posts] == [1, 0]
    assert wand.answers == [False]


def test_a_unit_of_another_scheme_is_looked_for_by_its_scheme() -> None:
    """Its carrier and what it was married to before are known to the station, as for a GS1 label."""
    subject = {
        "kind": "unit",
        "scan": "scanner",
        "scheme": "own",
        "field": "serial",
        "carrier": "plc.carrier",
        "products": [{"item": "VS-100", "match": {"di": "VS"}}],
    }
    settings = LABEL | {"order": {"scan": "scanner", "field": "lot"}, "subject": subject}
    schemes = {"own": re.compile("(?P<di>VS)(?P<lot>WO-1)(?P<serial>[0-9]{4})")}
    outbox = Known("WO-1/C-1")
    (post,) = work(Wand("VSWO-10007"), (settings, yes), outbox=outbox, schemes=schemes)
    (scan,) = post.seen
    assert (scan.barcode.scheme, scan.carrier, scan.known_as) == ("own", "C-1", "WO-1/C-1")
    assert outbox.asked == [("VS-100", "own", "0007")]


def test_a_frame_with_an_error_says_why_and_is_no_text() -> None:
    wand = Wand(frame("B000001", "incomplete"))
    (post,) = work(wand, (ASSEMBLE, no))
    (scan,) = post.seen
    assert (scan.barcode.error, scan.text, scan.raw) == ("incomplete", "", b"B000001")


def test_no_answer_is_a_no_and_the_next_scan_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acquire, "ANSWER_LIMIT_S", 0.01)
    wand = Wand("WO-1", "WO-2")
    work(wand, (ASSEMBLE, lambda scan: None if scan.text == "WO-1" else True))
    assert wand.answers == [False, True]


def test_an_answer_that_comes_late_does_not_count_for_the_next_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A station that was held up accepts the first scan while the second one waits, and refuses the second."""
    monkeypatch.setattr(acquire, "ANSWER_LIMIT_S", 0.05)
    wand = Wand("WO-1", "WO-9")
    desks: list[ScanDesk] = []

    def late(scan: Scanned) -> bool | None:
        if scan.text == "WO-1":
            return None
        desks[0].answered(Answer("scanner", True, scan.number - 1))
        return False

    post = Post("assemble", ASSEMBLE, late, desks, Reader(carrier="C-1"))
    desk = ScanDesk("scanner", wand, [post], Known(), papers)  # type: ignore[list-item,arg-type]
    desks.append(desk)
    asyncio.run(desk.run())
    assert wand.answers == [False, False]


def test_an_answer_that_nobody_waits_for_is_nothing() -> None:
    desk = ScanDesk("scanner", Wand(), [], Known(), papers)  # type: ignore[arg-type]
    desk.answered(Answer("scanner", True, 1))


def test_the_same_label_twice_is_asked_twice_and_answered_twice() -> None:
    wand = Wand("WO-1", "WO-1")
    (post,) = work(wand, (ASSEMBLE, yes))
    assert [scan.number for scan in post.seen] == [1, 2]
    assert wand.answers == [True, True]


def test_a_scanner_that_is_gone_costs_the_answer_and_nothing_else() -> None:
    wand = Wand("WO-1", "B000001", deaf=True)
    (post,) = work(wand, (ASSEMBLE, yes))
    assert [scan.text for scan in post.seen] == ["WO-1", "B000001"]


def test_a_scanner_of_no_station_is_told_no() -> None:
    wand = Wand("WO-1")
    other = LABEL | {"order": {"scan": "x", "pattern": "W.*"}, "operator": None, "permit": None}
    other["subject"] = {"kind": "carrier", "tag": "plc.carrier"}
    (post,) = work(wand, (other, yes))
    assert post.seen == []
    assert wand.answers == [False]


def test_a_label_comes_with_its_carrier_and_what_is_known_of_it() -> None:
    outbox = Known("WO-1/C-9")
    (post,) = work(Wand(UNIT), (LABEL, yes), machines=Reader(carrier=" C-1 "), outbox=outbox)
    (scan,) = post.seen
    assert (scan.carrier, scan.known_as, scan.number) == ("C-1", "WO-1/C-9", 1)
    assert outbox.asked == [("VS-100", "gs1", "0001")]


@pytest.mark.parametrize(
    "machines",
    [Reader(), Reader(carrier=""), Reader(carrier="C-1", bad=True), Reader(carrier="C" * (LONGEST_ID + 1))],
    ids=["away", "empty", "bad", "longer than an identifier"],
)
def test_a_carrier_that_cannot_be_read_is_none_and_never_the_last_one(machines: Reader) -> None:
    (post,) = work(Wand(UNIT), (LABEL, yes), machines=machines)
    assert post.seen[0].carrier is None


def test_a_scan_carries_the_day_of_the_plant() -> None:
    (post,) = work(Wand("WO-1"), (ASSEMBLE, yes), zone="Asia/Shanghai")
    assert post.seen[0].utc_offset_min == 480


# -- machines ----------------------------------------------------------------------------------------------


def test_tags_are_grouped_by_device_in_order() -> None:
    assert by_device(["a.x", "b.y", "a.z"]) == {"a": ("x", "z"), "b": ("y",)}


@dataclass
class Written:
    values: list[tuple[str, object]] = field(default_factory=list)

    async def write(self, tag: str, value: object) -> None:
        self.values.append((tag, value))


def test_only_a_tag_that_can_be_written_and_is_no_station_s_own_may_be_freed() -> None:
    tags = [
        {"name": name, "address": n, "register": "coil", "access": access}
        for n, (name, access) in enumerate(
            (("done", "read"), ("ack", "write"), ("hold", "write"), ("permit", "write"), ("old", "write"))
        )
    ]
    station = {
        "equipment": "P",
        "operation": "OP10",
        "trigger": {"tag": "plc.done", "acknowledge": "plc.ack", "repeat_possible": True},
        "order": {"scan": "scanner", "pattern": "WO-.*"},
        "subject": {"kind": "carrier", "tag": "plc.done"},
        "permit": {"tag": "plc.permit", "needs": ["order"]},
        "hold": {"tag": "plc.hold"},
    }
    device = {"driver": "modbus_tcp", "host": "127.0.0.1", "tags": tags}
    line = LineSettings.model_validate(
        {
            "agent": "a",
            "site": "s",
            "line": "l",
            "devices": {"plc": device, "unused": device},
            "stations": {"press": station},
        }
    )
    machines = Machines({"plc": Written()}, line)  # type: ignore[dict-item]
    named = ("plc.old", "plc.done", "plc.ack", "plc.hold", "plc.permit", "plc.gone", "unused.old")
    assert [tag for tag in named if machines.may_free(tag)] == ["plc.old"]


def test_a_register_without_booleans_takes_one_or_zero() -> None:
    line = LineSettings.model_validate(
        {
            "agent": "a",
            "site": "s",
            "line": "l",
            "devices": {
                "plc": {
                    "driver": "modbus_tcp",
                    "host": "127.0.0.1",
                    "tags": [
                        {"name": "ack", "address": 1, "access": "write"},
                        {"name": "coil", "address": 1, "register": "coil", "access": "write"},
                    ],
                }
            },
        }
    )
    plc = Written()
    machines = Machines({"plc": plc}, line)  # type: ignore[dict-item]
    asyncio.run(machines.write("plc.ack", True))
    asyncio.run(machines.write("plc.coil", True))
    assert [(tag, type(value)) for tag, value in plc.values] == [("ack", int), ("coil", bool)]


@pytest.mark.parametrize(
    ("ref", "mode", "held", "purpose"),
    [
        ("unit|VS-100|gs1|0001", 2, "h-1", Purpose.REWORK),
        ("unit|VS-100|gs1|0001", 1, "h-1", Purpose.PRODUCTION),
        ("carrier||plant|C-1", 1, "h-1", Purpose.PRODUCTION),
        ("unit|VS-100|gs1|0002", 1, None, None),
    ],
)
def test_a_unit_that_another_station_holds_comes_with_its_hold_and_what_it_is_to_be_run_for(
    ref: str, mode: int, held: str | None, purpose: Purpose | None
) -> None:
    class Machine(Reader):
        async def read(self, tags: tuple[str, ...]) -> Mapping[str, Reading]:
            return {tag: reading(tag, mode if tag == "plc.mode" else "C-1") for tag in tags}

    settings = LABEL | {"purpose": {"tag": "plc.mode", "values": {1: "production", 2: "rework"}}}
    hold = Hold("h-1", "hold_unit", Cause("torque", "", "nelson1"), 1, NOW_US, "WO-1", (ref,))
    post, _ = work(Wand(UNIT), (settings, yes), (WELD, yes), machines=Machine(), holds=(hold,))
    (scan,) = post.seen
    assert (scan.held, scan.purpose, scan.carrier) == (held, purpose, "C-1")


def test_a_unit_without_a_carrier_is_held_too_and_a_silent_machine_says_no_purpose() -> None:
    subject = {"kind": "unit", "scan": "scanner", "ai": "21"}
    settings = LABEL | {"subject": subject, "purpose": {"tag": "plc.mode", "values": {2: "rework"}}}
    hold = Hold("h-1", "hold_unit", Cause("torque", "", "nelson1"), 1, NOW_US, "WO-1", ("unit|VS-100|gs1|0001",))
    post, _ = work(Wand(UNIT), (settings, yes), (WELD, yes), machines=Reader(), holds=(hold,))
    assert [(scan.held, scan.purpose) for scan in post.seen] == [("h-1", None)]
