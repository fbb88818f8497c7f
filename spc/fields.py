"""Reading stored chart state back, one typed field at a time.

State comes from a disk that may have been damaged or written by another build, so nothing is taken on trust:
a wrong type raises ValueError with the path of the field, and no default is ever filled in. Floats survive
JSON exactly, since Python writes the shortest text that reads back as the same float.
"""

import math
from collections.abc import Mapping
from typing import Self

__all__ = ["Fields"]


class Fields:
    """A JSON object with a name (its path, for messages) and typed getters."""

    __slots__ = ("_items", "_path")

    def __init__(self, value: object, path: str) -> None:
        """Raises ValueError when `value` is no JSON object."""
        if not isinstance(value, Mapping):
            raise ValueError(f"{path}: expected an object, found {type(value).__name__}")
        self._items: Mapping[str, object] = value
        self._path = path

    def number(self, key: str) -> float:
        return self._as_number(self._get(key), key)

    def maybe_number(self, key: str) -> float | None:
        value = self._get(key)
        return None if value is None else self._as_number(value, key)

    def numbers(self, key: str) -> list[float]:
        return [self._as_number(value, key) for value in self._list(key)]

    def integers(self, key: str) -> list[int]:
        values: list[int] = []
        for value in self._list(key):
            if isinstance(value, bool) or not isinstance(value, int):
                raise self._wrong(key, "a list of whole numbers", value)
            values.append(value)
        return values

    def maybe_numbers(self, key: str) -> list[float | None]:
        return [None if value is None else self._as_number(value, key) for value in self._list(key)]

    def integer(self, key: str) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, "a whole number", value)
        return value

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return value

    def text(self, key: str) -> str:
        return self._as_text(self._get(key), key)

    def maybe_text(self, key: str) -> str | None:
        value = self._get(key)
        return None if value is None else self._as_text(value, key)

    def texts(self, key: str) -> list[str]:
        return [self._as_text(value, key) for value in self._list(key)]

    def text_lists(self, key: str) -> list[list[str]]:
        rows: list[list[str]] = []
        for row in self._list(key):
            if not isinstance(row, list):
                raise self._wrong(key, "a list of lists", row)
            rows.append([self._as_text(value, key) for value in row])
        return rows

    def number_lists(self, key: str) -> list[list[float]]:
        rows: list[list[float]] = []
        for row in self._list(key):
            if not isinstance(row, list):
                raise self._wrong(key, "a list of lists", row)
            rows.append([self._as_number(value, key) for value in row])
        return rows

    def maybe_number_lists(self, key: str) -> list[list[float] | None]:
        rows: list[list[float] | None] = []
        for row in self._list(key):
            if row is not None and not isinstance(row, list):
                raise self._wrong(key, "a list of lists", row)
            rows.append(None if row is None else [self._as_number(value, key) for value in row])
        return rows

    def has(self, key: str) -> bool:
        return key in self._items

    def filled(self, later: Mapping[str, object]) -> Self:
        """The same with what an older version did not say."""
        return type(self)({**later, **self._items}, self._path)

    def sections(self, key: str) -> list[Self]:
        return [type(self)(item, f"{self._path}.{key}[{place}]") for place, item in enumerate(self._list(key))]

    def section(self, key: str) -> Self:
        return type(self)(self._get(key), f"{self._path}.{key}")

    def maybe_section(self, key: str) -> Self | None:
        return None if self._get(key) is None else self.section(key)

    def _get(self, key: str) -> object:
        if key not in self._items:
            raise ValueError(f"{self._path}.{key}: missing")
        return self._items[key]

    def _list(self, key: str) -> list[object]:
        value = self._get(key)
        if not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        return value

    def _as_number(self, value: object, key: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._wrong(key, "a finite number", value)
        return float(value)

    def _as_text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(key, "text", value)
        return value

    def _wrong(self, key: str, expected: str, value: object) -> ValueError:
        return ValueError(f"{self._path}.{key}: expected {expected}, found {value!r}")
