"""Which keys central believes, and when it ends: what was committed stays, what comes later does not enter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.access import Actor
from central.authority import create_authority, issue_client, listed_serials
from central.broker import BrokerFiles
from central.enrol import Enrolment
from central.renewals import Renewals
from central.store import agents, intake
from central.verify import verify
from records.certificates import DAY_US, certificate_of, new_key_pem, request_pem
from records.errors import ConfigurationError, Refused, Unknown
from records.keys import SigningKey, prove
from records.model import OperationsEvent
from records.wire import CERTIFICATE, SIGNING_KEY, Document, Request, request_topic, sign
from tests.unit.central.core_rig import Agent, Rig, event, rig

BY = Actor("li.na", "command line")


class Ground:
    """A central with an authority, and enrolment."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.keys = rig.folder / "keys"
        create_authority(self.keys, "suzhou", rig.clock.now_us())
        self.files = BrokerFiles(rig.folder / "broker", self.keys, rig.store, rig.clock)
        self.enrolment = Enrolment(rig.store, rig.facts, rig.clock, self.files)

    def enrol(self, agent: Agent) -> str:
        """Enrol it with a certificate; its serial."""
        folder = self.rig.folder / agent.name
        issue_client(self.keys, folder, agent.name, self.rig.clock.now_us())
        pem = (folder / "tls.crt").read_bytes()
        self.enrolment.register(agent.name, "p0", agent.key.public.hex(), by=BY, certificate=pem)
        return certificate_of(pem).serial

    def revoked(self) -> set[str] | None:
        return listed_serials(self.keys, (self.rig.folder / "broker" / "revoked.crl").read_bytes())

    def take(self, agent: Agent, first: int, last: int) -> str:
        return self.rig.ingest.take(agent.topic, agent.frame(first, last)).result


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with rig(tmp_path) as opened:
        yield Ground(opened)


def agent() -> Agent:
    made = Agent("sealing-1")
    made.write(*(event(order=f"WO-{n}") for n in range(9)))
    return made


def test_a_revoked_agent_is_believed_in_nothing_more_and_what_was_committed_stays(ground: Ground) -> None:
    line = agent()
    serial = ground.enrol(line)
    assert ground.take(line, 1, 5) == "committed"
    assert ground.revoked() == set()
    with pytest.raises(ConfigurationError, match="reason"):
        ground.enrolment.revoke("sealing-1", " ", by=BY)
    with pytest.raises(Unknown, match="no agent sealing-2"):
        ground.enrolment.revoke("sealing-2", "stolen", by=BY)
    assert ground.enrolment.revoke("sealing-1", "stolen", by=BY) == [line.key.id]
    stated = ground.rig.store.facts(codes=["agent-revoked"], stream="audit")[-1].fact.data
    assert isinstance(stated, OperationsEvent)
    assert (stated.params["reason"], stated.params["by"]) == ("stolen", "li.na")
    assert ground.revoked() == {serial}
    assert "sealing-1" not in (ground.files.folder / "access.acl").read_text()
    assert ground.take(line, 1, 5) == "quarantined"
    assert ground.take(line, 6, 10) == "quarantined"
    assert ground.rig.ingest.take(line.state_topic, line.head(ground.rig.clock.now_us())).result == "quarantined"
    with ground.rig.store.read() as connection:
        assert {row.reason for row in intake.quarantined(connection)} == {"signature", "head"}
    with pytest.raises(Refused, match="before"):
        ground.enrolment.revoke("sealing-1", "stolen", by=BY)
    folder = ground.rig.folder
    assert verify(folder / "central.db", folder / "anchors.jsonl", ground.rig.ring.keys()).ok

    ground.rig.clock.jump(1)
    former, line.key = line.key, SigningKey.generate()
    again = ground.enrol(line)
    assert ground.take(line, 6, 10) == "committed"
    assert ground.revoked() == {serial}
    assert again != serial
    assert f"up/p0/{line.name}/records" in (ground.files.folder / "access.acl").read_text()
    line.key = former
    line.write(event(order="late"))
    assert ground.take(line, 11, 11) == "quarantined"


def test_a_replaced_key_is_believed_for_30_days(ground: Ground) -> None:
    line = agent()
    ground.enrol(line)
    former, line.key = line.key, SigningKey.generate()
    ground.enrol(line)
    line.key, new = former, line.key
    ground.rig.clock.jump(29 * 86_400)
    assert ground.take(line, 1, 3) == "committed"
    ground.rig.clock.jump(DAY_US / 1_000_000 + 1)
    assert ground.take(line, 4, 5) == "quarantined"
    line.key = new
    assert ground.take(line, 4, 5) == "committed"


