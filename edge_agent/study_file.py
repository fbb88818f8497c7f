"""The request of a study from a file: JSON as it is, or a CSV file and the kind of chart that it is for.

A CSV file has a head. Columns of a chart are found by their names (`COLUMNS`), or are named in their order by the
caller. Separators are comma, semicolon or tab; a decimal comma is taken where the separator is another one. An
empty cell is a gap. A column ``exclude`` leaves the points out of the limits in whose rows it says why.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from records.errors import ConfigurationError, Problem
from spc.request import near

__all__ = ["COLUMNS", "request_of_csv", "request_of_json"]

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "imr": ("value",),
    "t": ("time",),
    "xbar_r": ("subgroup", "value"),
    "xbar_s": ("subgroup", "value"),
    "ewma": ("subgroup", "value"),
    "cusum": ("subgroup", "value"),
    "capability": ("subgroup", "value"),
    "p": ("count", "size"),
    "np": ("count", "size"),
    "u": ("count", "size"),
    "laney_p": ("count", "size"),
    "laney_u": ("count", "size"),
    "c": ("count",),
    "short_run": ("part", "value"),
    "t2_individuals": (),
    "mewma": (),
    "t2_subgroup": ("subgroup",),
}
"""By chart; of those without names, and beside the subgroup of t2_subgroup, every other column is a variable."""

_SUBGROUP_LEFT_OUT: Final = frozenset({"ewma", "cusum", "capability"})
_VARIABLES: Final = frozenset({"t2_individuals", "mewma", "t2_subgroup"})
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def request_of_json(content: bytes, file: str) -> dict[str, object]:
    """The object in a JSON file; ConfigurationError names line and column of what is none."""
    try:
        told = json.loads(_text(content, file), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _problem(file, error.lineno, error.colno, "request", f"no JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise _problem(file, 1, 1, "request", f"no JSON: {error}") from None
    if not isinstance(told, dict):
        raise _problem(file, 1, 1, "request", 'no request: an object is needed: {"chart", "data", "params"}')
    return told


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    told = dict(pairs)
    if len(told) < len(pairs):
        twice = next(key for key in told if [name for name, _ in pairs].count(key) > 1)
        raise ValueError(f"{twice!r} stands twice in one object")
    return told


def request_of_csv(
    content: bytes, file: str, chart: str, columns: Sequence[str] = ()
) -> tuple[dict[str, object], tuple[str, ...]]:
    """The request that the table holds for a chart, and the columns that it has no use for.

    `columns` names the columns of the chart in the order of `COLUMNS`; more than two for a chart of subgroups are
    the readings of one subgroup a row. Raises ConfigurationError with every cell that cannot be read.
    """
    if chart not in COLUMNS:
        hint = near(chart, COLUMNS)
        raise ConfigurationError(f"a chart of kind {chart!r} is not studied from CSV", hint=hint)
    table = _Table.read(_text(content, file), file)
    found = table.find(chart, columns)
    numbers = {name: table.numbers(index) for name, index in found.items() if name not in ("subgroup", "part")}
    if table.problems:
        raise ConfigurationError(f"{file} cannot be read as a table", tuple(table.problems))
    groups = table.groups(found["subgroup"]) if "subgroup" in found else None
    params: dict[str, object] = {}
    if (reasons := table.reasons(groups)) is not None:
        params["exclude"] = reasons
    used = {*found.values(), table.column("exclude")}
    unused = tuple(head for index, head in enumerate(table.head) if index not in used)
    parts = table.cells(found["part"]) if "part" in found else None
    return {"chart": chart, "data": _data(chart, numbers, groups, parts), "params": params}, unused


_Numbers = list[float | None]


def _data(
    chart: str, numbers: Mapping[str, _Numbers], groups: list[list[int]] | None, parts: list[str] | None
) -> dict[str, object]:
    if chart in _VARIABLES:
        variables = list(numbers.values())
        if groups is None:
            return {"rows": [list(row) for row in zip(*variables, strict=True)]}
        return {"vars": [[[variable[row] for row in group] for group in groups] for variable in variables]}
    if parts is not None:
        return {"values": numbers["value"], "parts": parts}
    if "count" in numbers:
        counts: dict[str, object] = {"counts": numbers["count"]}
        return counts | ({"sizes": numbers["size"]} if "size" in numbers else {})
    if len(numbers) > 1:
        return {"subgroups": [list(row) for row in zip(*numbers.values(), strict=True)]}
    values = next(iter(numbers.values()))
    return (
        {"values": values}
        if groups is None
        else {"subgroups": [[values[row] for row in group] for group in groups]}
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells of a CSV file; `lines` are the numbers of the lines on which the rows end."""

    file: str
    head: list[str]
    rows: list[list[str]]
    lines: list[int]
    decimal_comma: bool
    problems: list[Problem]

    @classmethod
    def read(cls, text: str, file: str) -> _Table:
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = max("\t;,", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
        rows: list[list[str]] = []
        lines: list[int] = []
        try:
            for row in reader:
                if any(cell.strip() for cell in row) or (rows and len(rows[0]) == 1):
                    rows.append([cell.strip() for cell in row] or [""])  # in a single column, a gap
                    lines.append(reader.line_num)
        except csv.Error as error:
            raise _problem(file, reader.line_num, 1, "row", f"no CSV: {error}") from None
        while rows and not any(rows[-1]):  # empty lines at the end are none of a column's gaps
            rows.pop()
            lines.pop()
        if not rows:
            raise _problem(file, 1, 1, "head", "the file is empty")
        if all(_NUMBER.fullmatch(cell) for cell in rows[0]):
            raise _problem(file, lines[0], 1, "head", "no names of columns", hint="write value, or subgroup,value")
        table = cls(file, rows[0], rows[1:], lines[1:], separator != ",", [])
        for line, row in zip(table.lines, table.rows, strict=True):
            if len(row) != len(table.head):
                what = f"{len(row)} cells, but the head has {len(table.head)}"
                hint = "a decimal comma needs ; or tab between the columns" if separator == "," else None
                table.problems.append(Problem(file, line, 1, "row", what, hint))
        if not table.rows:
            raise _problem(file, lines[0], 1, "head", "a head, but no rows under it")
        if table.problems:
            raise ConfigurationError(f"{file} cannot be read as a table", tuple(table.problems))
        return table

    def column(self, name: str) -> int | None:
        found = [index for index, head in enumerate(self.head) if head.casefold() == name.casefold()]
        if len(found) > 1:
            raise _problem(self.file, 1, found[1] + 1, name, "stands twice in the head")
        return found[0] if found else None

    def find(self, chart: str, columns: Sequence[str]) -> dict[str, int]:
        """Where the columns of the chart are."""
        wanted = COLUMNS[chart]
        if chart in _VARIABLES:
            own = {name: self._needed(name) for name in wanted}
            others = columns or [h for h in self.head if h.casefold() not in {*own, "exclude"}]
            return own | {name: self._needed(name) for name in others}
        if "subgroup" in wanted and len(columns) > len(wanted):
            return {name: self._needed(name) for name in columns}
        if chart in _SUBGROUP_LEFT_OUT and (len(columns) == 1 if columns else self.column("subgroup") is None):
            wanted = wanted[1:]
        if columns and len(columns) != len(wanted):
            raise ConfigurationError(f"{chart} takes {len(wanted)} columns: {', '.join(wanted)}", hint="--columns")
        return {name: self._needed(given) for name, given in zip(wanted, columns or wanted, strict=True)}

    def _needed(self, name: str) -> int:
        index = self.column(name)
        if index is None:
            hint = f"{near(name, self.head)}; --columns names those to take"
            raise _problem(self.file, 1, 1, name, "no such column", hint=hint)
        return index

    def cells(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def numbers(self, index: int) -> _Numbers:
        """The numbers of a column, None for an empty cell; what is none goes to `problems`."""
        found: _Numbers = []
        marks = set()
        for line, row in zip(self.lines, self.rows, strict=True):
            cell = row[index]
            marks |= set(re.sub(r"[^.,]", "", cell))
            value, problem = self._number(cell)
            if len(marks) > 1 and problem is None:
                problem = f"{cell!r}: a decimal comma and a decimal point in one column"
            if problem:
                hint = "leave the cell of a gap empty" if not re.search(r"\d", cell) else None
                self.problems.append(Problem(self.file, line, index + 1, self.head[index], problem, hint))
            found.append(value)
        return found

    def _number(self, cell: str) -> tuple[float | None, str | None]:
        if not cell:
            return None, None
        if "," in cell and not self.decimal_comma:
            return None, f"{cell!r}: a decimal comma needs ; or tab between the columns"
        if not _NUMBER.fullmatch(cell):
            return None, f"{cell!r} is no number"
        return float(cell.replace(",", ".")), None

    def groups(self, index: int) -> list[list[int]]:
        """The rows of each subgroup; rows of one subgroup follow each other."""
        found: dict[str, list[int]] = {}
        last = None
        for row, name in enumerate(self.cells(index)):
            line, head = self.lines[row], self.head[index]
            if not name:
                raise _problem(self.file, line, index + 1, head, "a row without its subgroup")
            if name in found and name != last:
                what = f"subgroup {name!r} goes on after another one began"
                raise _problem(self.file, line, index + 1, head, what, hint="sort the rows by time")
            found.setdefault(name, []).append(row)
            last = name
        return list(found.values())

    def reasons(self, groups: list[list[int]] | None) -> dict[str, str] | None:
        """Why points are excluded, by their numbers from 1; None without such a column."""
        index = self.column("exclude")
        if index is None:
            return None
        members: Iterator[list[int]] = iter(
            groups if groups is not None else [[row] for row in range(len(self.rows))]
        )
        told = {
            str(number): "; ".join(dict.fromkeys(self.rows[row][index] for row in rows if self.rows[row][index]))
            for number, rows in enumerate(members, 1)
        }
        return {number: why for number, why in told.items() if why}


def _text(content: bytes, file: str) -> str:
    """UTF-8 or what a byte order mark says."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise _problem(file, line, column, "text", "not UTF-8", hint="save the file as UTF-8") from None


def _problem(
    file: str, line: int, col: int, path: str, message: str, *, hint: str | None = None
) -> ConfigurationError:
    return ConfigurationError(message, (Problem(file, line, col, path, message, hint),))
