"""How the agent's identity is, for status and page: of a running agent, or of one that is down from its folder."""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import JsonValue

from records.certificates import AUTHORITY, CERTIFICATE, KEY, check_pair, look_at_files, trouble_of_file
from records.clock import MICROSECONDS, iso_z
from records.errors import LotkeeperError, trouble_of
from records.keys import SigningKey, read_identity
from records.trouble import Trouble

Json = dict[str, JsonValue]
FILES = "files"
"""What a problem concerns: a file of mutual TLS that is missing, cannot be read or holds something else."""


def identity_report(
    folder: Path, now_us: int, problems: Mapping[str, Trouble] = MappingProxyType({}), *, tls: bool = True
) -> Json:
    """What the folder holds and what is wrong with it; ``problems`` are those that a running agent knows.

    ``tls``: whether the broker asks for a certificate. Nothing in the folder is changed.
    """
    wrong = dict(problems)
    found: Json = {"folder": str(folder), "signing_key": None, "certificate_until": None, "renewed_from": None}
    try:
        file, signing = read_identity(folder), SigningKey.load(folder / "signing.key")
    except LotkeeperError as error:
        return found | {"central_keys": [], "problems": _told({"folder": trouble_of(error)})}
    found["signing_key"] = signing.id
    if (folder / CERTIFICATE).exists() or tls:
        wrong.pop(FILES, None)  # it is looked at anew
        certificate = None
        try:
            certificate = look_at_files(folder)
            found |= {
                "certificate_until": iso_z(certificate.until_us),
                "renewed_from": iso_z(certificate.renew_us),
            }
            key, pem, ca = ((folder / name).read_bytes() for name in (KEY, CERTIFICATE, AUTHORITY))
            check_pair(key, pem, ca, now_us, file.agent)
        except OSError as error:
            wrong[FILES] = trouble_of_file(Path(str(error.filename)), error)
        except LotkeeperError as error:
            wrong["certificate" if found["certificate_until"] else FILES] = trouble_of(error)
            until_us = None if certificate is None else certificate.until_us
            if until_us is not None and now_us >= until_us:
                wrong["certificate"] = _ended(trouble_of(error), until_us, now_us)
    loose = [path.name for path in sorted(folder.glob("*.key")) if _others_read(path)]
    if loose:
        wrong["key files"] = Trouble.of("keys-readable", files=", ".join(loose))
    believed = [key for key in file.central_keys if not key.ended(now_us)]
    if not believed:
        wrong["central-keys"] = Trouble.of("no-central-key")
    if believed and now_us < min(key.since_us for key in believed):
        wrong["clock"] = Trouble.of("clock-before-key", since=str(iso_z(believed[0].since_us)))
    keys: list[JsonValue] = [{"id": key.id, "until": iso_z(key.until_us)} for key in file.central_keys]
    return found | {"central_keys": keys, "problems": _told(wrong)}


def _told(wrong: Mapping[str, Trouble]) -> list[JsonValue]:
    return [{"what": what, "why": why.whole, "trouble": why.to_json()} for what, why in wrong.items()]


def _ended(why: Trouble, until_us: int, now_us: int) -> Trouble:
    """What to look at: an agent that runs has its certificate renewed long before it ends."""
    days = (now_us - until_us) / (86_400 * MICROSECONDS)
    return Trouble.of("certificate-ended-look", why=why, now=str(iso_z(now_us)), days=f"{days:.0f}")


def _others_read(path: Path) -> bool:
    return sys.platform != "win32" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
