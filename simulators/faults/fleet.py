"""A plant of several line PCs with their agents, and central as one process or as several on one PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from records.errors import LotkeeperError
from simulators.check import Truth, compare, held_once
from simulators.faults.fast_line import FastLine
from simulators.faults.leg import Leg
from simulators.faults.outcome import Outcome
from simulators.faults.plant import CENTRAL, EDGE, NOTHING
from simulators.faults.postgres import LocalPostgres
from simulators.starters import Process

REST_S, POLL_MS = 0.2, 50
"""Gentler than where one agent is all that there is."""


class LinePc:
    """One line PC: machines with their ledger, an identity, a buffer, the agent's process.

    Args:
        name: of its folder and its stations; unique in the plant.
        agent: the name in its identity, which another PC may wrongly have too.
    """

    def __init__(self, fleet: Fleet, name: str, agent: str, identity: Path, *, machines: int = 1) -> None:
        self._fleet, self.name, self.agent = fleet, name, agent
        self.folder = fleet.folder / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.identity, self.buffer = identity, self.folder / "buffer"
        self.line_file = self.folder / "line.yaml"
        clock, seed = fleet.plant.workshop.clock, fleet.plant.seed
        self.line = FastLine(
            self.folder, clock, agent=name, machines=machines, seed=seed, rest_s=REST_S, poll_ms=POLL_MS
        )
        self.log = self.folder / "agent.log"
        self.asked = ""
        """Further lines of the line file: where a running agent is asked for its status."""
        self.process: Process | None = None
        self._on = False

    def switch_on(self) -> None:
        """Its machines begin and its agent starts; returns at once."""
        self._on = True
        self.line.start()
        self.start()

    def start(self, environment: Mapping[str, str] = NOTHING) -> None:
        self.line_file.write_text(
            f"agent: {self.agent}\nsite: suzhou\ntime_zone: Asia/Shanghai\nline: {self.name}\n"
            f"{self.line.devices()}"
            f"uplink: {{broker: '{self._fleet.plant.broker.url}', identity: {self.identity}, head_interval: 1s}}\n"
            f"buffer: {{path: {self.buffer}, keep_acknowledged: 14d}}\n{self.asked}"
        )
        starter = self._fleet.plant.workshop.starters[EDGE]
        self.process = starter.start(["run", str(self.line_file)], self.log, environment)

    def kill(self) -> None:
        """The agent; its machines wait."""
        if self.process is not None:
            self._fleet.plant.supervisor.kill(self.process)

    def close(self) -> None:
        self.kill()
        if not self._on:  # so that its ledger is closed
            self.line.finish()
            self.line.start()
        self.line.stop()

    @property
    def pending(self) -> int:
        """Records that central has not acknowledged yet, whether the agent runs or not."""
        return int(self._ask("show")["pending"])

    def status(self) -> dict[str, Any]:
        """``lotkeeper-edge status``."""
        shown: dict[str, Any] = json.loads(
            self._fleet.plant.ask_edge("status", str(self.line_file), "--json", fine=(0, 1))
        )
        return shown

    def fault(self) -> str:
        """What is wrong with the buffer's chain; empty: nothing."""
        verified = self._ask("verify", fine=(0, 1))
        return "" if verified["ok"] else str(verified["reason"])

    def export(self, out: Path) -> Path:
        """All that the buffer holds, as a file for central."""
        self._fleet.plant.ask_edge("buffer", "export", str(self.line_file), "--out", str(out), "--all", "--json")
        return out

    def _ask(self, what: str, fine: tuple[int, ...] = (0,)) -> dict[str, Any]:
        answer = self._fleet.plant.ask_edge("buffer", what, str(self.line_file), "--json", fine=fine)
        shown: dict[str, Any] = json.loads(answer)
        return shown


