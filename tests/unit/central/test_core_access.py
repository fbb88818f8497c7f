"""Accounts, sessions, tokens, and the trail that every act leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from central.access import Access, Actor, Capability, Limits, Role, Scope, SignInRefused
from central.audit import Audit
from central.store.schema import metadata
from records.errors import ConfigurationError, Invalid, Refused
from records.model import Act, Decision, Person, Signature, Target
from tests.rigs import stores
from tests.rigs.uplinks import until
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Rig

pytestmark = pytest.mark.both_stores

ADMIN = Actor("admin", "10.0.0.9")
PASSWORD = "correct horse"
LIMITS = Limits(idle_s=600, longest_s=3600, attempts=3, locked_s=300)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


@pytest.fixture
def access(rig: Rig) -> Access:
    made = Access(rig.store, rig.facts, rig.clock, LIMITS)
    made.add_user("li.na", "qa", PASSWORD, by=ADMIN, name="Li Na")
    return made


def trail(rig: Rig) -> list[tuple[str, str | None, str | None]]:
    return [(e.code, e.user, e.origin) for e in reversed(Audit(rig.store).entries())][1:]


def refused(access: Access, password: str = "wrong", user: str = "li.na") -> str:
    with pytest.raises(SignInRefused) as error:
        access.sign_in(user, password, origin="10.0.0.1")
    return error.value.reason


def test_a_session_from_beginning_to_end(rig: Rig, access: Access) -> None:
    signed_in = access.sign_in("li.na", PASSWORD, origin="10.0.0.1")
    session = access.session(signed_in.cookie)
    assert session is not None
    assert (session.user.name, session.user.role) == ("Li Na", Role.QA)
    assert access.session("another cookie") is None
    access.sign_out(signed_in.cookie, origin="10.0.0.1")
    assert access.session(signed_in.cookie) is None
    assert trail(rig) == [
        ("user-added", "admin", "10.0.0.9"),
        ("signed-in", "li.na", "10.0.0.1"),
        ("signed-out", "li.na", "10.0.0.1"),
    ]


def test_a_session_ends_when_idle_and_at_the_latest(rig: Rig, access: Access) -> None:
    cookie = access.sign_in("li.na", PASSWORD, origin="x").cookie
    rig.clock.advance(601)
    assert access.session(cookie) is None
    cookie = access.sign_in("li.na", PASSWORD, origin="x").cookie
    for _ in range(6):
        rig.clock.advance(590)
        assert access.session(cookie) is not None
    rig.clock.advance(61)
    assert access.session(cookie) is None


def test_who_only_reads_does_not_wait_behind_a_write_that_waits_itself(rig: Rig, access: Access) -> None:
    """Bug: once a minute a person's page noted that it was seen, and waited for what held up all writes."""
    cookie = access.sign_in("li.na", PASSWORD, origin="x").cookie
    rig.clock.advance(590)
    released = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = rig.store.submit(lambda _: released.wait(60))
        try:
            until(lambda: rig.store.under_way_s > 0)
            assert pool.submit(access.session, cookie).result(timeout=20) is not None
        finally:
            released.set()
        assert waiting.result()
    rig.store.write(lambda _: None)
    rig.clock.advance(590)
    assert access.session(cookie) is not None, "what it could not wait for is stored all the same"


