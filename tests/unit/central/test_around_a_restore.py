"""What a restore says before it begins, and what the doctor says of it afterwards."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import structlog
from pydantic import JsonValue

from central import admin, backup, doctor, doctor_keeping, restore, verify
from central.fencing import Fencing
from central.requests import BackupMake, ask_server
from central.store.engine import reading
from records.clock import iso_z
from records.errors import Damaged, Refused
from records.progress import Tell
from records.wire import HELLO, Request
from tests.unit.central.test_backup import WHY, Plant


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_a_restore_that_is_refused_has_not_read_the_backup_through(plant: Plant) -> None:
    """Bug: over a database that holds more it read all records of the backup first, for minutes."""
    with closing(plant.open()) as central:
        made = plant.back_up(central)
        plant.send(central, "WO-1")
    with (made / backup.DATABASE).open("ab") as file:
        file.write(b"what only reading it through finds")
    with pytest.raises(Refused, match="records more than the backup"):
        plant.restore(made)
    with pytest.raises(Damaged):
        plant.restore(made, replace=True)


def test_after_a_restore_the_doctor_tells_of_the_backup_that_was_restored(plant: Plant) -> None:
    """Bug: the first backup that was ever made does not hold the fact that it was, so that none was known."""
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        plant.send(central, "WO-2")
    plant.restore(made, replace=True)
    for later_s, state in ((0, "fine"), (49 * 3600, "bad")):
        plant.clock.advance(later_s)
        with reading(plant.settings.database) as connection:
            told = next(iter(doctor_keeping.backups(connection, plant.settings, plant.clock)))
        assert (told.state, str(made) in told.says) == (state, True)
    with closing(plant.open()) as central:
        newer = plant.back_up(central)
    with reading(plant.settings.database) as connection:
        told = next(iter(doctor_keeping.backups(connection, plant.settings, plant.clock)))
    assert (told.state, str(made) in told.says, newer.exists()) == ("fine", False, True)


def test_a_fence_that_a_restore_issued_again_is_told_with_its_own_time(plant: Plant) -> None:
    """Bug: for a week after a restore the doctor said that two agents had run as one at that moment."""
    name = plant.agent.name
    with closing(plant.open()) as central:
        fencing = Fencing(central.store, central.facts, plant.clock, lambda *_: None)
        for start in ("first", "second", "first"):
            plant.clock.advance(1)
            content: JsonValue = {"instance": start, "before": [], "key": plant.agent.key.id}
            fencing.hello(Request(name, HELLO, plant.clock.now_us(), content))
        doubled_us = plant.clock.now_us()
        made = plant.back_up(central)
    plant.clock.advance(3 * 86_400)
    plant.restore(made, replace=True)
    for later_s, state in ((0, "warning"), (5 * 86_400, "fine")):
        plant.clock.advance(later_s)
        with reading(plant.settings.database) as connection:
            (told,) = doctor.doubled(connection, plant.clock, {name})
        assert told.state == state
        assert (str(iso_z(doubled_us)) in told.says) == (state == "warning")


def test_backup_and_restore_tell_how_far_they_are(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: a minute and more without a word, also where the running server does it."""
    monkeypatch.setattr(verify, "PROGRESS_STEP", 1)
    monkeypatch.setattr(admin, "TELL_EVERY_S", 0.0)
    far: list[tuple[int, int | None]] = []

    def tell(count: int, total: int | None = None, /) -> None:
        far.append((count, total))

    with closing(plant.open()) as central:
        plant.send(central, "WO-1", "WO-2")
        server = admin.AdminServer(plant.settings.folder, central.administration, structlog.get_logger())
        server.start()
        try:
            request = BackupMake(by="anna", out=str(plant.folder / "asked"))
            answer = ask_server(plant.settings.folder, request, tell)
        finally:
            server.stop()
        origin = central.origin
    assert isinstance(answer, dict)
    records = answer["records"]
    assert far[-1] == (records, records)
    assert [count for count, _ in far] == sorted(count for count, _ in far)
    far.clear()
    made = Path(str(answer["backup"]))
    parts: dict[str, tuple[int, int | None]] = {}

    def counting(what: str) -> Tell:
        def tell(count: int, total: int | None = None, /) -> None:
            parts[what] = (count, total)

        return tell

    restore.restore(plant.settings, made, plant.clock, origin, WHY, replace=True, counting=counting)
    assert parts.pop("records of the backup checked") == (records, records)
    copied, again = parts.values()
    assert list(parts) == ["MB of the database copied", "documents stated again"], "it stood still there"
    assert copied[0] == copied[1]
    assert again[0] == again[1] == 1
    parts.clear()
    restore.declare(plant.settings, plant.clock, origin, WHY, counting)
    assert parts == {"documents stated again": (1, 1)}
