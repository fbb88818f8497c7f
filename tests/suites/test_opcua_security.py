"""Secured channels and logins to a server that is not ours, trust in it, and what is refused with which words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from driver_rigs import LineFile, until

from drivers.base import Notice
from drivers.opcua.certificates import Own, create, uri_of
from drivers.opcua.session import Session
from drivers.tags.opcua_security import CERTIFICATE, KEY
from records.clock import FakeClock, SystemClock
from records.errors import Refused, Unreachable
from records.yaml import parse
from simulators import standard_nodes
from simulators.sockets import free_port
from tests.rigs.opcua_server import (
    SECURED,
    URI,
    NodeOpcUaServer,
    Pair,
    ServerSettings,
    application_certificate,
)

pytestmark = pytest.mark.node_opcua
PASSWORD = "secret-1"
AGENT = "sealing-1"


class Rig:
    """A server and our certificate; ``session`` makes one from the words of a tag map."""

    def __init__(self, folder: Path, settings: ServerSettings = SECURED) -> None:
        self.folder = folder
        self.server = NodeOpcUaServer(folder / "server", settings)
        self.own = create(folder / "own", AGENT, ("line-pc",), SystemClock().now_us(), 365)
        self.user = application_certificate(folder, "user", "urn:user")
        self.server.trust(self.user, user=True)
        self.pin = f'server_fingerprint: "{self.server.own.fingerprint}"'

    def session(
        self, words: str, told: list[Notice] | None = None, *, clock: Any = None, more: str = "", url: str = ""
    ) -> Session:
        ours = f"certificate: {self.folder}/own/{CERTIFICATE}, private_key: {self.folder}/own/{KEY}"
        text = f"""
devices:
  plc:
    driver: opcua
    endpoint: {url or self.server.url}
    timeout: 5s
    security: {{{words}, {ours}}}
    {more}
"""
        settings: Any = parse(text.encode(), LineFile).value.devices["plc"]
        tell = told.append if told is not None else lambda _: None
        return Session("plc", settings, clock or SystemClock(), tell, AGENT)

    def refused(self, words: str, **how: Any) -> str:
        """The words in which a connect with these settings is refused."""

        async def job() -> str:
            session = self.session(words, **how)
            with pytest.raises(Refused) as caught:
                await session.connect()
            assert not session.connected
            assert str(caught.value).startswith("plc (opc.tcp://127.0.0.1:")
            return str(caught.value)

        return asyncio.run(job())


Made = Callable[[ServerSettings], Rig]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    found = Rig(tmp_path_factory.mktemp("secured"))
    yield found
    found.server.stop()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    """Rigs of one's own, ended with the test."""
    rigs: list[Rig] = []

    def make(settings: ServerSettings = SECURED) -> Rig:
        rigs.append(Rig(tmp_path / str(len(rigs)), settings))
        return rigs[-1]

    yield make
    for found in rigs:
        found.server.stop()


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLC_PASSWORD", PASSWORD)


LOGIN = 'auth: {username: line, password: "env:PLC_PASSWORD"}'


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
def test_every_policy_mode_and_login_with_our_own_certificate(rig: Rig, policy: str, mode: str) -> None:
    by_certificate = f"auth: {{certificate: {rig.user.certificate}, private_key: {rig.user.key}}}"

    async def job() -> None:
        for login in ("auth: anonymous", LOGIN, by_certificate):
            session = rig.session(f"policy: {policy}, mode: {mode}, {rig.pin}, {login}")
            await session.connect()
            try:
                assert "urn:test" in session.namespaces
                assert session.client.security_policy.URI.endswith(policy)
                assert session.client.security_policy.Mode is ua.MessageSecurityMode[mode]
                assert rig.server.tell("sessions") == 1
            finally:
                await session.close()
        assert rig.server.tell("sessions") == 0

    asyncio.run(job())


def test_an_unknown_server_is_refused_with_the_line_to_paste(rig: Rig) -> None:
    said = rig.refused("policy: Basic256Sha256")
    assert "nothing says that its certificate is to be trusted" in said
    assert f"then write {rig.pin}" in said


def test_another_certificate_than_the_pinned_one_is_refused(rig: Rig) -> None:
    said = rig.refused(f"policy: Basic256Sha256, server_fingerprint: '{'ab' * 32}'")
    assert rig.server.own.fingerprint in said
    assert f"not the sha256:{'ab' * 32} of the tag map" in said
    assert rig.server.tell("sessions") == 0


