"""The secure channel: the endpoint that the tag map names, the trust in its server, who we are and who logs in.

asyncua does the cryptography. What it leaves to its caller is here: the server's certificate is judged before the
first protected byte, the endpoint is the very policy and mode that are named, and a password goes only into what
protects it. asyncua would take the first way to send one that the server lists, clear text among them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies as policies

from drivers.opcua.certificates import Own, application_uri
from drivers.opcua.trust import Judged, judge
from drivers.tags.opcua_security import OpcUaSecurity
from records.clock import from_us
from records.errors import Refused
from records.trouble import Trouble

_POLICIES: dict[str, type[policies.SecurityPolicy]] = {
    "Basic256Sha256": policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic256": policies.SecurityPolicyBasic256,
    "Basic128Rsa15": policies.SecurityPolicyBasic128Rsa15,
}
_NONE = policies.SecurityPolicyNone.URI
_STRONG = tuple(
    _POLICIES[name].URI for name in ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
)
_WITHDRAWN = tuple(_POLICIES[name].URI for name in ("Basic256", "Basic128Rsa15"))
_USERS = {
    ua.UserTokenType.Anonymous: "anonymous",
    ua.UserTokenType.UserName: "a user name with a password",
    ua.UserTokenType.Certificate: "a user's certificate",
    ua.UserTokenType.IssuedToken: "an issued token",
}


def short(policy_uri: str | None) -> str:
    """The name of a security policy: what stands behind its ``#``."""
    return (policy_uri or "").rpartition("#")[2] or "None"


def offered(endpoints: Sequence[ua.EndpointDescription]) -> str:
    """What a server offers, in the words of the tag map."""
    found = {f"{short(e.SecurityPolicyUri)} {e.SecurityMode.name.rstrip('_')}" for e in endpoints}
    return ", ".join(sorted(found)) or "nothing"


@dataclass(slots=True)
class Party:
    """Who was met on a channel: the server's certificate once it was judged, and ours; ``opening`` while the
    server looks at ours; ``user`` where a user's certificate logs in.
    """

    server: Judged | None = None
    own: Own | None = None
    user: Own | None = None
    opening: bool = False


class GuardedClient(Client):
    """asyncua's client, which sends a password only as well protected as the tag map asks.

    ``judged_us`` is the time at which certificates are judged.
    """

    def __init__(self, url: str, security: OpcUaSecurity, party: Party, judged_us: int, **options: float) -> None:
        super().__init__(url, **options)  # type: ignore[arg-type]  # time spans only
        self._url = url
        self._security, self._party, self._judged_us = security, party, judged_us

    async def open_secure_channel(self, renew: bool = False) -> None:
        """As asyncua's, noting that the server looks at our certificate."""
        self._party.opening = self._party.server is not None and not renew
        await super().open_secure_channel(renew)
        self._party.opening = False

    async def create_session(self) -> ua.CreateSessionResult:
        """As asyncua's; over policy None the certificate that a password is encrypted for is judged now."""
        result = await super().create_session()
        security = self._security
        if not security.secure and security.trusting:
            endpoint = Client.find_endpoint(result.ServerEndpoints, self.security_policy.Mode, _NONE)
            party = self._party
            party.server = trusted(security, endpoint, result.ServerCertificate, self._url, self._judged_us)
            self.security_policy.peer_certificate = party.server.der
        return result

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """The way to log in that protects best what is sent; asyncua takes the first one listed.

        Raises:
            Refused: the server takes no such login, or none that protects the password.
        """
        channel_uri = self.security_policy.URI
        ways = [
            dataclasses.replace(way, SecurityPolicyUri=way.SecurityPolicyUri or channel_uri)
            for way in self._policy_ids
            if way.TokenType == token_type
        ]
        if not ways:
            taken = ", ".join(sorted({_USERS.get(way.TokenType, "another") for way in self._policy_ids}))
            raise Refused(f"it does not take {_USERS[token_type]}", hint=f"it takes {taken or 'nothing'}")
        if token_type == ua.UserTokenType.Anonymous:
            return ways[0]
        for uri in self._ways(token_type):
            found = next((way for way in ways if way.SecurityPolicyUri == uri), None)
            if found is not None:
                return found
        listed = ", ".join(sorted({short(way.SecurityPolicyUri) for way in ways}))
        raise Refused(
            f"it takes {_USERS[token_type]} only with policy {listed}, which does not protect it here",
            hint="use mode: SignAndEncrypt, or another endpoint; send_in_clear: true under auth where it is meant",
        )

    def _ways(self, token_type: ua.UserTokenType) -> tuple[str, ...]:
        """Policies of a login, the best first: each protects what is sent, or is allowed by name."""
        security = self._security
        clear = security.mode == "SignAndEncrypt" or (security.auth is not None and security.auth.send_in_clear)
        in_clear = (_NONE,) if clear and token_type == ua.UserTokenType.UserName else ()
        withdrawn = _WITHDRAWN if security.allow_insecure else ()
        return (*_STRONG, *withdrawn, *in_clear)


