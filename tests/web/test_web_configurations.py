"""A line file is seen with its difference and approved by signature, on the page and over the interface."""

from __future__ import annotations

import httpx
import story
from conftest import Site, form_token
from fixture_central import PASSWORD

from central.access import Actor
from records.model import Decision, OperationsEvent

AGENT = "testing-1"


def listed(client: httpx.Client) -> list[dict[str, object]]:
    found = client.get("/api/v1/configurations", params={"agent": AGENT}).json()["items"]
    return sorted(found, key=lambda one: not one["in_use"])


def sign(client: httpx.Client, path: str, **form: str) -> httpx.Response:
    page = client.get(path).text
    content_hash = page.split('name="content_hash" value="')[1][:64]
    data = {"csrf": form_token(client, path), "act": "approve", "content_hash": content_hash, "user": "chen.li"}
    return client.post(path, data=data | {"password": PASSWORD, "reason": "change 4711"} | form)


def approved(site: Site) -> list[object]:
    """What the agent was told, oldest first."""
    facts = site.central.store.facts(agent="central", codes=["document-issued"])
    told = [fact.fact.data.params for fact in facts if isinstance(fact.fact.data, OperationsEvent)]
    return [params["content"]["approved"] for params in told if params["kind"] == "configuration"]  # type: ignore[index,call-overload]


def test_the_page_shows_what_differs_and_takes_a_signature_for_exactly_that(own: Site) -> None:
    client = own.signed_in("chen.li")
    new, old = listed(client)
    path = f"/configurations/{AGENT}/{new['hash']}"
    page = client.get(path).text
    assert "-  leak_rate: {tag: leak_tester.leak_rate, chart: imr, limits: {fixed: {centre: 0.12" in page
    assert "upper: 0.20" in page
    assert str(new["hash"]) in page
    answer = sign(client, path)
    assert answer.status_code == 303
    now, _ = listed(client)
    assert (now["state"], now["decided_by"], now["reason"]) == ("approved", "chen.li", "change 4711")
    assert approved(own) == [[new["hash"]]]
    (fact,) = own.central.store.facts(agent="central", kinds=["decision"], codes=["approve"])
    decision = fact.fact.data
    assert isinstance(decision, Decision)
    assert decision.target.id == f"{AGENT}/{new['hash']}"
    assert decision.target.hash == new["record"]
    assert decision.signature is not None
    assert decision.signature.covers == new["content_hash"]
    assert sign(client, path, act="withdraw", reason="").status_code == 422
    assert sign(client, path, act="withdraw", reason="wrong limits").status_code == 303
    assert listed(client)[0]["state"] == "withdrawn"
    assert approved(own) == [[new["hash"]], []]
    assert sign(client, f"/configurations/{AGENT}/{old['hash']}").status_code == 303
    assert approved(own)[-1] == [old["hash"]]


REFUSED = (
    ({"password": "wrong"}, 403, "user or password is wrong"),
    ({"user": "op"}, 403, "may not give this signature"),
    ({"content_hash": "0" * 64}, 403, "not as it was shown"),
    ({"reason": " "}, 422, "Write the reason"),
    ({"act": "withdraw"}, 403, "not as it was shown"),
)


def test_what_is_refused_signs_nothing(own: Site) -> None:
    client = own.signed_in("chen.li")
    new, _ = listed(client)
    for form, status, text in REFUSED:
        answer = sign(client, f"/configurations/{AGENT}/{new['hash']}", **form)
        assert answer.status_code == status, form
        assert text in answer.text, form
    assert approved(own) == []
    assert listed(client)[0]["state"] == "proposed"
    reader = own.signed_in("op")
    page = reader.get(f"/configurations/{AGENT}/{new['hash']}").text
    assert "Your role can read them" in page
    assert 'name="content_hash"' not in page


def test_a_record_whose_bytes_have_another_hash_cannot_be_approved(own: Site) -> None:
    hash_ = story.line_file(own.central.plant, AGENT, "agent: testing-1\n", "sha256:" + "0" * 64)
    own.central.plant.now_us += 10_000_000
    own.central.deliver()
    client = own.signed_in("mueller")
    page = client.get(f"/configurations/{AGENT}/{hash_}").text
    assert "do not have its hash" in page
    assert 'name="content_hash"' not in page


def test_a_program_brings_a_person_s_signature(own: Site) -> None:
    reader, signer = own.program("read"), own.program("sign")
    new, _ = listed(reader)
    path = f"/api/v1/configurations/{AGENT}/{new['hash']}"
    whole = reader.get(path).json()
    assert whole["texts"] == {"line.yaml": story.LINE_FILE % "0.20"}
    assert any(line.startswith("+") and "0.20" in line for line in whole["difference"])
    body = {"user": "mueller", "password": PASSWORD, "reason": "r", "content_hash": whole["content_hash"]}
    assert reader.post(f"{path}/approvals", json=body).status_code == 403
    assert signer.post(f"{path}/approvals", json=body | {"password": "wrong"}).status_code == 403
    assert signer.post(f"{path}/approvals", json=body | {"user": "audit"}).status_code == 403
    answer = signer.post(f"{path}/approvals", json=body, headers={"idempotency-key": "once"})
    assert (answer.status_code, answer.json()["state"]) == (201, "approved")
    assert signer.post(f"{path}/approvals", json=body, headers={"idempotency-key": "once"}).json() == answer.json()
    assert signer.post(f"{path}/approvals", json=body).status_code == 409
    assert reader.get("/api/v1/configurations/testing-1/sha256:0").status_code == 404


def test_an_unapproved_line_file_of_a_production_agent_is_an_exception_of_the_lot(own: Site) -> None:
    client = own.signed_in("mueller")
    code = {"code": "configuration-not-approved", "limit": 500}
    assert client.get("/api/v1/exceptions", params=code).json()["items"] == []

    def bind(connection: object) -> None:
        params = {"kind": "agent-mode", "id": "assembly-1", "version": "1", "content": {"mode": "production"}}
        own.central.facts.state(connection, OperationsEvent("document-issued", params))  # type: ignore[arg-type]

    own.central.store.write(bind)
    own.central.settle()
    found = client.get("/api/v1/exceptions", params={**code, "lot": "WO-1001"}).json()["items"]
    assert {one["station"] for one in found} == {"assemble", "weld"}
    assert all(one["params"]["configuration"] == story.CONFIGURATION for one in found)
    assert client.get(f"/findings/{found[0]['id']}").status_code == 200


def test_the_audit_trail_names_who_approved_and_who_was_refused(own: Site) -> None:
    client = own.signed_in("chen.li")
    new, _ = listed(client)
    path = f"/configurations/{AGENT}/{new['hash']}"
    own.central.access.add_user("eng", "engineer", PASSWORD, by=Actor("console", "command line"))
    assert sign(client, path, user="eng").status_code == 403
    assert sign(client, path).status_code == 303
    auditor = own.signed_in("audit")
    codes = [entry["code"] for entry in auditor.get("/api/v1/audit").json()["items"]]
    assert "signature-refused" in codes
    assert "approve" in codes
    assert "Approved" in auditor.get("/audit").text
