"""The whole run of the line, decided before it begins: which station runs which cycle after which other.

Each station works through its own list of jobs in order; a job waits for the jobs named in ``after`` (the piece
comes from there, or its carrier must be free). So stations overlap as their machines allow, while every
cycle number, value, lot and scan is the same in each run with the same settings.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from records.model import Purpose, Result
from simulators.jobs import (
    STATIONS,
    Consumed,
    Cycle,
    Fate,
    Job,
    OrderDone,
    OrderPlan,
    Scan,
    StationName,
    carrier_id,
    serial_of,
    unit_label,
)
from simulators.lots import Shelf, fresh, refused_scans
from simulators.plant import Physics, Values
from simulators.settings import PlantSettings
from simulators.troubles import CounterDisagrees, Placed, of_kind

SETUP_CARRIER = "SETUP-01"


def plan_line(
    settings: PlantSettings, troubles: Sequence[Sequence[Placed]], today: dt.date
) -> dict[StationName, tuple[Job, ...]]:
    """The jobs of every station.

    Args:
        settings: the run.
        troubles: for each of its orders.
        today: lots that expire before it are not mounted.

    Raises:
        ConfigurationError: an order's lots do not suffice for it.
    """
    planner = _Planner(settings)
    for number, (order, placed) in enumerate(zip(settings.orders, troubles, strict=True), start=1):
        planner.add(OrderPlan(number, order, tuple(placed)), today)
    return {station: tuple(jobs) for station, jobs in planner.jobs.items()}


@dataclass(slots=True)
class _Planner:
    settings: PlantSettings
    jobs: dict[StationName, list[Job]] = field(default_factory=lambda: {station: [] for station in STATIONS})
    totals: dict[StationName, int] = field(default_factory=lambda: dict.fromkeys(STATIONS, 0))
    carrier_free: dict[str, str] = field(default_factory=dict)
    trays: int = 0

    def add(self, plan: OrderPlan, today: dt.date) -> None:
        physics = Physics(self.settings.seed, plan.number, plan.order.units, plan.troubles)
        scrapped = {p.index for p in of_kind(plan.troubles, "scrap")}
        self._assemble(plan, physics, today)
        rework = [p.index for p in of_kind(plan.troubles, "rework-loop") if p.index is not None]
        self._weld(plan, physics, scrapped, rework)
        good = [piece for piece in range(plan.order.units) if piece not in scrapped]
        last = self._leak_test(plan, physics, good, rework)
        if good:
            self._wash(plan, physics, good, last)
        else:
            done = OrderDone(plan.order.reference, plan.order.units, 0, plan.order.units)
            self.jobs["weld"][-1] = replace(self.jobs["weld"][-1], done=done)
        for piece in range(plan.order.units):
            welded = f"{plan.order.reference}/OP20/{piece}/1"
            self.carrier_free[carrier_id(piece)] = last.get(piece, welded)

    # -- the four stations ---------------------------------------------------------------------------------

    def _assemble(self, plan: OrderPlan, physics: Physics, today: dt.date) -> None:
        order, reference = plan.order, plan.order.reference
        shelves = [Shelf(c, fresh(order.lots, c.item, today)) for c in self.settings.product.components]
        aborted = {p.index for p in of_kind(plan.troubles, "aborted-cycle")}
        first = (
            Scan(reference),
            Scan(self.settings.operators.op10),
            *refused_scans(self.settings.product, plan, today),
        )
        wrong = tuple(p.code for p in of_kind(plan.troubles, "wrong-lot-scanned", "expired-lot-scanned"))
        pieces: list[int | None] = [None] if of_kind(plan.troubles, "setup-piece") else []
        pieces += range(order.units)
        for piece in pieces:
            taken = [shelf.take(reference) for shelf in shelves]
            scans = (*first, *(scan for _, scan in taken if scan is not None))
            materials = tuple(consumed for consumed, _ in taken)
            first = ()
            carrier = SETUP_CARRIER if piece is None else carrier_id(piece)
            job = Job(
                f"{reference}/OP10/{'setup' if piece is None else piece}",
                self._cycle(
                    "assemble",
                    reference,
                    Purpose.SETUP if piece is None else Purpose.PRODUCTION,
                    Result.PASS,
                    carrier,
                    physics.assemble(piece, 1),
                    materials=materials,
                ),
                after=(self.carrier_free[carrier],) if carrier in self.carrier_free else (),
                troubles=(*wrong, *_beginning(plan, piece, "setup-piece", "drift", "aborted-cycle")),
                scans_before=scans,
            )
            wrong = ()
            if piece in aborted and piece is not None:
                self.jobs["assemble"].append(
                    replace(
                        job,
                        name=f"{job.name}/aborted",
                        cycle=replace(
                            job.cycle,
                            result=Result.ABORTED,
                            values=physics.assemble_aborted(piece),
                            materials=(),
                        ),
                    )
                )
                job = replace(job, cycle=self._again(job.cycle), scans_before=(), troubles=())
            self.jobs["assemble"].append(job)

    def _weld(self, plan: OrderPlan, physics: Physics, scrapped: set[int | None], rework: list[int]) -> None:
        reference = plan.order.reference
        restarts = {p.index for p in of_kind(plan.troubles, "plc-restart")}
        codes = ("mean-shift", "out-of-specification", "scrap", "carrier-misread", "plc-restart", "broker-restart")
        runs = [(piece, 1) for piece in range(plan.order.units)] + [(piece, 2) for piece in rework]
        for piece, attempt in runs:
            scrap = piece in scrapped
            came_from = f"{reference}/OP10/{piece}" if attempt == 1 else f"{reference}/OP30/{piece}/1"
            cycle = self._cycle(
                "weld",
                reference,
                Purpose.PRODUCTION if attempt == 1 else Purpose.REWORK,
                Result.SCRAP if scrap else Result.PASS,
                carrier_id(physics.carrier_seen(piece) if attempt == 1 else piece),
                physics.weld(piece, attempt),
            )
            fate = Fate(reference, carrier_id(piece), None, "scrap")
            self.jobs["weld"].append(
                Job(
                    f"{reference}/OP20/{piece}/{attempt}",
                    cycle,
                    after=(came_from,),
                    troubles=_beginning(plan, piece, *codes) if attempt == 1 else (),
                    restart=attempt == 1 and piece in restarts,
                    fates=(fate,) if scrap else (),
                )
            )

    def _leak_test(self, plan: OrderPlan, physics: Physics, good: list[int], rework: list[int]) -> dict[int, str]:
        """Gives the name of each piece's last job here."""
        reference = plan.order.reference
        retest = {p.index for p in of_kind(plan.troubles, "fail-retest-pass")}
        runs: list[tuple[int, int, Purpose]] = []
        for piece in good:
            runs.append((piece, 1, Purpose.PRODUCTION))
            if piece in retest:
                runs.append((piece, 2, Purpose.RETEST))
        runs += [(piece, 2, Purpose.REWORK) for piece in rework]
        badge: tuple[Scan, ...] = (Scan(self.settings.operators.op30),)
        last: dict[int, str] = {}
        for piece, attempt, purpose in runs:
            first_try = attempt == 1
            welded = f"{reference}/OP20/{piece}/{attempt}"
            self.totals["leak_test"] += _counter_jump(plan, piece) if first_try else 0
            codes = ("fail-retest-pass", "rework-loop", "counter-disagrees")
            failed = first_try and (piece in retest or piece in rework)
            job = Job(
                f"{reference}/OP30/{piece}/{attempt}",
                self._cycle(
                    "leak_test",
                    reference,
                    purpose,
                    Result.FAIL if failed else Result.PASS,
                    carrier_id(piece),
                    physics.leak_test(piece, attempt),
                    subjects=(serial_of(plan.order, piece),),
                ),
                after=() if purpose is Purpose.RETEST else (welded,),
                troubles=_beginning(plan, piece, *codes) if first_try else (),
                scans_before=badge,
                scans=(Scan(unit_label(self.settings.product.gtin, plan.order, piece)),),
            )
            badge = ()
            self.jobs["leak_test"].append(job)
            last[piece] = job.name
        return last

    def _wash(self, plan: OrderPlan, physics: Physics, good: list[int], last: dict[int, str]) -> None:
        order, size = plan.order, self.settings.tray
        scans = [Scan(self.settings.operators.op40)]
        for start in range(0, len(good), size):
            self.trays = self.trays % 999 + 1
            scans.append(Scan(f"TRAY-{self.trays:03d}"))
            scans += [
                Scan(unit_label(self.settings.product.gtin, order, piece)) for piece in good[start : start + size]
            ]
        serials = tuple(serial_of(order, piece) for piece in good)
        self.jobs["wash"].append(
            Job(
                f"{order.reference}/OP40",
                self._cycle(
                    "wash",
                    order.reference,
                    Purpose.PRODUCTION,
                    Result.PASS,
                    None,
                    physics.wash(),
                    subjects=serials,
                ),
                after=tuple(last[piece] for piece in good),
                scans_before=tuple(scans),
                fates=tuple(
                    Fate(order.reference, carrier_id(piece), serial_of(order, piece), "good") for piece in good
                ),
                done=OrderDone(order.reference, order.units, len(good), order.units - len(good)),
            )
        )

    # -- parts of them -------------------------------------------------------------------------------------

    def _cycle(
        self,
        station: StationName,
        order: str,
        purpose: Purpose,
        result: Result,
        carrier: str | None,
        values: Values,
        *,
        subjects: tuple[str, ...] = (),
        materials: tuple[Consumed, ...] = (),
    ) -> Cycle:
        """The station's next cycle. OP20 has no scanner: whoever signed on at OP10 runs both."""
        operators = self.settings.operators
        operator = {"leak_test": operators.op30, "wash": operators.op40}.get(station, operators.op10)
        self.totals[station] += 1
        count = len(self.jobs[station]) + 1
        return Cycle(
            station,
            count,
            self.totals[station],
            order,
            purpose,
            result,
            carrier,
            operator,
            values,
            subjects,
            materials,
        )

    def _again(self, cycle: Cycle) -> Cycle:
        """The same run, one machine cycle later."""
        self.totals[cycle.station] += 1
        return replace(cycle, cycle=len(self.jobs[cycle.station]) + 1, total=self.totals[cycle.station])


def _beginning(plan: OrderPlan, piece: int | None, *codes: str) -> tuple[str, ...]:
    """Troubles with these codes that begin at this piece (None: before the first)."""
    return tuple(p.code for p in of_kind(plan.troubles, *codes) if p.index == piece)


def _counter_jump(plan: OrderPlan, piece: int) -> int:
    found = [p for p in of_kind(plan.troubles, "counter-disagrees") if p.index == piece]
    return sum(p.trouble.extra for p in found if isinstance(p.trouble, CounterDisagrees))
