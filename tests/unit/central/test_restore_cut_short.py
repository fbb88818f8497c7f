"""A restore into a server that was cut short is finished with the backup it began with, and with no other."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path

import pytest

from central import restore
from central.settings import CentralSettings, DatabaseSettings
from central.store import snapshots
from central.store.engine import reading
from records.errors import Refused
from records.progress import Tell, silent
from tests.rigs import postgres
from tests.unit.central.test_backup import WHY, Plant

pytestmark = pytest.mark.postgres


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def on_server(plant: Plant, database: str) -> CentralSettings:
    """The same central with an empty database on the server."""
    place = DatabaseSettings(url=postgres.shared().url(database))
    return plant.settings.model_copy(update={"postgres": place})


def records(settings: CentralSettings) -> int:
    with reading(settings.database) as connection:
        return snapshots.standing(connection).records


@pytest.mark.parametrize("place", ["copied", "replaced"])
def test_a_restore_that_was_cut_short_calls_no_database_by_another_backups_name(plant: Plant, place: str) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        older, origin = plant.back_up(central), central.origin
        plant.send(central, "WO-2", "WO-3")
        newer = plant.back_up(central)
    server = postgres.shared()
    database, other = server.empty(), server.empty()
    settings = on_server(plant, database)

    def cut(name: str) -> None:
        if name == f"restore.{place}":
            raise KeyboardInterrupt

    plant.clock.advance(5)
    with suppress(KeyboardInterrupt):
        restore.restore(settings, older, plant.clock, origin, WHY, failpoint=cut)
    before = records(settings)
    with pytest.raises(Refused, match=older.name) as refused:
        restore.restore(settings, newer, plant.clock, origin, WHY)
    assert refused.value.hint is not None
    assert records(settings) == before
    plant.clock.advance(5)
    done = restore.restore(settings, older, plant.clock, origin, WHY)
    assert (done.backup, done.held) == (older, before)
    brought: list[int] = []

    def counting(what: str) -> Tell:
        return (lambda count, _=None, /: brought.append(count)) if what.startswith("rows") else silent

    done = restore.restore(on_server(plant, other), newer, plant.clock, origin, WHY, counting=counting)
    assert done.backup == newer
    assert brought == sorted(brought)
    assert brought[-1] > done.held
