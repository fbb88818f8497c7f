"""A small plant of real processes: one fast line, its agent, a forgetful broker and central, in one folder.

The agent and central are our own commands; what they hold is read over their commands and central's HTTP only.
The judge of every leg is the line's ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from records.clock import Clock
from records.errors import LotkeeperError
from simulators.check import Truth, compare, held_once
from simulators.demo_check import CentralClient
from simulators.faults.broker import ForgetfulBroker
from simulators.faults.fast_line import FastLine
from simulators.faults.outcome import Outcome
from simulators.faults.supervisor import Supervisor
from simulators.sockets import reserved_port
from simulators.starters import Process, Starter, WarmStarter, WholeStarter

AGENT = "tester-1"
EDGE, CENTRAL = "lotkeeper-edge", "lotkeeper-central"
LOADED = {
    EDGE: ("edge_agent.app", "edge_agent.settings", "drivers.modbus.device", "pymodbus.client"),
    CENTRAL: (
        "central.serving",
        "central.app",
        "central.web.site",
        "central.store.postgres",
        "scipy.special",
        "scipy.stats",
    ),
}
"""What the warm parents load beforehand."""
PATIENCE_S = 120.0
"""How long anything may take before the leg counts as stuck: longer than the longest pause between two tries."""
REST_S = 0.15
"""How long a machine rests between two cycles."""
PASSWORD = "a long password"  # noqa: S105  of a plant that lives for a loop
NOTHING: Mapping[str, Any] = {}
NO_MUTANTS: Mapping[str, Sequence[str]] = {}


class Workshop:
    """What several plants share, one after another: the parents of their processes.

    ``full_starts``: agent and central are started as a person would, each a new interpreter. Short commands are
    forked all the same. ``modules`` are loaded into each parent, with ``environment`` set. ``mutants``: command ->
    modules that break a rule when they are loaded, to see red.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        full_starts: bool = False,
        mutants: Mapping[str, Sequence[str]] = NO_MUTANTS,
        patience_s: float = PATIENCE_S,
        environment: Mapping[str, str] = NOTHING,
        modules: Sequence[str] = (),
    ) -> None:
        self.clock, self.patience_s = clock, patience_s
        self.full_starts = full_starts
        self._mutants = mutants
        self.supervisor = Supervisor(clock)
        self.commands = {
            name: WarmStarter(name, (*modules, *loaded, *mutants.get(name, ())), environment=environment)
            for name, loaded in LOADED.items()
        }
        self.starters: dict[str, Starter] = dict(self.commands)
        if full_starts:
            self.starters = {name: WholeStarter(name) for name in LOADED}

    def under(self, environment: Mapping[str, str], modules: Sequence[str]) -> Workshop:
        """Another one like it, whose processes have this environment and these modules."""
        return Workshop(
            self.clock,
            full_starts=self.full_starts,
            mutants=self._mutants,
            patience_s=self.patience_s,
            environment=environment,
            modules=modules,
        )

    def close(self) -> None:
        """End every process that was started through it."""
        for starter in (*self.starters.values(), *self.commands.values()):
            starter.close()


