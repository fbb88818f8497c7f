"""Pages as the server makes them: who may see them, what they say, and what happens to their forms."""

from __future__ import annotations

import html
import re
from pathlib import Path

import httpx
import pytest
from conftest import Site, dhr_of, form_token, site
from fastapi.routing import APIRoute
from fixture_central import PASSWORD, FixtureCentral
from markupsafe import escape
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoReaderFree
from starlette.routing import BaseRoute

from central.access import Access
from central.web import create_app
from central.web.pages.evidence import TABS
from records.errors import Busy, NoRoom, Problem, StorageFailed
from records.trouble import Trouble

OPEN = {"/sign-in", "/sign-out", "/preferences", "/static/{name}", "/healthz", "/metrics"}
PLACES = {"{dhr_id}": "x", "{name:path}": "x", "{reference:path}": "x", "{finding_id}": "x", "{chain_hash}": "ab"}


def _routes(routes: list[BaseRoute]) -> list[APIRoute]:
    found: list[APIRoute] = []
    for route in routes:
        if isinstance(route, APIRoute):
            found.append(route)
        found += _routes(list(getattr(route, "routes", []) or []))
    return found


def _paths(made: FixtureCentral) -> list[tuple[str, str]]:
    app = create_app(made)
    paths = app.openapi()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    found += [("GET", path) for path in ("/", "/orders", "/findings", "/dhrs", "/trace", "/audit", "/lines")]
    found += [("GET", "/spc"), ("GET", "/spc/x"), ("GET", "/spc/x/points.csv"), ("POST", "/spc/x/points/1")]
    places = ("/spc/x/limits", "/spc/x/limits/y", "/recipes/x")
    found += [("GET", "/recipes"), *((method, path) for path in places for method in ("GET", "POST"))]
    found.append(("GET", "/people"))
    found += [("GET", "/holds"), *((method, f"/holds/{x}") for x in ("new", "x") for method in ("GET", "POST"))]
    found += [("GET", "/telemetry"), ("GET", "/telemetry/a/b.c")]
    found += [("GET", "/configurations"), ("GET", "/configurations/a/b"), ("POST", "/configurations/a/b")]
    found += [("GET", path) for path in ("/orders/x", "/findings/x", "/dhrs/x", "/units/x/y", "/records/ab")]
    return [*found, ("POST", "/findings/x"), ("POST", "/dhrs/x")]


def test_every_route_wants_somebody_who_has_signed_in(shared: Site) -> None:
    client = shared.visitor()
    token = form_token(client, "/sign-in")
    paths = _paths(shared.central)
    assert len(paths) > 30
    for method, path in paths:
        for place in re.findall(r"\{[^}]+\}", path):
            path = path.replace(place, "x")
        answer = client.request(method, path, data={"csrf": token} if method == "POST" else None)
        if path.startswith("/api/"):
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
        else:
            assert answer.status_code == 303, (method, path)
            assert answer.headers["location"].startswith("/sign-in?next=%2F")


def test_the_pages_known_above_are_all_pages_there_are(shared: Site) -> None:
    schema = create_app(shared.central).openapi()["paths"]
    routed = {r.path for r in _routes(create_app(shared.central).router.routes)} - set(schema) - OPEN
    known = {"/", "/orders", "/findings", "/dhrs", "/trace", "/audit", "/lines", "/orders/{reference:path}"}
    known |= {"/spc", "/spc/{chart_id}", "/spc/{chart_id}/points.{kind}", "/spc/{chart_id}/points/{number}"}
    known |= {"/recipes", "/recipes/{recipe_id}", "/spc/{chart_id}/limits", "/spc/{chart_id}/limits/{set_id}"}
    known.add("/people")
    known |= {"/configurations", "/configurations/{agent}/{hash_}", "/holds", "/holds/new", "/holds/{hold_id}"}
    known |= {"/telemetry", "/telemetry/{agent}/{tag}"}
    known |= {"/findings/{finding_id}", "/dhrs/{dhr_id}", "/units/{dhr_id}/{name:path}", "/records/{chain_hash}"}
    assert routed - known <= {"/api/{path:path}"}


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_page_is_there_in_both_languages(quality: httpx.Client, language: str) -> None:
    spoken = {"cookie": f"lk_session={quality.cookies['lk_session']}; lk_language={language}"}
    lot = dhr_of(quality, "WO-1002")
    records = quality.get("/api/v1/operation-records", params={"station": "weld"}).json()["items"]
    finding = quality.get("/api/v1/exceptions", params={"code": "out-of-specification"}).json()["items"][0]
    pages = [
        "/",
        "/orders",
        "/orders/WO-1002",
        "/orders/WO-1004",
        "/findings?state=all",
        f"/findings/{finding['id']}",
    ]
    pages += ["/dhrs", *(f"/dhrs/{lot}?show={tab}" for tab in (*TABS, "all")), f"/units/{lot}/000034"]
    pages += [
        f"/records/{records[0]['hash']}",
        "/audit",
        "/lines",
        "/trace",
        "/trace?q=SR-2026-007",
        "/trace?q=zzz",
    ]
    for page in pages:
        answer = quality.get(page, headers=spoken)
        assert answer.status_code == 200, page
        assert f'<html lang="{language}"' in answer.text


