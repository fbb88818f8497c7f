"""Two agents with one identity: which of them may send."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from central.fencing import SILENT_US, Fencing, Held, Start, judge
from central.renewals import Renewals
from central.store import agents, documents
from records.errors import Invalid
from records.fence import Fenced
from records.keys import SigningKey, prove
from records.wire import FENCE, Document, Request
from tests.unit.central.core_rig import Agent, Rig

A, A2, A3 = Start("a", ()), Start("a2", ("a",)), Start("a3", ("a2", "a"))
B, B2 = Start("b", ()), Start("b2", ("b",))


def walk(*hellos: tuple[Start, int]) -> tuple[Held | None, list[str]]:
    """Say hello after hello, each at a second; who holds the name, and who was fenced."""
    held: Held | None = None
    fenced = []
    for start, at_s in hellos:
        verdict = judge(held, start, at_s * 1_000_000)
        held = verdict.held
        fenced += [verdict.fenced] if verdict.fenced else []
    return held, fenced


def holder(*hellos: tuple[Start, int]) -> tuple[str, list[str]]:
    held, fenced = walk(*hellos)
    assert held is not None
    return held.holder.instance, fenced


def test_restarts_are_never_fenced_however_fast_and_whatever_was_missed() -> None:
    assert holder((A, 0), (A, 1), (A2, 2), (A2, 3), (A3, 4)) == ("a3", [])
    assert holder((A, 0), (A3, 1), (A3, 2)) == ("a3", []), "a start in between was never heard"


def test_the_one_that_was_there_first_and_is_heard_again_stays() -> None:
    assert holder((A, 0), (B, 10)) == ("a", [])
    assert holder((A, 0), (B, 10), (A, 15)) == ("a", ["b"])
    assert holder((A, 0), (B, 10), (B2, 12), (A, 15)) == ("a", ["b2"])
    assert holder((A, 0), (B, 10), (A2, 15)) == ("a2", ["b"]), "also when it was started again meanwhile"


def test_a_pc_that_took_the_place_of_a_dead_one_is_let_in() -> None:
    late = 10 + SILENT_US // 1_000_000 + 1
    assert holder((A, 0), (B, 10), (B, late)) == ("b", [])
    assert holder((A, 0), (B, 10), (B2, late)) == ("b2", [])
    assert holder((A, 0), (B, 10), (A, late), (B, late + 5)) == ("b", ["a"]), "and the dead one stays out"


def test_a_restored_disk_of_one_pc_is_let_in_without_waiting_for_anybody() -> None:
    restored = Start("r", ("a",))
    assert holder((A, 0), (A2, 1), (A3, 2), (restored, 3), (restored, 4)) == ("a3", [])
    assert holder((A, 0), (A2, 1), (A3, 2), (restored, 3), (restored, 200)) == ("r", [])


def test_a_copy_of_a_running_agents_disk_is_the_one_that_is_fenced() -> None:
    copy = Start("c", ("a2", "a"))
    assert holder((A, 0), (A2, 1), (copy, 2)) == ("c", []), "it looks like a restart"
    assert holder((A, 0), (A2, 1), (copy, 2), (A2, 3)) == ("a2", ["c"])
    assert holder((A, 0), (A2, 1), (copy, 2), (A2, 3), (A3, 9)) == ("a3", ["c"])


def test_who_was_enrolled_later_wins_at_once() -> None:
    new = Start("n", (), key_us=50)
    assert holder((A, 0), (new, 1), (A, 2)) == ("n", ["a"])
    assert holder((A, 0), (new, 1), (new, 2), (A, 900)) == ("n", ["a"]), "and still does"
    assert holder((A, 0), (Start("a", (), key_us=50), 1)) == ("a", []), "its own key was renewed"


def test_a_dead_pc_that_was_replaced_and_enrolled_again_is_not_taken_for_a_second_agent() -> None:
    """Bug: each replaced PC was stated as `agent-doubled`, and people were sent to find one that was gone."""
    new, later = Start("n", (), key_us=50), Start("n2", ("n",), key_us=50)
    assert holder((A, 0), (A2, 1), (new, 2), (new, 7), (later, 500)) == ("n2", [])


DEAD = Held(Start("dead", (), 1), 0)
NEW_A, NEW_B = Start("new-a", (), 1), Start("new-b", (), 1)
COPY_B = Start("new-b", ("new-a",), 1)


@pytest.mark.parametrize("apart_s", [0.01, 1, 5, 30, 60, 119])
@pytest.mark.parametrize("other", [NEW_B, COPY_B], ids=["its own buffer", "a copy of the disk"])
def test_of_two_that_claim_the_name_of_a_dead_one_the_first_stays(apart_s: float, other: Start) -> None:
    """Bug: each reset the other's claim, so that neither ever held the name and both sent for ever."""
    held, fenced = DEAD, []
    for number in range(4):
        verdict = judge(held, (NEW_A, other)[number % 2], round((1 + number * apart_s) * 1_000_000))
        held = verdict.held
        if verdict.fenced is not None:
            fenced.append((number, verdict.fenced, verdict.kept.instance))
            break
    assert fenced == [(2, "new-b", "new-a")]


