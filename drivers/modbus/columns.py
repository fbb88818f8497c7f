"""Many values out of one image of a device's answers with few numpy calls.

Tags that are decoded alike (type, sentinels, what comes after) form a class. Byte order costs nothing: each class
has an array of the places of its bytes, least significant first. Texts and named values go through
``convert.decode`` one by one; a test holds both ways together, value for value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.base import OBJECTS
from drivers.convert import RegisterFormat, decode, reorder
from drivers.status import BAD_NOT_BCD, BAD_NOT_FINITE, BAD_SENTINEL, BAD_SEVERITY, GOOD_STATUS

_UNSIGNED: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}
_SIGNED: dict[int, np.dtype[Any]] = {
    1: np.dtype("<i1"),
    2: np.dtype("<i2"),
    4: np.dtype("<i4"),
    8: np.dtype("<i8"),
}
_FLOATS: dict[int, np.dtype[Any]] = {2: np.dtype("<f2"), 4: np.dtype("<f4"), 8: np.dtype("<f8")}


@dataclass(frozen=True, slots=True)
class _Class:
    """Values decoded alike: where they go, where their bytes are (shape (n, width)), and what is done to them."""

    positions: NDArray[np.intp]
    places: NDArray[np.intp]
    form: RegisterFormat
    shift: NDArray[np.uint64] | None
    mask: NDArray[np.uint64] | None
    factor: NDArray[np.float64] | None
    summand: NDArray[np.float64] | None
    under: NDArray[np.float64] | None
    sentinels: NDArray[Any]

    def values(self, image: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """The values and their statuses, sentinels not yet seen."""
        form, width = self.form, self.places.shape[1]
        raw = np.ascontiguousarray(image[self.places]).view(_UNSIGNED[width])[:, 0]
        values: NDArray[Any] = raw
        status = np.zeros(len(raw), np.uint32)
        if form.is_float:
            values = raw.view(_FLOATS[width])
            status[~np.isfinite(values)] = BAD_NOT_FINITE
        elif form.data_type.startswith("bcd"):
            values, bad = _bcd(raw, width)
            status[bad] = BAD_NOT_BCD
        elif form.data_type == "bool":
            values = raw != 0
        elif self.shift is not None and self.mask is not None:
            values = raw.astype(np.uint64) >> self.shift & self.mask
            if form.bit is not None:
                values = values != 0
        elif form.data_type.startswith("int"):
            values = raw.view(_SIGNED[width])
        if self.factor is not None and self.summand is not None:
            values = values.astype(np.float64) * self.factor + self.summand
            if self.under is not None:
                values = values / self.under
            status[~np.isfinite(values) & (status == GOOD_STATUS)] = BAD_NOT_FINITE
        return values, status

    def sentinel(self, image: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which raw values say that there is none."""
        raw = np.ascontiguousarray(image[self.places]).view(self.sentinels.dtype)[:, 0]
        return np.isin(raw, self.sentinels)


def _bcd(raw: NDArray[Any], width: int) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    pattern = raw.astype(np.uint64)
    total, bad = np.zeros(len(raw), np.uint64), np.zeros(len(raw), np.bool_)
    for digit in range(2 * width):
        nibble = pattern >> np.uint64(4 * digit) & np.uint64(15)
        bad |= nibble > 9
        total += nibble * np.uint64(10**digit)
    return total, bad


