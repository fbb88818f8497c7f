"""Central does not start on a database that its anchors do not name, nor without the anchors that it made."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from central import anchors, footing, restore
from central.app import Central
from central.facts import Origin
from central.keys import CentralKeys
from central.settings import AnchorSettings, CentralSettings
from central.store import intake, snapshots
from central.store.database import Database
from central.verify import Verification, verify
from records.errors import Refused
from records.model import EpochOpened
from records.wire import CENTRAL
from tests.rigs import stores
from tests.unit.central.core_rig import StoppedCentral, event

pytestmark = pytest.mark.both_stores

ORIGIN = Origin("suzhou", "Asia/Shanghai", "lotkeeper 0", None)
WHY = restore.Why("anna", "test", "a drill")
ACCESS_LIST = Path("broker") / "access.acl"


class Placed(CentralSettings):
    """With its database where the test's store is."""

    @property
    def database(self) -> Database:
        return stores.place(self.folder)


@dataclass
class Plant(StoppedCentral):
    """A central that has anchored what its agent sent, and is stopped."""

    also: Path | None = None

    def begin(self, central: Central) -> None:
        self.work(central, "WO-1")

    @property
    def settings(self) -> CentralSettings:
        data = self.folder / "data"
        return Placed(
            site="suzhou", time_zone="Asia/Shanghai", folder=data, anchors=AnchorSettings(also=self.also)
        )

    @property
    def file(self) -> Path:
        return self.settings.anchors_file

    def work(self, central: Central, *orders: str, keeps: bool = False) -> None:
        """Orders that the agent starts, anchored; ``keeps``: the agent keeps that anchor."""
        self.agent.write(*(event(order=order) for order in orders))
        assert central.ingest.take(self.agent.topic, self.agent.frame()).result == "committed"
        self.clock.advance(5)
        central.anchor()
        if keeps:
            with central.store.read() as connection:
                marks = intake.watermarks(connection)
                at_us = snapshots.anchored_us(connection)
            assert at_us is not None
            heads = [anchors.Head(w.agent, w.epoch, w.stream, w.committed_through, w.hash, at_us) for w in marks]
            told: Any = anchors.told(heads, at_us)
            self.agent.write(event(anchors.KEPT, **told))
            assert central.ingest.take(self.agent.topic, self.agent.frame()).result == "committed"

    def refused(self) -> str:
        """Why it does not start; nothing was made by the attempt."""
        before = sorted(self.settings.folder.rglob("*")), self.file.exists() and self.file.read_bytes()
        with pytest.raises(Refused) as error:
            self.open()
        after = sorted(self.settings.folder.rglob("*")), self.file.exists() and self.file.read_bytes()
        shm = {self.settings.folder / "central.db-shm", self.settings.folder / "central.db-wal"}
        assert (set(before[0]) - shm, before[1]) == (set(after[0]) - shm, after[1])
        return str(error.value)

    def as_is(self) -> None:
        self.clock.advance(5)
        restore.declare(self.settings, self.clock, ORIGIN, WHY)

    def verify(self) -> Verification:
        return verify(self.settings.database, self.file, CentralKeys.open(self.settings.keys).public)

    def faults(self) -> list[footing.Fault]:
        return footing.faults(self.settings, CentralKeys.open(self.settings.keys).ring)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_a_central_that_stands_on_its_own_ground_starts(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.work(central, "WO-2", keeps=True)
        assert plant.faults() == []
    plant.open().close()
    assert plant.verify().ok


def test_a_database_that_is_gone_is_not_begun_anew(plant: Plant) -> None:
    stores.restore(plant.settings.folder, None)
    said = plant.refused()
    assert "holds nothing of what central anchored" in said
    assert "at least 3 chains with" in said
    assert "restore BACKUP" in said
    assert not (plant.settings.folder / ACCESS_LIST).exists(), "no agent is locked out"
    (fault,) = plant.faults()
    assert "holds nothing" in fault.says


def test_an_empty_file_in_the_place_of_the_database_is_not_filled(plant: Plant) -> None:
    if stores.is_server():
        return  # an empty database of a server is what the test before has
    database = plant.settings.folder / "central.db"
    database.write_bytes(b"")
    assert "holds nothing" in plant.refused()
    assert database.stat().st_size == 0


def test_an_older_copy_that_was_put_back_by_hand_is_not_gone_on_with(plant: Plant) -> None:
    older = stores.snapshot(plant.settings.folder)
    with closing(plant.open()) as central:
        plant.work(central, "WO-2", "WO-3")
    stores.restore(plant.settings.folder, older)
    said = plant.refused()
    assert f"assembly-1/{plant.agent.epoch}/records through 4, here through 2" in said
    assert "--as-is" in said
    plant.as_is()
    with closing(plant.open()) as central:
        opened = [f.fact.data for f in central.store.facts(agent=CENTRAL, kinds=["epoch_opened"], stream="audit")]
        assert [o.why for o in opened if isinstance(o, EpochOpened)] == ["created", "restored"]
        plant.work(central, "WO-4", keeps=True)
    assert plant.verify().reason is None
    assert plant.verify().restores == 1


def test_anchors_that_were_put_back_with_the_database_are_judged_by_their_copy(tmp_path: Path) -> None:
    plant = Plant(tmp_path, also=tmp_path / "elsewhere" / "anchors.jsonl")
    older, lines = stores.snapshot(plant.settings.folder), plant.file.read_bytes()
    with closing(plant.open()) as central:
        plant.work(central, "WO-2")
    stores.restore(plant.settings.folder, older)
    plant.file.write_bytes(lines)
    assert str(plant.also) in plant.refused()
    plant.as_is()
    plant.open().close()


def test_a_database_that_is_lost_with_all_its_backups_is_begun_anew_by_a_stated_act(plant: Plant) -> None:
    stores.restore(plant.settings.folder, None)
    plant.as_is()
    with closing(plant.open()) as central:
        (restored,) = central.store.facts(codes=["backup-restored"], stream="audit")
        assert restored.agent == CENTRAL
    assert plant.verify().restores == 1


@pytest.mark.parametrize("left", ["nothing", "older"])
def test_anchors_that_are_gone_or_older_than_the_database_are_missed_and_may_be_given_up(
    plant: Plant, left: str
) -> None:
    older = plant.file.read_bytes()
    with closing(plant.open()) as central:
        plant.work(central, "WO-2", keeps=True)
    assert plant.verify().ok
    if left == "older":
        plant.file.write_bytes(older)
    else:
        plant.file.unlink()
    said = plant.refused()
    assert ("is gone or empty" if left == "nothing" else "ends at") in said
    assert "--as-is" in said
    assert not plant.verify().ok
    assert "lacks what central anchored" in (plant.verify().reason or "")
    plant.as_is()
    with closing(plant.open()) as central:
        plant.work(central, "WO-3", keeps=True)
    result = plant.verify()
    assert (result.ok, result.reason) == (True, None)
    ((after_us, _),) = result.unanchored
    assert (after_us == 0) == (left == "nothing")


def test_anchors_that_are_gone_are_missed_by_what_agents_keep_where_nothing_else_is_noted(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.work(central, "WO-2", keeps=True)
    stores.by_hand(plant.settings.folder, "DELETE FROM meta WHERE name = 'anchored'")
    plant.file.unlink()
    assert "is gone or empty" in plant.refused()


def test_anchors_that_lie_in_their_second_place_are_brought_back(tmp_path: Path) -> None:
    plant = Plant(tmp_path, also=tmp_path / "elsewhere" / "anchors.jsonl")
    with closing(plant.open()) as central:
        plant.work(central, "WO-2", keeps=True)
    plant.file.unlink()
    assert f"cp {plant.also} {plant.file}" in plant.refused()
    with pytest.raises(Refused, match="cp "):
        plant.as_is()
    assert plant.also is not None
    shutil.copyfile(plant.also, plant.file)
    plant.open().close()
    assert plant.verify().ok


def test_the_names_of_new_files_of_anchors_are_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a power cut took the name away again, central would lack the anchors that it made, and not start."""
    synced: list[Path] = []
    monkeypatch.setattr(anchors, "sync_folder", synced.append)
    path, also = tmp_path / "anchors.jsonl", tmp_path / "elsewhere" / "anchors.jsonl"
    for _ in range(2):
        anchors.append(path, [b"{}\n"])
        anchors.mirror(path, also)
    assert also.read_bytes() == path.read_bytes() == b"{}\n{}\n"
    assert synced == [path.parent, also.parent]