def trusted(
    security: OpcUaSecurity, endpoint: ua.EndpointDescription, sent: bytes | None, url: str, now_us: int
) -> Judged:
    """The certificate that the endpoint's server sent, when the tag map trusts it.

    Raises:
        Refused, ConfigurationError: as ``judge``.
    """
    host, uri = urlsplit(url).hostname or "", endpoint.Server.ApplicationUri
    return judge(sent or b"", security, host=host, uri=uri, now_us=now_us)


async def protect(client: GuardedClient, security: OpcUaSecurity, party: Party, now_us: int, url: str) -> None:
    """Give the client the channel that the tag map names, after judging the server.

    Raises:
        Refused: the server does not offer it, or is not trusted. ConfigurationError: our own files are wrong.
        Exception: what asyncua raises when the server does not answer.
    """
    if security.certificate is None or security.private_key is None:
        raise Refused("there is no application certificate of ours", hint="name certificate and private_key")
    party.own = own = Own.load(security.certificate, security.private_key)
    _still_valid(own, "own-certificate-ended", now_us, "renew-own-certificate")
    endpoints = await client.connect_and_get_server_endpoints()
    endpoint = choose(endpoints, security)
    party.server = server = trusted(security, endpoint, endpoint.ServerCertificate, url, now_us)
    client.application_uri = application_uri(own.certificate) or client.application_uri
    mode = ua.MessageSecurityMode[security.mode]
    policy = _POLICIES[security.policy](server.certificate, own.certificate, own.key, mode)
    client.security_policy = policy  # type: ignore[assignment]  # declared as the one it begins with
    client.uaclient.set_security(policy)


def choose(endpoints: Sequence[ua.EndpointDescription], security: OpcUaSecurity) -> ua.EndpointDescription:
    """The endpoint of the policy and mode that are named; its own address does not matter, ours is kept.

    Raises:
        Refused: there is none; the hint lists what there is.
    """
    fitting = [
        endpoint
        for endpoint in endpoints
        if short(endpoint.SecurityPolicyUri) == security.policy
        and endpoint.SecurityMode.name.rstrip("_") == security.mode
        and (endpoint.EndpointUrl or "").startswith("opc.tcp://")
    ]
    if not fitting:
        none = Trouble.of("offers-none", channel=f"{security.policy} {security.mode}")
        raise Refused.of(none.hinted(Trouble.of("offers", offers=offered(endpoints))))
    return fitting[0]


def _still_valid(own: Own, ended: str, now_us: int, hint: str) -> None:
    """Refused: the server would only say that it does not take the certificate."""
    until = own.certificate.not_valid_after_utc
    if from_us(now_us) > until:
        raise Refused.of(Trouble.of(ended, day=until.date().isoformat()).hinted(Trouble.of(hint)))


def log_in(client: Client, security: OpcUaSecurity, party: Party, now_us: int) -> None:
    """Tell the client who logs in.

    Raises:
        ConfigurationError: a secret or file cannot be read. Refused: the user's certificate has ended.
    """
    user = security.auth
    if user is None:
        return
    if user.username is not None and user.password is not None:
        client.set_user(user.username)
        client.set_password(user.password.reveal())
    elif user.certificate is not None and user.private_key is not None:
        party.user = own = Own.load(user.certificate, user.private_key)
        _still_valid(own, "user-certificate-ended", now_us, "renew-user-certificate")
        client.user_certificate, client.user_private_key = own.certificate, own.key