class Columns:
    """Decodes images with one layout; made once for a plan.

    Args:
        forms: of each value; None is a bit of a coil table, one byte in the image.
        begins: where each value's bytes begin in the image, -1 where it has none.
        dtype: of the column of values.
    """

    def __init__(
        self, forms: Sequence[RegisterFormat | None], begins: Sequence[int], dtype: np.dtype[Any]
    ) -> None:
        self._dtype = dtype
        self._size = len(forms)
        self._single = [
            (at, form, begin)
            for at, (form, begin) in enumerate(zip(forms, begins, strict=True))
            if begin >= 0 and form is not None and _alone(form)
        ]
        classes: dict[object, list[int]] = {}
        bits: list[int] = []
        for at, (form, begin) in enumerate(zip(forms, begins, strict=True)):
            if begin < 0:
                continue
            if form is None:
                bits.append(at)
            elif not _alone(form):
                classes.setdefault(_key(form), []).append(at)
        self._bits = np.array(bits, np.intp)
        self._bit_places = np.array([begins[at] for at in bits], np.intp)
        self._classes = [_class(members, forms, begins) for members in classes.values()]

    def decode(self, data: bytes, status: NDArray[np.uint32]) -> NDArray[Any]:
        """The column of values of an image; what is bad in them goes into ``status``, where nothing bad is yet."""
        values = np.zeros(self._size, self._dtype)
        if self._dtype == OBJECTS:
            values[:] = None
        found = np.zeros(self._size, np.uint32)
        image = np.frombuffer(data, np.uint8)
        if len(self._bits):
            _put(values, self._bits, image[self._bit_places] != 0)
        with np.errstate(all="ignore"):
            for each in self._classes:
                column, found[each.positions] = each.values(image)
                _put(values, each.positions, column)
                if each.form.invalid:
                    found[each.positions[each.sentinel(image)]] = BAD_SENTINEL
        for at, form, begin in self._single:
            values[at], found[at] = decode(data[begin : begin + 2 * form.count], form)
        np.copyto(status, found, where=status == GOOD_STATUS)
        wrong = status >= BAD_SEVERITY
        if wrong.any():
            values[wrong] = None if self._dtype == OBJECTS else 0
        return values


def _put(values: NDArray[Any], positions: NDArray[np.intp], column: NDArray[Any]) -> None:
    values[positions] = column.astype(OBJECTS) if values.dtype == OBJECTS else column


def _alone(form: RegisterFormat) -> bool:
    return form.data_type == "string" or form.enumeration is not None


def _key(form: RegisterFormat) -> object:
    how = "" if not form.scaled else "scale" if form.ratio is None else "ratio"
    part = "bit" if form.bit is not None else "bits" if form.bits is not None else ""
    return form.data_type, part, how, form.invalid


def _class(members: Sequence[int], forms: Sequence[RegisterFormat | None], begins: Sequence[int]) -> _Class:
    chosen = [form for at in members if (form := forms[at]) is not None]
    first = chosen[0]
    places = [_places(form, begins[at]) for at, form in zip(members, chosen, strict=True)]
    shift = mask = factor = summand = under = None
    if first.bit is not None or first.bits is not None:
        fields = [(form.bit or 0, 1) if form.bits is None else form.bits for form in chosen]
        shift = np.array([start for start, _ in fields], np.uint64)
        mask = np.array([(1 << count) - 1 for _, count in fields], np.uint64)
    if first.scaled:
        ratios = [form.ratio for form in chosen]
        if first.ratio is None:
            factor = np.array([form.scale for form in chosen], np.float64)
            summand = np.array([form.offset for form in chosen], np.float64)
        else:
            factor, summand, under = (
                np.array([ratio[n] for ratio in ratios if ratio is not None], np.float64) for n in range(3)
            )
    width = len(places[0])
    dtype = _FLOATS[width] if first.is_float else _UNSIGNED[width]
    sentinels = np.array(sorted(first.sentinels) if first.invalid else [], dtype)
    positions = np.array(members, np.intp)
    return _Class(positions, np.array(places, np.intp), first, shift, mask, factor, summand, under, sentinels)


def _places(form: RegisterFormat, begin: int) -> list[int]:
    """Where a value's bytes are in the image, least significant first."""
    order = reorder(bytes(range(2 * form.count)), form.byte_order)
    if form.data_type in ("int8", "uint8"):
        order = order[:1] if form.byte == "high" else order[1:]
    return [begin + at for at in reversed(order)]
