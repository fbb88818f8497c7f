"""Backup and restore: proven when made, never over more than it holds, and nothing of it is used twice."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from central import anchors, backup, doctor_keeping, restore
from central.access import Actor
from central.anchors import read_anchors
from central.app import Central, build
from central.certificates import altered_in
from central.domain import ChainPart, Grade
from central.keys import CentralKeys
from central.settings import BackupSettings, CentralSettings
from central.store import documents, intake, search, snapshots
from central.store.engine import reading
from central.stored import StoredFact
from central.verify import Verification, verify
from records.errors import ConfigurationError, Damaged, LotkeeperError, Refused, StorageFailed
from records.model import EpochOpened, OperationsEvent
from records.wire import CENTRAL, Document, Head, sign
from tests.unit.central.core_rig import Agent, StoppedCentral, event

WHY = restore.Why("anna", "test", "the disk died")
BY = Actor("anna", "test")


@dataclass
class Plant(StoppedCentral):
    """A central without a broker, and one agent; opened and closed as its test needs it."""

    def begin(self, central: Central) -> None:
        self.documents(central, 3)

    @property
    def settings(self) -> CentralSettings:
        return CentralSettings(
            site="suzhou",
            time_zone="Asia/Shanghai",
            folder=self.folder / "data",
            backup=BackupSettings(folder=self.folder / "backups", keep=2),
        )

    def send(self, central: Central, *orders: str) -> None:
        self.clock.advance(5)
        self.agent.write(*(event(order=order) for order in orders))
        central.ingest.take(self.agent.topic, self.agent.frame())

    def documents(self, central: Central, versions: int) -> None:
        for n in range(versions):
            central.store.write(lambda c, n=n: central.facts.issue(c, "lots", "SR-20", {"n": n}))  # type: ignore[misc]

    def back_up(self, central: Central) -> Path:
        self.clock.advance(5)
        return central.backups.make(None, by=BY).folder

    def restore(self, source: Path, *, replace: bool = False) -> restore.Restored:
        self.clock.advance(5)
        with closing(self.open()) as any_central:  # for what it says of itself
            origin = any_central.origin
        return restore.restore(self.settings, source, self.clock, origin, WHY, replace=replace)

    def verify(self) -> Verification:
        keys = CentralKeys.open(self.settings.keys)
        assert isinstance(self.settings.database, Path)
        return verify(self.settings.database, self.settings.anchors_file, keys.public)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    return Plant(tmp_path)  # type: ignore[return-value]


def orders(central: Central, agent: Agent) -> list[str]:
    facts = central.store.facts(agent=agent.name, codes=["order-started"])
    return [str(f.fact.data.params["order"]) for f in facts if isinstance(f.fact.data, OperationsEvent)]


def test_a_backup_is_made_while_central_works_and_proven(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        plant.send(central, "WO-2")
        (fact,) = central.store.facts(codes=["backup-made"], stream="audit")
        assert isinstance(fact.fact.data, OperationsEvent)
        assert fact.fact.data.params["backup"] == str(made)
        assert backup.last_backup_us(central.store) == fact.fact.header.at_us
        public = central.keys.public
    assert sorted(p.name for p in made.iterdir()) == ["anchors.jsonl", "central.db", "keys", "manifest.json"]
    assert made.stat().st_mode & 0o077 == 0, "private keys"
    with reading(made / "central.db") as connection:
        assert backup.prove(made, public).manifest.records == snapshots.standing(connection).records


@pytest.mark.parametrize("failing", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.ENOENT])
def test_a_disk_of_backups_that_takes_nothing_ends_no_central(plant: Plant, failing: int) -> None:
    """Bug: the scheduled backup ended central, whose next start found it due at once and ended again."""

    def fail(point: str) -> None:
        if point == "backup.before_rename":
            raise OSError(failing, "the disk of the backups")

    ended: list[StorageFailed] = []
    central = build(plant.settings, plant.clock, on_failure=ended.append, failpoint=fail)
    with closing(central):
        job = central._guarded("backup", central._back_up)
        assert job() is False
        plant.send(central, "WO-1")
        assert orders(central, plant.agent)[-1] == "WO-1"
    assert ended == []


def test_only_the_newest_backups_stay(plant: Plant) -> None:
    with closing(plant.open()) as central:
        made = [plant.back_up(central) for _ in range(3)]
        elsewhere = central.backups.make(plant.folder / "elsewhere", by=BY).folder
    assert backup.listed(plant.folder / "backups") == made[1:]
    assert backup.listed(plant.folder / "elsewhere") == [elsewhere]


def test_a_backup_that_was_just_made_stays_though_earlier_ones_have_later_names(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.clock.jump(365 * 86_400)  # central's clock is a year ahead
        ahead = [plant.back_up(central) for _ in range(2)]
        plant.clock.jump(-365 * 86_400)
        made = [plant.back_up(central) for _ in range(2)]
        assert backup.listed(plant.folder / "backups") == made
        assert not any(each.exists() for each in ahead)


def test_a_folder_with_backups_of_another_central_keeps_the_one_that_was_just_made(plant: Plant) -> None:
    with closing(plant.open()) as central:
        for _ in range(3):
            plant.send(central, "WO-1")
            plant.back_up(central)
    other = Plant(plant.folder / "other")
    shutil.copytree(plant.folder / "backups", other.folder / "backups")
    with closing(other.open()) as central:
        assert other.back_up(central).exists()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda b: (b / "central.db").write_bytes((b / "central.db").read_bytes()[:-1]), "not the file"),
        (lambda b: (b / "anchors.jsonl").unlink(), "not all of one: anchors.jsonl missing"),
        (lambda b: shutil.rmtree(b / "keys"), "not all of one: keys/central.json, keys/central.key missing"),
        (lambda b: b.rename(b.with_name("gone")), "there is no such folder"),
        (lambda b: (b / "manifest.json").write_bytes(b"{}"), "no signed document"),
        (lambda b: (b / "manifest.json").unlink(), "is no backup"),
    ],
)
def test_a_backup_that_was_changed_is_not_restored(plant: Plant, harm: object, said: str) -> None:
    with closing(plant.open()) as central:
        made = plant.back_up(central)
    harm(made)  # type: ignore[operator]
    with pytest.raises(LotkeeperError, match=said) as refused:
        plant.restore(made, replace=True)
    assert "init" not in str(refused.value), "new keys are the last thing that a restore needs"
    with closing(plant.open()):
        pass  # nothing was touched


def damage(plant: Plant, *seqs: int) -> None:
    """Flip bits in bodies of the agent's records, as a disk does."""
    with closing(sqlite3.connect(plant.folder / "data" / "central.db")) as other, other:
        (name, sql), *_ = other.execute("SELECT name, sql FROM sqlite_master WHERE name = 'guard_body_update'")
        other.execute(f"DROP TRIGGER {name}")
        for seq in seqs:
            record = f"(SELECT id FROM envelope WHERE agent = 'assembly-1' AND seq = {seq})"
            other.execute(f"UPDATE body SET body = CAST('x' AS BLOB) WHERE envelope_id = {record}")
        other.execute(sql)


