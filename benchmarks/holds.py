"""How long a hold takes from the signature at central to the station that refuses: real broker, central and agent.

    python -m benchmarks.holds [--holds 20] [--json]

Each hold is signed by command at a running central over a machine of a connected line. What counts is the time
between the signed decision in central's chain and the ``start-barred`` event in the line's; both clocks are this
machine's. Between two holds the one before is released and the line has heard of it. The median and the longest
are told, and the same of releases.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_agent.outbox import export
from records.model import OperationsEvent, decode
from tests.process.central_rig import CentralProcess
from tests.rigs.agent import OneAgent
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.uplinks import until

PASSWORD = "a long password"
SIGNER = ("--user", "chen.li", "--reason", "measured", "--json", "--password-stdin")
BY_CODE = {"start-barred": "since", "start-free": "released_at"}


@dataclass(frozen=True, slots=True)
class Reached:
    what: str
    count: int
    median_s: float
    longest_s: float


def events(agent: OneAgent, code: str) -> dict[str, int]:
    """Hold -> when the line recorded this of it (UTC microseconds)."""
    facts = [decode(e.kind, e.body or b"") for e in export(agent.folder / "buffer" / "records.db")]
    told = [(f.header.at_us, f.data) for f in facts if isinstance(f.data, OperationsEvent) and f.data.code == code]
    return {str(data.params.get("hold")): at_us for at_us, data in told}


def measure(holds: int) -> list[Reached]:
    with TemporaryDirectory(prefix="lotkeeper-bench-") as made:
        folder = Path(made)
        with Mosquitto(folder / "broker") as broker:
            central = CentralProcess(folder, broker.url)
            central.command("user", "add", "chen.li", "--role", "qa", "--password-stdin", password=PASSWORD)
            central.start()
            try:
                identity = folder / "identity"
                central.command("enrol", "testing-1", "--out", str(identity))
                with OneAgent(folder / "agent", broker=broker.url, identity=identity) as agent:
                    until(lambda: b"document" in agent.log.read_bytes())
                    return list(_measure(central, agent, holds))
            finally:
                central.kill()


def _measure(central: CentralProcess, agent: OneAgent, holds: int) -> list[Reached]:
    names = []
    for number in range(holds):
        said = central.command("hold", "set", "equipment", "near-01", *SIGNER, password=PASSWORD)
        names.append(str(json.loads(said)["hold"]))
        _heard(agent, "start-barred", names[-1])
        central.command("hold", "release", names[-1], *SIGNER, password=PASSWORD)
        _heard(agent, "start-free", names[-1])
        if sys.stderr.isatty():
            print(f"{number + 1} of {holds}", end="\r", file=sys.stderr)
    listed = {str(one["hold"]): one for one in json.loads(central.command("hold", "list", "--json"))}
    found = []
    for code, field in BY_CODE.items():
        heard = events(agent, code)
        took = sorted((heard[name] - _us(listed[name][field])) / 1e6 for name in names)
        what = "hold to refusal" if code == "start-barred" else "release to start"
        found.append(Reached(what, len(took), statistics.median(took), took[-1]))
    return found


def _heard(agent: OneAgent, code: str, hold: str) -> None:
    until(lambda: hold in events(agent, code))


def _us(text: str) -> int:
    """Microseconds of an ISO time."""
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--holds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    said = parser.parse_args()
    found = measure(said.holds)
    if said.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    for one in found:
        print(f"{one.what:<18}{one.count} times: median {one.median_s:.2f} s, longest {one.longest_s:.2f} s")


if __name__ == "__main__":
    main()