def test_a_plant_keeps_passwords_at_the_costs_of_rfc_9106(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("central.access.PasswordHasher", PasswordHasher)
    plant = Access(rig.store, rig.facts, rig.clock, LIMITS)
    plant.add_user("li.na", "qa", PASSWORD, by=ADMIN)
    ((kept,),) = stores.by_hand(tmp_path, "SELECT password_hash FROM account")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert plant.sign_in("li.na", PASSWORD, origin="10.0.0.1").cookie


def test_wrong_passwords_lock_for_a_while(rig: Rig, access: Access) -> None:
    assert [refused(access) for _ in range(3)] == ["wrong", "wrong", "locked"]
    assert refused(access, PASSWORD) == "locked"
    rig.clock.advance(301)
    assert access.sign_in("li.na", PASSWORD, origin="x").session.user.id == "li.na"
    codes = [code for code, _, _ in trail(rig)]
    assert codes == ["user-added", *["sign-in-refused"] * 3, "account-locked", "sign-in-refused", "signed-in"]
    reasons = [e.params.get("reason") for e in reversed(Audit(rig.store).entries(code="sign-in-refused"))]
    assert reasons == ["wrong-password"] * 3 + ["locked"]


def test_a_right_password_begins_the_count_anew(access: Access) -> None:
    for _ in range(4):
        assert refused(access) == "wrong"
        access.sign_in("li.na", PASSWORD, origin="x")


def test_guessing_in_parallel_locks_too(access: Access) -> None:
    with ThreadPoolExecutor(4) as pool:
        reasons = list(pool.map(lambda _: refused(access), range(8)))
    assert reasons.count("wrong") == 2


def test_signing_counts_wrong_passwords_as_well(rig: Rig, access: Access) -> None:
    with pytest.raises(SignInRefused):
        access.verify_password("li.na", "wrong", origin="10.0.0.1", target="dhr 1")
    assert access.verify_password("li.na", PASSWORD, origin="10.0.0.1", target="dhr 1").id == "li.na"
    (entry,) = Audit(rig.store).entries(code="signature-refused")
    assert (entry.user, entry.params["target"], entry.params["reason"]) == ("li.na", "dhr 1", "wrong-password")


def test_nobody_learns_which_users_there_are(rig: Rig, access: Access) -> None:
    with pytest.raises(SignInRefused) as unknown:
        access.sign_in("nobody", PASSWORD, origin="x")
    with pytest.raises(SignInRefused) as wrong:
        access.sign_in("li.na", "wrong", origin="x")
    assert str(unknown.value) == str(wrong.value)
    assert Audit(rig.store).entries(user="nobody")[0].params["reason"] == "user-unknown"


def test_a_closed_account_stays_closed_and_its_id_taken(rig: Rig, access: Access) -> None:
    cookie = access.sign_in("li.na", PASSWORD, origin="x").cookie
    access.disable_user("li.na", by=ADMIN)
    assert access.session(cookie) is None
    assert refused(access, PASSWORD) == "wrong"
    with pytest.raises(Refused, match="is or was"):
        access.add_user("li.na", "operator", PASSWORD, by=ADMIN)
    with pytest.raises(Invalid):
        access.disable_user("nobody", by=ADMIN)


def test_a_new_password_unlocks_and_ends_sessions(access: Access) -> None:
    cookie = access.sign_in("li.na", PASSWORD, origin="x").cookie
    for _ in range(3):
        refused(access)
    access.change_password("li.na", "another password", by=ADMIN)
    assert access.session(cookie) is None
    assert access.sign_in("li.na", "another password", origin="x")
    assert refused(access, PASSWORD) == "wrong"


@pytest.mark.parametrize(
    ("user", "role", "password"),
    [
        ("Li Na", "qa", PASSWORD),
        ("", "qa", PASSWORD),
        ("x", "boss", PASSWORD),
        ("x", "qa", "short"),
        ("x", "qa", "l" * 2000),
    ],
)
def test_what_cannot_be_an_account(access: Access, user: str, role: str, password: str) -> None:
    with pytest.raises(ConfigurationError):
        access.add_user(user, role, password, by=ADMIN)


def test_tokens_are_told_once(rig: Rig, access: Access) -> None:
    secret = access.create_token("erp", "write", by=ADMIN)
    token = access.token(secret)
    assert token is not None
    assert (token.name, token.scope.allows(Scope.READ), token.scope.allows(Scope.SIGN)) == ("erp", True, False)
    assert access.token(secret + "x") is None
    access.revoke_token("erp", by=ADMIN)
    assert access.token(secret) is None
    assert [t.revoked for t in access.tokens()] == [True]
    with pytest.raises(Refused):
        access.create_token("erp", "read", by=ADMIN)
    with pytest.raises(ConfigurationError):
        access.create_token("other", "everything", by=ADMIN)
    rig.store.close()
    content = str([stores.by_hand(rig.folder, f'SELECT * FROM "{table}"') for table in metadata.tables])
    assert "erp" in content
    assert secret not in content
    assert PASSWORD not in content


def test_who_may_what(access: Access) -> None:
    may = {
        user.role: user for user in (access.add_user(f"u{n}", r, PASSWORD, by=ADMIN) for n, r in enumerate(Role))
    }
    assert [r for r in Role if may[r].may(Capability.RELEASE)] == [Role.QA_MANAGER]
    assert [r for r in Role if may[r].may(Capability.REVIEW)] == [Role.QA, Role.QA_MANAGER]
    assert [r for r in Role if may[r].may(Capability.ADMINISTER)] == [Role.ADMIN]
    assert not access.disable_user(may[Role.QA_MANAGER].id, by=ADMIN).may(Capability.RELEASE)


def test_the_trail_shows_decisions_and_is_read_in_pages(rig: Rig, access: Access) -> None:
    signature = Signature("li.na", "Li Na", "reviewed", 1, "00" * 32)
    decision = Decision(Act.REVIEW, Target("dhr", "d1"), Person("li.na", "qa"), "complete", signature=signature)
    rig.store.write(lambda c: rig.facts.state(c, decision))
    for _ in range(5):
        access.sign_in("li.na", PASSWORD, origin="x")
    audit = Audit(rig.store)
    everything = audit.entries()
    pages, before = [], None
    while page := audit.entries(before=before, limit=3):
        pages += page
        before = page[-1].cursor
    assert pages == everything
    (found,) = audit.entries(code="review")
    assert (found.user, found.params["meaning"], found.params["id"]) == ("li.na", "reviewed", "d1")
    assert len(audit.entries(user="admin")) == 1