class Plant:
    """One plant in a new folder. ``open`` prepares it; broker, central and agent are started one by one.

    Args:
        buffer: the agent's buffer folder, for a scenario that has it on a disk of its own.
        central_folder: the same for central.
        line: further words for its ``FastLine``.
    """

    def __init__(
        self,
        folder: Path,
        workshop: Workshop,
        seed: int,
        *,
        machines: int = 3,
        buffer: Path | None = None,
        central_folder: Path | None = None,
        rest_s: float = REST_S,
        line: Mapping[str, Any] = NOTHING,
    ) -> None:
        self.folder, self.workshop, self.seed = folder, workshop, seed
        self.supervisor, self.patience_s = workshop.supervisor, workshop.patience_s
        folder.mkdir(parents=True, exist_ok=True)
        self.buffer = buffer or folder / "buffer"
        self.central_folder = central_folder or folder / "central"
        self.config = folder / "central.yaml"
        self.line_file = folder / "line.yaml"
        self.asked_file = folder / "asked.yaml"
        self.identity = folder / "identity"
        self.broker = ForgetfulBroker(folder / "broker", self.supervisor)
        self.agent_broker = self.broker.url
        """Where the agent finds the broker; a scenario may put a proxy between."""
        self.central_broker = self.broker.url
        self.central_settings = ""
        """Further lines of central.yaml."""
        self.line = FastLine(
            folder, workshop.clock, agent=AGENT, machines=machines, seed=seed, rest_s=rest_s, **line
        )
        self._buffers = 1
        self.port = reserved_port()
        self.agent: Process | None = None
        self.central: Process | None = None
        self._client: CentralClient | None = None

    # -- setting up and ending -----------------------------------------------------------------------------

    def open(self) -> None:
        """Make central's folder, enrol the agent, write both files; start the machines."""
        self.config.write_text(
            f"site: suzhou\ntime_zone: Asia/Shanghai\nfolder: {self.central_folder}\n"
            f"http: {{port: {self.port}}}\nbroker: {{url: '{self.central_broker}'}}\n"
            f"head_interval: 2s\nanchor_interval: 5s\n{self.central_settings}"
        )
        self.ask_central("init", "--password-stdin", stdin=f"{PASSWORD}\n")
        self.ask_central("enrol", AGENT, "--out", str(self.identity))
        token = json.loads(self.ask_central("token", "create", "harness", "--scope", "read", "--json"))["token"]
        self._client = CentralClient(f"http://127.0.0.1:{self.port}", str(token))
        self.line.start()
        self.write_line_file()

    def write_line_file(self) -> None:
        """The agent's, and the same for who asks the buffer while the agent's is broken on purpose."""
        for path in (self.line_file, self.asked_file):
            path.write_text(
                f"agent: {AGENT}\nsite: suzhou\ntime_zone: Asia/Shanghai\nline: fast-1\n{self.line.devices()}"
                f"uplink: {{broker: '{self.agent_broker}', identity: {self.identity},"
                " head_interval: 1s, keepalive: 10s}\n"
                f"buffer: {{path: {self.buffer}, keep_acknowledged: 14d}}\n"
            )

    def close(self) -> None:
        """End everything; safe at any moment."""
        for process in (self.agent, self.central):
            if process is not None:
                self.supervisor.kill(process)
        self.broker.kill()
        self.line.stop()
        if self._client is not None:
            self._client.close()

    def begin(self) -> None:
        """Open, start everything, and wait until records arrive."""
        self.open()
        self.work()

    def work(self) -> None:
        """Start everything, and wait until records arrive."""
        self.broker.start()
        self.start_central()
        self.central_serves()
        self.start_agent()
        self.committed_beyond(3)

    # -- the processes -------------------------------------------------------------------------------------

    def start_agent(self, environment: Mapping[str, str] = NOTHING) -> Process:
        """Returns at once; ``line.answered`` moves when it is at work."""
        starter = self.workshop.starters[EDGE]
        self.agent = starter.start(["run", str(self.line_file)], self.folder / "agent.log", environment)
        return self.agent

    def start_central(self, environment: Mapping[str, str] = NOTHING) -> Process:
        """Returns at once; ``central_serves`` waits."""
        log = self.folder / "central.log"
        log.write_bytes(b"")
        starter = self.workshop.starters[CENTRAL]
        self.central = starter.start(["serve", "--config", str(self.config)], log, environment)
        return self.central

    def central_serves(self) -> None:
        """Wait until central says that it serves."""
        central = self.running(self.central)
        self.supervisor.until(
            "central", lambda: b"central serves" in central.log.read_bytes(), self.patience_s, (central,)
        )

    def answered_beyond(self, count: int, station: str | None = None) -> float:
        """Wait until the agent has answered more cycles (of that station) than that; gives the seconds."""
        alive = () if self.agent is None else (self.agent,)
        return self.supervisor.until(
            "an answered cycle", lambda: self.line.answered_of(station) > count, self.patience_s, alive
        )

    def committed_beyond(self, seq: int) -> float:
        """Wait until central has committed further than that; gives the seconds."""
        alive = () if self.central is None else (self.central,)
        return self.supervisor.until("a commit of central", lambda: self.committed() > seq, self.patience_s, alive)

    @staticmethod
    def running(process: Process | None) -> Process:
        if process is None:
            raise LotkeeperError("the process was never started")
        return process

    # -- what they hold ------------------------------------------------------------------------------------

    @property
    def client(self) -> CentralClient:
        if self._client is None:
            raise LotkeeperError("the plant is not open")
        return self._client

    def committed(self) -> int:
        """The last record of the agent's present epoch that central has; 0 while central does not answer."""
        try:
            found = [agent for agent in self.client.all("agents") if agent["agent"] == AGENT]
        except (LotkeeperError, httpx.HTTPError):
            return 0
        return int(found[0]["committed_through"] or 0) if found else 0

    def new_buffer(self) -> None:
        """The agent's next start finds no buffer."""
        self._buffers += 1
        self.buffer = self.buffer.with_name(f"buffer-{self._buffers}")
        self.write_line_file()

    def buffered(self) -> dict[str, Any]:
        """``buffer show`` of the agent, running or not."""
        shown: dict[str, Any] = json.loads(self.ask_edge("buffer", "show", str(self.asked_file), "--json"))
        return shown

    def events(self, code: str) -> int:
        """How many events of this code the agent's buffer holds."""
        shown = json.loads(self.ask_edge("buffer", "show", str(self.asked_file), "--last", "100000", "--json"))
        bodies = (json.loads(record["body"]) for record in shown["last"] if record["body"])
        return sum(body.get("data", {}).get("code") == code for body in bodies)

    def told(self, code: str, count: int) -> float:
        """Wait until the agent has told of this at least so often; gives the seconds."""
        alive = (self.running(self.agent),)
        return self.supervisor.until(
            f"event {code} number {count}", lambda: self.events(code) >= count, self.patience_s, alive
        )

    def ask_edge(self, *words: str, fine: tuple[int, ...] = (0,)) -> str:
        return self.workshop.commands[EDGE].answer(words, fine=fine)

    def ask_central(self, *words: str, stdin: str = "", fine: tuple[int, ...] = (0,)) -> str:
        words = (*words, "--config", str(self.config))
        return self.workshop.commands[CENTRAL].answer(words, stdin=stdin, fine=fine)

    def settle(self) -> None:
        """Wait until nothing is under way: no machine waits for its answer, and central has every record."""
        alive = (self.running(self.agent), self.running(self.central))
        self.supervisor.until(
            "a plant at rest",
            lambda: self.line.waiting == 0 and self.buffered()["pending"] == 0,
            self.patience_s,
            alive,
        )

    # -- the end of a leg ----------------------------------------------------------------------------------

    def drain(self) -> float:
        """Let the machines finish and everything arrive, with agent, broker and central running; the seconds."""
        self.line.finish()
        alive = [self.running(self.agent), self.running(self.central)]
        took_s = self.supervisor.until("the last answers", lambda: self.line.finished, self.patience_s, alive)
        while waiting := int(self.buffered()["pending"]):  # however long it takes, as long as it gets less
            took_s += self._until_less(waiting, alive)
        return took_s

    def _until_less(self, waiting: int, alive: Sequence[Process]) -> float:
        return self.supervisor.until(
            "a buffer that gets empty", lambda: self.buffered()["pending"] < waiting, self.patience_s, alive
        )

    def look(self, outcome: Outcome) -> Truth:
        """Ledger against central's records as they are now; gives the ledger."""
        truth = self.line.truth
        records = held_once(self.client.all("operation-records"))
        outcome.records = len(truth.cycles)
        outcome.comparison = compare(truth, records)
        return truth

    def judge(self, outcome: Outcome) -> None:
        """Ledger against central's records, and both chains; then agent and central are ended in good order."""
        truth = self.look(outcome)
        if not truth.finished:
            outcome.problems.append("the ledger does not end")
        self.count_exceptions(outcome)
        for process in (self.agent, self.central):
            if process is not None:
                self.supervisor.end(process)
        self.verify(outcome)

    def count_exceptions(self, outcome: Outcome) -> None:
        """What central raised, by its code."""
        for kind in ("exceptions", "discrepancies"):
            for code, count in Counter(item["code"] for item in self.client.all(kind)).items():
                outcome.exceptions[code] = outcome.exceptions.get(code, 0) + count

    def verify(self, outcome: Outcome) -> None:
        """Both chains, whether agent and central run or not."""
        for name, answer in (
            ("central", self.ask_central("verify", "--json", fine=(0, 1))),
            (AGENT, self.ask_edge("buffer", "verify", str(self.asked_file), "--json", fine=(0, 1))),
        ):
            verified = json.loads(answer)
            outcome.chains[name] = "" if verified["ok"] else str(verified["reason"])