def test_a_claimant_that_is_gone_does_not_keep_the_name_from_another() -> None:
    late = SILENT_US // 1_000_000
    assert holder((A, 0), (B, 10), (Start("c", ()), 20), (Start("c", ()), 21 + late)) == ("c", [])
    assert holder((A, 0), (B, 10), (Start("c", ()), 20), (A, 25)) == ("a", ["b"])
    restored = Start("r", ("b",))
    assert holder((A, 0), (B, 10), (B2, 12), (restored, 14), (restored, 15 + late)) == ("r", [])


TURNS = 12
TURN = st.tuples(
    st.permutations(range(4)), st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=4, max_size=4)
)


@given(st.integers(2, 4), st.booleans(), st.booleans(), st.lists(TURN, min_size=TURNS, max_size=TURNS))
def test_of_all_that_are_alive_one_is_left_whatever_the_order(
    pcs: int, holder_lives: bool, copied: bool, turns: list[tuple[list[int], list[tuple[float, bool]]]]
) -> None:
    """Each is heard within every silence, as are those that take turns at the broker; some start anew."""
    first = Start("pc0", (), 1)
    alive = [first] + [Start(f"pc{n}", ("pc0",) if copied and n % 2 else (), 1) for n in range(1, pcs)]
    held, fenced, now_us = (Held(first, 0) if holder_lives else DEAD), set[str](), 1
    for order, steps in turns:
        for number, (apart, anew) in zip(order, steps, strict=True):
            now_us += 1 + round(apart * SILENT_US / 8)
            if number >= pcs or alive[number].own & fenced:
                continue
            if anew:
                alive[number] = Start(f"at{now_us}", (alive[number].instance, *alive[number].before), 1)
            verdict = judge(held, alive[number], now_us)
            held = verdict.held
            fenced = fenced - held.holder.own | ({verdict.fenced} if verdict.fenced else set())
            assert not fenced & {held.holder.instance, verdict.kept.instance}
    left = [start for start in alive if not start.own & fenced]
    assert len(left) == 1, (alive, fenced, held)


@given(
    st.lists(
        st.tuples(st.sampled_from(["again", "restart", "wiped", "restored"]), st.integers(1, 400)), max_size=30
    )
)
def test_one_pc_is_never_fenced_whatever_is_done_to_it(story: list[tuple[str, int]]) -> None:
    held, now_us, start, images = DEAD, 1, NEW_A, [NEW_A]
    for number, (what, after_s) in enumerate(story):
        if what == "wiped":
            start = Start(f"s{number}", (), 1)
        elif what == "restored":
            start = Start(f"s{number}", tuple(sorted(images[after_s % len(images)].own)), 1)
        elif what == "restart":
            start = Start(f"s{number}", (start.instance, *start.before), 1)
        images.append(start)
        now_us += after_s * 1_000_000
        verdict = judge(held, start, now_us)
        held = verdict.held
        assert verdict.fenced not in start.own


class Bench:
    def __init__(self, folder: Path) -> None:
        self.rig = Rig(folder)
        self.agent = self.rig.enrol(Agent())
        self.told: list[Document] = []
        self.fencing = Fencing(
            self.rig.store, self.rig.facts, self.rig.clock, lambda _agent, document: self.told.append(document)
        )

    def hello(self, start: Start, key: SigningKey | None = None) -> None:
        self.rig.clock.advance(1.0)
        content: JsonValue = {
            "instance": start.instance,
            "before": list[JsonValue](start.before),
            "key": (key or self.agent.key).id,
            "epoch": "later",
        }
        self.fencing.hello(Request(self.agent.name, "hello", self.rig.clock.now_us(), content))

    def instances(self) -> JsonValue:
        content = self.told[-1].content
        return content["instances"] if isinstance(content, dict) else None


