"""Reading a request of people: an object of JSON, one typed field at a time.

Nothing is guessed. What is missing, misspelt, of the wrong shape or no number is refused with its place, written
as JSON paths are (``data.subgroups[3][0]``: places in lists count from 0; `exclude` and signals are points of the
chart and count from 1). Gaps are null or NaN, never a text. Rules are asked for as a whole set by its name, some
by theirs, or as a line file has them.
"""

import difflib
import json
import math
from collections.abc import Collection, Mapping, Sequence

from spc.rules import CATALOGUE, Rule

__all__ = ["RULE_SETS", "RequestError", "Told", "asked_rules", "near", "rule_of"]

_Missing = object()
_LARGEST = 1e100  # squares of larger ones and their sums leave the range of floats


class RequestError(ValueError):
    """The request is wrong at `place`: what was found there, and what is expected."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place


def near(word: str, known: Collection[str]) -> str:
    """The end of a message about an unknown word: what was meant perhaps, else what there is."""
    found = difflib.get_close_matches(word, known, 1)
    return f"did you mean {found[0]}?" if found else f"known: {', '.join(sorted(known))}"


class Told:
    """An object at a place of the request. What no getter has asked for is refused by `done`."""

    __slots__ = ("_asked", "_items", "place")

    def __init__(self, value: object, place: str) -> None:
        """Raises RequestError when `value` is no object."""
        if not isinstance(value, Mapping):
            raise RequestError(place, f"expected an object, found {_kind(value)}")
        self._items = {str(key): item for key, item in value.items()}
        self._asked: set[str] = set()
        self.place = place

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return self._items.get(key) is not None

    def __getitem__(self, key: str) -> object:
        return self._get(key)

    def keys(self) -> list[str]:
        return list(self._items)

    def at(self, key: str) -> str:
        """The place of a field, for messages."""
        return f"{self.place}.{key}" if self.place else key

    def again(self) -> "Told":
        """The same object, of which nothing has been asked yet."""
        return Told(self._items, self.place)

    def past(self, keys: Collection[str]) -> None:
        """Fields that may be there and are not looked at."""
        self._asked |= set(keys)

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for key in self._items:
            if key not in self._asked:
                raise RequestError(self.at(key), f"unknown here; {near(key, self._asked)}")

    # -- single fields -------------------------------------------------------------------------------------

    def number(self, key: str) -> float:
        return number(self._get(key), self.at(key))

    def maybe_number(self, key: str) -> float | None:
        value = self._get(key, None)
        return None if value is None else number(value, self.at(key))

    def above_zero(self, key: str, default: float | None = None) -> float | None:
        value = self.maybe_number(key)
        if value is not None and not value > 0:
            raise RequestError(self.at(key), f"must be above 0, got {value:g}")
        return default if value is None else value

    def maybe_whole(self, key: str, least: int = 1) -> int | None:
        value = self._get(key, None)
        return None if value is None else whole(value, self.at(key), least)

    def word(self, key: str, words: Collection[str]) -> str | None:
        """One of the words, or None when the field is left out."""
        value = self._get(key, None)
        if value is None:
            return None
        if not isinstance(value, str) or value not in words:
            text = value if isinstance(value, str) else ""
            raise RequestError(self.at(key), f"{value!r} is not known here; {near(text, words)}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise RequestError(self.at(key), f"expected true or false, found {_kind(value)}")
        return value

    def text(self, key: str) -> str | None:
        value = self._get(key, None)
        if value is not None and not isinstance(value, str):
            raise RequestError(self.at(key), f"expected a text, found {_kind(value)}")
        return value

    def section(self, key: str) -> "Told":
        return Told(self._get(key), self.at(key))

    # -- lists ---------------------------------------------------------------------------------------------

    def items(self, key: str) -> Sequence[object]:
        return items(self._get(key), self.at(key))

    def readings(self, key: str) -> list[float]:
        """Numbers in a row; a gap is NaN."""
        return readings(self._get(key), self.at(key))

    def rows(self, key: str) -> list[list[float]]:
        """Lists of numbers, which need not be of one length; a gap is NaN, an empty list is refused."""
        return [readings(row, f"{self.at(key)}[{index}]") for index, row in enumerate(self.items(key))]

    def table(self, key: str) -> list[list[float]]:
        """Lists of numbers, all of one length."""
        rows = self.rows(key)
        for index, row in enumerate(rows):
            if len(row) != len(rows[0]):
                raise RequestError(
                    f"{self.at(key)}[{index}]",
                    f"{len(row)} values, but {len(rows[0])} in the first: all need the same",
                )
        return rows

    def _get(self, key: str, default: object = _Missing) -> object:
        self._asked.add(key)
        value = self._items.get(key)
        if value is not None:
            return value
        if default is not _Missing:
            return default
        if key in self._items:
            raise RequestError(self.at(key), "is null")
        likely = difflib.get_close_matches(key, self._items, 1)
        found = f"did you mean it by {likely[0]}?" if likely else f"found: {', '.join(self._items) or 'nothing'}"
        raise RequestError(self.place or "request", f"{key} is missing; {found}")


def number(value: object, place: str) -> float:
    """A finite number, else RequestError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RequestError(place, f"expected a number, found {_kind(value)}")
    try:
        told = float(value)
    except OverflowError:
        told = math.inf
    if not math.isfinite(told):
        raise RequestError(place, f"expected a finite number, found {told}")
    if abs(told) > _LARGEST:
        raise RequestError(place, f"{told:g} is too large to be reckoned with")
    if 0 < abs(told) < 1 / _LARGEST:
        raise RequestError(place, f"{told:g} is too small to be reckoned with")
    return told


