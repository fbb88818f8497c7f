"""Judges a finished demo run as an outsider: over central's HTTP interface and its commands only.

The demo's quality user closes every finding with a reason, central confirms to the ERP, the clean lots are
reviewed and released; then ledger, records and ERP are compared and every chain is verified.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import JsonValue

from records.errors import LotkeeperError, Unreachable
from simulators.check import Comparison, HeldRecord, Truth, compare, erp_disagreements, read_ledger
from simulators.demo_plant import DemoPlant
from simulators.processes import command

SETTLE_LIMIT_S = 120.0
REASON = "closed by the demo's quality user: checked against the line's log"
CONCESSIONS = frozenset({"out-of-specification", "operation-missing", "operation-repeated", "unit-failed"})
"""Findings about a piece that is good although a run of it was not: a person takes it as it is."""


@dataclass(slots=True)
class Figures:
    """What ``demo --check`` found; ``to_json`` is what it prints."""

    units: int = 0
    orders: int = 0
    comparison: Comparison = field(default_factory=lambda: Comparison((), (), (), ()))
    exceptions: dict[str, int] = field(default_factory=dict)
    released: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    chains: dict[str, str] = field(default_factory=dict)
    erp: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    duration_s: float = 0.0

    @property
    def chains_ok(self) -> bool:
        return bool(self.chains) and all(reason == "" for reason in self.chains.values())

    @property
    def ok(self) -> bool:
        return (
            self.comparison.agrees
            and self.chains_ok
            and not (self.erp or self.problems or self.unexplained)
            and bool(self.released)
        )

    def to_json(self) -> dict[str, JsonValue]:
        c = self.comparison
        return {
            "ok": self.ok,
            "units": self.units,
            "orders": self.orders,
            "missing": len(c.missing),
            "extra": len(c.extra),
            "doubled": len(c.doubled),
            "altered": len(c.altered),
            "exceptions": dict(sorted(self.exceptions.items())),
            "released": list(self.released),
            "chains_ok": self.chains_ok,
            "erp_disagreements": len(self.erp),
            "duration_s": round(self.duration_s, 1),
        }

    def details(self) -> Iterator[str]:
        """Every single thing that is not as it should be."""
        c = self.comparison
        yield from (f"missing: {cycle}" for cycle in c.missing)
        yield from (f"extra: {cycle}" for cycle in c.extra)
        yield from (f"doubled: {cycle}" for cycle in c.doubled)
        yield from (
            f"altered: {d.station} {d.cycle} {d.what}: ledger {d.truth}, record {d.held}" for d in c.altered
        )
        yield from (f"ERP: {text}" for text in self.erp)
        yield from (f"chain of {name}: {reason}" for name, reason in self.chains.items() if reason)
        yield from (f"no exception shows the trouble {code}" for code in self.unexplained)
        yield from self.problems


SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "drift": ("spc-signal",),
    "mean-shift": ("spc-signal",),
    "out-of-specification": ("out-of-specification",),
    "scrap": ("unit-scrapped",),
    "fail-retest-pass": ("retested",),
    "rework-loop": ("reworked",),
    "aborted-cycle": ("run-aborted",),
    "carrier-misread": ("operation-missing", "operation-repeated"),
    "wrong-lot-scanned": ("item-not-in-bom",),
    "expired-lot-scanned": ("lot-expired",),
    "plc-restart": ("device-lost",),
    "counter-disagrees": ("counter-disagrees",),
    "setup-piece": (),
    "broker-restart": (),
}
"""Which codes each scripted trouble has to show up as; a setup piece and a broker restart leave no exception."""


class NotNow(LotkeeperError):
    """Central refused what does not fit what it has now."""


class CentralClient:
    """Central's HTTP interface with the demo's token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=60.0
        )

    def close(self) -> None:
        self._http.close()

    def all(self, resource: str, **query: str) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = query | {"limit": "500"} | ({"cursor": cursor} if cursor else {})
            page = self._answer(self._http.get(f"/{resource}", params=params))
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def post(self, path: str, body: dict[str, JsonValue], key: str) -> dict[str, Any]:
        return self._answer(self._http.post(f"/{path}", json=body, headers={"Idempotency-Key": key}))

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        if response.is_error:
            raise (NotNow if response.status_code == httpx.codes.CONFLICT else LotkeeperError)(
                f"central answered {response.status_code} to {response.url}: {response.text[:400]}"
            )
        answer: dict[str, Any] = response.json()
        return answer


