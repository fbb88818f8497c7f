"""Keys: whose signature is believed, when, and the identity folder."""

from __future__ import annotations

import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from records.errors import ConfigurationError, Damaged
from records.keys import Identity, IdentityFile, KeyRing, PublicKey, SigningKey, key_id, write_identity

RFC8032_SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC8032_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
RFC8032_SIGNATURE = (
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)


def test_signatures_are_those_of_rfc_8032() -> None:
    """RFC 8032 section 7.1, test 1: the empty message."""
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(RFC8032_SECRET))
    assert key.public.hex() == RFC8032_PUBLIC
    assert key.sign(b"").hex() == RFC8032_SIGNATURE


def test_a_key_id_is_the_beginning_of_the_digest_of_the_public_key() -> None:
    assert key_id(bytes.fromhex(RFC8032_PUBLIC)) == "21fe31dfa154a261"


def test_a_ring_believes_only_the_owner_the_message_and_the_time() -> None:
    key, stranger = SigningKey.generate(), SigningKey.generate()
    ring = KeyRing([PublicKey("central", key.public.hex(), since_us=10, until_us=20)])
    signature = key.sign(b"message")
    ring.verify("central", key.id, signature, b"message")
    ring.verify("central", key.id, signature, b"message", at_us=19)
    for owner, key_name, given, message, at_us in (
        ("a-1", key.id, signature, b"message", None),
        ("central", stranger.id, stranger.sign(b"message"), b"message", None),
        ("central", key.id, signature, b"massage", None),
        ("central", key.id, stranger.sign(b"message"), b"message", None),
        ("central", key.id, b"short", b"message", None),
        ("central", key.id, signature, b"message", 20),
    ):
        with pytest.raises(Damaged):
            ring.verify(owner, key_name, given, message, at_us=at_us)


def test_a_clock_behind_the_key_makes_nobody_a_stranger() -> None:
    """A line PC whose clock lost its battery believed none of central's watermarks, and its buffer filled up."""
    key = SigningKey.generate()
    ring = KeyRing([PublicKey("central", key.public.hex(), since_us=1_795_000_000_000_000)])
    ring.verify("central", key.id, key.sign(b"message"), b"message", at_us=0)


def test_an_identity_folder_comes_back(tmp_path: Path) -> None:
    central, signing = SigningKey.generate(), SigningKey.generate()
    file = IdentityFile("a-1", "p0", (PublicKey("central", central.public.hex()),), "a-1")
    Identity.write(tmp_path / "id", file, signing, "pass word")
    again = Identity.open(tmp_path / "id")
    assert (again.file, again.signing.id, again.broker_password) == (file, signing.id, "pass word")
    again.central.verify("central", central.id, central.sign(b"x"), b"x")


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX")
def test_private_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    signing = SigningKey.generate()
    Identity.write(tmp_path, IdentityFile("a-1", "p0", ()), signing, "secret")
    Identity.write(tmp_path, IdentityFile("a-1", "p0", ()), signing, "secret")
    for name in ("signing.key", "broker.password"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_what_is_wrong_with_an_identity_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no identity"):
        Identity.open(tmp_path)
    no_key = '{"agent": "a-1", "partition": "p0", "central_keys": [{"owner": "central", "public": "zz"}]}'
    for damaged in ('{"agent": 1}', no_key):
        (tmp_path / "identity.json").write_text(damaged)
        with pytest.raises(ConfigurationError, match="damaged"):
            Identity.open(tmp_path)
    Identity.write(tmp_path, IdentityFile("a-1", "p0", ()), SigningKey.generate(), None)
    (tmp_path / "signing.key").write_text("no key")
    with pytest.raises(ConfigurationError, match="cannot read the signing key"):
        Identity.open(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "signing.key").write_bytes(other)
    with pytest.raises(ConfigurationError, match="no Ed25519 key"):
        Identity.open(tmp_path)


def test_a_key_change_of_a_running_agent_keeps_what_a_person_has_changed_meanwhile(tmp_path: Path) -> None:
    """Bug: that the plant's authority signs from now on was forgotten with the agent's next key."""
    first, second = SigningKey.generate(), SigningKey.generate()
    keys = [PublicKey("central", key.public.hex()) for key in (first, second)]
    Identity.write(tmp_path, IdentityFile("a-1", "p0", (keys[0],)), SigningKey.generate(), None)
    running = Identity.open(tmp_path)
    write_identity(tmp_path, replace(running.file, authority="plant", partition="p1"))
    fresh = SigningKey.generate()
    running.sign_with(fresh, 7)
    running.believe(keys)
    again = Identity.open(tmp_path)
    assert again.file == IdentityFile("a-1", "p1", tuple(keys), None, "plant", 7)
    assert (again.signing.id, running.central.keys()) == (fresh.id, tuple(keys))
    (tmp_path / "identity.json").write_text("damaged")
    running.sign_with(fresh, 8)
    assert Identity.open(tmp_path).file == replace(again.file, signing_since_us=8)
