"""A hold's whole way: a station's signal, its buffer, central's ingest, the review that it blocks, a person."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import story
from conftest import Site, dhr_of, form_token, site

from central.links.base import ErpOrder, OrderOperation
from central.store import agents
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.events import Lift
from edge_agent.outbox import Outbox
from edge_agent.runner import StationRunner
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from records.clock import FakeClock
from records.keys import SigningKey
from records.model import Data, Fact, Header
from records.wire import encode_frame, sign, state_topic, up_topic
from tests.rigs.outboxes import open_outbox
from tests.unit.edge.stations import ASSEMBLE, papers, plain
from tests.unit.edge.test_runner import World, shows, until

AGENT = "press-1"
SETTINGS: dict[str, Any] = ASSEMBLE | {
    "subject": {"kind": "unit", "tag": "plc.serial"},
    "materials": [],
    "permit": {"tag": "plc.permit", "needs": ["order"]},
    "hold": {"tag": "plc.hold"},
}
TORQUE = CharacteristicSettings.model_validate(
    {
        "tag": "plc.torque",
        "chart": "imr",
        "rules": ["nelson1"],
        "limits": {"fixed": {"centre": 2.2, "lower": 2.05, "upper": 2.35, "version": "t1"}},
        "specification": {"lsl": 1.8, "usl": 2.6},
        "reactions": {"nelson1": ["hold_unit", "hold_station", {"escalate": "process-engineer"}]},
    }
)
BADGE = "B123456"


class Press:
    """A station at work: a real runner with a real buffer, over a machine of memory."""

    def __init__(self, folder: Path, now_us: int) -> None:
        self.world, self.clock, self.key = World(), FakeClock(now_us), SigningKey.generate()
        self.outbox: Outbox = open_outbox(folder, self.clock, agent=AGENT)
        core = Station("assemble", StationSettings.model_validate(SETTINGS), {"torque": TORQUE}, line="valve-1")
        self.runner = StationRunner(
            core,
            self.world,
            self.outbox,
            papers,
            self.fact,
            self.world.answer,
            self.clock,
            lambda _: None,
        )

    def fact(self, data: Data, name: str | None) -> Fact:
        return Fact(Header(self.clock.now_us(), 480, "suzhou", "valve-1", name, "test", None), data)

    async def cycle(self, number: int, serial: str, torque: float) -> None:
        self.clock.advance(10)
        self.world.plc["cycle"] = number
        self.world.shown |= {"plc.serial": serial, "plc.torque": torque}
        shows(self.runner, done=True)
        await until(lambda: self.runner.status.phase == "waiting")
        shows(self.runner, done=False)
        await until(lambda: self.runner.status.phase == "idle")

    async def lift(self, kind: str, unit: str | None = None) -> None:
        self.clock.advance(60)
        hold = next(each.id for each in self.runner.holds if each.kind == kind)
        reply = await self.runner.act(lambda number: Lift(number, hold, BADGE, "heater 2 changed", unit))
        assert reply.refused is None

    def work(self) -> None:
        async def scene() -> None:
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(self.runner.run())
                shows(self.runner, done=False, running=False)
                await self.runner.post(plain("WO-1"))
                for number, (serial, torque) in enumerate((("S1", 2.25), ("S2", 2.37), ("S3", 2.38)), 1):
                    await self.cycle(number, serial, torque)
                await self.lift("hold_unit", "S2")
                await self.lift("hold_station")
                await self.cycle(4, "S4", 2.3)
                task.cancel()

        asyncio.run(scene())

    def deliver(self, site: Site) -> None:
        central = site.central
        central.clock.advance(max(0.0, (self.clock.now_us() - central.clock.now_us()) / 1e6 + 2))
        public = self.key.public.hex()
        central.store.write(lambda c: agents.enrol(c, AGENT, "p0", public, self.clock.now_us()))
        while (run := self.outbox.next_run(self.outbox.acknowledged()[0], 3, 1 << 20)) is not None:
            frame = encode_frame(run.envelopes, run.previous, self.key)
            taken = central.ingest.take(up_topic("p0", AGENT, "records"), frame)
            assert taken.result == "committed", taken
            assert taken.watermark is not None
            self.outbox.apply(taken.watermark)
        central.ingest.take(state_topic(AGENT), sign(self.outbox.head(), self.key))
        central.settle()


def ordered(_: story.Plant) -> list[ErpOrder]:
    steps = (OrderOperation("OP10", 10, "Assemble"),)
    return [ErpOrder("1", "WO-1", "71", "VS-100", Decimal(4), "u", "running", steps, (), expiry="2029-11-18")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("held")
    (folder / "central").mkdir()
    with site(folder / "central", ordered) as opened:
        press = Press(folder / "edge", story.START_US)
        press.work()
        press.deliver(opened)
        press.outbox.close()
        yield opened


def exceptions(client: httpx.Client) -> dict[str, list[dict[str, Any]]]:
    """The exceptions by code, by the pieces that they name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in client.get("/api/v1/exceptions", params={"limit": 200}).json()["items"]:
        found.setdefault(str(item["code"]), []).append(item)
    for items in found.values():
        items.sort(key=named)
    return found


