"""One flipped bit anywhere in the database or its log: seen, or harmless; never does an altered record go out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_agent.outbox import Outbox
from records.clock import FakeClock
from records.errors import Damaged, StorageFailed
from tests.rigs.outboxes import batch, held, number_of, open_outbox

COUNT = 40
OWN = {"epoch_opened", "record-damaged", "epoch-rolled-back"}
"""What an outbox writes by itself."""


@dataclass(frozen=True)
class Image:
    """What a disk holds while the agent runs: all of ``said`` was promised."""

    folder: Path
    said: dict[int, Any]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    live, copy = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("copy") / "image"
    clock = FakeClock()
    outbox = open_outbox(live, clock)
    for number in range(COUNT):
        outbox.commit(batch(number, clock)).result()
    said = {number: content for number, content in told(outbox) if number is not None}
    assert len(said) == COUNT
    shutil.copytree(live, copy, ignore=shutil.ignore_patterns("*.lock", "*-shm"))
    assert (copy / "records.db-wal").stat().st_size > 20_000, "much of it is in the log only"
    yield Image(copy, said)
    outbox.close()


def told(outbox: Outbox) -> list[tuple[int | None, Any]]:
    """Number and content of every record that would be sent."""
    found = []
    for row in held(outbox):
        if row.body is not None:
            content = json.loads(row.body)
            content["header"].pop("stored_as", None)
            found.append((number_of(row.body), content if number_of(row.body) is not None else row.kind))
    return found


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["records.db", "records.db-wal"]),
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
@example(name="records.db", place=0.0, bit=0)
@example(name="records.db-wal", place=0.0, bit=0)
@example(name="records.db-wal", place=0.999, bit=3)
def test_a_flipped_bit_is_seen_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, image: Image, name: str, place: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flip") / "buffer"
    shutil.copytree(image.folder, folder)
    content = bytearray((folder / name).read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    seen, sent = False, list[tuple[int | None, Any]]()
    outbox: Outbox | None = None
    try:
        outbox = open_outbox(folder, FakeClock())
        seen = outbox.finding.why is not None or bool(outbox.finding.damaged)
        sent = told(outbox)
        seen |= any(row.tombstone is not None for row in held(outbox))
    except (Damaged, StorageFailed):
        seen = True
    finally:
        if outbox is not None:
            with suppress(Damaged, StorageFailed):
                outbox.close()
    records = [(number, said) for number, said in sent if number is not None]
    assert all(image.said[number] == said for number, said in records), "altered"
    assert len({number for number, _ in records}) == len(records), "doubled"
    assert seen or len(records) == COUNT, "missing, and nobody knows"
    shutil.rmtree(folder)
