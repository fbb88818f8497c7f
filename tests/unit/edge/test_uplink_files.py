"""Files of the identity that go away, cannot be read or hold something else: the uplink says which and goes on."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from edge_agent.documents import Documents
from edge_agent.identity_view import identity_report
from edge_agent.outbox import Outbox
from edge_agent.renewal import Renewal
from edge_agent.uplink import Uplink
from edge_agent.uplink.broker import Address
from edge_agent.uplink.link import _unreachable
from records.certificates import AUTHORITY, CERTIFICATE, KEY, REQUEST, look_at_files
from records.clock import SystemClock, iso_z
from records.errors import Invalid
from records.files import replace_private
from records.keys import Identity, SigningKey
from tests.rigs.certificates import Authority
from tests.rigs.mosquitto import BrokerTls, Mosquitto
from tests.rigs.outboxes import AGENT, make_identity, open_outbox
from tests.rigs.uplinks import quick, until

CENTRAL = SigningKey.generate()
CLOCK = SystemClock()


def give(authority: Authority, name: str, folder: Path) -> None:
    certificate, key = authority.issue(name)
    for source, target in ((certificate, CERTIFICATE), (key, KEY), (authority.certificate, AUTHORITY)):
        replace_private(folder / target, source.read_bytes())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def identity(tmp_path: Path, authority: Authority) -> Identity:
    """With certificates; the broker's password is asked for by nobody."""
    made = make_identity(tmp_path / "identity", CENTRAL, user=AGENT)
    give(authority, AGENT, made.folder)
    return made


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    certificate, key = authority.issue("broker", server=True)
    with Mosquitto(tmp_path / "broker", tls=BrokerTls(authority.certificate, certificate, key)) as running:
        yield running


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = open_outbox(tmp_path / "buffer", CLOCK)
    yield opened
    opened.close()


def vanish(path: Path) -> None:
    path.unlink()


def unreadable(path: Path) -> None:
    """As for an account without the right to: no account may read a folder as a file."""
    path.unlink()
    path.mkdir()


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\x00 no PEM")


WRONG = [
    (KEY, vanish, "No such file"),
    (KEY, unreadable, "Is a directory"),
    (KEY, garbage, "no private key"),
    (CERTIFICATE, vanish, "No such file"),
    (AUTHORITY, garbage, "no certificate"),
    ("broker.password", garbage, "not text"),
]


@pytest.mark.mosquitto
def test_a_file_that_goes_away_is_named_and_the_uplink_goes_on_when_it_is_back(
    identity: Identity, broker: Mosquitto, outbox: Outbox
) -> None:
    """Bug: the agent ended with code 1, and was started in a loop."""
    uplink = Uplink(outbox, identity, quick(broker.url), CLOCK)
    uplink.start()
    try:
        for name, spoil, said in WRONG:
            until(lambda: uplink.status().connected)
            path = identity.folder / name
            kept = path.read_bytes()
            spoil(path)
            uplink.reconnect()
            until(lambda: str(path) in (uplink.status().last_error or ""))  # noqa: B023
            status = uplink.status()
            assert said in (status.last_error or "")
            assert not status.connected
            if path.is_dir():
                path.rmdir()
            path.write_bytes(kept)
        until(lambda: uplink.status().connected)
        assert uplink._thread is not None
        assert uplink._thread.is_alive()
    finally:
        uplink.stop()


@pytest.mark.mosquitto
def test_an_agent_that_starts_without_them_connects_once_they_are_there(
    authority: Authority, identity: Identity, broker: Mosquitto, outbox: Outbox
) -> None:
    for name in (KEY, CERTIFICATE, AUTHORITY):
        (identity.folder / name).unlink()
    uplink = Uplink(outbox, identity, quick(broker.url), CLOCK)
    uplink.start()
    try:
        until(lambda: "is not asked" in (uplink.status().last_error or ""))
        for name in (KEY, CERTIFICATE, AUTHORITY):
            assert str(identity.folder / name) in (uplink.status().last_error or "")
        give(authority, AGENT, identity.folder)
        until(lambda: uplink.status().connected)
    finally:
        uplink.stop()


def problems(identity: Identity, renewal: Renewal) -> list[JsonValue]:
    found = identity_report(identity.folder, CLOCK.now_us(), renewal.problems)["problems"]
    assert isinstance(found, list)
    return found