class Judge:
    """One check of one finished plant."""

    def __init__(self, plant: DemoPlant, say: Callable[[str], None]) -> None:
        self._plant = plant
        self._say = say
        self._central = CentralClient(plant.url, plant.token)
        self._truth = self._ledger()
        self.figures = Figures(units=len(self._truth.units), orders=plant.plan.orders)

    def _ledger(self) -> Truth:
        with self._plant.ledger.open() as lines:
            return read_ledger(json.loads(line) for line in lines)

    def run(self) -> Figures:
        """The whole check; what fails is in the figures, never silent."""
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("waiting until central has every record", self._wait_for_records),
            ("closing findings and confirming to the ERP", self._close_and_confirm),
            ("reviewing and releasing the clean lots", self._release),
            ("comparing ledger, records and ERP", self._compare),
            ("verifying every chain", self._verify),
        )
        for text, step in steps:
            self._say(text)
            try:
                step()
            except LotkeeperError as error:
                self.figures.problems.append(f"{text}: {error}")
        self._central.close()
        return self.figures

    # -- steps ---------------------------------------------------------------------------------------------

    def _wait_for_records(self) -> None:
        """Every cycle of the ledger is at central, and each agent's signed head is committed."""
        self._plant.processes.wait_for("every record at central", self._all_there, SETTLE_LIMIT_S)

    def _all_there(self) -> bool:
        agents = self._central.all("agents")
        current = all(a["head"] is not None and a["committed_through"] >= a["head"] for a in agents)
        return current and len(self._central.all("operation-records")) >= len(self._truth.cycles)

    def _close_and_confirm(self) -> None:
        """Findings go on appearing while records settle, so close until the ERP has every order."""
        seen: dict[str, str] = {}
        looks = itertools.count()

        def settled() -> bool:
            findings = [
                (kind, finding) for kind in ("exceptions", "discrepancies") for finding in self._central.all(kind)
            ]
            seen.update({finding["id"]: finding["code"] for _, finding in findings})
            for kind, finding in findings:
                if finding["state"] == "open":
                    self._close(kind, finding, next(looks))
            orders = self._central.all("work-orders")
            return bool(orders) and all(order["posting"] == "posted" for order in orders)

        try:
            self._again("every order confirmed to the ERP", settled)
        finally:
            self.figures.exceptions = dict(Counter(seen.values()))
        for trouble in self._truth.troubles:
            needed = SHOWN_BY.get(trouble.code)
            if needed is None or any(code not in self.figures.exceptions for code in needed):
                self.figures.unexplained.append(trouble.code)

    def _close(self, kind: str, finding: dict[str, Any], look: int) -> None:
        act = "concession" if finding["code"] in CONCESSIONS else "close"
        body: dict[str, JsonValue] = {
            "act": act,
            "reason": REASON,
            "content_hash": finding["content_hash"],
            "user": "manager",
            "password": self._plant.password,
        }
        self._central.post(f"{kind}/{finding['id']}/decisions", body, f"close-{finding['id']}-{look}")

    def _release(self) -> None:
        clean = [reference for reference in self._plant.plan.references if self._plant.plan.clean(reference)]
        for lot in clean:
            for user, meaning in (("qa", "reviewed"), ("manager", "released")):
                self._sign(lot, user, meaning)
            (dhr,) = self._central.all("dhrs", lot=lot)
            if dhr["state"] == "released":
                self.figures.released.append(lot)
            else:
                self.figures.problems.append(f"lot {lot} is {dhr['state']} after its release was signed")

    def _sign(self, lot: str, user: str, meaning: str) -> None:
        """Raises NotNow: it was refused until the end."""
        looks = itertools.count()

        def signed() -> bool:
            (dhr,) = self._central.all("dhrs", lot=lot)
            body: dict[str, JsonValue] = {
                "user": user,
                "password": self._plant.password,
                "meaning": meaning,
                "reason": "demo",
                "content_hash": dhr["content_hash"],
            }
            self._central.post(f"dhrs/{dhr['id']}/signatures", body, f"{meaning}-{lot}-{next(looks)}")
            return True

        self._again(f"{lot} {meaning}", signed)

    def _again(self, what: str, done: Callable[[], bool]) -> None:
        """As people do: who is told that something has come meanwhile looks again, and then decides.

        Raises:
            NotNow: the last look was refused. Unreachable: not done in time.
        """
        refused: NotNow | None = None

        def looked() -> bool:
            nonlocal refused
            refused = None
            try:
                return done()
            except NotNow as error:
                refused = error
                return False

        try:
            self._plant.processes.wait_for(what, looked, SETTLE_LIMIT_S)
        except Unreachable as error:
            raise error if refused is None else refused from error

    def _compare(self) -> None:
        records = [HeldRecord.model_validate(item) for item in self._central.all("operation-records")]
        self.figures.comparison = compare(self._truth, records)
        self.figures.erp = erp_disagreements(self._truth, self._plant.erp.booked())
        if not self._truth.finished:
            self.figures.problems.append("the ledger does not end: the line did not finish")

    def _verify(self) -> None:
        answer = json.loads(self._plant.central("verify", "--json", fine=(0, 1)))
        self.figures.chains["central"] = "" if answer["ok"] else str(answer["reason"])
        for line in self._plant.lines:
            arguments = [command("lotkeeper-edge"), "buffer", "verify", str(line), "--json"]
            answer = json.loads(self._plant.processes.run("buffer verify", arguments, fine=(0, 1)))
            self.figures.chains[line.stem] = "" if answer["ok"] else str(answer["reason"])


def wait_for_line(plant: DemoPlant, progress: Callable[[Counter[str]], None], limit_s: float) -> None:
    """Until the ledger ends; restarts the broker when the ledger asks for it.

    Raises:
        Unreachable: the line did not finish in time, or a process ended.
    """
    done: Counter[str] = Counter()
    position = 0

    def finished() -> bool:
        nonlocal position
        if not plant.ledger.exists():
            return False
        with plant.ledger.open() as ledger:
            ledger.seek(position)
            while (text := ledger.readline()).endswith("\n"):
                position = ledger.tell()
                line = json.loads(text)
                if line["type"] == "cycle":
                    done[line["operation"]] += 1
                elif line["type"] == "trouble" and line["code"] == "broker-restart":
                    plant.restart_broker()
                elif line["type"] == "end":
                    return True
        progress(done)
        return False

    try:
        plant.processes.wait_for("the line's last cycle", finished, limit_s)
    except Unreachable as error:
        raise Unreachable(f"{error.message}; done so far: {dict(done)}", hint=error.hint) from error
