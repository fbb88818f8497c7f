"""The disk of the line PC fails as disks do: full, read-only, I/O errors, slow. Nothing promised is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.outbox import Batch, export, verify
from records.clock import FakeClock
from records.errors import NoRoom, StorageFailed
from records.wire import Watermark
from tests.machine.conftest import Volume, fill
from tests.rigs import outbox_writer
from tests.rigs.agent import OneAgent
from tests.rigs.outboxes import AGENT, fact, held, mark, number_of, open_outbox, prepared
from tests.rigs.uplinks import until

pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, count: int, *before: str) -> tuple[int, list[str]]:
    """Run a writer behind these words; its exit code and what it said."""
    ran = subprocess.run(
        [*before, sys.executable, "-m", outbox_writer.__name__, str(folder), str(count)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stdout.splitlines()


def numbers(said: list[str], word: str) -> list[int]:
    return [int(line.split()[1]) for line in said if line.startswith(word)]


def check(folder: Path, promised: list[int]) -> None:
    """What was promised is there, once and in order, and the next start needs no new epoch for it."""
    outbox = open_outbox(folder)
    why = outbox.finding.why
    outbox.close()
    assert why is None
    held = [n for row in export(folder / "records.db") if (n := number_of(row.body or b"{}")) is not None]
    assert held == list(range(1, len(held) + 1))
    assert set(promised) <= set(held)
    assert verify(folder / "records.db").ok


# -- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "error", "nth"),
    [("fdatasync,fsync", "EIO", 12), ("fdatasync,fsync", "ENOSPC", 25), ("pwrite64", "EIO", 200)],
)
def test_an_error_of_the_disk_ends_the_process_with_its_code(
    tmp_path: Path, strace: list[str], calls: str, error: str, nth: int
) -> None:
    folder = tmp_path / "buffer"
    inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={nth}+")
    code, said = write(folder, 100, *strace, *inject)
    promised = numbers(said, "kept")
    assert code == 74
    assert len(promised) < 100
    check(folder, promised)
    code, said = write(folder, len(promised) + 5)
    assert code == 0
    check(folder, [*promised, *numbers(said, "kept")])


def test_a_write_that_finds_no_room_is_refused_and_the_writer_goes_on(tmp_path: Path, strace: list[str]) -> None:
    folder = tmp_path / "buffer"
    write(folder, 3)
    inject = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=20..23")
    code, said = write(folder, 30, *strace, *inject)
    assert (code, bool(numbers(said, "refused"))) == (0, True)
    assert numbers(said, "kept") == list(range(4, 31))
    check(folder, numbers(said, "kept"))


def test_a_file_that_may_not_grow_ends_the_process_and_the_next_start_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "buffer"
    code, said = write(folder, 400, "prlimit", "--fsize=300000")
    assert code == 74
    check(folder, numbers(said, "kept"))
    assert write(folder, 400)[0] == 0


def test_a_slow_disk_delays_the_promise_and_nothing_is_promised_before(tmp_path: Path, strace: list[str]) -> None:
    """In the order of the system calls: no promise is written before a sync that followed the one before."""
    folder = tmp_path / "buffer"
    calls = "fdatasync,fsync,write"
    slow = ("-s", "32", "-e", f"trace={calls}", "-e", "inject=fdatasync,fsync:delay_exit=50000")
    code, said = write(folder, 12, *strace, *slow)
    assert (code, numbers(said, "kept")) == (0, list(range(1, 13)))
    synced = False
    promises = 0
    for line in (tmp_path / "strace.log").read_text().splitlines():
        if re.search(r"(fsync|fdatasync).*= 0", line):
            synced = True
        elif '"kept ' in line:
            assert synced, line
            synced, promises = False, promises + 1
    assert promises == 12


# -- full ----------------------------------------------------------------------------------------------------


def agent_on(disk: Path, folder: Path, ballast: str) -> OneAgent:
    """One with its buffer on this disk, with the least caps."""
    agent = OneAgent(folder / "agent")
    caps = f"{{path: {disk / 'buffer'}, records_max: 8MiB, telemetry_max: 8MiB, ballast: {ballast}}}"
    agent.line.write_text(agent.line.read_text().replace("{path: buffer}", caps))
    shutil.move(agent.folder / "buffer", disk / "buffer")
    agent.folder.joinpath("buffer").symlink_to(disk / "buffer")
    return agent


def test_a_neighbour_fills_the_disk_and_the_agent_goes_on_when_it_is_gone(tmp_path: Path, volume: Volume) -> None:
    """No cycle is answered that was not kept, the same process goes on, and the machine lost nothing."""
    disk = volume("80m")
    agent = agent_on(disk, tmp_path, "2MiB")
    agent.start_machine("near")
    with agent:
        until(lambda: len(agent.cycles("near")) > 3)
        assert (disk / "buffer" / "ballast").exists()
        pid = agent.process and agent.process.pid

        def full() -> bool:
            fill(disk / "neighbour")  # again and again: what the agent frees is taken, too
            told = agent.log.read_text()
            return "the disk is full: nothing was stored" in told and "disk-full" in told

        until(full, 60)
        assert agent.alive
        held = len(agent.cycles("near"))
        (disk / "neighbour").unlink()
        until(lambda: len(agent.cycles("near")) > held + 5, 60)
        until(lambda: agent.events("buffer-room"), 60)
        assert (disk / "buffer" / "ballast").exists()
        assert (agent.process and agent.process.pid) == pid
        assert agent.stop() == 0
    cycles = agent.cycles("near")
    assert cycles == list(range(1, len(cycles) + 1))
    assert agent.events("cycles-missed") == []
    assert "disk-full" in agent.log.read_text()
    assert verify(disk / "buffer" / "records.db").ok


def test_an_agent_starts_on_a_full_disk_by_its_ballast(tmp_path: Path, volume: Volume) -> None:
    disk = volume("80m")
    agent = agent_on(disk, tmp_path, "6MiB")
    with agent:
        until(lambda: agent.events("agent-started"))
        agent.kill()
        fill(disk / "neighbour")
        agent.start()
        until(lambda: len(agent.events("agent-started")) == 2)
        assert agent.stop() == 0
    assert verify(disk / "buffer" / "records.db").ok


def test_an_agent_that_finds_no_room_at_its_start_ends_with_its_code_and_names_the_file(
    tmp_path: Path, volume: Volume
) -> None:
    """Whatever supervises it starts it again, and it goes on once there is room."""
    disk = volume("80m")
    agent = agent_on(disk, tmp_path, "2MiB")
    fill(disk / "neighbour")
    agent.start()
    assert agent.process is not None
    assert agent.process.wait(60) == StorageFailed.exit_code
    told = agent.log.read_text()
    assert str(disk / "buffer" / "records.db") in told
    assert "Traceback" not in told
    (disk / "neighbour").unlink()
    with agent:
        until(lambda: agent.events("agent-started"))
        assert agent.stop() == 0


# -- write-protected -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("log", ["with", "without"])
def test_a_write_protected_copy_can_be_proved_and_exported(tmp_path: Path, volume: Volume, log: str) -> None:
    disk = volume("8m")
    prepared(tmp_path / "buffer")
    if log == "with":
        outbox = open_outbox(tmp_path / "buffer")
        outbox.documents.drop("lots", "SR-20").result()
    (disk / "buffer").mkdir()
    for path in (tmp_path / "buffer").iterdir():
        if path.suffix == ".db" or path.name.endswith("-wal"):
            (disk / "buffer" / path.name).write_bytes(path.read_bytes())
    assert (disk / "buffer" / "records.db-wal").exists() == (log == "with")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    path = disk / "buffer" / "records.db"
    assert len(list(export(path))) == 11
    assert verify(path).ok
    if log == "with":
        outbox.close()


def test_a_backlog_that_finds_no_room_when_it_is_stored_again_is_not_lost(volume: Volume) -> None:
    """Bug: what the full disk cut off was neither sent nor kept."""
    disk, clock = volume("40m"), FakeClock()
    outbox = open_outbox(disk / "buffer", clock, keep_acknowledged_s=0.0)
    for first in range(1, 2000, 100):
        outbox.commit(Batch(tuple(fact(n, clock, "x" * 3000) for n in range(first, first + 100)))).result()
    outbox.apply(mark(held(outbox)[99]))
    neighbour = disk / "neighbour"
    fill(neighbour)
    os.truncate(neighbour, neighbour.stat().st_size - 5 * 1024 * 1024)
    head = outbox.head()
    ahead = Watermark(AGENT, head.epoch, "records", head.last + 100, "ab" * 32, 1)
    with pytest.raises(NoRoom):
        outbox.apply(ahead)
    sent = len(held(outbox, outbox.acknowledged()[0]))
    assert 2 < sent < 1900 < outbox.pending().records
    neighbour.unlink()
    outbox.apply(mark(held(outbox)[-1]))
    clock.advance(10)
    outbox.prune()
    outbox.commit(Batch((fact(2001),))).result()
    behind = [n for row in held(outbox) if (n := number_of(row.body or b"{}")) is not None]
    assert behind == list(range(behind[0], 2002)), "each once, in order"
    assert behind[0] <= 100 + sent
    outbox.close()
    assert verify(outbox.path).ok
