"""Sets up and runs a whole plant on this PC, in one folder: ERP, broker, central, the line, two agents.

Everything listens on loopback; every password, key and token is made anew. The folder afterwards holds
``central.yaml``, ``lines/*.yaml``, all databases, ``plant/ledger.jsonl`` (also as ``ledger.jsonl``) and
``demo-login.json``, so that every other command can be run on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue
from ruamel.yaml import YAML

from records.clock import Clock, new_secret
from records.errors import Unreachable
from records.keys import write_private
from simulators.brokers import Amqtt, Broker, Mosquitto
from simulators.demo_erp import DemoErp, open_erp
from simulators.processes import Child, Processes, command
from simulators.sockets import free_port
from simulators.starters import WarmStarter
from simulators.tryton_setup import FIRST_ORDER, lots_in_stock

AGENTS = {"assembly-1": "valve-assembly.yaml", "testing-1": "valve-testing.yaml"}
USERS = (
    ("qa", "qa", "Wang Fang"),
    ("manager", "qa_manager", "Anna Weber"),
    ("planner", "planner", "Chen Jie"),
    ("auditor", "auditor", "Maria Rossi"),
)
"""The demo's people: user id, role, printed name."""

START_LIMIT_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a demo run is asked to be. ``troubles``: default, none, or a file's path."""

    orders: int
    units: int
    seed: int
    speed: float
    troubles: str
    erp: Literal["simulated", "tryton"]
    broker: Literal["mosquitto", "amqtt"]

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(f"WO-{FIRST_ORDER + n}" for n in range(self.orders))

    def clean(self, reference: str) -> bool:
        """Odd orders (the first, the third, ...) run without scripted troubles."""
        return self.troubles == "none" or self.references.index(reference) % 2 == 0