class Fleet:
    """Broker, central, and line PCs that are added; ``plant`` is all but the PCs.

    Args:
        server: central's database is there, and workers may be started beside ``serve``.
        settings: further lines of central.yaml.
    """

    def __init__(self, leg: Leg, server: LocalPostgres | None = None, settings: str = "") -> None:
        self.plant = leg.plant(machines=0)
        self.folder = self.plant.folder
        self.pcs: list[LinePc] = []
        self.workers: dict[str, Process] = {}
        self._enrolled = 0
        self._server = server
        if server is not None:
            server.make("central")
            settings += f"database: {{url: '{server.url('central')}'}}\n"
        self.plant.central_settings = settings

    def begin(self) -> None:
        """Broker and central, ready to take records."""
        self.plant.open()
        self.plant.broker.start()
        self.plant.start_central()
        self.plant.central_serves()

    def add(self, name: str, partition: str = "p0", machines: int = 1) -> LinePc:
        """A new line PC with an agent of the same name, enrolled and not yet switched on."""
        return self.place(name, name, self.enrol(name, partition), machines=machines)

    def place(self, name: str, agent: str, identity: Path, *, machines: int = 1) -> LinePc:
        """A new line PC with an identity that is there."""
        pc = LinePc(self, name, agent, identity, machines=machines)
        self.pcs.append(pc)
        return pc

    def enrol(self, agent: str, partition: str = "p0") -> Path:
        """A new identity folder; a former one of this agent gives way to it."""
        self._enrolled += 1
        identity = self.folder / f"identity-{self._enrolled}"
        self.plant.ask_central("enrol", agent, "--out", str(identity), "--partition", partition)
        return identity

    def start_worker(self, name: str, environment: Mapping[str, str] = NOTHING) -> Process:
        """Returns at once."""
        starter = self.plant.workshop.starters[CENTRAL]
        words = ["worker", "--name", name, "--config", str(self.plant.config)]
        self.workers[name] = starter.start(words, self.folder / f"{name}.log", environment)
        return self.workers[name]

    def committed(self) -> dict[str, int]:
        """By agent: the last record of its present epoch that central has; empty while it does not answer."""
        try:
            found = self.plant.client.all("agents")
        except (LotkeeperError, httpx.HTTPError):
            return {}
        ours = {pc.agent for pc in self.pcs}
        return {str(a["agent"]): int(a["committed_through"] or 0) for a in found if a["agent"] in ours}

    def until(self, what: str, ready: Callable[[], bool], alive: Sequence[Process] = ()) -> float:
        """As the supervisor's, with this plant's patience."""
        return self.plant.supervisor.until(what, ready, self.plant.patience_s, alive)

    def committed_beyond(self, before: Mapping[str, int]) -> float:
        """Wait until central has committed more of each of these agents; gives the seconds."""
        return self.until(
            "a commit of every agent",
            lambda: all(self.committed().get(agent, 0) > seq for agent, seq in before.items()),
        )

    # -- the end of a leg ----------------------------------------------------------------------------------

    def drain(self, pcs: Sequence[LinePc]) -> None:
        """Let these PCs' machines finish, and everything arrive at central."""
        for pc in pcs:
            if not pc.line.finished:
                pc.line.finish()
        for pc in pcs:
            alive = [] if pc.process is None else [pc.process]
            self.until(f"the last answers of {pc.name}", lambda pc=pc: pc.line.finished, alive)  # type: ignore[misc]
            while waiting := pc.pending:  # however long it takes, as long as it gets less
                self.until("a buffer that gets empty", lambda pc=pc, w=waiting: pc.pending < w, alive)  # type: ignore[misc]

    def judge(self, outcome: Outcome) -> None:
        """All ledgers against central's records, and every chain."""
        truths = [pc.line.truth for pc in self.pcs]
        truth = Truth(
            tuple(cycle for one in truths for cycle in one.cycles), (), (), (), all(one.finished for one in truths)
        )
        records = held_once(self.plant.client.all("operation-records"))
        outcome.records = len(truth.cycles)
        outcome.comparison = compare(truth, records)
        if not truth.finished:
            outcome.problems.append("a ledger does not end")
        self.plant.count_exceptions(outcome)
        self.end(outcome)

    def end(self, outcome: Outcome) -> None:
        """Stop everything in good order, and verify every chain."""
        for pc in self.pcs:
            if pc.process is not None:
                self.plant.supervisor.end(pc.process)
        for process in self._processes():
            self.plant.supervisor.end(process)
        verified = json.loads(self.plant.ask_central("verify", "--json", fine=(0, 1)))
        outcome.chains["central"] = "" if verified["ok"] else str(verified["reason"])
        outcome.chains |= {pc.name: pc.fault() for pc in self.pcs}

    def close(self) -> None:
        """End everything; safe at any moment."""
        for pc in self.pcs:
            pc.close()
        for worker in self.workers.values():
            self.plant.supervisor.kill(worker)
        self.plant.close()
        if self._server is not None:
            self._server.remove()

    def _processes(self) -> list[Process]:
        central = self.plant.central
        return [*self.workers.values(), *([] if central is None else [central])]