def told(plant: Plant) -> dict[str, str]:
    """What the doctor says is bad."""
    with reading(plant.settings.database) as connection:
        found = [
            *doctor_keeping.records(connection),
            *doctor_keeping.backups(connection, plant.settings, plant.clock),
        ]
    return {each.check: each.says for each in found if each.state == "bad"}


def test_a_damaged_database_is_backed_up_as_what_it_is(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        whole = [plant.back_up(central) for _ in range(2)]
        assert told(plant) == {}
        damage(plant, 2)
        flawed = [plant.back_up(central) for _ in range(3)]
        public, origin = central.keys.public, central.origin
    said = f"assembly-1/{plant.agent.epoch}/records seq 2: the record's body was changed"
    assert backup.prove(flawed[-1], public).manifest.flaws == (said,)
    assert backup.listed(plant.folder / "backups") == [*whole, *flawed[1:]], "the whole ones stay"
    assert said in told(plant)["flawed backup"]
    assert said in told(plant)["records"]
    plant.clock.advance(5)
    with pytest.raises(Refused, match=r"seq 2: the record's body was changed.*--flawed"):
        restore.restore(plant.settings, flawed[-1], plant.clock, origin, WHY, replace=True)
    restore.restore(plant.settings, flawed[-1], plant.clock, origin, WHY, replace=True, flawed=True)
    with closing(plant.open()) as central:
        (stated,) = central.store.facts(codes=["backup-restored"], stream="audit")
        assert isinstance(stated.fact.data, OperationsEvent)
        assert stated.fact.data.params["flaws"] == [said]
    assert plant.verify().reason == "the record's body was changed"
    restore.restore(plant.settings, whole[-1], plant.clock, origin, WHY, replace=True)
    with closing(plant.open()) as central:
        assert central.verify().ok
        plant.back_up(central)
    assert told(plant) == {}


def test_a_lot_whose_records_were_altered_is_not_certified_as_complete(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1", "WO-2", "WO-3")
        name, epoch = plant.agent.name, plant.agent.epoch
        part = ChainPart(name, epoch, 2, 3, 2, 0, 0, 4, Grade.COMPLETE)
        damage(plant, 1, 3, 4)
        with central.store.read() as connection:
            assert list(altered_in(connection, [part])) == [(name, epoch, 3)], "what the lot needs"


def test_a_backup_that_calls_itself_whole_and_is_not_is_not_restored(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        damage(plant, 2)
        flawed = plant.back_up(central)
        signed = backup.read_manifest(flawed, central.keys.public)
        content = backup._MANIFEST.dump_python(replace(signed, flaws=()), mode="json")
        document = Document(backup.KIND, flawed.name, 1, plant.clock.now_us(), content)
        (flawed / backup.MANIFEST).write_bytes(sign(document, central.keys.signing))
        with pytest.raises(Damaged, match="does not verify"):
            backup.prove(flawed, central.keys.public)
        assert backup.prove(made, central.keys.public).manifest.flaws == ()


def test_a_restored_central_goes_on_in_new_epochs_and_agents_send_again(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        plant.documents(central, 2)  # versions 4 and 5, which lines may hold
        plant.send(central, "WO-2")
        central.anchor()
        lost = {w.epoch for w in _marks(central) if w.agent == CENTRAL}
    done = plant.restore(made, replace=True)
    assert done.set_aside is not None
    assert done.set_aside.exists()
    with closing(plant.open()) as central:
        marks = _marks(central)
        assert {w.generation for w in marks} == {done.generation}
        assert orders(central, plant.agent) == ["WO-1"]
        newest = {(w.agent, w.stream): w.epoch for w in marks}
        assert not lost & {newest[CENTRAL, "records"], newest[CENTRAL, "audit"]}
        opened = [f.fact.data for f in central.store.facts(agent=CENTRAL, kinds=["epoch_opened"])]
        assert [o.why for o in opened if isinstance(o, EpochOpened)] == ["created", "restored"]
        with central.store.read() as connection:
            (document,) = documents.current(connection)
        assert (document.version > 5, document.content) == (True, {"n": 2}), "above what lines may hold"
        outcome = central.ingest.take(plant.agent.topic, plant.agent.frame(3))
        assert outcome.watermark is not None
        assert outcome.watermark.generation == done.generation
        assert orders(central, plant.agent) == ["WO-1", "WO-2"]
        central.anchor()
    result = plant.verify()
    assert (result.ok, result.restores) == (True, 1)
    assert result.lost > 0, "of central's own chains; what the agent sent again is not lost"
    with closing(plant.open()) as central:
        plant.send(central, "WO-3")
        plant.back_up(central)  # a restored central can be backed up, and proven


def _marks(central: Central) -> list[intake.Watermark]:
    with central.store.read() as connection:
        return intake.watermarks(connection)


def test_verify_forgives_what_a_restore_lost_and_nothing_else(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1", "WO-2", "WO-3")
        central.anchor()
        made = plant.back_up(central)
        plant.send(central, "WO-4")
        central.anchor()
    plant.restore(made, replace=True)
    result = plant.verify()
    assert (result.ok, result.restores) == (True, 1)
    link = plant.agent.envelopes[2].hash.hex()
    with closing(sqlite3.connect(plant.folder / "data" / "central.db")) as other, other:
        guards = other.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            other.execute(f"DROP TRIGGER {name}")
        other.execute("DELETE FROM envelope WHERE agent = 'assembly-1' AND seq = 4")
        other.execute(f"UPDATE watermark SET committed_through = 3, hash = x'{link}' WHERE agent = 'assembly-1'")
        other.execute("DELETE FROM frame WHERE agent = 'assembly-1'")
        for _, sql in guards:
            other.execute(sql)
    assert not plant.verify().ok, "the backup held record 4"


HOUR = 3600.0


@pytest.mark.parametrize("right", ["before the backup", "after the backup", "after the restore"])
def test_what_a_restore_lost_is_told_by_its_place_and_not_by_its_time(plant: Plant, right: str) -> None:
    """Bug: ``verify`` called it missing for ever where central's clock had been ahead before the backup."""

    def set_right(now: str) -> None:
        if right == now:
            plant.clock.jump(-HOUR)

    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        central.anchor()
        plant.clock.jump(HOUR)
        plant.send(central, "WO-2")
        kept = keep_anchor(plant, central)
        set_right("before the backup")
        made = plant.back_up(central)
        set_right("after the backup")
        plant.send(central, "WO-3")
        central.anchor()
    plant.restore(made, replace=True)
    set_right("after the restore")
    with closing(plant.open()) as central:
        result = central.verify()
        assert result.ok, result.reason
        plant.send(central, "WO-3", "WO-4")
        keep_anchor(plant, central)
        plant.back_up(central)
        central.anchor()
    result = plant.verify()
    assert (result.ok, result.restores) == (True, 1), result.reason
    assert kept in {f.fact.data.params["at"] for f in keepings(plant)}
    shorten(plant, "assembly-1")
    assert not plant.verify().ok, "what was anchored since the restore"


def keep_anchor(plant: Plant, central: Central) -> str:
    """Central anchors, and its agent keeps what it is told of that; the moment."""
    plant.clock.advance(5)
    with central.store.read() as connection:
        marks = intake.watermarks(connection)
    central.anchor()
    at_us = read_anchors(plant.settings.anchors_file, central.keys.ring)[-1].at_us
    told = anchors.told(
        [Head(w.agent, w.epoch, w.stream, w.committed_through, w.hash, at_us) for w in marks], at_us
    )
    assert isinstance(told, dict)
    plant.agent.write(OperationsEvent(anchors.KEPT, told))
    central.ingest.take(plant.agent.topic, plant.agent.frame())
    return str(told["at"])


def keepings(plant: Plant) -> list[StoredFact]:
    with reading(plant.settings.database) as connection:
        return search.facts(connection, search.Wanted(codes=[anchors.KEPT]))


def shorten(plant: Plant, agent: str) -> None:
    """Cut the last record of an agent's chain, and all that names it in the database."""
    link = plant.agent.envelopes[-2].hash.hex()
    last = len(plant.agent.envelopes)
    with closing(sqlite3.connect(plant.folder / "data" / "central.db")) as other, other:
        guards = other.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in guards:
            other.execute(f"DROP TRIGGER {name}")
        other.execute(f"DELETE FROM envelope WHERE agent = '{agent}' AND seq = {last}")
        other.execute(
            f"UPDATE watermark SET committed_through = {last - 1}, hash = x'{link}' WHERE agent = '{agent}'"
        )
        other.execute(f"DELETE FROM frame WHERE agent = '{agent}' AND last = {last}")
        for _, sql in guards:
            other.execute(sql)


def test_nothing_is_restored_over_a_server_or_over_more_than_the_backup_holds(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made, origin = plant.back_up(central), central.origin
        with pytest.raises(Refused, match="in use"):
            restore.restore(plant.settings, made, plant.clock, central.origin, WHY, replace=True)
    with pytest.raises(Refused, match=r"records more than the backup"):
        plant.restore(made)
    (plant.folder / "data" / "central.db").write_bytes(b"no database any more" * 99)
    with pytest.raises(Refused, match=r"cannot be read.*--replace"):
        restore.restore(plant.settings, made, plant.clock, origin, WHY)
    done = restore.restore(plant.settings, made, plant.clock, origin, WHY, replace=True)
    assert done.set_aside is not None
    assert done.set_aside.read_bytes().startswith(b"no database any more"), "kept, not deleted"
    assert plant.verify().ok


def test_into_an_empty_folder_and_of_another_central(plant: Plant) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        origin = central.origin
    shutil.rmtree(plant.folder / "data")
    restore.restore(plant.settings, made, plant.clock, origin, WHY)
    with closing(plant.open()) as central:
        assert orders(central, plant.agent) == ["WO-1"]
    assert plant.verify().ok
    other = Plant(plant.folder / "other")
    with pytest.raises(Refused, match="another central"):
        other.restore(made, replace=True)
    with pytest.raises(ConfigurationError, match="not all of one"):
        other.restore(plant.folder)


def test_a_backup_that_is_cut_short_is_none_and_the_next_one_clears_it_away(plant: Plant) -> None:
    def cut(name: str) -> None:
        if name == "backup.before_rename":
            raise KeyboardInterrupt

    with closing(build(plant.settings, plant.clock, failpoint=cut)) as central:
        with pytest.raises(KeyboardInterrupt):
            plant.back_up(central)
        out = plant.folder / "backups"
        assert [path.suffix for path in out.iterdir()] == [".part"]
        assert backup.listed(out) == []
    with closing(plant.open()) as central:
        made = plant.back_up(central)
    assert list(out.iterdir()) == [made]


@pytest.mark.parametrize("place", ["copied", "declared", "set_aside", "replaced"])
def test_a_restore_that_was_cut_short_is_done_again(plant: Plant, place: str) -> None:
    with closing(plant.open()) as central:
        plant.send(central, "WO-1")
        made = plant.back_up(central)
        plant.send(central, "WO-2")
        central.anchor()
        origin = central.origin

    def cut(name: str) -> None:
        if name == f"restore.{place}":
            raise KeyboardInterrupt

    plant.clock.advance(5)
    with pytest.raises(KeyboardInterrupt):
        restore.restore(plant.settings, made, plant.clock, origin, WHY, replace=True, failpoint=cut)
    with pytest.raises(Refused, match="cut short"):
        plant.open()
    plant.clock.advance(5)
    restore.restore(plant.settings, made, plant.clock, origin, WHY, replace=True)
    with closing(plant.open()) as central:
        assert orders(central, plant.agent) == ["WO-1"]
    assert plant.verify().ok
