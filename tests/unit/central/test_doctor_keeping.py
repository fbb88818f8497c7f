"""What the doctor says of backups, the anchors' second place, the server, workers and what lines keep."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from central import doctor_keeping as doctor
from central.doctor import refused
from central.doctor_told import Told
from central.settings import BackupSettings, CentralSettings
from central.store import leases, partitions
from records.clock import SystemClock
from records.configuration import ConfigurationRecord
from records.model import OperationsEvent
from tests.rigs import stores
from tests.unit.central import core_rig
from tests.unit.central.core_rig import Agent, Rig

pytestmark = pytest.mark.both_stores
HOUR_S = 3600


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with core_rig.rig(tmp_path) as opened:
        yield opened


def settings(rig: Rig, *, planned: bool = True) -> CentralSettings:
    plan = BackupSettings(folder=rig.folder / "backups") if planned else None
    return CentralSettings(site="suzhou", time_zone="Asia/Shanghai", folder=rig.folder, backup=plan)


def said(rig: Rig, *, planned: bool = True) -> dict[str, str]:
    with rig.store.read() as connection:
        found = list(doctor.backups(connection, settings(rig, planned=planned), rig.clock))
    return states(found)


def states(found: Iterable[Told]) -> dict[str, str]:
    told = list(found)
    assert all((one.do is None) == (one.state == "fine") for one in told)
    return {one.check: one.state for one in told}


def test_a_backup_that_is_missing_or_late_is_told(rig: Rig) -> None:
    assert said(rig) == {"backup": "bad", "lines' own copies": "fine"}
    assert said(rig, planned=False) == {"backup": "warning"}
    rig.clock.advance(1)
    made = OperationsEvent("backup-made", {"backup": "b", "records": 1})
    rig.store.write(lambda connection: rig.facts.state(connection, made, stream="audit"))
    rig.clock.advance(25 * HOUR_S)
    assert said(rig)["backup"] == "fine"
    assert said(rig, planned=False)["backup"] == "warning"
    rig.clock.advance(25 * HOUR_S)
    assert said(rig)["backup"] == "bad"


def test_a_line_that_keeps_less_than_a_backup_takes_to_come_is_told(rig: Rig) -> None:
    for name, kept_s in (("long-1", 14 * 24 * HOUR_S), ("short-1", 6 * HOUR_S)):
        agent = rig.enrol(Agent(name))
        agent.write(
            ConfigurationRecord(
                f"sha256:{name}", (), {"buffer": {"keep_acknowledged": float(kept_s)}}, "lotkeeper 0"
            )
        )
        assert rig.ingest.take(agent.topic, agent.frame()).result == "committed"
    with rig.store.read() as connection:
        found = [one for one in doctor.backups(connection, settings(rig), rig.clock) if one.check != "backup"]
    assert [(one.state, one.says.split()[0]) for one in found] == [("warning", "short-1")]


def test_the_second_place_of_the_anchors_must_be_there_and_agree(rig: Rig) -> None:
    own, also = rig.folder / "own.jsonl", rig.folder / "also.jsonl"
    own.write_text("one\ntwo\n")
    assert doctor.second_place(own, also).state == "unreachable"
    also.write_text("one\n")
    assert doctor.second_place(own, also).state == "fine"
    for wrong in ("other\n", "one\ntwo\nthree\n"):
        also.write_text(wrong)
        assert doctor.second_place(own, also).state == "bad"


def test_an_agent_of_which_nothing_is_taken_is_told(rig: Rig) -> None:
    """As after a restore of a backup from before it was enrolled with the key that it has."""
    agent, believed = rig.enrol(Agent("line-1")), {"line-1"}
    agent.write(OperationsEvent("agent-start", {}))
    other_key = Agent("line-1")
    other_key.write(OperationsEvent("agent-start", {}))
    assert rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us())).result == "head"
    with rig.store.read() as connection:
        assert states(refused(connection, believed)) == {"messages": "fine"}
    rig.clock.advance(5.0)
    assert rig.ingest.take(other_key.topic, other_key.frame()).result == "quarantined"
    with rig.store.read() as connection:
        (told,) = refused(connection, believed)
        assert states(refused(connection, set())) == {"messages": "fine"}, (
            "a revoked one is refused as it should be"
        )
    assert told.state == "bad"
    assert told.says.startswith("what line-1 sends is refused, the last on ")
    assert told.says.endswith("which is not a known key of line-1")
    assert "enrol it again" in str(told.do)
    rig.clock.advance(5.0)
    assert rig.ingest.take(agent.state_topic, agent.head(rig.clock.now_us())).result == "head"
    rig.ingest.bring("line-1", other_key.frame(), by_any_key=False)
    with rig.store.read() as connection:
        assert states(refused(connection, believed)) == {"messages": "fine"}


def test_a_server_and_its_workers(rig: Rig) -> None:
    with rig.store.read() as connection:
        server = {one.check: one.state for one in doctor.server(connection, SystemClock())}
        assert states(doctor.workers(connection, 10.0)) == {}
        if server:
            assert (server["database server"], server["database server's clock"]) == ("fine", "fine")
            assert {"durable settings", "database role"} <= set(server)
            assert states(doctor.server(connection, rig.clock))["database server's clock"] == "warning"
            assert server["parts by month"] == "warning"
    rig.store.write(lambda c: partitions.make_ahead(c, SystemClock().now_us()))
    with rig.store.read() as connection:
        told = {one.check: one.state for one in doctor.server(connection, SystemClock())}
    assert told.get("parts by month", "fine") == "fine"
    rig.enrol(Agent("line-1"))
    take(rig, "partition/p0", "first abc", 60.0)
    with rig.store.read() as connection:
        assert states(doctor.workers(connection, 10.0)) == {"workers": "fine"}
    take(rig, "partition/p0", "first abc", -60.0)
    with rig.store.read() as connection:
        (dead,) = doctor.workers(connection, 10.0)
    assert (dead.state, dead.says.split()[:4]) == ("bad", ["first", "had", "partition", "p0"])


def test_nobody_is_called_gone_while_one_that_writes_holds_up_all_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "BUSY_S", 0.0)
    rig.enrol(Agent("line-1"))
    take(rig, "partition/p0", "first", -60.0)
    began, go_on = threading.Event(), threading.Event()

    def judge(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        began.set()
        assert go_on.wait(60)

    done = rig.store.submit(judge)
    try:
        assert began.wait(60)
        with rig.store.read() as connection:
            (told,) = doctor.workers(connection, 10.0)
    finally:
        go_on.set()
    done.result()
    if stores.is_server():
        assert told.state == "warning"
        assert "(lotkeeper writer, idle in transaction) has the write lock, its transaction is" in told.says
        assert "pg_terminate_backend(" in str(told.do)
    else:
        assert told.state == "bad", "a file has no such lock, and no workers either"


def test_a_worker_that_was_killed_for_good_is_not_told_of_once_its_partition_is_taken_over(rig: Rig) -> None:
    rig.enrol(Agent("line-1"))
    take(rig, "worker/first", "first", -60.0)
    take(rig, "partition/p0", "first", -60.0)
    take(rig, "partition/p0", "second", 60.0)
    with rig.store.read() as connection:
        (told,) = doctor.workers(connection, 10.0)
    assert (told.state, told.says) == ("fine", "1 of 1 partitions are taken in")


def test_workers_that_go_on_without_serve_do_not_hide_that_it_is_gone(rig: Rig) -> None:
    rig.enrol(Agent("line-1"))
    take(rig, "worker/serve", "serve abc", -60.0)
    take(rig, "worker/first", "first abc", 60.0)
    take(rig, "partition/p0", "first abc", 60.0)
    with rig.store.read() as connection:
        gone, fine = doctor.workers(connection, 10.0)
    assert (gone.state, fine.state) == ("bad", "fine")
    assert gone.says.startswith("serve does not run: it was heard of until ")
    token = take(rig, "worker/serve", "serve def", 60.0)
    with rig.store.read() as connection:
        assert states(doctor.workers(connection, 10.0)) == {"workers": "fine"}
    rig.store.write(lambda connection: leases.release(connection, "worker/serve", token))
    with rig.store.read() as connection:
        gone, _ = doctor.workers(connection, 10.0)
    assert gone.says == "serve does not run: it was ended"


def take(rig: Rig, name: str, holder: str, seconds: float) -> int:
    token = rig.store.write(lambda connection: leases.take(connection, name, holder, seconds))
    assert token is not None
    return token


def test_a_large_file_of_anchors_is_told(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    path.write_bytes(b"x" * 4096)
    told = [doctor.anchors_size(path), doctor.anchors_size(path, 4096)]
    assert [one.state for one in told] == ["fine", "warning"]
    assert "anchor_interval" in str(told[1].do)
    with path.open("r+b") as file:
        file.truncate(doctor.ANCHORS_LARGE)  # a hole: nothing is written
    assert doctor.anchors_size(path).state == "warning"
