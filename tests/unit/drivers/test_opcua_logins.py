"""Which of the ways to log in that a server lists is taken: the best, and none that would bare a password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.crypto import security_policies as policies

from drivers.opcua.security import GuardedClient, Party
from drivers.tags import OpcUaSecurity
from records.errors import Refused

NONE = policies.SecurityPolicyNone.URI
STRONG = policies.SecurityPolicyBasic256Sha256.URI
OLD = policies.SecurityPolicyBasic128Rsa15.URI
USER, CERTIFICATE, ANONYMOUS = ua.UserTokenType.UserName, ua.UserTokenType.Certificate, ua.UserTokenType.Anonymous


def client(mode: str, *ways: tuple[ua.UserTokenType, str], clear: bool = False, insecure: bool = False) -> Any:
    """A client on a channel of this mode whose server lists these ways to log in."""
    policy = "None" if mode == "None" else "Basic256Sha256"
    security = OpcUaSecurity.model_validate(
        {
            "policy": policy,
            "mode": mode,
            "allow_insecure": insecure or policy == "None",
            "trust_list": Path("trusted"),
            "auth": {"username": "line", "password": "env:X", "send_in_clear": clear},
        }
    )
    found: Any = GuardedClient("opc.tcp://h:4840", security, Party(), 0)
    if policy != "None":
        found.security_policy = type("Channel", (), {"URI": STRONG})()
    found._policy_ids = [
        ua.UserTokenPolicy(PolicyId=f"{n}", TokenType=kind, SecurityPolicyUri=uri)
        for n, (kind, uri) in enumerate(ways)
    ]
    return found


def taken(found: Any, kind: ua.UserTokenType = USER) -> tuple[str, str]:
    way = found.server_policy(kind)
    return way.PolicyId, way.SecurityPolicyUri


@pytest.mark.parametrize(
    ("mode", "ways", "expected"),
    [
        ("Sign", [(USER, NONE), (USER, STRONG)], ("1", STRONG)),  # not the first one that is listed
        ("Sign", [(USER, OLD), (USER, "")], ("1", STRONG)),  # an empty one is the channel's
        ("SignAndEncrypt", [(ANONYMOUS, ""), (USER, NONE)], ("1", NONE)),  # the channel hides it
        ("SignAndEncrypt", [(USER, NONE), (USER, STRONG)], ("1", STRONG)),
        ("None", [(USER, NONE), (USER, STRONG)], ("1", STRONG)),
    ],
)
def test_a_password_takes_the_way_that_protects_it_best(
    mode: str, ways: list[tuple[ua.UserTokenType, str]], expected: tuple[str, str]
) -> None:
    assert taken(client(mode, *ways)) == expected


@pytest.mark.parametrize(("mode", "uri"), [("None", NONE), ("Sign", NONE), ("Sign", OLD), ("SignAndEncrypt", OLD)])
def test_a_password_is_not_sent_where_nothing_protects_it(mode: str, uri: str) -> None:
    with pytest.raises(Refused, match="it takes a user name with a password only with policy"):
        client(mode, (USER, uri)).server_policy(USER)


def test_what_is_allowed_by_name_is_the_last_choice() -> None:
    assert taken(client("Sign", (USER, NONE), clear=True)) == ("0", NONE)
    assert taken(client("Sign", (USER, NONE), (USER, STRONG), clear=True)) == ("1", STRONG)
    assert taken(client("Sign", (USER, OLD), insecure=True)) == ("0", OLD)


def test_a_login_that_the_server_does_not_know_names_what_it_knows() -> None:
    with pytest.raises(Refused) as caught:
        client("Sign", (ANONYMOUS, ""), (CERTIFICATE, "")).server_policy(USER)
    assert str(caught.value) == (
        "it does not take a user name with a password (it takes a user's certificate, anonymous)"
    )
