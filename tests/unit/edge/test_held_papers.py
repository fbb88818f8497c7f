"""Papers are made anew only after a change, and what cannot be read of them is said once."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import JsonValue
from structlog.testing import capture_logs

from edge_agent.held_papers import HeldPapers
from records.clock import FakeClock
from records.wire import Document
from tests.unit.edge.stations import NOW_US

BAD = Document("route-status", "WO-1#1", 1, 0, {"order": "WO-1"})
HORIZON: JsonValue = {"operations": {"OP10": "5"}, "orders": {"WO-1": "1"}}


class Held:
    """What an agent holds; counts how often each kind was asked for."""

    def __init__(self) -> None:
        self.documents = [BAD]
        self.asked: list[str] = []

    def all(self, kind: str) -> Iterable[Document]:
        self.asked.append(kind)
        return [document for document in self.documents if document.kind == kind]

    def age_s(self, _kind: str, _id: str) -> float | None:
        return 0.0

    def central_us(self) -> int:
        return NOW_US


def test_a_route_that_cannot_be_read_is_said_once_however_often_the_horizon_moves() -> None:
    held = Held()
    papers = HeldPapers(held, FakeClock(NOW_US), lambda: "Asia/Shanghai")  # type: ignore[arg-type]
    with capture_logs() as said:
        assert papers.now().routes.horizon is None
        for version in (1, 2, 3):
            held.documents = [BAD, Document("route-status", "plant", version, 0, HORIZON)]
            papers.changed("route-status")
            assert papers.now().routes.reaches_us("WO-1", "OP10") is None
    assert [(line["event"], "WO-1#1" in line["problem"]) for line in said] == [("document-not-understood", True)]


def test_other_papers_are_not_read_anew_for_a_route() -> None:
    held = Held()
    held.documents = []
    papers = HeldPapers(held, FakeClock(NOW_US), lambda: "Asia/Shanghai")  # type: ignore[arg-type]
    first = papers.now()
    held.asked.clear()
    assert papers.now() is first
    papers.changed("route-status")
    assert papers.now().orders is first.orders
    assert held.asked == ["route-status"]
    assert first.today().isoformat() == "2026-11-18"
