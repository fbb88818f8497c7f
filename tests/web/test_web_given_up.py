"""A lot whose records were given up is shown as it was judged last, in place of what its retention left of it."""

from __future__ import annotations

import pytest
from conftest import Site, dhr_of

from central.access import Actor, Role, User
from central.retention import Retention
from central.settings import RetentionSettings

QA = User("chen.li", "Chen Li", Role.QA, False, 0, 0)
MANAGER = User("mueller", "Anna Müller", Role.QA_MANAGER, False, 0, 0)


@pytest.mark.parametrize(
    ("language", "says", "act"),
    [("en", "they were past their retention", "The act"), ("zh-CN", "其记录已超过保存期限", "删除操作记录")],
)
def test_its_pages_and_the_interface_say_so(own: Site, language: str, says: str, act: str) -> None:
    central = own.central
    client = own.program("read")
    id_ = dhr_of(client, "WO-1001")
    for meaning, user in (("reviewed", QA), ("released", MANAGER)):
        record = central.reviews.get(id_)
        assert record is not None
        central.reviews.sign(id_, meaning, user, "", record.content_hash)
    settings = RetentionSettings.model_validate({"telemetry": "30d", "records": "1d"})
    # what the other orders need would be kept: they are decided too
    for order in ("WO-1002", "WO-1003"):
        record = central.reviews.get(dhr_of(client, order))
        assert record is not None
        central.reviews.sign(record.id, "rejected", MANAGER, "not needed", record.content_hash)
    central.clock.advance(3 * 86_400)
    done = Retention(central.store, central.facts, central.clock, settings).apply(
        by=Actor("anna", "test"), reason="as SOP-17 says"
    )
    assert done.records > 50
    browser = own.signed_in("chen.li")
    browser.cookies.set("lk_language", language)
    content = next(row.content_hash for row in central.reviews.queue() if row.id == id_)
    for place in (f"/dhrs/{id_}", f"/dhrs/{id_}?show=all", "/orders/WO-1001"):
        page = browser.get(place)
        assert page.status_code == 200, page.text
        assert says in page.text, place
        assert act in page.text, place
        assert content in page.text, place
        assert 'id="blockers"' not in page.text
        assert "judged when it arrived" not in page.text, "there are no records any more"
        assert "本批次每条记录到达时均已判定" not in page.text
        assert "/findings/" not in page.text.partition("<main")[2], place
    found = browser.get("/trace", params={"q": "WO-1001"})
    assert says in found.text, "bug: what was found said nothing of it"
    unit = browser.get(f"/units/{id_}/000003")
    assert (unit.status_code, unit.headers.get("location")) == (303, f"/dhrs/{id_}"), (
        "bug: as if it had never been"
    )
    lots = {"en": "The records of 3 lots were given up", "zh-CN": "有 3 个批次的记录已超过保存期限"}[language]
    assert lots in browser.get("/trace", params={"q": "000003"}).text
    rejected = browser.get(f"/dhrs/{dhr_of(client, 'WO-1002')}").text
    assert 'id="findings"' in rejected, "what was found is still told"
    assert 'class="button primary" href="/findings/' not in rejected, "nobody has to decide it any more"
    told = client.get(f"/api/v1/dhrs/{id_}").json()
    assert told["given_up"]["by"] == "anna"
    listed = client.get("/api/v1/dhrs").json()["items"]
    assert {row["lot"]: row["given_up"] is not None for row in listed}["WO-1001"]