class DemoPlant:
    """The running plant. ``start`` brings everything up, ``stop`` ends every process it started."""

    def __init__(self, folder: Path, plan: Plan, clock: Clock, say: Say, sleep: Callable[[float], None]) -> None:
        self.folder = folder
        self.plan = plan
        self.say = say
        self.processes = Processes(folder / "logs", clock, sleep)
        self.password = new_secret(9)
        self.token = ""
        self.url = ""
        self._passwords = {name: new_secret() for name in ("central", *AGENTS)}
        self._broker: Broker | None = None
        self._erp: DemoErp | None = None
        self._agents: dict[str, Child] = {}
        self._central = WarmStarter("lotkeeper-central", ("central.admin", "central.app"))

    @property
    def config(self) -> Path:
        return self.folder / "central.yaml"

    @property
    def ledger(self) -> Path:
        return self.folder / "plant" / "ledger.jsonl"

    @property
    def lines(self) -> tuple[Path, ...]:
        return tuple(self.folder / "lines" / name for name in AGENTS.values())

    @property
    def erp(self) -> DemoErp:
        if self._erp is None:
            raise Unreachable("the demo's ERP is not running")
        return self._erp

    def start(self) -> None:
        """Bring the plant up in an order that never matters in real life, but reads well."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.say("starting the ERP")
        self._erp = open_erp(self.plan.erp, self.folder / "erp", self.plan.orders, self.plan.units, self)
        self.say(f"starting the broker ({self.plan.broker})")
        self._broker = self._make_broker()
        self._broker.start()
        self.say("starting central")
        self._start_central()
        self.say("starting the line and its two agents")
        self._start_plant()
        self._start_agents()
        self._write_login()

    def restart_broker(self) -> None:
        """End the broker and start it again: nothing may be lost."""
        if self._broker is not None:
            self._broker.restart()

    def stop(self) -> None:
        """End everything that was started, whatever one of them raises."""
        with ExitStack() as ending:
            ending.callback(self._central.close)
            if self._erp is not None:
                ending.callback(self._erp.stop)
            ending.callback(self.processes.stop_all)

    def central(self, *words: str, stdin: str = "", fine: tuple[int, ...] = (0,)) -> str:
        """Run a command of central on this plant; gives its stdout."""
        return self._central.answer((*words, "--config", str(self.config)), stdin=stdin, fine=fine)

    # -- parts ---------------------------------------------------------------------------------------------

    def _make_broker(self) -> Broker:
        if self.plan.broker == "amqtt":
            return Amqtt(self.folder / "broker", free_port(), self._passwords, self.processes)
        return Mosquitto(self.folder / "broker", free_port(), self._passwords, self.processes)

    def _broker_url(self) -> str:
        return f"mqtt://127.0.0.1:{self._broker.port if self._broker else 0}"

    def _start_central(self) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        secret = self.folder / "broker.password"
        write_private(secret, self._passwords["central"].encode())
        protocol = self._broker.protocol if self._broker else "5"
        settings: JsonValue = {
            "site": "suzhou",
            "time_zone": "Asia/Shanghai",
            "folder": "central",
            "http": {"port": port},
            "broker": {
                "url": self._broker_url(),
                "protocol": 5 if protocol == "5" else protocol,
                "user": "central",
                "password": f"file:{secret.name}",
            },
            "items": {
                "VS-100": {"gtin": "04012345000016", "revision": "B"},
                "VB-10": {"gtin": "04012345000030"},
                "SR-20": {"gtin": "04012345000023"},
            },
            "erp": self.erp.settings(self.folder),
            "head_interval": "2s",
        }
        with self.config.open("w") as file:
            YAML().dump(settings, file)
        self.central("init", "--password-stdin", stdin=f"{self.password}\n")
        for user, role, name in USERS:
            self.central(
                "user", "add", user, "--role", role, "--name", name, "--password-stdin", stdin=f"{self.password}\n"
            )
        for agent in AGENTS:
            identity = self.folder / agent / "identity"
            self.central("enrol", agent, "--out", str(identity))
            self._give_password(agent, identity)
        answer = json.loads(self.central("token", "create", "demo", "--scope", "sign", "--json"))
        self.token = str(answer["token"])
        log = self.processes.start(
            "central", [command("lotkeeper-central"), "serve", "--config", str(self.config)]
        )
        self.processes.wait_for("central", lambda: _answers(self.url), START_LIMIT_S)
        del log

    def _give_password(self, agent: str, identity: Path) -> None:
        """The demo's broker knows this agent by a password of its own."""
        write_private(identity / "broker.password", self._passwords[agent].encode())
        path = identity / "identity.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"broker_user": agent}, indent=1))

    def _start_plant(self) -> None:
        folder = self.folder / "plant"
        folder.mkdir(exist_ok=True)
        lots: list[JsonValue] = [
            {"item": item, "lot": number, "quantity": quantity, "expiry": expiry.isoformat() if expiry else None}
            for number, item, expiry, quantity in lots_in_stock(self.plan.orders, self.plan.units)
        ]
        troubles = self.plan.troubles
        if troubles not in ("default", "none"):
            troubles = os.path.abspath(troubles)
        orders: list[JsonValue] = [
            {
                "reference": reference,
                "units": self.plan.units,
                "lots": lots,
                "serial_prefix": f"{reference.removeprefix('WO-')}-",
                "troubles": "none" if self.plan.clean(reference) else troubles,
            }
            for reference in self.plan.references
        ]
        path = self.folder / "plant.yaml"
        with path.open("w") as file:
            YAML().dump(
                {"folder": "plant", "seed": self.plan.seed, "speed": self.plan.speed, "orders": orders}, file
            )
        self.processes.start("plant", [command("lotkeeper-sim"), "plant", "--config", str(path)])
        ready = folder / "plant-ready.json"
        self.processes.wait_for("the simulated line", ready.exists, START_LIMIT_S)

    def _start_agents(self) -> None:
        ready = json.loads((self.folder / "plant" / "plant-ready.json").read_text())
        (self.folder / "lines").mkdir(exist_ok=True)
        examples = Path(__file__).resolve().parent.parent / "config" / "lines"
        for agent, name in AGENTS.items():
            yaml = YAML()
            yaml.width = 200
            line = yaml.load(examples / name)
            for device, settings in line["devices"].items():
                _point(settings, device, ready)
            line["uplink"] = {
                "broker": self._broker_url(),
                "identity": f"../{agent}/identity",
                "protocol": 5 if self._broker and self._broker.protocol == "5" else "3.1.1",
                "head_interval": "2s",
            }
            line["buffer"] = {"path": f"../{agent}/buffer", "keep_acknowledged": "14d"}
            path = self.folder / "lines" / name
            yaml.dump(line, path)
            arguments = [command("lotkeeper-edge"), "run", str(path)]
            self._agents[agent] = self.processes.start(agent, arguments)

    def _write_login(self) -> None:
        login: JsonValue = {
            "url": self.url,
            "users": [
                {"user": user, "role": role, "name": name, "password": self.password}
                for user, role, name in (("admin", "admin", "admin"), *USERS)
            ],
            "token": self.token,
        }
        write_private(self.folder / "demo-login.json", json.dumps(login, indent=2).encode())


def _point(settings: dict[str, JsonValue], device: str, ready: dict[str, dict[str, dict[str, JsonValue]]]) -> None:
    """Point a device of the example file at where the simulator listens."""
    if settings["driver"] == "opcua":
        settings["endpoint"] = ready["endpoints"][device]["url"]
    elif settings["driver"] == "modbus_tcp":
        settings["host"] = ready["endpoints"][device]["host"]
        settings["port"] = ready["endpoints"][device]["port"]
    else:
        settings["port"] = ready["scanners"][device]


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/healthz", timeout=2.0).status_code < 500
    except httpx.HTTPError:
        return False