def named(item: dict[str, Any]) -> list[str]:
    return [subject["id"] for subject in item["subjects"]]


def rows(text: str, below: str = "") -> list[str]:
    """The rows of a page's tables as text; of the one below these words, where they are given."""
    tables = text[text.index(below) :].partition("</table>")[0] if below else text
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r"<tr.*?</tr>", tables, re.S)]


def test_every_exception_names_its_pieces(made: Site) -> None:
    found = exceptions(made.signed_in("mueller"))
    assert {code: [named(item) for item in items] for code, items in found.items()} == {
        "spc-signal": [["S2"], ["S3"]],
        "unit-held": [["S2"], ["S3"]],
        "station-held": [["S2"]],
        "escalated": [["S2"], ["S3"]],
        "ran-while-held": [["S3"]],
        "unit-released-at-station": [["S2"]],
        "station-hold-lifted": [[]],
    }
    assert {item["order"] for items in found.values() for item in items} == {"WO-1"}
    assert found["escalated"][0]["params"]["to"] == "process-engineer"
    assert found["station-hold-lifted"][0]["params"]["by"] == BADGE


@pytest.mark.parametrize(
    ("language", "said", "codes"),
    [
        (
            "en",
            "What control charts said later",
            (
                "Unit held after a signal",
                "Station held after a signal",
                "Held unit released at the station",
                "Hold of the station lifted",
                "Overridden",
            ),
        ),
        (
            "zh-CN",
            "控制图随后的判定",
            (
                "因报警信号扣留的产品",
                "因报警信号停用的工位",
                "被扣留的产品已在工位放行",
                "工位扣留已解除",
                "已强制通过",
            ),
        ),
    ],
)
def test_holds_and_their_ends_stand_on_the_pages_of_unit_lot_and_audit(
    made: Site, language: str, said: str, codes: tuple[str, ...]
) -> None:
    client = made.signed_in("mueller")
    spoken = {"cookie": f"lk_session={client.cookies['lk_session']}; lk_language={language}"}

    def page(path: str) -> str:
        answer = client.get(path, headers=spoken)
        assert answer.status_code == 200, path
        return answer.text

    lot = dhr_of(client, "WO-1")
    told = {serial: rows(page(f"/units/{lot}/{serial}"), said) for serial in ("S2", "S3")}
    count = {serial: [sum(f" {code} " in row for row in told[serial]) for code in codes] for serial in told}
    assert count == {"S2": [1, 1, 1, 1, 2], "S3": [1, 0, 0, 0, 0]}
    assert said not in page(f"/units/{lot}/S1")
    for row in told["S2"]:
        if any(code in row for code in codes[2:]):
            assert f"{BADGE} · heater 2 changed" in row
    for path in (f"/dhrs/{lot}?show=audit", "/audit?code=override"):
        acts = [row for row in rows(page(path)) if codes[-1] in row]
        assert len(acts) == 2, path
        assert all(BADGE in row and "heater 2 changed" in row for row in acts)


def test_an_override_leads_to_the_hash_of_what_it_overrides(made: Site) -> None:
    client = made.signed_in("mueller")
    events = {code: made.central.store.facts(codes=[code], agent=AGENT) for code in ("unit-held", "station-held")}
    unit, station = made.central.store.facts(codes=["override"], agent=AGENT, order="WO-1")
    for fact, of in ((unit, events["unit-held"]), (station, events["station-held"])):
        text = client.get(f"/records/{fact.hash}").text
        assert {each.hash for each in of} == set(re.findall(r'<dd><a href="/records/([0-9a-f]{64})">', text))
        assert 'href="/orders/WO-1"' in text
    assert len(events["unit-held"]) == 2


def test_nothing_is_released_until_a_person_has_closed_what_was_held(made: Site) -> None:
    client = made.signed_in("chen.li")
    lot = dhr_of(client, "WO-1")

    def blockers(kind: str = "blockers") -> dict[str, Any]:
        return {b["code"]: b["params"] for b in client.get(f"/api/v1/dhrs/{lot}").json()[kind]}

    found = exceptions(client)
    held = found.pop("unit-held")
    _close(client, *(item for items in found.values() for item in items))
    assert blockers()["quantity-open"] == {"have": "2", "need": "4"}
    assert blockers("review_blockers")["exceptions-open"] == {"open": 2, "total": 10}
    _close(client, held[0])  # the one that the line itself has released: that was not quality's word
    assert blockers()["quantity-open"] == {"have": "3", "need": "4"}
    _close(client, held[1])
    assert blockers("review_blockers") == {}
    assert "quantity-open" not in blockers()


def _close(client: httpx.Client, *findings: dict[str, Any]) -> None:
    for finding in findings:
        at = f"/findings/{finding['id']}"
        data = {"csrf": form_token(client, at), "act": "close", "reason": "heater changed, pieces measured again"}
        data["content_hash"] = finding["content_hash"]
        assert client.post(at, data=data).status_code == 303
