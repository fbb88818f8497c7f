"""A lot with gaps and an agent that was revoked, as people see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import story
from conftest import Site, dhr_of, site
from fixture_central import erp_order

from central.links.base import ErpOrder
from central.store import agents
from records.model import EpochOpened

MISSING = "3–5, 8–12"


def gaps(plant: story.Plant) -> list[ErpOrder]:
    """Six pieces; the first machine runs three times, then five times, without anybody knowing."""
    story.begin(plant, "WO-1001", "VB-2026-031", "SR-2026-007")
    serials = [f"{n:06d}" for n in range(6)]
    for n, serial in enumerate(serials):
        plant.cycles["OP10"] += {2: 3, 4: 5}.get(n, 0)
        plant.run("OP10", "WO-1001", [story.carrier(n)])
        plant.run("OP20", "WO-1001", [story.carrier(n)])
        plant.run("OP30", "WO-1001", [story.unit(serial)], materials=story._married(n, serial))
    plant.run("OP40", "WO-1001", [story.unit(serial) for serial in serials])
    return [erp_order(1, 6)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("gaps"), gaps) as opened:
        yield opened


def chinese(client: httpx.Client, path: str) -> str:
    spoken = {"cookie": f"lk_session={client.cookies['lk_session']}; lk_language=zh-CN"}
    return client.get(path, headers=spoken).text


def test_the_certificate_and_its_finding_name_the_cycles_that_are_missing(made: Site) -> None:
    client = made.signed_in("mueller")
    page = f"/dhrs/{dhr_of(client, 'WO-1001')}?show=certificate"
    assert f'8<div class="stretches">{MISSING}</div>' in client.get(page).text
    found = client.get("/api/v1/discrepancies", params={"code": "certificate-incomplete"}).json()["items"]
    assert len(found) == 1
    for text in (client.get(f"/findings/{found[0]['id']}").text, chinese(client, f"/findings/{found[0]['id']}")):
        assert f"<dd>assemble: {MISSING}</dd>" in text


def test_a_gap_certificate_says_what_to_do_and_leads_to_its_finding_and_back(made: Site) -> None:
    client = made.signed_in("mueller")
    dhr = dhr_of(client, "WO-1001")
    found = client.get("/api/v1/discrepancies", params={"code": "certificate-incomplete"}).json()["items"][0]["id"]
    page = f"/dhrs/{dhr}?show=certificate"
    for text, action in (
        (client.get(page).text, "A lot with an unexplained gap must not be released."),
        (chinese(client, page), "缺口原因不明的批次不得放行。"),
    ):
        evidence = text.partition('id="evidence"')[2]
        assert action in evidence
        assert f'href="/findings/{found}"' in evidence
    assert f'href="/dhrs/{dhr}?show=certificate#evidence"' in client.get(f"/findings/{found}").text


def test_the_events_of_a_record_say_what_they_tell(made: Site) -> None:
    client = made.signed_in("mueller")
    page = f"/dhrs/{dhr_of(client, 'WO-1001')}?show=events"
    assert "Item SR-20 · Lot SR-2026-007" in client.get(page).text
    assert "物料 SR-20 · 批次 SR-2026-007" in chinese(client, page)
    dated = re.compile(r">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</time>")
    assert dated.search(client.get(page.replace("show=events", "show=all")).text), "on paper with the date"
    assert not dated.search(client.get(page).text)
    assert f"Gap in the records · Not accounted for assemble: {MISSING}" in client.get(page).text


def test_an_agent_that_was_revoked_is_not_called_connected(made: Site) -> None:
    now_us = made.central.clock.now_us()
    made.central.store.write(lambda c: agents.revoke(c, "testing-1", "PC stolen", "mueller", now_us))
    client = made.signed_in("mueller")
    states = {one["agent"]: one for one in client.get("/api/v1/agents").json()["items"]}
    assert (states["testing-1"]["state"], states["testing-1"]["healthy"]) == ("revoked", False)
    assert states["assembly-1"]["state"] == "online"
    assert "Revoked" in client.get("/lines").text
    assert "已吊销" in chinese(client, "/lines")
    for page in ("/", "/lines"):
        assert "Enrol it again where the line still runs" in client.get(page).text


class DeadPc(story.Agent):
    """Its last head is from before its successor."""

    def head(self, at_us: int) -> bytes:
        return super().head(at_us - 3_600_000_000)


class NewPc(story.Agent):
    """It knows of the PC before it what central told."""

    @property
    def epoch(self) -> str:
        return "5eff" * 6


def a_dead_pc(plant: story.Plant) -> list[ErpOrder]:
    """Between two pieces the PC of the first machines is replaced."""
    story.begin(plant, "WO-1001", "VB-2026-031", "SR-2026-007")
    for n in range(2):
        if n == 1:
            old = plant.agents["assembly-1"]
            new, last = NewPc(old.name), old.envelopes[-1]
            why = EpochOpened("rolled_back", old.epoch, last.seq, last.hash.hex())
            new.write(plant.tick(1), None, why)
            plant.agents = {
                "the dead one": DeadPc(old.name, old.key, old.envelopes),
                **plant.agents,
                old.name: new,
            }
        plant.run("OP10", "WO-1001", [story.carrier(n)])
        plant.run("OP20", "WO-1001", [story.carrier(n)])
        plant.run("OP30", "WO-1001", [story.unit(f"{n:06d}")], materials=story._married(n, f"{n:06d}"))
    plant.run("OP40", "WO-1001", [story.unit(f"{n:06d}") for n in range(2)])
    return [erp_order(1, 2)]


def test_a_certificate_says_why_it_is_incomplete_where_nothing_is_missing(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with site(tmp_path_factory.mktemp("dead"), a_dead_pc) as opened:
        client = opened.signed_in("mueller")
        page = f"/dhrs/{dhr_of(client, 'WO-1001')}?show=certificate"
        assert "nobody knows what had been made last" in client.get(page).text
        assert "请将原磁盘上的全部记录导出并导入" in chinese(client, page)


def under_way(plant: story.Plant) -> list[ErpOrder]:
    """Six pieces of an order are under way; on one machine a cycle went by that nobody knows of."""
    story.begin(plant, "WO-1001", "VB-2026-031", "SR-2026-007")
    for n in range(6):
        plant.cycles["OP10"] += {2: 3}.get(n, 0)
        plant.run("OP10", "WO-1001", [story.carrier(n)])
    return [erp_order(1, 12)]


def test_the_certificate_of_a_lot_under_way_is_shown_before_anybody_must_decide_about_it(tmp_path: Path) -> None:
    with site(tmp_path, under_way) as made:
        client = made.signed_in("mueller")
        assert client.get("/api/v1/discrepancies", params={"code": "certificate-incomplete"}).json()["items"] == []
        answer = client.get(f"/dhrs/{dhr_of(client, 'WO-1001')}?show=certificate")
        assert answer.status_code == 200
        assert "A lot with an unexplained gap must not be released." in answer.text.partition('id="evidence"')[2]
