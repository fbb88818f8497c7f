"""People, machines and reasons: what quality signed, against the lines' stations, on the page and for programs."""

from __future__ import annotations

import httpx

from central.ground import Ground
from records.configuration import ConfigurationRecord
from records.model import OperationsEvent
from tests.web.conftest import PASSWORD, Site, dhr_of, form_token

LISTS = {
    "people": [
        {"badge": "B000001", "name": "王伟", "operations": {"OP10": None, "OP20": "2020-01-01"}},
        {"badge": "B000002", "until": "2020-12-31", "operations": {"OP10": None}},
    ],
    "equipment": [
        {"equipment": "ASM-01", "calibrated_until": "2020-01-31", "overdue": "refuse"},
        {"equipment": "WELD-02", "blocked": "electrode holder cracked"},
    ],
    "reasons": {
        "hold": {"complaint": {"en": "Customer complaint", "zh-CN": "客户投诉"}},
        "release": {"judged-good": {"en": "Judged good"}},
        "rejection": {"contamination": {"en": "Contaminated", "zh-CN": "污染"}},
        "scrap": {"broken": {"en": "Broken"}},
    },
}


def load(own: Site) -> None:
    stations = {
        "assemble": {"equipment": "ASM-01", "operation": "OP10"},
        "weld": {"equipment": "WELD-01", "operation": "OP20"},
    }
    record = ConfigurationRecord("sha256:1", (), {"stations": stations}, "lotkeeper 1")
    loaded = OperationsEvent("configuration-loaded", {"file": "line.yaml", "hash": "sha256:1"})
    own.central.store.write(lambda c: [own.central.facts.state(c, data) for data in (record, loaded)])
    user = own.central.access.verify_password("chen.li", PASSWORD, origin="console", target="ground")
    parts = own.central
    ground = Ground(parts.store, parts.facts, parts.clock, lambda _, __: None)
    ground.load(LISTS, user, "training")  # type: ignore[arg-type]


def test_a_plant_without_lists_is_told_what_that_means(own: Site) -> None:
    page = own.signed_in("chen.li").get("/people").text
    for text in ("There is no list of people", "every badge may sign on", "There is no list of reasons"):
        assert text in page


def test_who_may_what_and_who_lacks_it_stands_on_the_page_and_in_the_interface(own: Site) -> None:
    load(own)
    client = own.signed_in("op")
    page = client.get("/people").text
    for text in (
        "王伟",
        "electrode holder cracked",
        "Not in the list",
        "Expired",
        "Nobody",
        "Customer complaint",
        "complaint",
    ):
        assert text in page, text
    program = own.program("read")
    first, second = program.get("/api/v1/people").json()["items"]
    assert (first["badge"], first["state"], first["lacks"], first["version"]) == ("B000001", "fit", ["OP20"], 1)
    assert [q["state"] for q in first["qualifications"]] == ["fit", "ended"]
    assert (second["state"], second["lacks"]) == ("ended", ["OP10", "OP20"])
    machines = {m["equipment"]: m for m in program.get("/api/v1/equipment").json()["items"]}
    assert {name: m["state"] for name, m in machines.items()} == {
        "ASM-01": "ended",
        "WELD-01": "unlisted",
        "WELD-02": "blocked",
    }
    assert [m["equipment"] for m in program.get("/api/v1/equipment?state=blocked").json()["items"]] == ["WELD-02"]
    reasons = program.get("/api/v1/reasons", params={"group": "hold"}).json()["items"]
    assert [(r["code"], r["texts"]["zh-CN"]) for r in reasons] == [("complaint", "客户投诉")]


def sign(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    page = client.get(path).text
    data = {"csrf": form_token(client, "/holds"), "user": "chen.li", "password": PASSWORD}
    mark = 'name="content_hash" value="'
    if mark in page:
        data["content_hash"] = page.partition(mark)[2][:64]
    return client.post(path.partition("?")[0], data=data | form)


def test_reasons_are_chosen_from_the_list_recorded_as_codes_and_read_in_the_reader_s_language(own: Site) -> None:
    load(own)
    client = own.signed_in("chen.li")
    new = "/holds/new?kind=lot&product=VS-100&held=WO-1001"
    assert '<option value="complaint">Customer complaint</option>' in client.get(new).text
    held = {"kind": "lot", "product": "VS-100", "held": "WO-1001", "act": "hold"}
    refused = sign(client, new, **held, reason="in own words")
    assert refused.status_code == 403
    assert "complaint" in refused.text
    answer = sign(client, new, **held, code="complaint", reason="4711")
    assert answer.status_code == 303, answer.text
    (hold,) = own.central.holds.standing()
    assert hold.reason == "complaint: 4711"
    assert "Customer complaint: 4711" in client.get("/holds").text
    trail = own.signed_in("audit").get("/audit").text
    assert f'<a href="/holds/{hold.id}">Hold {hold.id}</a>' in trail
    assert "Customer complaint: 4711" in trail
    assert "List of people" in trail
    assert "Customer complaint: 4711" in client.get(f"/records/{hold.hash}").text
    client.cookies.set("lk_language", "zh-CN")
    assert "客户投诉: 4711" in client.get("/holds").text
    client.cookies.set("lk_language", "en")
    path = f"/dhrs/{dhr_of(client, 'WO-1001')}"
    assert "WO-1001 is held by quality: Customer complaint: 4711" in client.get(path).text
    assert sign(client, f"/holds/{hold.id}", act="release", code="judged-good").status_code == 303
    assert "<dd>Judged good</dd>" in client.get(f"/holds/{hold.id}").text
    assert "Reason of a rejection" in client.get(path).text
    assert sign(client, path, meaning="rejected", reason="no code").status_code == 403
    answer = sign(client, path, meaning="rejected", code="contamination", user="mueller")
    assert answer.status_code == 303, answer.text
    assert "Contaminated" in client.get(path).text
    finding = next(f for f in own.central.reviews.findings() if f.open and f.subjects and f.kind == "exception")
    address = f"/findings/{finding.id}"
    assert "Reason of scrapping" in client.get(address).text
    again = sign(client, address, act="", code="broken")
    assert (again.status_code, '<option value="broken" selected>' in again.text) == (422, True)
    assert sign(client, address, act="scrap", code="broken").status_code == 303
    assert "Scrap decided · chen.li: Broken" in client.get(f"/dhrs/{dhr_of(client, finding.order)}").text
