"""Central's own authority gets another certificate: nothing that it signed ends by that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from central.app import Central, build
from central.authority import create_authority, issue_client, listed_serials, renewed_authority, sign_request
from central.broker import REVOKED
from central.doctor import examine
from central.keys import CentralKeys
from central.requests import AuthorityRenew
from central.settings import CentralSettings
from records.certificates import certificate_of, check_pair, check_signed, new_key_pem, request_pem
from records.clock import FakeClock
from records.errors import ConfigurationError, Invalid
from records.model import OperationsEvent

YEAR_S = 365 * 86_400.0


class Plant:
    def __init__(self, folder: Path) -> None:
        self.settings = CentralSettings(site="suzhou", time_zone="Asia/Shanghai", folder=folder)
        self.clock = FakeClock()
        folder.mkdir()
        CentralKeys.create(self.settings.keys, self.clock.now_us())
        create_authority(self.settings.keys, "suzhou", self.clock.now_us())

    @property
    def authority(self) -> bytes:
        return (self.settings.keys / "ca.crt").read_bytes()

    def told(self) -> str:
        """How the doctor finds the authority."""
        return next(each.state for each in examine(self.settings, self.clock) if each.check == "authority")


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path / "central")


@pytest.fixture
def central(plant: Plant) -> Iterator[Central]:
    with closing(build(plant.settings, plant.clock)) as opened:
        yield opened


def renew(central: Central, reason: str = "it ends") -> None:
    central.administration.do(AuthorityRenew(by="root", reason=reason))


def test_what_it_signed_and_what_it_signs_are_good_under_both(plant: Plant, central: Central) -> None:
    line = plant.settings.folder / "line"
    plant.clock.jump(8.5 * YEAR_S)
    issue_client(plant.settings.keys, line, "sealing-1", plant.clock.now_us())
    key, held = (line / "tls.key").read_bytes(), (line / "tls.crt").read_bytes()
    former = plant.authority
    assert certificate_of(held).until_us == certificate_of(former).until_us

    renew(central)
    assert plant.authority != former
    later = new_key_pem()
    request = request_pem(later, "sealing-1")
    signed = sign_request(plant.settings.keys, request, "sealing-1", plant.clock.now_us())
    assert certificate_of(signed).until_us > certificate_of(former).until_us
    for authority in (former, plant.authority):
        assert check_pair(key, held, authority, plant.clock.now_us(), "sealing-1").name == "sealing-1"
        assert check_signed(request, signed, authority, plant.clock.now_us(), "sealing-1").name == "sealing-1"
    plant.clock.jump(1.6 * YEAR_S)
    assert check_signed(request, signed, plant.authority, plant.clock.now_us(), "sealing-1").name == "sealing-1"
    with pytest.raises(Invalid):
        check_signed(request, signed, former, plant.clock.now_us(), "sealing-1")


def test_it_is_stated_and_the_list_of_what_is_revoked_lasts_as_long(plant: Plant, central: Central) -> None:
    central.enrolment.spread()
    listed = plant.settings.broker_files / REVOKED
    plant.clock.jump(9 * YEAR_S)
    renew(central, "ends next year")
    stated = central.store.facts(codes=["authority-renewed"], stream="audit")[-1].fact.data
    assert isinstance(stated, OperationsEvent)
    told = certificate_of(plant.authority)
    assert stated.params["serial"] == told.serial
    assert stated.params["reason"] == "ends next year"
    ends = x509.load_pem_x509_certificate(plant.authority).not_valid_after_utc
    assert x509.load_pem_x509_crl(listed.read_bytes()).next_update_utc == ends
    assert listed_serials(plant.settings.keys, listed.read_bytes()) == set()


def test_a_list_that_ends_before_the_authority_is_none(plant: Plant, central: Central) -> None:
    """A process killed between the two files: the next start writes the list anew, and the doctor says so."""
    central.enrolment.spread()
    listed = plant.settings.broker_files / REVOKED
    plant.clock.jump(9 * YEAR_S)
    (plant.settings.keys / "ca.crt").write_bytes(renewed_authority(plant.settings.keys, plant.clock.now_us()))
    assert listed_serials(plant.settings.keys, listed.read_bytes()) is None
    assert central.enrolment.spread() is None
    assert listed_serials(plant.settings.keys, listed.read_bytes()) == set()


def test_the_doctor_says_when_it_is_time_and_when_it_is_over(plant: Plant, central: Central) -> None:
    assert plant.told() == "fine"
    plant.clock.jump(7 * YEAR_S)
    assert plant.told() == "warning"
    plant.clock.jump(3.1 * YEAR_S)
    assert plant.told() == "bad"
    renew(central)
    assert plant.told() == "fine"


def test_without_a_reason_or_by_a_clock_that_is_behind_nothing_changes(plant: Plant, central: Central) -> None:
    former = plant.authority
    with pytest.raises(ConfigurationError, match="reason"):
        renew(central, " ")
    plant.clock.jump(-YEAR_S)
    with pytest.raises(Invalid):
        renew(central)
    assert plant.authority == former
    assert central.store.facts(codes=["authority-renewed"], stream="audit") == []