def test_what_the_next_connection_will_lack_is_told_before_it_is_needed(
    authority: Authority, identity: Identity, outbox: Outbox
) -> None:
    events: list[tuple[str, dict[str, JsonValue]]] = []
    renewal = Renewal(
        identity,
        Documents(outbox, identity.central, CLOCK),
        CLOCK,
        lambda code, params: events.append((code, params)),
        Uplink(outbox, identity, quick("mqtts://127.0.0.1:9"), CLOCK, lambda *_: None),
    )
    renewal.look()
    assert (dict(renewal.problems), events, problems(identity, renewal)) == ({}, [], [])
    (identity.folder / KEY).unlink()
    renewal.look()
    renewal.look()
    assert [(code, params["what"]) for code, params in events] == [("identity-warning", "files")]
    assert str(identity.folder / KEY) in str(events[0][1]["why"])
    told = {name: events[0][1][name] for name in ("why", "trouble")}
    assert problems(identity, renewal) == [{"what": "files", **told}]
    garbage(identity.folder / CERTIFICATE)
    renewal.look()
    assert "no certificate" in renewal.problems["files"].whole
    give(authority, AGENT, identity.folder)
    assert problems(identity, renewal) == [], "what is right by now is not told any more"
    renewal.look()
    assert dict(renewal.problems) == {}


OTHERS: dict[str, tuple[Callable[[Path, Authority], object], str]] = {
    "another key": (
        lambda folder, made: (folder / KEY).write_bytes(made.issue("x")[1].read_bytes()),
        "is not the",
    ),
    "asked for": (
        lambda folder, _: [(folder / CERTIFICATE).unlink(), (folder / REQUEST).write_bytes(b"")],
        "waits for the authority",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_files_that_do_not_fit_each_other(identity: Identity, authority: Authority, case: str) -> None:
    spoil, said = OTHERS[case]
    look_at_files(identity.folder)
    spoil(identity.folder, authority)
    with pytest.raises(Invalid, match=said):
        look_at_files(identity.folder)


@pytest.mark.mosquitto
def test_a_broker_that_refuses_the_certificate_is_told_from_one_that_is_away(
    tmp_path: Path, authority: Authority, identity: Identity, broker: Mosquitto, outbox: Outbox
) -> None:
    """Bug: of a revoked agent only "Unspecified error" was told; with TLS 1.3 the broker ends without a word."""
    give(Authority(tmp_path / "other", "another authority"), AGENT, identity.folder)
    (identity.folder / AUTHORITY).write_bytes(authority.certificate.read_bytes())
    uplink = Uplink(outbox, identity, quick(broker.url), CLOCK)
    uplink.start()
    try:
        until(lambda: uplink.status().last_error)
        assert "refuses this agent's certificate: revoked, ended" in (uplink.status().last_error or "")
        give(authority, AGENT, identity.folder)
        until(lambda: uplink.status().connected)
        assert "refuses" not in (uplink.status().last_error or "")
    finally:
        uplink.stop()


def test_of_a_certificate_that_seems_to_have_ended_the_clock_is_asked_first(identity: Identity) -> None:
    """Bug: a line PC three years ahead was told of its certificate alone."""
    assert identity_report(identity.folder, CLOCK.now_us())["problems"] == []
    ahead_us = CLOCK.now_us() + 3 * 365 * 86_400 * 1_000_000
    (problem,) = cast(list[dict[str, str]], identity_report(identity.folder, ahead_us)["problems"])
    assert (problem["what"], "ended on" in problem["why"]) == ("certificate", True)
    assert f"this PC's clock says {iso_z(ahead_us)}" in problem["why"]
    assert "If not, set the clock" in problem["why"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ssl.SSLCertVerificationError(1, "x"), "is this PC's clock right, and is it the plant's broker?"),
        (ssl.SSLError(1, "alert certificate revoked"), "does it take this agent's certificate (revoked, ended)"),
        (ConnectionRefusedError(111, "Connection refused"), "is it running, and is the address right?"),
    ],
)
def test_what_tls_does_not_take_makes_one_look_at_certificates_and_clock(error: OSError, said: str) -> None:
    if isinstance(error, ssl.SSLCertVerificationError):
        error.verify_message = "certificate has expired"
    told = str(_unreachable(Address("b", 8883, True), error))
    assert said in told
    assert ("not taken: certificate verify failed, certificate has expired" in told) == hasattr(
        error, "verify_message"
    )