def test_the_newest_key_is_the_one_that_was_enrolled_last_whatever_the_clock_said(ground: Ground) -> None:
    line = agent()
    ground.rig.clock.jump(2 * 86_400)  # central's clock is ahead at the first enrolment
    ground.enrol(line)
    former, line.key = line.key, SigningKey.generate()
    ground.rig.clock.jump(-2 * 86_400)
    ground.enrol(line)
    assert ground.take(line, 1, 3) == "committed"
    ground.rig.clock.jump(33 * 86_400)
    new, line.key = line.key, former
    assert ground.take(line, 4, 5) == "quarantined"
    line.key = new
    assert ground.take(line, 4, 5) == "committed"


def test_a_revocation_counts_at_once_and_a_new_enrolment_ends_it_whatever_the_clock_said(ground: Ground) -> None:
    line = agent()
    ground.rig.clock.jump(2 * 86_400)
    ground.enrol(line)
    ground.enrolment.revoke("sealing-1", "stolen", by=BY)
    ground.rig.clock.jump(-2 * 86_400)
    assert ground.take(line, 1, 3) == "quarantined"
    line.key = SigningKey.generate()
    ground.enrol(line)
    assert ground.take(line, 1, 3) == "committed"
    with ground.rig.store.read() as connection:
        told = agents.agent_of(connection, "sealing-1")
    assert told is not None
    assert told.revoked_us is None, "it is told of watermarks, documents and holds again"


def test_the_key_that_an_agent_has_is_enrolled_again_and_no_other_that_is_known(ground: Ground) -> None:
    first, second, other = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()

    def register(name: str, key: SigningKey, partition: str = "p0") -> None:
        ground.enrolment.register(name, partition, key.public.hex(), by=BY)

    register("sealing-1", first)
    register("testing-1", other)
    ground.rig.clock.advance(60)
    register("sealing-1", first, "p1")
    stated = [s.fact.data for s in ground.rig.store.facts(codes=["agent-enrolled"])]
    assert [
        (data.params["key"], data.params["partition"]) for data in stated if isinstance(data, OperationsEvent)
    ][-1] == (first.public.hex(), "p1")
    (known,) = [each for each in ground.enrolment.agents() if each.id == "sealing-1"]
    assert (known.partition, len(stated)) == ("p1", 3)
    register("sealing-1", second)
    for name, key, why in (
        ("sealing-1", first, "replaced or revoked"),
        ("sealing-1", other, "for testing-1, and is its key now"),
        ("sealing-2", second, "for sealing-1, and is its key now"),
    ):
        with pytest.raises(Refused, match=why):
            register(name, key)
    ground.enrolment.revoke("sealing-1", "stolen", by=BY)
    with pytest.raises(Refused, match="replaced or revoked"):
        register("sealing-1", second)


def test_lists_are_written_only_when_they_change(ground: Ground) -> None:
    assert ground.files.write() == ["access.acl", "revoked.crl"]
    assert ground.files.write() == []
    (ground.files.folder / "access.acl").write_text("topic readwrite #\n")
    (ground.files.folder / "revoked.crl").write_text("nothing")
    assert ground.files.write() == ["access.acl", "revoked.crl"]


@pytest.mark.parametrize("kind", [SIGNING_KEY, CERTIFICATE])
def test_a_renewal_that_was_on_its_way_undoes_no_revocation(ground: Ground, kind: str) -> None:
    """Bug: revoked between the check of its request and the answer, an agent was believed again by its new key, or
    had a certificate that is in no revocation list.
    """
    line = agent()
    serial = ground.enrol(line)
    rig, fresh = ground.rig, SigningKey.generate()
    told: list[Document] = []
    renewals = Renewals(
        rig.store, rig.facts, rig.clock, ground.enrolment, ground.keys, lambda _, document: told.append(document)
    )

    def revoked_meanwhile(request: Request) -> None:
        ground.enrolment.revoke(line.name, "stolen", by=BY)
        rig.clock.advance(1.0)
        renewals.handlers[kind](request)

    rig.ingest.requests[kind] = revoked_meanwhile
    content: dict[str, JsonValue] = {
        "public": fresh.public.hex(),
        "proof": prove(line.name, fresh),
        "csr": request_pem(new_key_pem(), line.name).decode(),
    }
    asked = sign(Request(line.name, kind, rig.clock.now_us(), content), line.key)
    taken = rig.ingest.take(request_topic("p0", line.name), asked)
    assert (taken.result, told) == ("quarantined", [])
    assert "was revoked" in taken.detail
    assert [known.revoked_us is None for known in ground.enrolment.agents()] == [False]
    with rig.store.read() as connection:
        assert all(key.ended(rig.clock.now_us()) for key in agents.keys(connection))
        assert [each.serial for each in agents.certificates(connection)] == [serial]
    assert ground.revoked() == {serial}
