"""The physics of the line: what each run of each operation measures. Pure, seeded, and without a clock.

A value depends on (seed, order, piece, attempt, characteristic) and on the scripted troubles alone: neither
timing nor the order in which stations happen to run changes it. Values that travel as float32 are rounded to
float32 here, so that the ledger holds exactly what the register can give.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from simulators.noise import bounded_normal, calm_series
from simulators.troubles import CarrierMisread, Drift, LeakTrouble, MeanShift, Placed, WeldTrouble

_T = TypeVar("_T")

Value = bool | int | float | str | tuple[float, ...]
Values = Mapping[str, Value]
"""Device tag (``assembler.torque``) to value, in the unit of the line's tag map."""


@dataclass(frozen=True, slots=True)
class Process:
    """Centre and sigma of one characteristic, and the decimals that its PLC shows (None: float32)."""

    centre: float
    sigma: float
    decimals: int | None = None


TORQUE = Process(2.20, 0.05, 4)  # N.m
ANGLE = Process(90.0, 1.5, 3)  # deg
ENERGY = Process(65.0, 1.0, 3)  # J
COLLAPSE = Process(0.40, 0.012, 4)  # mm
LEAK_RATE = Process(0.12, 0.02)  # mL/min
PRESSURE = Process(30.0, 0.3)  # kPa
TEMPERATURE = Process(81.0, 0.4)  # degC
CONDUCTIVITY = Process(0.80, 0.06)  # uS/cm
WASH_TIME = Process(600.0, 1.0)  # s

PROFILE_POINTS = 24
"""Samples of one weld's force profile."""

QUIETER = 0.5
"""How much of the usual noise remains while a drift or shift is on, so that it shows at any size of order."""


def float32(value: float) -> float:
    """The nearest value that a float32 register pair can hold."""
    (rounded,) = struct.unpack(">f", struct.pack(">f", value))
    return float(rounded)


class Physics:
    """What the pieces of one order measure.

    Args:
        seed: of the plant run.
        order_number: which order of it, from 1.
        units: pieces of the order.
        troubles: those of the order, placed.
    """

    def __init__(self, seed: int, order_number: int, units: int, troubles: Sequence[Placed]) -> None:
        self._key = (seed, order_number)
        self._units = units
        self._troubles = tuple(troubles)
        self._series: dict[str, tuple[float, ...]] = {}

    def assemble(self, piece: int | None, attempt: int) -> Values:
        """OP10: torque and angle; ``piece`` None is the setup piece."""
        torque, angle = self._noise("torque", piece, attempt), self._noise("angle", piece, attempt)
        shift = self._drift(piece)
        if shift is not None:
            torque *= QUIETER
        elif self._drift(piece - 1 if piece else None) is not None:
            torque = -max(abs(torque), 0.2)  # set right: the run above the centre ends here
        return {
            "assembler.torque": _measured(TORQUE, torque, shift or 0.0),
            "assembler.angle": _measured(ANGLE, angle),
        }

    def assemble_aborted(self, piece: int) -> Values:
        """OP10 that stopped half-way."""
        part = 0.3 + 0.1 * self._noise("aborted", piece, 2)
        return {
            "assembler.torque": round(TORQUE.centre * part, 4),
            "assembler.angle": round(ANGLE.centre * part, 3),
        }

    def weld(self, piece: int, attempt: int) -> Values:
        """OP20: energy, collapse and the force profile of the weld."""
        energy = self._noise("energy", piece, attempt)
        shift = self._mean_shift(piece) if attempt == 1 else None
        if shift is not None:
            energy *= QUIETER
        collapse = _measured(COLLAPSE, self._noise("collapse", piece, attempt))
        if attempt == 1:
            for placed in self._at(piece, WeldTrouble):
                collapse = placed.collapse
        joules = _measured(ENERGY, energy, shift or 0.0)
        return {
            "welder.energy": joules,
            "welder.collapse": collapse,
            "welder.force_profile": self._profile(piece, attempt, joules),
        }

    def leak_test(self, piece: int, attempt: int) -> Values:
        """OP30: leak rate, test pressure and the tester's own verdict."""
        leak_rate = _measured(LEAK_RATE, self._noise("leak_rate", piece, attempt))
        failed = False
        if attempt == 1:
            for placed in self._at(piece, LeakTrouble):
                leak_rate, failed = float32(placed.leak_rate), True
        return {
            "leak_tester.leak_rate": leak_rate,
            "leak_tester.pressure": _measured(PRESSURE, self._noise("pressure", piece, attempt)),
            "leak_tester.leak_ok": not failed,
        }

    def wash(self) -> Values:
        """OP40: temperature, final conductivity and time of the order's one load."""
        return {
            f"washer.{name}": _measured(process, bounded_normal(2.0, *self._key, "wash", name))
            for name, process in (
                ("temperature", TEMPERATURE),
                ("conductivity", CONDUCTIVITY),
                ("wash_time", WASH_TIME),
            )
        }

    def carrier_seen(self, piece: int) -> int:
        """Whose carrier the reader of OP20 sees when this piece is there: mostly its own."""
        for placed in self._troubles:
            if isinstance(placed.trouble, CarrierMisread) and placed.index == piece and placed.other is not None:
                return placed.other
        return piece

    # -- inside --------------------------------------------------------------------------------------------

    def _noise(self, name: str, piece: int | None, attempt: int) -> float:
        """Standardised noise: in control along the first attempts, small and independent for all others."""
        if piece is None or attempt > 1:
            return bounded_normal(1.0, *self._key, name, "setup" if piece is None else piece, attempt)
        if name not in self._series:
            self._series[name] = calm_series(self._units, *self._key, name)
        return self._series[name][piece]

    def _at(self, piece: int, kind: type[_T]) -> list[_T]:
        return [p.trouble for p in self._troubles if p.index == piece and isinstance(p.trouble, kind)]

    def _drift(self, piece: int | None) -> float | None:
        for placed in self._troubles:
            trouble, first, last = placed.trouble, placed.index, placed.last
            if not isinstance(trouble, Drift) or piece is None or first is None or last is None:
                continue
            if first <= piece <= last:
                return trouble.by * (piece - first + 1) / (last - first + 1)
        return None

    def _mean_shift(self, piece: int) -> float | None:
        for placed in self._troubles:
            if not isinstance(placed.trouble, MeanShift) or placed.index is None or placed.last is None:
                continue
            if placed.index <= piece <= placed.last:
                return placed.trouble.by
        return None

    def _profile(self, piece: int, attempt: int, joules: float) -> tuple[float, ...]:
        """Force in N over the weld: it rises, holds at a level that goes with the energy, and lets go."""
        level = 9.0 * joules
        points = []
        for index in range(PROFILE_POINTS):
            position = index / (PROFILE_POINTS - 1)
            shape = min(position / 0.2, 1.0, (1.0 - position) / 0.1)
            grain = bounded_normal(2.0, *self._key, "profile", piece, attempt, index)
            points.append(round(max(0.0, level * shape + 2.0 * grain), 1))
        return tuple(points)


def _measured(process: Process, noise: float, shift: float = 0.0) -> float:
    value = process.centre + process.sigma * noise + shift
    return float32(value) if process.decimals is None else round(value, process.decimals)
