"""What a tag map may say of an OPC UA channel, and what is refused before anything is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.tags import Devices, OpcUaDevice, OpcUaSecurity
from records.errors import ConfigurationError
from records.yaml import Settings, parse

PRINT = "ab" * 32
ALLOW = (
    "(add allow_insecure: true where the network is trusted, or name"
    " Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss)"
)


class File(Settings):
    devices: Devices


def read(security: str, folder: Path | None = None) -> OpcUaSecurity:
    text = f"devices:\n  x: {{driver: opcua, endpoint: 'opc.tcp://h:4840', security: {security}}}\n"
    device = parse(text.encode(), File, folder=folder).value.devices["x"]
    assert isinstance(device, OpcUaDevice)
    assert device.security is not None
    return device.security


def test_a_secure_channel_signs_and_encrypts_unless_told_otherwise(tmp_path: Path) -> None:
    security = read(f'{{policy: Basic256Sha256, server_fingerprint: "SHA256:{PRINT.upper()}"}}', tmp_path)
    assert (security.mode, security.secure, security.auth) == ("SignAndEncrypt", True, None)
    assert security.server_fingerprint == f"sha256:{PRINT}"
    assert read("{policy: Aes256_Sha256_RsaPss, mode: Sign, auth: anonymous}").mode == "Sign"
    user = read('{policy: Basic256Sha256, trust_list: t, auth: {username: a, password: "env:X"}}', tmp_path)
    assert user.trust_list == tmp_path / "t"
    assert user.auth is not None
    assert user.auth.password is not None
    assert user.auth.password.reference == "env:X"


def test_fingerprints_are_taken_as_people_paste_them() -> None:
    colons = ":".join(PRINT[at : at + 2] for at in range(0, 64, 2)).upper()
    assert (
        read(f'{{policy: Basic256Sha256, server_fingerprint: "{colons}"}}').server_fingerprint == f"sha256:{PRINT}"
    )


def test_no_security_is_deliberate() -> None:
    assert read("{policy: None, allow_insecure: true}").mode == "None"
    assert read("{policy: Basic256, allow_insecure: true}").mode == "SignAndEncrypt"


USER = 'auth: {username: a, password: "env:X"}'


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ("{}", "security.policy: `policy` is missing"),
        ("{policy: None}", f"security.policy: a channel without security must be allowed {ALLOW}"),
        ("{policy: Basic256}", f"security.policy: policy Basic256, withdrawn, must be allowed {ALLOW}"),
        (
            "{policy: Basic256SHA256}",
            "security.policy: 'Basic256SHA256' is no security policy here (did you mean `Basic256Sha256`?)",
        ),
        (
            "{policy: Basic256Sha256, mode: None}",
            "security.mode: mode None does not go with policy Basic256Sha256 (leave mode out)",
        ),
        (
            "{policy: None, mode: Sign, allow_insecure: true}",
            "security.mode: mode Sign does not go with policy None (leave mode out)",
        ),
        (
            f"{{policy: Basic256Sha256, server_fingerprint: '{PRINT}', trust_list: t}}",
            "security.trust_list: give either server_fingerprint or trust_list",
        ),
        (
            f"{{policy: Basic256Sha256, server_fingerprint: '{PRINT[:40]}'}}",
            f"security.server_fingerprint: '{PRINT[:40]}' is no SHA-256 fingerprint"
            ' (write "sha256:..."; a SHA-1 thumbprint does not name a certificate safely)',
        ),
        (
            "{policy: Basic256Sha256, certificate: a.der}",
            "security.certificate: certificate and private_key go together",
        ),
        (
            "{policy: Basic256Sha256, auth: {username: a}}",
            'security.auth: `password` is missing (password: "env:NAME" or "file:PATH")',
        ),
        (
            "{policy: Basic256Sha256, auth: {certificate: a}}",
            "security.auth: `private_key` is missing (the key file of the user's certificate)",
        ),
        (
            '{policy: Basic256Sha256, auth: {username: a, password: "env:X", certificate: c, private_key: k}}',
            "security.auth: either username with password, or certificate with private_key (or auth: anonymous)",
        ),
        (
            f"{{policy: None, allow_insecure: true, {USER}}}",
            "security.auth: over policy None the password would go to whoever answers"
            " (add server_fingerprint or trust_list, so that it is encrypted for that server only;"
            " or send_in_clear: true)",
        ),
        (
            f"{{policy: None, allow_insecure: true, server_fingerprint: '{PRINT}'}}",
            "security.server_fingerprint: with policy None no server proves its certificate (take it out)",
        ),
    ],
)
def test_what_would_be_unsafe_or_senseless_is_refused(security: str, expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(security)
    found = [f"{p.path}: {p.message}" + (f" ({p.hint})" if p.hint else "") for p in caught.value.problems]
    assert found == [f"devices.x.{expected}"]


def test_a_password_in_the_file_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read("{policy: Basic256Sha256, auth: {username: a, password: geheim-1}}")
    assert "geheim-1" not in str(caught.value)
    assert "a secret is given by reference" in str(caught.value)
