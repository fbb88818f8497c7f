"""A key that waits for central's answer is damaged: it is set aside and told, and another request is made.

Bug: the agent asked the same every ten minutes for ever, and no answer could be taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import JsonValue

from central.authority import (
    AGENT_YEARS,
    authority_pem,
    create_authority,
    issue_client,
    renewed_authority,
    sign_request,
)
from edge_agent.documents import Documents
from edge_agent.renewal import ASK_EVERY_S, SIGNING_KEY_US, Renewal
from records.certificates import ASKED, AUTHORITY, DAY_US, REQUEST, look_at_files, new_key_pem
from records.clock import FakeClock
from records.enrolment import SIGNING_ASKED
from records.keys import SigningKey
from records.wire import CERTIFICATE, SIGNING_KEY, Document, down_topic, sign
from tests.rigs.outboxes import AGENT, make_identity, open_outbox

OLD_US = round(0.7 * AGENT_YEARS * 365 * DAY_US)


class Bench:
    """An agent whose keys are old, and a central that answers when the test lets it."""

    tls = reached = True
    fenced = False

    def __init__(self, folder: Path) -> None:
        self.clock, self.central = FakeClock(), SigningKey.generate()
        self.identity = make_identity(folder / "identity", self.central)
        self.folder, self.authority = self.identity.folder, folder / "authority"
        self.authority.mkdir()
        now_us = self.clock.now_us()
        create_authority(self.authority, "suzhou", now_us - 3650 * DAY_US // 2)
        issue_client(self.authority, self.folder, AGENT, now_us - OLD_US)
        self.identity.sign_with(self.identity.signing, now_us - SIGNING_KEY_US)
        self.outbox = open_outbox(folder / "buffer", self.clock)
        self.documents = Documents(self.outbox, self.identity.central, self.clock)
        self.asked: list[tuple[str, JsonValue]] = []
        self.events: list[tuple[str, dict[str, JsonValue]]] = []
        self.renewal = Renewal(
            self.identity, self.documents, self.clock, lambda *event: self.events.append(event), self
        )

    def request(self, kind: str, content: JsonValue) -> None:
        self.asked.append((kind, content))

    def reconnect(self) -> None:
        pass

    def look(self, kind: str, name: str) -> str:
        """Ask; what was asked last of this kind."""
        self.clock.advance(ASK_EVERY_S)
        self.renewal.look()
        content = [told for what, told in self.asked if what == kind][-1]
        assert isinstance(content, dict)
        return str(content[name])

    def answer(self, kind: str, **content: JsonValue) -> None:
        document = Document(kind, AGENT, self.clock.now_us(), self.clock.now_us(), content)
        self.documents.take(down_topic(AGENT, kind, AGENT), AGENT, sign(document, self.central))
        self.renewal.told(kind)

    def sign(self, csr: str) -> str:
        return sign_request(self.authority, csr.encode(), AGENT, self.clock.now_us()).decode()

    def codes(self, what: str) -> list[str]:
        return [code for code, params in self.events if params["what"] == what]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.outbox.close()


def of_another_key(path: Path) -> None:
    path.write_bytes(new_key_pem())


def half_written(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [of_another_key, half_written, emptied])
@pytest.mark.parametrize("answered", [True, False])
def test_a_key_that_is_not_its_request_s(bench: Bench, damage: Callable[[Path], None], answered: bool) -> None:
    first = bench.look(CERTIFICATE, "csr")
    damage(bench.folder / ASKED)
    if answered:
        bench.answer(CERTIFICATE, certificate=bench.sign(first))
    second = bench.look(CERTIFICATE, "csr")
    assert second != first
    assert bench.codes("certificate") == ["identity-warning"]
    why = bench.renewal.problems["certificate"].whole
    assert str(bench.folder / ASKED) in why
    assert "set aside as tls.csr.aside and tls.key.asked.aside" in why
    assert (bench.folder / f"{REQUEST}.aside").read_text() == first
    assert bench.look(CERTIFICATE, "csr") == second
    bench.answer(CERTIFICATE, certificate=bench.sign(second))
    assert look_at_files(bench.folder).until_us > bench.clock.now_us() + DAY_US * 300
    assert bench.codes("certificate") == ["identity-warning", "identity-renewed"]
    assert "certificate" not in bench.renewal.problems
    assert not [path.name for path in bench.folder.iterdir() if path.suffix == ".aside"], "no key lies about"


@pytest.mark.parametrize("when", ["before it is asked for again", "before the answer"])
def test_a_signing_key_that_cannot_be_read(bench: Bench, when: str) -> None:
    first = bench.look(SIGNING_KEY, "public")
    half_written(bench.folder / SIGNING_ASKED)
    if when == "before the answer":
        bench.answer(SIGNING_KEY, public=first)
    second = bench.look(SIGNING_KEY, "public")
    assert second != first
    assert bench.codes("signing-key") == ["identity-warning"]
    assert "set aside as signing.key.asked.aside" in bench.renewal.problems["signing-key"].whole
    bench.answer(SIGNING_KEY, public=second)
    assert bench.identity.signing.public.hex() == second
    assert not (bench.folder / SIGNING_ASKED).exists()
    assert set(bench.renewal.problems) <= {"certificate"}


def test_a_renewed_authority_is_taken_with_the_certificate(bench: Bench) -> None:
    """Bug: it was sent along and thrown away, so no agent would have outlived its ten years."""
    renewed = renewed_authority(bench.authority, bench.clock.now_us())
    assert (bench.folder / AUTHORITY).read_bytes() != renewed
    signed = bench.sign(bench.look(CERTIFICATE, "csr"))
    bench.answer(CERTIFICATE, certificate=signed, ca=renewed.decode())
    assert (bench.folder / AUTHORITY).read_bytes() == renewed
    assert bench.codes("certificate") == ["identity-renewed"]


def test_another_authority_is_not_taken(bench: Bench, tmp_path: Path) -> None:
    """It would shut the agent out of a broker that the former one has signed."""
    former = (bench.folder / AUTHORITY).read_bytes()
    create_authority(tmp_path / "other", "suzhou", bench.clock.now_us())
    signed = bench.sign(bench.look(CERTIFICATE, "csr"))
    bench.answer(CERTIFICATE, certificate=signed, ca=authority_pem(tmp_path / "other").decode())
    assert (bench.folder / AUTHORITY).read_bytes() == former
    assert (bench.folder / "tls.crt").read_text() == signed


def test_a_former_authority_is_not_taken_back(bench: Bench) -> None:
    """Central was restored from a backup from before its authority was renewed."""
    former = authority_pem(bench.authority)
    renewed = renewed_authority(bench.authority, bench.clock.now_us())
    (bench.folder / AUTHORITY).write_bytes(renewed)
    signed = bench.sign(bench.look(CERTIFICATE, "csr"))
    bench.answer(CERTIFICATE, certificate=signed, ca=former.decode())
    assert (bench.folder / AUTHORITY).read_bytes() == renewed
    assert (bench.folder / "tls.crt").read_text() == signed