def test_a_policy_that_is_not_offered_names_what_is(made: Made) -> None:
    few = made(ServerSettings(policies=("Basic256Sha256",), modes=("Sign",)))
    said = few.refused(f"policy: Aes256_Sha256_RsaPss, {few.pin}")
    assert "offers no endpoint with Aes256_Sha256_RsaPss SignAndEncrypt (it offers Basic256Sha256 Sign)" in said
    said = few.refused("policy: None, allow_insecure: true")
    assert "offers no endpoint with None (it offers Basic256Sha256 Sign)" in said


def test_a_wrong_password_is_told_without_the_password(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "guess-77")
    caplog.set_level(logging.DEBUG)
    said = rig.refused(f"policy: Basic256Sha256, {rig.pin}, {LOGIN}")
    assert "does not let line in" in said
    assert "guess-77" not in said + caplog.text
    monkeypatch.delenv("PLC_PASSWORD")
    assert "the secret env:PLC_PASSWORD is empty or missing" in rig.refused(
        f"policy: Basic256Sha256, {rig.pin}, {LOGIN}"
    )


def test_a_refused_login_is_not_tried_at_every_reconnect(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(SystemClock().now_us())

    async def job() -> None:
        session = rig.session(f"policy: Basic256Sha256, {rig.pin}, {LOGIN}", clock=clock)
        monkeypatch.setenv("PLC_PASSWORD", "guess-77")
        with pytest.raises(Refused, match="does not let line in"):
            await session.connect()
        monkeypatch.setenv("PLC_PASSWORD", PASSWORD)
        with pytest.raises(Refused, match="does not let line in"):
            await session.connect()  # the server is not asked
        clock.advance(61)
        await session.connect()
        await session.close()

    asyncio.run(job())


def test_a_server_that_does_not_trust_us_is_told_with_our_fingerprint(made: Made) -> None:
    strict = made(ServerSettings(policies=("Basic256Sha256",), modes=("SignAndEncrypt",), trust_all=False))
    words = f"policy: Basic256Sha256, {strict.pin}"
    said = strict.refused(words)
    assert "does not take our certificate" in said
    assert f"trust the certificate {strict.own.fingerprint} at the server" in said
    strict.server.trust(Pair(Path(), Path(), strict.own.der))

    async def job() -> None:
        session = strict.session(words)
        await session.connect()
        assert session.client.description == f"lotkeeper {AGENT} plc"  # the session's name on the server
        await session.close()

    asyncio.run(job())


def test_a_trust_list_takes_servers_and_authorities(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "trusted"
    words = f"policy: Basic256Sha256, trust_list: {folder}"
    assert f"there is no trust list {folder}" in rig.refused(words)
    folder.mkdir()
    said = rig.refused(words)
    assert "nothing in the trust list stands for it" in said
    assert f"put it into {folder}" in said
    (folder / "broken.pem").write_bytes(b"no certificate")
    assert "broken.pem is no certificate" in rig.refused(words)
    (folder / "broken.pem").unlink()
    (folder / "server.der").write_bytes(rig.server.own.der)

    async def job() -> None:
        session = rig.session(words)
        await session.connect()
        await session.close()

    asyncio.run(job())


def test_first_contact_a_new_certificate_and_the_end_of_one_are_told(made: Made, tmp_path: Path) -> None:
    first = made(SECURED)
    told: list[Notice] = []

    async def job() -> None:
        session = first.session(f"policy: Basic256Sha256, trust_list: {tmp_path}/trusted", told)
        (tmp_path / "trusted").mkdir()
        (tmp_path / "trusted" / "first.der").write_bytes(first.server.own.der)
        await session.connect()
        await session.connect()
        port = first.server.port
        first.server.stop()
        second = NodeOpcUaServer(tmp_path / "second", SECURED, port=port)
        (tmp_path / "trusted" / "second.der").write_bytes(second.own.der)
        await session.connect()
        await session.close()
        second.stop()
        seen = [(n.params["fingerprint"], n.params["was"]) for n in told if n.code == "server-certificate"]
        assert seen == [
            (first.server.own.fingerprint, None),
            (second.own.fingerprint, first.server.own.fingerprint),
        ]
        ends = [n.params for n in told if n.code == "certificate-expires"]  # the rig's are valid for two days
        assert [n["whose"] for n in ends] == ["server"]  # once a day, whatever happens in between
        assert ends[0]["fingerprint"] == first.server.own.fingerprint

    asyncio.run(job())


def test_an_expired_certificate_is_refused_unless_that_is_accepted_by_name(made: Made) -> None:
    old = made(ServerSettings(policies=("Basic256Sha256",), modes=("SignAndEncrypt",), days=(-9, 2)))
    later = FakeClock(SystemClock().now_us() + 5 * 86_400 * 1_000_000)
    words = f"policy: Basic256Sha256, {old.pin}"
    said = old.refused(words, clock=later)
    assert "is not accepted: it expired on " in said
    assert "accept: [expired]" in said
    told: list[Notice] = []

    async def job() -> None:
        session = old.session(f"{words}, accept: [expired]", told, clock=later)
        await session.connect()
        await session.close()
        assert "it expired on" in str(told[0].params["accepted"])

    asyncio.run(job())


def test_a_certificate_of_ours_that_has_ended_is_named_as_ours(rig: Rig) -> None:
    years_later = FakeClock(SystemClock().now_us() + 2 * 366 * 86_400 * 1_000_000)
    said = rig.refused(f"policy: Basic256Sha256, {rig.pin}, accept: [expired]", clock=years_later)
    assert "our certificate expired on " in said
    assert "certificate create LINE.yaml --replace" in said


def test_our_files_are_checked_before_anything_is_sent(rig: Rig, tmp_path: Path) -> None:
    session = rig.session(f"policy: Basic256Sha256, {rig.pin}")
    security = session._security

    def with_files(certificate: Path, key: Path) -> str:
        session._security = security.model_copy(update={"certificate": certificate, "private_key": key})
        with pytest.raises(Refused) as caught:
            asyncio.run(session.connect())
        return str(caught.value)

    own = rig.folder / "own"
    assert "cannot be read" in with_files(tmp_path / "none.der", own / KEY)
    assert "is not the key of" in with_files(own / CERTIFICATE, rig.user.key)
    assert "is no private key" in with_files(own / CERTIFICATE, own / CERTIFICATE)
    assert "is no certificate" in with_files(own / KEY, own / KEY)


def test_our_certificate_says_what_the_standard_wants(tmp_path: Path) -> None:
    own = create(tmp_path / "own", AGENT, ("line-pc", "10.0.0.9"), SystemClock().now_us(), 365)
    loaded = Own.load(tmp_path / "own" / CERTIFICATE, tmp_path / "own" / KEY)
    assert loaded.fingerprint == own.fingerprint
    assert (tmp_path / "own" / KEY).stat().st_mode & 0o777 == 0o600
    names = own.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [uri_of(AGENT)]
    assert names.get_values_for_type(x509.DNSName) == ["line-pc"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.9"]
    assert isinstance(own.certificate.signature_hash_algorithm, hashes.SHA256)
    assert own.key.key_size == 2048
    own.certificate.verify_directly_issued_by(own.certificate)


# -- how a password goes ---------------------------------------------------------------------------------------


class Door(UserManager):
    """Lets one user in and keeps what arrived."""

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        return User(role=UserRole.User) if (username, password) == ("line", PASSWORD) else None


class Asked:
    """asyncua's server, whose only endpoint has no security; ``sent`` is every login token as it came."""

    def __init__(self, folder: Path, *, certified: bool) -> None:
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}/"
        self.pair = application_certificate(folder, "asked", URI, server=True)
        self.certified = certified
        self.sent: list[Any] = []

    async def __aenter__(self) -> Asked:
        self.server = server = Server(user_manager=Door())
        await standard_nodes.load_into(server)
        server.set_endpoint(self.url)
        await server.set_application_uri(URI)
        kinds = [ua.SecurityPolicyType.NoSecurity]
        if self.certified:
            kinds.append(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
            await server.load_certificate(str(self.pair.certificate))
            await server.load_private_key(str(self.pair.key), format="pem")  # type: ignore[call-arg]
        server.set_security_policy(kinds)
        check = server.iserver.decrypt_user_token

        def noting(session: Any, token: Any) -> Any:
            self.sent.append(token)
            return check(session, token)

        server.iserver.decrypt_user_token = noting  # type: ignore[method-assign]
        await server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()


def _asked(server: Asked, words: str) -> Session:
    text = f"""
devices:
  plc:
    driver: opcua
    endpoint: {server.url}
    timeout: 5s
    security: {{policy: None, allow_insecure: true, {words}}}
"""
    settings: Any = parse(text.encode(), LineFile).value.devices["plc"]
    return Session("plc", settings, SystemClock(), lambda _: None, AGENT)


def test_over_no_security_a_password_is_encrypted_for_the_pinned_server_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = 'auth: {username: line, password: "env:PLC_PASSWORD"}'

    async def job() -> None:
        async with Asked(tmp_path, certified=True) as server:
            session = _asked(server, f"server_fingerprint: '{'ab' * 32}', {login}")
            with pytest.raises(Refused, match="not the sha256:abab"):
                await session.connect()
            assert server.sent == []
            session = _asked(server, f"server_fingerprint: '{server.pair.fingerprint}', {login}")
            await session.connect()
            await session.close()
            assert server.sent[0].EncryptionAlgorithm.endswith("rsa-oaep")
            assert PASSWORD.encode() not in server.sent[0].Password

    asyncio.run(job())
    assert PASSWORD not in caplog.text


def test_a_password_goes_in_clear_only_where_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = 'auth: {username: line, password: "env:PLC_PASSWORD"}'

    async def job() -> None:
        async with Asked(tmp_path, certified=False) as server:
            session = _asked(server, f"server_fingerprint: '{server.pair.fingerprint}', {login}")
            with pytest.raises(Refused, match="it sends no certificate"):
                await session.connect()
            assert server.sent == []
            session = _asked(server, login.replace("}", ", send_in_clear: true}"))
            await session.connect()
            await session.close()
            assert server.sent[0].Password == PASSWORD.encode()

    asyncio.run(job())
    assert PASSWORD not in caplog.text


# -- what a server may send instead of an answer ---------------------------------------------------------------


@pytest.mark.parametrize("certificate", [b"", b"\x30\x82", b"not a certificate at all"])
def test_garbage_for_a_certificate_is_refused(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, certificate: bytes
) -> None:
    from asyncua.client.client import Client

    ask = Client.get_endpoints

    async def spoiled(self: Client) -> list[ua.EndpointDescription]:
        found = await ask(self)
        for endpoint in found:
            endpoint.ServerCertificate = certificate
        return found

    monkeypatch.setattr(Client, "get_endpoints", spoiled)
    said = rig.refused(f"policy: Basic256Sha256, {rig.pin}")
    assert "it sends no certificate" in said or "what it sends as its certificate is none" in said


def test_a_lost_server_is_unreachable_over_a_secure_channel_too(made: Made) -> None:
    lost = made(SECURED)

    async def job() -> None:
        session = lost.session(f"policy: Basic256Sha256, {lost.pin}")
        await session.connect()
        lost.server.stop()
        with pytest.raises(Unreachable):
            await session.call(session.client.get_namespace_array())
        await session.close()
        with pytest.raises(Unreachable, match="nothing listens there"):
            await session.connect()

    asyncio.run(job())


def test_a_session_that_the_server_ended_is_told_and_leaves_none_behind(rig: Rig) -> None:
    async def job() -> None:
        session = rig.session(f"policy: Basic256Sha256, {rig.pin}")
        await session.connect()
        assert rig.server.tell("close-sessions") == 1
        with pytest.raises(Unreachable, match="the server has ended the session"):
            await session.call(session.client.get_namespace_array())
        await session.connect()
        assert rig.server.tell("sessions") == 1
        await session.close()
        await until(lambda: rig.server.tell("sessions") == 0, "the session's end")

    asyncio.run(job())


def test_a_full_server_says_so(made: Made) -> None:
    full = made(ServerSettings(max_sessions=1))

    async def job() -> None:
        words = "policy: None, allow_insecure: true"
        first, second = full.session(words), full.session(words)
        await first.connect()
        with pytest.raises(Refused, match="takes no more sessions: the server answers BadTooManySessions"):
            await second.connect()
        await first.close()
        await second.connect()
        assert full.server.tell("sessions") == 1
        await second.close()

    asyncio.run(job())
