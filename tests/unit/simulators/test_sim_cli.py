"""lotkeeper-sim as processes: what it prints, how it ends, what it says when it cannot."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.processes import end_in_order

DEADLINE_S = 60
PLANT = """\
folder: run
seed: 3
orders:
  - reference: WO-1000
    units: 2
    serial_prefix: "26"
    lots:
      - {item: VB-10, lot: VB-1, quantity: 2}
      - {item: SR-20, lot: SR-1, quantity: 4}
"""


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", "from simulators.cli import main; main()", *map(str, words)]


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@contextlib.contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def document(process: subprocess.Popen[str]) -> dict[str, object]:
    """The one JSON document that a simulator prints when it is ready."""
    assert process.stdout is not None
    text = ""
    while True:
        line = process.stdout.readline()
        assert line, process.stderr.read() if process.stderr else ""
        text += line
        if line == "}\n":
            return dict(json.loads(text))


def test_the_plant_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    config = tmp_path / "PLANT.yaml"
    config.write_text(PLANT)
    ready = tmp_path / "run" / "plant-ready.json"
    with started("plant", "--config", config, "--json") as process:
        said = document(process)
        assert json.loads(ready.read_text()) == said
        assert said["pid"] == process.pid
        endpoints, scanners = said["endpoints"], said["scanners"]
        assert isinstance(endpoints, dict)
        assert isinstance(scanners, dict)
        assert sorted(endpoints) == ["assembler", "leak_tester", "washer", "welder"]
        for endpoint in endpoints.values():
            socket.create_connection((endpoint["host"], endpoint["port"]), DEADLINE_S).close()
        assert all(Path(path).is_symlink() for path in scanners.values())
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert not ready.exists()
    assert (tmp_path / "run" / "ledger.jsonl").exists()


def test_a_wrong_plant_file_is_told_with_every_place(tmp_path: Path) -> None:
    config = tmp_path / "PLANT.yaml"
    config.write_text(PLANT.replace("seed: 3", "sead: 3").replace("units: 2", "units: 0"))
    result = run("plant", "--config", config)
    assert result.returncode == 2
    assert f"{config}:2:1" in result.stderr
    assert "seed" in result.stderr
    assert f"{config}:5:12" in result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("quantity: 4", "quantity: 3"), "its lots of SR-20 do not suffice"),
        (('serial_prefix: "26"', 'serial_prefix: "26"\n    troubles: default'), "8 units or more"),
        (('serial_prefix: "26"', 'serial_prefix: "26"\n    troubles: gone.yaml'), "gone.yaml"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    config = tmp_path / "PLANT.yaml"
    config.write_text(PLANT.replace(*change))
    result = run("plant", "--config", config)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("words", "scheme"),
    [
        (("plc-opcua", "--kind", "welder"), "opc.tcp://"),
        (("plc-modbus", "--kind", "washer"), "modbus://"),
    ],
)
def test_a_lone_plc_serves_until_it_is_told_to_end(words: tuple[str, ...], scheme: str) -> None:
    with started(*words, "--port", 0, "--every", 0.05, "--json") as process:
        said = document(process)
        assert str(said["url"]).startswith(scheme)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0


def test_a_taken_port_is_exit_code_3() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("plc-modbus", "--port", taken.getsockname()[1])
    assert result.returncode == 3
    assert "cannot listen" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_scanner_without_a_host_says_so(tmp_path: Path) -> None:
    result = run("scanner", "--link", tmp_path / "scanner", "--timeout", 0.1, "WO-1000")
    assert result.returncode == 1
    assert "WO-1000: no answer" in result.stderr


def test_the_fault_proxy_takes_modes_from_stdin() -> None:
    with socket.socket() as behind:
        behind.bind(("127.0.0.1", 0))
        behind.listen()
        with started("faults", "--to", f"127.0.0.1:{behind.getsockname()[1]}", "--json") as process:
            document(process)
            assert process.stdin is not None
            assert process.stderr is not None
            for line, answer in (("rst", "mode rst"), ("sideways", "'sideways' is no mode")):
                process.stdin.write(f"{line}\n")
                process.stdin.flush()
                assert answer in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
    assert run("faults", "--to", "nowhere").returncode == 2


def test_a_loop_that_was_told_to_outlive_its_terminal_does() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        end_in_order()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


ENDS_SLOWLY = """
import time
from simulators.processes import end_in_order
end_in_order()
try:
    print("at work", flush=True)
    time.sleep(60)
finally:
    print("ending", flush=True)
    input()
    print("ended", flush=True)
"""


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_in_order_is_not_cut_short_by_who_tells_it_again(
    first: signal.Signals, second: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDS_SLOWLY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as told:
        assert told.stdout is not None
        assert told.stdout.readline() == "at work\n"
        told.send_signal(first)
        assert told.stdout.readline() == "ending\n"
        told.send_signal(second)
        told.send_signal(second)
        assert told.communicate("go on\n", timeout=DEADLINE_S)[0] == "ended\n"
