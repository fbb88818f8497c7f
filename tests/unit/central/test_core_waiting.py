"""Whose turn it is at the intake: little is not behind much, much gets its share, one agent's order stays."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.waiting import TINY, FairQueue, Waiting


def served(queue: FairQueue[str], costs: Mapping[str, float], times: int) -> list[str]:
    """What is got so many times; each item costs what ``costs`` says of its first word."""
    told = []
    for _ in range(times):
        item = queue.get()
        assert item is not None
        told.append(item)
        queue.charge(costs[told[-1].partition(" ")[0]])
    return told


def test_who_was_quiet_is_heard_at_once() -> None:
    queue: FairQueue[str] = FairQueue()
    costs = {"backlog": 1000, "live": 10}
    for number in range(100):
        queue.put("backlog", 1000, f"backlog {number}")
    assert served(queue, costs, 3) == ["backlog 0", "backlog 1", "backlog 2"]
    queue.put("live", 10, "live")
    assert served(queue, costs, 2) == ["live", "backlog 3"]


def test_who_has_more_than_a_share_waits_for_the_others() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        for agent in ("a", "b", "c"):
            queue.put(agent, 1000, agent)
    queue.put("d", 1, "d")
    told = served(queue, {"a": 1000, "b": 1000, "c": 1000, "d": 1}, 31)
    assert told.index("d") < 4
    assert {agent: told.count(agent) for agent in "abc"} == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("sizes", "costs"),
    [
        ({"dear": 4000, "cheap": 1000}, {"dear": 4000, "cheap": 1000}),
        ({"dear": 1000, "cheap": 1000}, {"dear": 40_000, "cheap": 10_000}),
    ],
    ids=["larger", "packed better"],
)
def test_what_it_cost_counts_and_neither_messages_nor_bytes(
    sizes: Mapping[str, int], costs: Mapping[str, float]
) -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(40):
        for who, size in sizes.items():
            queue.put(who, size, who)
    told = served(queue, costs, 25)
    assert (told.count("cheap"), told.count("dear")) == (20, 5)


def test_of_many_who_drain_at_once_none_goes_before_a_short_message() -> None:
    """All of them begin their turns at one moment, so a short message would else wait for one of each."""
    queue: FairQueue[str] = FairQueue()
    for agent in range(20):
        for _ in range(10):
            queue.put(f"drain-{agent}", 6000, "drain")
    costs = {"drain": 400_000, "live": 15_000}
    behind = []
    served(queue, costs, 20)  # until it is known how much is packed in theirs
    for _ in range(100):
        queue.put("live", 3000, "live")
        told = [*served(queue, costs, 1)]
        while told[-1] != "live":
            told += served(queue, costs, 1)
        behind.append(len(told) - 1)
        served(queue, costs, 1)
    assert max(behind) == 0


def test_whose_item_was_the_last_that_waited_begins_anew_with_the_others() -> None:
    """What came while it was worked on let it be charged on top of all that had been served before."""
    queue: FairQueue[str] = FairQueue()
    costs = {"a": 1000, "b": 1000}
    for _ in range(500):
        queue.put("a", 100, "a")
        queue.put("b", 100, "b")
    served(queue, costs, 999)
    last = queue.get()
    assert last is not None
    assert not queue
    for _ in range(20):
        queue.put("a", 100, "a")
        queue.put("b", 100, "b")
    queue.charge(1000)
    assert last in served(queue, costs, 3)


@pytest.mark.parametrize("size", [0, 7])
def test_a_tiny_message_makes_nobody_wait_whose_messages_are_unknown(size: int) -> None:
    """An agent that is offline is stated in 7 bytes; each of them seemed to cost as much as many of a frame's."""
    queue: FairQueue[str] = FairQueue()
    costs = {"drain": 900_000.0, "offline": 6200.0}
    for _ in range(50):
        for agent in range(20):
            queue.put(f"drain-{agent}", 60_000, "drain")
    served(queue, costs, 40)
    queue.put("gone", size, "offline")
    assert "offline" in served(queue, costs, 30)
    queue.put("new", 60_000, "new")
    costs["new"] = 900_000.0
    assert "new" in served(queue, costs, 60)