def test_what_a_page_says_of_the_troubled_lot(quality: httpx.Client) -> None:
    lot = dhr_of(quality, "WO-1002")
    text = quality.get(f"/dhrs/{lot}").text
    for said in ("Out of specification", "Operation done twice", "Material lot expired", "Blockers to release"):
        assert said in text
    hash_ = quality.get(f"/api/v1/dhrs/{lot}").json()["content_hash"]
    assert text.count(hash_) >= 3  # what is signed, its form field, the footer
    records = quality.get(f"/dhrs/{lot}?show=records&operation=OP20").text
    assert "0.5350" in records
    assert '<th class="num">collapse<span class="unit">mm</span></th>' in records
    charts = quality.get(f"/dhrs/{lot}?show=charts").text
    assert charts.count("<svg xmlns") == 3  # location above range of three characteristics
    assert "9 points in a row on one side of the centre line" in charts


def test_a_signature_is_proposed_but_never_a_rejection(quality: httpx.Client) -> None:
    clean = quality.get(f"/dhrs/{dhr_of(quality, 'WO-1001')}").text
    assert re.search(r'value="reviewed"[^>]* checked', clean)
    troubled = quality.get(f"/dhrs/{dhr_of(quality, 'WO-1002')}").text
    assert not re.search(r'name="meaning"[^>]* checked', troubled)
    assert re.search(r'value="reviewed"[^>]* disabled', troubled)


def test_the_whole_record_holds_every_operation_and_part(quality: httpx.Client) -> None:
    text = quality.get(f"/dhrs/{dhr_of(quality, 'WO-1001')}?show=all").text
    for said in ("torque", "collapse", "leak_rate", "wash_temperature", "TRAY-001", "SR-2026-007", "LEAK-01"):
        assert said in text


def test_codes_are_translated_and_record_content_is_not(quality: httpx.Client) -> None:
    lot = dhr_of(quality, "WO-1002")
    text = quality.get(f"/dhrs/{lot}?show=equipment", headers={"accept-language": "zh-Hans,en;q=0.5"}).text
    assert "超出规格" in text
    assert "设备历史记录" in text
    assert "WELD-01" in text
    assert "leak_test" in text


def test_security_headers_and_no_inline_script_or_style(quality: httpx.Client) -> None:
    lot = dhr_of(quality, "WO-1002")
    answer = quality.get(f"/dhrs/{lot}?show=charts")
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert not re.search(r"\son[a-z]+=", answer.text)


def test_content_of_records_cannot_become_markup(own: Site) -> None:
    evil = "<img src=x onerror=alert(1)>"
    own.central.plant.event("OP10", "scan-refused", "WO-1003", scanner="s", reason="barcode-invalid", text=evil)
    own.central.deliver()
    own.central.settle()
    client = own.signed_in("chen.li")
    found = client.get("/api/v1/exceptions", params={"code": "barcode-invalid"}).json()["items"][0]
    text = client.get(f"/findings/{found['id']}").text
    assert evil not in text
    assert str(escape(evil)) in text
    assert evil not in client.get(f"/trace?q={evil}").text


# -- forms -------------------------------------------------------------------------------------------------


