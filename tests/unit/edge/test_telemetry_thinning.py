"""When telemetry's room runs low the extremes of the oldest stay: said before, all or nothing, each chunk once."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_agent.outbox import GivenUp, Outbox, export, verify
from edge_agent.outbox.schema import triggers
from records.clock import FakeClock
from records.errors import Refused
from records.telemetry import KIND, Chunk, Column, Series, SeriesTag, decode_chunk, encode_chunk, encode_series
from tests.rigs.outboxes import AGENT, header, held, mark

CLOCK = FakeClock()
START_US = 1_795_000_020_000_000
CAP, BUCKET_S = 700_000, 10.0
DEVICES = ("welder", "oven")
Extremes = dict[tuple[str, int], tuple[float, float]]


def poll(device: str, second: int) -> bytes:
    """A second of one device: ten rows of twenty tags, with a spike now and then."""
    tags = tuple(SeriesTag(f"t{n}") for n in range(20))
    series = Series(AGENT, "suzhou", "valve-1", device, 0.1, "test", "sha256:00", (Column("float64", tags),))
    rows = START_US + second * 1_000_000 + np.arange(10) * 100_000
    made = np.random.default_rng([second, len(device)])
    values = made.normal(size=200)
    values[made.integers(0, 200)] += 50
    return encode_chunk(encode_series(series), rows, np.zeros(200, np.int64), np.zeros(200, np.uint32), [values])


@contextmanager
def buffer(
    folder: Path,
    said: list[GivenUp],
    *,
    tell: Callable[[GivenUp], None] | None = None,
    failpoint: Callable[[str], None] = lambda _: None,
    cap: int = CAP,
) -> Iterator[Outbox]:
    outbox = Outbox(
        folder,
        AGENT,
        CLOCK,
        context=lambda: header(CLOCK),
        stream="telemetry",
        max_bytes=cap,
        on_thin=tell or said.append,
        bucket_s=BUCKET_S,
        failpoint=failpoint,
    )
    try:
        yield outbox
    finally:
        outbox.close()


def fill(outbox: Outbox, seconds: range, until: Callable[[], object] = lambda: False) -> list[bytes]:
    """Five seconds of all devices a commit."""
    made: list[bytes] = []
    for first in seconds[::5]:
        made += (now := [poll(device, first + n) for n in range(5) for device in DEVICES])
        outbox.keep(now).result()
        if until():
            break
    return made


def extremes_of(bodies: list[Chunk]) -> Extremes:
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for chunk in bodies:
        for tag in chunk.series.tags:
            for us, _, _, value in chunk.readings(tag.name):
                if isinstance(value, float):
                    found[f"{chunk.series.device}.{tag.name}", us // 10_000_000].append(value)
    return {key: (min(values), max(values)) for key, values in found.items()}


def told(folder: Path) -> tuple[list[int], list[int], list[int], list[Chunk]]:
    """Seqs that hold what was read, that are tombstones, that thinned chunks stand for; and all chunks."""
    whole: list[int] = []
    gone: list[int] = []
    named: list[int] = []
    found: list[Chunk] = []
    for row in export(folder / "telemetry.db"):
        if row.kind != KIND:
            continue
        if row.body is None:
            gone.append(row.seq)
            continue
        found.append(decode_chunk(row.body))
        thinned = found[-1].thinned
        if thinned is None:
            whole.append(row.seq)
        else:
            assert thinned.epoch == row.epoch
            named += [first + step * n for first, step, count in thinned.chunks for n in range(count)]
    return whole, gone, named, found


def _stands_for(chunk: Chunk) -> int:
    return len(chunk.status) if chunk.thinned is None else chunk.thinned.readings


def test_the_oldest_keep_their_extremes_and_that_is_said_before(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, said) as outbox:
        made = fill(outbox, range(400), lambda: len(said) > 3)
    whole, gone, named, found = told(tmp_path)
    assert {given.bucket_s for given in said} == {BUCKET_S}, "nothing gave way whole"
    assert set(Counter(named).values()) == {1}
    assert sorted(named) == gone
    assert set(gone) <= {seq for g in said for seq in range(g.first, g.last + 1)}, "the oldest, as was said"
    assert (sum(g.chunks for g in said), sum(g.readings or 0 for g in said)) == (len(gone), 200 * len(gone))
    assert sum(chunk.thinned.readings for chunk in found if chunk.thinned) == 200 * len(gone)
    assert whole[-1] > gone[-1]
    assert extremes_of(found) == extremes_of([decode_chunk(body) for body in made])
    assert verify(tmp_path / "telemetry.db").ok
    assert all(g.began_us is not None and g.ended_us is not None and g.began_us < g.ended_us for g in said)


def test_only_when_all_is_thinned_the_oldest_give_way_whole(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, said) as outbox:
        made = fill(outbox, range(3000), lambda: said and said[-1].bucket_s is None)
    whole, gone, _, found = told(tmp_path)
    lost = said[-1]
    assert len([g for g in said if g.bucket_s is None]) == 1
    assert min(*whole, *(set(range(2, lost.last + 1)) - set(gone)), lost.last + 1) > lost.last, "the oldest first"
    assert len(whole) < 100, "all but the newest was thinned before"
    kept = extremes_of(found)
    was = extremes_of([decode_chunk(body) for body in made])
    assert len(made) > 2.5 * CAP / (len(made[0]) + 400), "so much longer the trend is kept"
    assert all(was[key] == value for key, value in kept.items() if key[1] > min(at for _, at in kept) + 1)
    assert verify(tmp_path / "telemetry.db").ok


def test_a_power_cut_at_any_moment_thins_a_chunk_whole_or_not_at_all(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    images: list[Path] = []

    def image(name: str) -> None:
        """What the disk holds at this moment."""
        if len(said) >= 2 and len(images) < 40:
            images.append(tmp_path / f"{len(images)}")
            shutil.copytree(tmp_path / "telemetry", images[-1], ignore=shutil.ignore_patterns("*.lock"))

    with buffer(tmp_path / "telemetry", said, failpoint=image) as outbox:
        fill(outbox, range(400), lambda: len(images) == 40)
    seen = set()
    for folder in images:
        with buffer(folder, []) as again:
            assert again.finding.why is None
        whole, gone, named, found = told(folder)
        assert sorted(named) == gone
        assert not set(named) & set(whole)
        assert sum(_stands_for(chunk) for chunk in found) == 200 * (len(whole) + len(gone))
        assert verify(folder / "telemetry.db").ok
        seen.add(len(gone))
    assert len(seen) > 1, "before a window was thinned, and after"


def test_thinning_that_cannot_be_said_is_not_done_and_the_newest_is_kept_while_there_is_room(
    tmp_path: Path,
) -> None:
    def full(_: GivenUp) -> None:
        raise Refused("the buffer of records is full")

    with buffer(tmp_path, [], tell=full) as outbox, pytest.raises(Refused):
        fill(outbox, range(400))
    _, gone, named, _ = told(tmp_path)
    assert not gone
    assert not named
    size = (tmp_path / "telemetry.db").stat().st_size
    assert size > 0.95 * CAP


def test_what_the_disk_altered_is_in_no_thinned_chunk(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, said) as outbox:
        fill(outbox, range(5))
        body = bytearray(next(row.body or b"" for row in export(outbox.path) if row.seq == 6))
        body[-4] ^= 64  # of a value
        assert decode_chunk(bytes(body)), "it can be read all the same"
        with closing(sqlite3.connect(outbox.path)) as disk:
            disk.execute("DROP TRIGGER records_unchanged")
            disk.execute("UPDATE records SET body = ? WHERE seq = 6", (bytes(body),))
            disk.execute(triggers("telemetry")["records_unchanged"])
            disk.commit()
        fill(outbox, range(5, 400), lambda: said)
    whole, gone, named, _ = told(tmp_path)
    assert 6 in whole, "it is for the uplink and the background check to say so"
    assert {2, 3, 4, 5, 7, 8} <= set(gone)
    assert sorted(named) == gone


def test_what_central_has_goes_before_anything_is_thinned(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, said) as outbox:
        fill(outbox, range(60))
        outbox.apply(mark(held(outbox)[-1]))
        fill(outbox, range(60, 120))
    assert not said


def test_what_was_thinned_and_what_is_no_chunk_stays_as_it_is(tmp_path: Path) -> None:
    said: list[GivenUp] = []
    with buffer(tmp_path, said) as outbox:
        outbox.keep([b"garbage", b"LKT1" + b"x" * 400]).result()
        fill(outbox, range(400), lambda: len(said) > 3)
    first = list(said)
    with buffer(tmp_path, said) as outbox:  # a start forgets nothing of what was thinned
        fill(outbox, range(400, 500), lambda: len(said) > len(first) + 2)
    spans = [(given.first, given.last) for given in said]
    assert all(one[1] < other[0] for one, other in pairwise(spans))
    bodies = [row.body for row in export(tmp_path / "telemetry.db") if row.seq in (2, 3)]
    assert bodies == [b"garbage", b"LKT1" + b"x" * 400]


def test_what_the_full_disk_took_back_is_not_said_once_more_when_it_is_done(tmp_path: Path) -> None:
    """Bug: each try made another record of the same chunks."""
    said: list[GivenUp] = []
    tries: list[int] = []

    def full(name: str) -> None:
        if name == "outbox.before_commit" and said and len(tries) < 3:
            tries.append(len(said))
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    with buffer(tmp_path, said, failpoint=full) as outbox:
        for second in range(400):
            with suppress(Refused):
                outbox.keep([poll(device, second) for device in DEVICES]).result()
            if len(said) > 1:
                break
    assert tries == [1, 1, 1]
    _, gone, named, _ = told(tmp_path)
    assert len(gone) == len(named) == sum(given.chunks for given in said)
