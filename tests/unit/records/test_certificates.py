"""TLS pairs: what is asked for, what fits, and what a crash in the middle leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.authority import create_authority, sign_request
from records import certificates, files
from records.certificates import DAY_US, ask, certificate_of, check_pair, finish_pair, install, read_request
from records.clock import SystemClock
from records.errors import Invalid

NOW_US = SystemClock().now_us()
YEARS_US = 2 * 365 * DAY_US


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pair that works, and an authority beside it."""
    create_authority(tmp_path / "authority", "suzhou", NOW_US)
    made = tmp_path / "identity"
    install(made, sign(tmp_path, ask(made, "sealing-1")), authority(tmp_path), NOW_US, "sealing-1")
    return made


def authority(tmp_path: Path) -> bytes:
    return (tmp_path / "authority" / "ca.crt").read_bytes()


def sign(tmp_path: Path, request: bytes, name: str = "sealing-1") -> bytes:
    return sign_request(tmp_path / "authority", request, name, NOW_US)


def works(folder: Path) -> str:
    """The fingerprint of a pair that can be used."""
    key, certificate, ca = ((folder / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    return check_pair(key, certificate, ca, NOW_US, "sealing-1").fingerprint


def test_asked_again_it_is_the_same_request_until_it_is_answered(folder: Path, tmp_path: Path) -> None:
    before, request = works(folder), ask(folder, "sealing-1")
    assert ask(folder, "sealing-1") == request
    assert ask(folder, "sealing-2") != request
    assert works(folder) == before
    signed = sign(tmp_path, ask(folder, "sealing-1"))
    assert install(folder, signed, None, NOW_US, "sealing-1").fingerprint == works(folder) != before
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_killed_at_any_step_a_pair_is_left_that_works(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Every rename, file and folder sync that an installation makes is one step; behind it nothing happens."""
    before, signed = works(folder), sign(tmp_path, ask(folder, "sealing-1"))
    steps = 0

    class Killed(BaseException):
        pass

    def dying(step: object) -> object:
        def run(*arguments: object) -> object:
            nonlocal steps
            steps += 1
            if steps == killed_at:
                raise Killed
            return step(*arguments)  # type: ignore[operator]

        return run

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(files, "sync_folder", dying(files.sync_folder))
        patch.setattr(certificates, "sync_folder", dying(files.sync_folder))
        with pytest.raises(Killed):
            install(folder, signed, None, NOW_US, "sealing-1")
    finish_pair(folder)
    assert works(folder) in (before, certificate_of(signed).fingerprint)
    assert install(folder, signed, None, NOW_US, "sealing-1").fingerprint == works(folder)


def test_what_does_not_fit_changes_nothing(folder: Path, tmp_path: Path) -> None:
    request, before = ask(folder, "sealing-1"), works(folder)
    signed = sign(tmp_path, request)
    create_authority(tmp_path / "other" / "authority", "elsewhere", NOW_US)
    refusals = {
        "not signed by the authority": (sign(tmp_path / "other", request), NOW_US, "sealing-1"),
        "common name": (signed, NOW_US, "sealing-2"),
        "ended on": (signed, NOW_US + YEARS_US, "sealing-1"),
        "valid only from": (signed, NOW_US - DAY_US, "sealing-1"),
        "no certificate": (b"nothing", NOW_US, "sealing-1"),
    }
    for reason, (certificate, now_us, name) in refusals.items():
        with pytest.raises(Invalid, match=reason):
            install(folder, certificate, None, now_us, name)
    with pytest.raises(Invalid, match="not for sealing-2"):
        read_request(request, "sealing-2")
    assert works(folder) == before


def test_when_it_is_time_for_another(folder: Path) -> None:
    found = certificate_of((folder / "tls.crt").read_bytes())
    assert YEARS_US / 3 < found.until_us - found.renew_us < YEARS_US / 3 + DAY_US
