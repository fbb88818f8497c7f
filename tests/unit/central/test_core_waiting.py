"""Whose turn it is at the intake: little is not behind much, much gets its share, one agent's order stays."""

from __future__ import annotations

import threading
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from central.waiting import FairQueue, Waiting


def test_who_was_quiet_is_heard_at_once() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.put("backlog", 1000, f"backlog {number}")
    assert [queue.get() for _ in range(3)] == ["backlog 0", "backlog 1", "backlog 2"]
    queue.put("live", 10, "live")
    assert [queue.get() for _ in range(2)] == ["live", "backlog 3"]


def test_who_has_more_than_a_share_waits_for_the_others() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        for agent in ("a", "b", "c"):
            queue.put(agent, 1000, agent)
    queue.put("d", 1, "d")
    told = [queue.get() for _ in range(31)]
    assert told.index("d") < 4
    assert {agent: told.count(agent) for agent in "abc"} == {"a": 10, "b": 10, "c": 10}


def test_bytes_count_and_not_messages() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(40):
        queue.put("large", 4000, "large")
        queue.put("small", 1000, "small")
    told = [queue.get() for _ in range(25)]
    assert (told.count("small"), told.count("large")) == (20, 5)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10_000), st.booleans())))
def test_one_agents_order_stays(told: list[tuple[str, int, bool]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    found: list[tuple[str, int]] = []
    for number, (agent, cost, take) in enumerate(told):
        queue.put(agent, cost, (agent, number))
        if take:
            found.append(queue.get())
    while len(queue):
        found.append(queue.get())
    assert sorted(found, key=lambda item: item[1]) == [(agent, n) for n, (agent, _, _) in enumerate(told)]
    for agent in "abc":
        numbers = [number for who, number in found if who == agent]
        assert all(one < other for one, other in pairwise(numbers))


def test_what_is_urgent_goes_first_and_bytes_are_bounded() -> None:
    waiting: Waiting[str] = Waiting(most_bytes=100)
    waiting.put("a", 90, 0, "first")
    let_in = threading.Event()

    def more() -> None:
        waiting.put("a", 500, 0, "second")
        let_in.set()

    thread = threading.Thread(target=more, daemon=True)
    thread.start()
    waiting.urgent("now")
    assert [waiting.get(), let_in.is_set(), waiting.get(), waiting.get()] == ["now", False, "first", "second"]
    thread.join()
    assert waiting.get(wait=False) is None
