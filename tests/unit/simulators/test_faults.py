"""What the fault loops stand on: packets, seeds, percentiles, and a file of results that can be resumed."""

from __future__ import annotations

import json
import signal
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from records.clock import SystemClock
from records.errors import LotkeeperError
from simulators.faults import results
from simulators.faults.dice import Dice
from simulators.faults.mqtt_bytes import Replayer
from simulators.faults.outcome import Outcome, percentile, together
from simulators.faults.scenarios import SCENARIOS
from simulators.faults.supervisor import Supervisor
from simulators.starters import WholeStarter
from tools.proof import page


def publish(number: int) -> bytes:
    body = number.to_bytes(2, "big") * 100
    return b"\x32" + bytes((len(body) % 128 | 0x80, len(body) // 128)) + body


def test_a_replayer_loses_no_packet_however_the_bytes_are_cut() -> None:
    stream = b"".join(publish(n) for n in range(50)) + b"\xc0\x00"
    counts: Counter[str] = Counter()
    replayer = Replayer(Dice(1), [], counts)
    out = b"".join(replayer(stream[at : at + 7]) for at in range(0, len(stream), 7))
    for number in range(50):
        assert publish(number) in out
    assert set(counts) == {"swapped", "sent twice", "sent again much later"}
    assert len(out) > len(stream)


def test_one_seed_makes_the_same_choices() -> None:
    assert [Dice("a", 1).below(100) for _ in range(1)] == [Dice("a", 1).below(100)]
    one, other = Dice("a", 1), Dice("a", 2)
    assert [one.below(1000) for _ in range(5)] != [other.below(1000) for _ in range(5)]


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0


def test_results_are_resumed_by_scenario_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    for seed in (1, 2):
        outcome = Outcome("edge-kill", seed, cycles=10, chains={"central": ""}, recovery_s=[0.5])
        results.append(file, outcome, full_starts=False, at_us=1)
    with file.open("a") as opened:
        opened.write('{"scenario":"edge-kill","seed":3')
    assert results.done(file, "edge-kill", full_starts=False) == (20, 2)
    assert results.done(file, "edge-kill", full_starts=True) == (0, 0)
    total = results.totals(list(results.read(file)))["edge-kill"]
    assert (total.cycles, total.not_ok, total.p50) == (20, 0, [0.5, 0.5])


def test_a_leg_that_was_not_fine_says_why_and_a_line_from_before_it_did_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    told = "the ledger does not end\nand more of it"
    chains = {f"{tempfile.gettempdir()}/central": "seq 3"}
    results.append(file, Outcome("edge-kill", 7, problems=[told], chains=chains), full_starts=False, at_us=1)
    assert tempfile.gettempdir() not in file.read_text()
    (line,) = results.read(file)
    assert line.problems == ("chain of central: seq 3", told)
    former = json.loads(file.read_text())
    del former["problems"]
    file.write_text(f"{json.dumps(former)}\n")
    (old,) = results.read(file)
    assert old.problems == ()
    assert "- `edge-kill`, seed 7, 0 cycles: not looked into; it said: chain of central: seq 3" in page([line])
    assert "- `edge-kill`, seed 7, 0 cycles: not looked into\n" in page([old])


def test_legs_together_are_fine_only_when_each_is() -> None:
    fine = Outcome("edge-kill", 1, cycles=1, chains={"central": ""})
    bad = Outcome("edge-kill", 2, cycles=1, chains={"central": "seq 3"})
    assert together([fine]).ok
    assert not together([fine, bad]).ok


def test_every_scenario_can_be_asked_for() -> None:
    assert len(SCENARIOS) == len({scenario.run for scenario in SCENARIOS.values()})


def test_a_process_that_does_not_end_when_it_is_told_to_is_not_taken_for_one_that_did(tmp_path: Path) -> None:
    supervisor, log = Supervisor(SystemClock()), tmp_path / "deaf.log"
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    starter = WholeStarter("python")
    try:
        process = starter.start(["-c", f"{deaf}; time.sleep(60)"], log, {})
        supervisor.until("its first word", lambda: log.read_text() == "deaf\n", 30.0)
        with pytest.raises(LotkeeperError, match=r"did not end within 0\.2 s.*\ndeaf"):
            supervisor.end(process, 0.2)
        assert process.code() == -signal.SIGKILL
    finally:
        starter.close()
