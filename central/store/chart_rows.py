"""Rows of charts and their points while the facts of one frame are taken in: each read once, written once."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from central.chart_words import ChartRef
from central.store.bulk import Insert
from central.store.charts import chart, chart_point

PointName = tuple[str, str, int, int]
"""Chart id, epoch, segment, subgroup: numbers may begin again, the newest point of a name counts."""

_CHART_NAMES = tuple(chart.c.keys())
_POINT_NAMES = tuple(name for name in chart_point.c.keys() if name != "id")  # noqa: SIM118  no dict
_chart_row = itemgetter(*_CHART_NAMES)
_point_row = itemgetter(*_POINT_NAMES)
_ADD_CHARTS = Insert(chart, *_CHART_NAMES)
_ADD_POINTS = Insert(chart_point, *_POINT_NAMES)
_POINT = (
    select(chart_point)
    .where(chart_point.c.chart_id == bindparam("of_chart"), chart_point.c.epoch == bindparam("of_epoch"))
    .where(chart_point.c.segment == bindparam("of_segment"), chart_point.c.subgroup == bindparam("of_subgroup"))
    .order_by(chart_point.c.id.desc())
    .limit(1)
)
_COUNTS = ("points", "signals_open")
_COUNT = (
    update(chart)
    .where(chart.c.id == bindparam("the_id"))
    .values({name: bindparam(f"now_{name}") for name in _COUNTS})
)
_CHANGE_CHART = (
    update(chart)
    .where(chart.c.id == bindparam("the_id"))
    .values({name: bindparam(f"now_{name}") for name in _CHART_NAMES if name != "id"})
)
_CHANGE_POINT = (
    update(chart_point)
    .where(chart_point.c.id == bindparam("the_id"))
    .values({name: bindparam(f"now_{name}") for name in _POINT_NAMES})
)

Values = dict[str, Any]
"""A row by column names; a point that is not written yet has no id."""


class ChartRows:
    """What is changed here is in the database only after ``write``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._forget()

    def _forget(self) -> None:
        self._charts: dict[ChartRef, Values] = {}
        self._read: set[ChartRef] = set()
        self._new_charts: list[Values] = []
        self._changed_charts: dict[str, Values] = {}
        self._counted: dict[str, Values] = {}
        self._points: dict[PointName, Values] = {}
        self._new_points: list[Values] = []
        self._changed_points: dict[int, Values] = {}

    def read(self, refs: Collection[ChartRef]) -> None:
        """Charts that are about to be asked for."""
        by_id = {ref.id: ref for ref in refs if ref not in self._charts}
        if by_id:
            wanted = {f"id_{number}": id_ for number, id_ in enumerate(by_id)}
            for row in self._connection.execute(_charts(len(wanted)), wanted).mappings():
                self._charts[by_id[row["id"]]] = {**row}
        self._read.update(refs)

    def chart(self, ref: ChartRef, told: Values) -> Values:
        """The chart's row; of one that is new, as it is told."""
        if ref not in self._read:
            self.read((ref,))
        found = self._charts.get(ref)
        if found is None:
            own = {"agent": ref.agent, "station": ref.station, "characteristic": ref.characteristic}
            found = dict.fromkeys(_CHART_NAMES) | own | {"id": ref.id, "stream": ref.stream} | told
            found |= {"points": 0, "signals_open": 0}
            self._new_charts.append(found)
            self._charts[ref] = found
        return found

    def change_chart(self, row: Values, values: Values) -> None:
        """Columns that say the same as before cost nothing."""
        for name, value in values.items():
            if row[name] != value:
                row.update(values)
                self._changed_charts[row["id"]] = row
                return

    def count(self, row: Values, *, signal: bool) -> None:
        """One more closed point."""
        row["points"] += 1
        row["signals_open"] += signal
        self._counted[row["id"]] = row

    def point(self, name: PointName) -> Values | None:
        """The newest point of this name."""
        found = self._points.get(name)
        if found is not None:
            return found
        wanted = dict(zip(("of_chart", "of_epoch", "of_segment", "of_subgroup"), name, strict=True))
        row = self._connection.execute(_POINT, wanted).mappings().one_or_none()
        if row is None:
            return None
        self._points[name] = {**row}
        return self._points[name]

    def add_point(self, name: PointName, values: Values) -> None:
        chart_id, epoch, segment, subgroup = name
        own = {"chart_id": chart_id, "epoch": epoch, "segment": segment, "subgroup": subgroup}
        values.update(own, excluded=False, cause=None)
        self._points[name] = values
        self._new_points.append(values)

    def change_point(self, row: Values, values: Values) -> None:
        row.update(values)
        if "id" in row:
            self._changed_points[row["id"]] = row

    def write(self) -> None:
        """Bring everything into the database, and begin anew."""
        new = {row["id"] for row in self._new_charts}
        _ADD_CHARTS(self._connection, [_chart_row(row) for row in self._new_charts])
        _ADD_POINTS(self._connection, [_point_row(row) for row in self._new_points])
        changed = [row for key, row in self._changed_charts.items() if key not in new]
        if changed:
            self._connection.execute(_CHANGE_CHART, [_bound(row, _CHART_NAMES) for row in changed])
        counted = [row for key, row in self._counted.items() if key not in new and key not in self._changed_charts]
        if counted:
            self._connection.execute(_COUNT, [_bound(row, _COUNTS) for row in counted])
        if self._changed_points:
            points = [_bound(row, _POINT_NAMES) for row in self._changed_points.values()]
            self._connection.execute(_CHANGE_POINT, points)
        self._forget()


@lru_cache
def _charts(count: int) -> Select[Any]:
    """So many charts by their ids: a list of any length would be put into the statement anew each time."""
    return select(chart).where(chart.c.id.in_([bindparam(f"id_{number}") for number in range(count)]))


def _bound(row: Values, names: tuple[str, ...]) -> Values:
    return {f"now_{name}": row[name] for name in names} | {"the_id": row["id"]}