def test_the_fenced_one_is_told_by_a_document_that_stays_until_it_is_enrolled_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for start in (A, B, A):
        bench.hello(start)
    assert bench.told[0].kind == FENCE
    assert bench.told[0].content == {"instances": ["b"], "kept": "a", "why": "two-are-alive"}
    bench.hello(B)
    bench.hello(B2)
    assert [told.version for told in bench.told] == [1, 1, 1], "told again, not anew"
    bench.hello(Start("c", ()))
    bench.hello(A2)
    assert bench.instances() == ["c", "b"], "a third one does not free the second"
    key = SigningKey.generate()
    bench.rig.store.write(
        lambda c: agents.enrol(c, bench.agent.name, "p0", key.public.hex(), bench.rig.clock.now_us())
    )
    bench.hello(Start("b3", ("b2", "b")), key)
    assert bench.instances() == ["c"], "the PC that was enrolled again goes on"
    bench.hello(A3)
    assert bench.instances() == ["a3", "c"], "the other one stops as soon as it is heard"
    with bench.rig.store.read() as connection:
        assert documents.newest(connection, FENCE, bench.agent.name) == bench.told[-1]
    events = [stored.fact.data for stored in bench.rig.store.facts(agent="central")]
    assert [getattr(data, "code", "") for data in events].count("agent-doubled") == 3


def renew(bench: Bench, key: SigningKey) -> None:
    """As each agent does by itself, once a year."""
    folder = bench.rig.folder
    renewals = Renewals(bench.rig.store, bench.rig.facts, bench.rig.clock, None, folder, lambda *_: None)  # type: ignore[arg-type]
    name = bench.agent.name
    content: JsonValue = {"public": key.public.hex(), "proof": prove(name, key)}
    bench.rig.clock.advance(3600.0)
    renewals.signing_key(Request(name, "signing-key", bench.rig.clock.now_us(), content))


def test_a_key_that_an_agent_changes_by_itself_decides_nothing(tmp_path: Path) -> None:
    """Bug: of two PCs with one identity the one won that had changed its key later, also a copy long fenced."""
    bench = Bench(tmp_path)
    for start in (A, B, A):
        bench.hello(start)
    fresh = SigningKey.generate()
    renew(bench, fresh)
    bench.hello(B2, fresh)
    assert bench.instances() == ["b"]
    bench.hello(A2)
    bench.hello(Start("b3", ("b2", "b")), fresh)
    assert bench.instances() == ["b"]

    # who was enrolled later wins, and stays when the other one changes its key
    enrolled, other = SigningKey.generate(), SigningKey.generate()
    bench.rig.store.write(
        lambda c: agents.enrol(c, bench.agent.name, "p0", enrolled.public.hex(), bench.rig.clock.now_us())
    )
    bench.hello(Start("b4", ("b3", "b2", "b")), enrolled)
    bench.hello(A2)
    assert bench.instances() == ["a2"]
    renew(bench, other)
    bench.hello(A3, other)
    bench.hello(Start("b5", ("b4", "b3", "b2", "b")), enrolled)
    assert bench.instances() == ["a2"]


def test_a_copy_of_a_running_disk_that_is_enrolled_again_is_not_fenced_with_its_origin(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for start in (A, A2, Start("c", ("a2", "a")), A2):
        bench.hello(start)
    assert bench.instances() == ["c"]
    key = SigningKey.generate()
    bench.rig.store.write(
        lambda c: agents.enrol(c, bench.agent.name, "p0", key.public.hex(), bench.rig.clock.now_us())
    )
    bench.hello(Start("c2", ("c", "a2", "a")), key)
    assert bench.instances() is None
    bench.hello(A2)
    assert bench.instances() == ["a2"]
    told = len(bench.told)
    for start in (Start("c2", ("c", "a2", "a")), Start("c3", ("c2", "c", "a2", "a"))):
        bench.hello(start, key)
    assert len(bench.told) == told, "the one that goes on is told nothing, and its origin is not let in again"
    fenced = Fenced.of(bench.told[-1])
    assert fenced.names(("c3", "c2", "c", "a2", "a")) is None
    assert fenced.names(("a3", "a2", "a")) == "a2"
    bench.hello(Start("d", ("c3", "c2", "c", "a2", "a")), key)
    bench.hello(Start("c3", ("c2", "c", "a2", "a")), key)
    fenced = Fenced.of(bench.told[-1])
    assert fenced.instances == ("d", "a2"), "nor a copy of the copy"
    assert fenced.names(("d", "c3", "c2", "c", "a2", "a")) == "d"
    assert fenced.names(("c4", "c3", "c2", "c", "a2", "a")) is None


@pytest.mark.parametrize("content", [None, {}, {"instance": 1, "before": [], "key": "k"}, [1]])
def test_what_is_no_hello_is_refused(tmp_path: Path, content: JsonValue) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(Invalid, match="no hello"):
        bench.fencing.hello(Request(bench.agent.name, "hello", 1, content))