def test_a_forged_form_is_refused(shared: Site) -> None:
    client = shared.visitor()
    token = form_token(client, "/sign-in")
    data = {"user": "mueller", "password": PASSWORD}
    assert client.post("/sign-in", data=data).status_code == 403
    assert client.post("/sign-in", data=data | {"csrf": token + "x"}).status_code == 403
    elsewhere = {"origin": "https://elsewhere.example"}
    assert client.post("/sign-in", data=data | {"csrf": token}, headers=elsewhere).status_code == 403
    cross = {"origin": "null"}
    assert client.post("/sign-in", data=data | {"csrf": token}, headers=cross).status_code == 403
    assert client.post("/sign-in", data=data | {"csrf": token}).status_code == 303


def test_a_wrong_password_does_not_tell_whether_the_user_exists(shared: Site) -> None:
    client = shared.visitor()
    token = form_token(client, "/sign-in")
    texts = []
    for user in ("audit", "nobody"):
        answer = client.post("/sign-in", data={"csrf": token, "user": user, "password": "wrong wrong"})
        assert answer.status_code == 401
        texts.append(answer.text.replace(f'value="{user}"', ""))
    assert texts[0] == texts[1]
    assert "lk_session" not in client.cookies


def test_signing_in_leads_back_but_never_away(shared: Site) -> None:
    for asked, led in (
        ("/lines", "/lines"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil", "/"),
    ):
        client = shared.visitor()
        token = form_token(client, "/sign-in")
        data = {"csrf": token, "user": "audit", "password": PASSWORD, "next": asked}
        assert client.post("/sign-in", data=data).headers["location"] == led


def test_signing_out_ends_the_session(shared: Site) -> None:
    client = shared.signed_in("audit")
    cookie = client.cookies["lk_session"]
    assert client.post("/sign-out", data={"csrf": form_token(client, "/")}).status_code == 303
    client.cookies.set("lk_session", cookie)
    assert client.get("/").status_code == 303


def test_language_and_theme_are_remembered(shared: Site) -> None:
    client = shared.signed_in("audit")
    token = form_token(client, "/")
    for data in ({"language": "zh-CN"}, {"theme": "dark"}, {"language": "xx"}, {"theme": "pink"}):
        answer = client.post("/preferences", data={"csrf": token, "next": "/lines?x=1", **data})
        assert answer.headers["location"] == "/lines?x=1"
    assert '<html lang="zh-CN" data-theme="dark">' in client.get("/").text


def test_a_role_without_the_right_reads_and_does_not_decide(own: Site) -> None:
    client = own.signed_in("op")
    lot = dhr_of(client, "WO-1001")
    page = client.get(f"/dhrs/{lot}")
    assert page.status_code == 200
    assert 'name="password"' not in page.text
    assert client.get("/audit").status_code == 403
    finding = client.get("/api/v1/exceptions").json()["items"][0]["id"]
    data = {"csrf": form_token(client, "/"), "act": "close", "reason": "seen"}
    assert client.post(f"/findings/{finding}", data=data).status_code == 403


def test_a_finding_is_closed_with_act_and_reason(own: Site) -> None:
    client = own.signed_in("chen.li")
    shown = client.get("/api/v1/exceptions", params={"code": "lot-expired"}).json()["items"][0]
    finding = shown["id"]
    token = form_token(client, f"/findings/{finding}")
    assert client.post(f"/findings/{finding}", data={"csrf": token, "act": "close"}).status_code == 422
    data = {"csrf": token, "act": "close", "reason": "Lot was taken off the line, never mounted."}
    refused = client.post(f"/findings/{finding}", data=data | {"content_hash": "0" * 64})
    assert (refused.status_code, "Look at it again." in refused.text) == (409, True)
    assert ("never mounted." in refused.text, shown["content_hash"] in refused.text) == (True, True)
    data["content_hash"] = shown["content_hash"]
    assert client.post(f"/findings/{finding}", data=data).status_code == 303
    page = client.get(f"/findings/{finding}").text
    assert "never mounted." in page
    assert "chen.li" in page
    assert client.post(f"/findings/{finding}", data=data).status_code == 409
    assert "never mounted." in client.get("/audit").text


def _sign(client: httpx.Client, lot: str, user: str, meaning: str, **changed: str) -> tuple[int, str]:
    page = client.get(f"/dhrs/{lot}").text
    content = re.search(r'name="content_hash" value="([0-9a-f]{64})"', page)
    assert content is not None
    data = {
        "csrf": form_token(client, f"/dhrs/{lot}"),
        "content_hash": content[1],
        "meaning": meaning,
        "reason": "looked at",
        "user": user,
        "password": PASSWORD,
    } | changed
    answer = client.post(f"/dhrs/{lot}", data=data)
    return answer.status_code, answer.text


def test_a_clean_lot_is_reviewed_and_released_by_two_people(own: Site) -> None:
    client = own.signed_in("mueller")
    lot = dhr_of(client, "WO-1001")
    status, text = _sign(client, lot, "mueller", "released")
    assert status == 403
    assert "Signature missing: Reviewed" in text
    status, text = _sign(client, lot, "mueller", "reviewed", password="wrong")
    assert status == 403
    assert "user or password is wrong" in text
    assert _sign(client, lot, "op", "reviewed")[0] == 403
    assert _sign(client, lot, "chen.li", "reviewed")[0] == 303  # the signer need not be who has signed in
    assert _sign(client, lot, "chen.li", "released")[0] == 403
    assert _sign(client, lot, "mueller", "released")[0] == 303
    page = client.get(f"/dhrs/{lot}").text
    assert "Released" in page
    assert "Chen Li" in page
    assert "Anna Müller" in page
    assert 'name="password"' not in page
    codes = [e["code"] for e in client.get("/api/v1/audit").json()["items"]]
    assert codes.count("signature-refused") >= 3
    assert {"review", "release"} <= set(codes)


def test_a_page_that_is_no_longer_true_cannot_be_signed(own: Site) -> None:
    client = own.signed_in("chen.li")
    lot = dhr_of(client, "WO-1001")
    client.get(f"/dhrs/{lot}")
    page = client.get(f"/dhrs/{lot}").text
    content = re.search(r'name="content_hash" value="([0-9a-f]{64})"', page)
    assert content is not None
    own.central.plant.event("OP10", "device-lost", "WO-1001", device="assembler", address="a", error="e")
    own.central.deliver()
    own.central.settle()
    status, text = _sign(client, lot, "chen.li", "reviewed", content_hash=content[1])
    assert status == 409
    assert "Nothing was signed: the record changed" in text
    assert "exceptions and discrepancies" in text
    assert client.get(f"/api/v1/dhrs/{lot}/signatures").json()["items"] == []


def test_what_is_wrong_with_an_identity_is_told_in_the_language_of_the_page(own: Site) -> None:
    """Bug: it was English on Chinese pages."""
    why = Trouble.of("plant-must-sign", until="2027-01-31")
    told = {"what": "certificate", "why": why.whole, "trouble": why.to_json()}
    own.central.plant.event("OP10", "identity-warning", **told)
    own.central.deliver()
    client = own.signed_in("chen.li")
    (record,) = own.central.store.facts(codes=["identity-warning"])
    assert why.whole in html.unescape(client.get(f"/records/{record.hash}").text)
    client.cookies.set("lk_language", "zh-CN")
    chinese = client.get(f"/records/{record.hash}").text
    assert "工厂的证书颁发机构须在 2027-01-31 之前签发新的证书" in chinese
    assert re.search(r"事项</dt>\s*<dd[^>]*>证书</dd>", chinese)


def test_why_a_line_file_is_refused_is_told_in_the_language_of_the_page(own: Site) -> None:
    """Bug: it was English on Chinese pages."""
    unknown = Trouble.of("key-unknown", key="sitee").hinted(Trouble.of("did-you-mean", word="site"))
    problem = Problem("line.yaml", 2, 1, "sitee", str(unknown), str(unknown.hint), unknown)
    told = {"problems": [str(problem)], "troubles": [problem.told.to_json()]}
    own.central.plant.event("OP10", "configuration-refused", file="line.yaml", hash="sha256:1", **told)
    own.central.deliver()
    client = own.signed_in("chen.li")
    (record,) = own.central.store.facts(codes=["configuration-refused"])
    english = html.unescape(client.get(f"/records/{record.hash}").text)
    assert english.count("line.yaml:2:1: sitee: unknown key `sitee` (did you mean `site`?)") == 1
    client.cookies.set("lk_language", "zh-CN")
    chinese = client.get(f"/records/{record.hash}").text
    assert "line.yaml 第 2 行第 1 列，sitee：未知的键 `sitee`（是否应为 `site`？）" in chinese


def test_what_was_wrong_with_a_device_is_told_in_the_language_of_the_page(own: Site) -> None:
    """Bug: findings, events and records said it in English on Chinese pages, too."""
    silent = Trouble.of("away", where="assembler (10.0.0.5:502)", why=Trouble.of("no-answer", limit="1"))
    error = {"error": str(silent), "trouble": silent.to_json()}
    own.central.plant.event("OP10", "device-lost", "WO-1001", device="assembler", address="10.0.0.5:502", **error)
    own.central.deliver()
    own.central.settle()
    client = own.signed_in("chen.li")
    finding = client.get("/api/v1/exceptions", params={"code": "device-lost"}).json()["items"][0]
    record = finding["records"][0]
    lot = dhr_of(client, "WO-1001")
    pages = [f"/findings/{finding['id']}", "/findings", f"/dhrs/{lot}?show=events", f"/records/{record}"]
    english = [client.get(path).text for path in pages]
    client.cookies.set("lk_language", "zh-CN")
    chinese = [client.get(path).text for path in pages]
    for path, each, other in zip(pages, english, chinese, strict=True):
        assert "no answer (time-out 1 s)" in each, path
        assert "no-answer" not in each, path
        assert "assembler (10.0.0.5:502)：无应答（限时 1 秒）" in other, path
        assert path.startswith("/records/") or "no answer (time-out" not in other, path


def test_what_the_status_of_a_bad_value_means_is_told(own: Site) -> None:
    own.central.plant.event("OP10", "reading-bad", "WO-1001", tag="press.speed", status="BadIllegalAddress")
    own.central.deliver()
    own.central.settle()
    client = own.signed_in("chen.li")
    finding = client.get("/api/v1/exceptions", params={"code": "reading-bad"}).json()["items"][0]
    path = f"/findings/{finding['id']}"
    assert "BadIllegalAddress: the device has no such register (exception 2)" in client.get(path).text
    client.cookies.set("lk_language", "zh-CN")
    assert "BadIllegalAddress: 设备没有该寄存器（异常码 2）" in client.get(path).text


# -- odd requests ------------------------------------------------------------------------------------------


def test_errors_are_pages_for_people(quality: httpx.Client) -> None:
    for path, status in (("/nope", 404), ("/dhrs/none", 404), ("/records/zz", 404), ("/audit?before=x", 422)):
        answer = quality.get(path)
        assert answer.status_code == status, path
        assert "<!doctype html>" in answer.text
        assert "Traceback" not in answer.text
    assert "wrong form: before." in quality.get("/audit?before=x").text
    form = quality.get("/preferences")
    assert (form.status_code, "A form is sent here" in form.text) == (405, True)


@pytest.mark.parametrize(
    "error",
    [
        StorageFailed("central.db: the disk failed"),
        Busy("central.db: 1000 writes wait"),
        NoRoom("central.db: the disk is full: nothing was stored"),
        OperationalError("SELECT", {}, Exception("disk I/O error")),
        NoReaderFree("no connection is free"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_by_a_page(
    own: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    client = own.signed_in("mueller")

    def session(_access: Access, _token: str) -> None:
        raise error

    monkeypatch.setattr(Access, "session", session)
    answer = client.get("/dhrs")
    assert answer.status_code == 503
    assert "Central cannot use its database now" in answer.text
    assert str(error) not in answer.text


def test_a_body_that_is_too_large_is_not_read(quality: httpx.Client) -> None:
    assert quality.post("/sign-in", content=b"x" * 70_000).status_code == 413


def test_static_files_are_cached_under_their_hash(quality: httpx.Client) -> None:
    page = quality.get("/").text
    for address in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)):
        answer = quality.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert quality.get("/static/../site.py").status_code in (404, 422)


def test_an_empty_central_says_what_comes_next(tmp_path: Path) -> None:
    with site(tmp_path, lambda _plant: []) as empty:
        client = empty.signed_in("mueller")
        for path, said in (
            ("/dhrs", "No records yet"),
            ("/orders", "No work orders"),
            ("/findings", "No open findings"),
        ):
            assert said in client.get(path).text