def test_one_frame_that_was_dear_beyond_all_others_is_forgotten() -> None:
    """Bug: every agent that was heard for the first time waited for it, as long as central ran."""
    costs = {"odd": 20_000_000.0, "drain": 60_000.0, "new": 60_000.0}

    def behind(ordinary: int) -> int:
        """How many go before an agent's first frame, so many ordinary ones after the dear one."""
        queue: FairQueue[str] = FairQueue()
        queue.put("odd", 300, "odd")
        for _ in range(ordinary + 2000):
            queue.put("drain", 6000, "drain")
        served(queue, costs, ordinary + 1)
        queue.put("new", 6000, "new")
        return served(queue, costs, 2000).index("new")

    assert behind(1000) <= 1
    queue: FairQueue[str] = FairQueue()
    for _ in range(20):
        queue.put("drain", 6000, "drain")
    costs["drain"] = 400_000.0
    served(queue, costs, 5)
    queue.put("unknown", 6000, "unknown")
    queue.put("live", 300, "live")
    costs |= {"unknown": 400_000.0, "live": 3000.0}
    assert served(queue, costs, 1) == ["live"], "what a large one usually holds is thought of an unknown one"


MOST = st.sampled_from([None, 100, 5000, 20_000])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(TINY, 10_000), MOST)))
def test_one_agents_order_stays(told: list[tuple[str, int, int | None]]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    found: list[tuple[str, int]] = []
    for number, (agent, cost, most) in enumerate(told):
        queue.put(agent, cost, (agent, number))
        item = None if most is None else queue.get(most)
        if item is not None and most is not None:
            found.append(item)
            assert told[item[1]][1] <= most
            queue.charge(told[item[1]][1])
    while (item := queue.get()) is not None:
        found.append(item)
    assert not queue
    assert sorted(found, key=lambda item: item[1]) == [(agent, n) for n, (agent, _, _) in enumerate(told)]
    for agent in "abc":
        numbers = [number for who, number in found if who == agent]
        assert all(one < other for one, other in pairwise(numbers))


def test_what_is_too_large_now_keeps_its_turn_while_others_go() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.put("large", 5000, "large 0")
    queue.put("large", 10, "large 1")
    queue.put("small", 10, "small 0")
    queue.put("small", 20, "small 1")
    assert [queue.get(100), queue.get(100), queue.get(100)] == ["small 0", "small 1", None]
    queue.put("small", 10, "small 2")
    assert [queue.get(), queue.get(), queue.get(), queue.get()] == ["small 2", "large 0", "large 1", None]


def test_what_costs_much_for_its_size_is_not_taken_for_short() -> None:
    queue: FairQueue[str] = FairQueue()
    costs = {"drain": 200_000.0, "live": 7000.0}
    for agent in ("live", "drain", "drain", "live"):
        queue.put(agent, 1000, agent)
    served(queue, costs, 2)
    assert [queue.get(50_000), queue.get(50_000), queue.get()] == ["live", None, "drain"]


def test_what_is_urgent_goes_first_and_bytes_are_bounded() -> None:
    waiting: Waiting[str] = Waiting(most_bytes=100)
    waiting.put("a", 90, "first")
    let_in = threading.Event()

    def more() -> None:
        waiting.put("a", 500, "second")
        let_in.set()

    thread = threading.Thread(target=more, daemon=True)
    thread.start()
    waiting.urgent("now")
    assert [waiting.get(), let_in.is_set(), waiting.get(), waiting.get()] == ["now", False, "first", "second"]
    thread.join()


def test_a_large_one_is_waited_with_and_neither_a_short_nor_an_urgent_one() -> None:
    waiting: Waiting[str] = Waiting()
    waiting.put("a", 500, "large")
    waiting.put("b", 10, "small")
    assert waiting.get(100) == "small"
    waiting.urgent("done")
    assert [waiting.get(100), waiting.get()] == ["done", "large"]