def whole(value: object, place: str, least: int) -> int:
    """A whole number from `least`, else RequestError; 25.0 is one."""
    told = number(value, place)
    if told != math.floor(told) or told < least:
        raise RequestError(place, f"expected a whole number from {least}, found {told:g}")
    return int(told)


def items(value: object, place: str) -> Sequence[object]:
    """A list that is not empty, else RequestError."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise RequestError(place, f"expected a list, found {_kind(value)}")
    if not value:
        raise RequestError(place, "the list is empty")
    return value


def readings(value: object, place: str) -> list[float]:
    """Numbers in a row, with NaN for null and NaN; RequestError for anything else."""
    return [_reading(one, place, index) for index, one in enumerate(items(value, place))]


def _reading(value: object, place: str, index: int) -> float:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    return number(value, f"{place}[{index}]")


def _kind(value: object) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= 24 else f"{value[:21]}..."
        return f"the text {shown!r}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, int | float):
        return f"the number {value}"
    return "a list" if isinstance(value, Sequence) else type(value).__name__


# -- rules ------------------------------------------------------------------------------------------------------

RULE_SETS = {
    name: tuple(rule for rule in CATALOGUE.values() if rule.name.startswith(name))
    for name in ("nelson", "western")
}
"""Nelson 1 to 8 and Western Electric 1 to 4, by the name of the set."""


def asked_rules(told: object, place: str) -> tuple[Rule, ...]:
    """``nelson``, ``western``, ``nelson1,nelson5``, or a list as in a line file; RequestError says what is wrong.

    Of numbers in a text, a list in JSON is taken too: ``[{"nelson2": {"window": 8}}]``.
    """
    if isinstance(told, str):
        words = told.strip()
        if words in RULE_SETS:
            return RULE_SETS[words]
        if words.startswith("["):
            try:
                told = json.loads(words)
            except ValueError as error:
                raise RequestError(place, f"no list of rules: {error}") from None
        else:
            told = [word.strip() for word in words.split(",") if word.strip()]
    if not isinstance(told, Sequence) or isinstance(told, str) or not told:
        raise RequestError(place, f"rules are nelson, western or a list of rules, not {told!r}")
    rules: list[Rule] = []
    for one in told:
        if isinstance(one, str) and one not in CATALOGUE:
            raise RequestError(place, f"no rule {one!r}; {near(one, (*CATALOGUE, *RULE_SETS))}")
        try:
            rules.append(Rule.read(one))
        except ValueError as error:
            raise RequestError(place, str(error)) from None
    twice = [rule.name for rule in rules if sum(other.name == rule.name for other in rules) > 1]
    if twice:
        raise RequestError(place, f"{twice[0]} is there twice")
    return tuple(rules)


def rule_of(rule_set: str, number: int, place: str) -> Rule:
    """Rule `number` of a set; RequestError when the set has no such."""
    rules = RULE_SETS[rule_set]
    if not 1 <= number <= len(rules):
        raise RequestError(place, f"the rules of {rule_set} are 1 to {len(rules)}, not {number}")
    return rules[number - 1]
