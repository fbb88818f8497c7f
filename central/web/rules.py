"""Rules of control charts in words, with their parameters: the same sentence on chart, finding and record."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from central.web.i18n import N_, Words
from spc.rules import CATALOGUE, Rule

PARAMETERS = ("points", "window", "sigmas")
"""Parameters of a rule as events and findings tell them beside its name."""

_BEYOND_LIMIT = N_("one point beyond a control limit")
_BEYOND = N_("one point more than %(sigmas)s σ from the centre line")
TEXTS: Mapping[str, str] = {
    "beyond": N_(
        "%(points)s of %(window)s points in a row more than %(sigmas)s σ from the centre line, on one side"
    ),
    "side": N_("%(window)s points in a row on one side of the centre line"),
    "trend": N_("%(window)s points in a row, each higher or each lower than the one before"),
    "alternating": N_("%(window)s points in a row, up and down in turns"),
    "within": N_("%(window)s points in a row within %(sigmas)s σ of the centre line"),
    "outside": N_("%(window)s points in a row, none within %(sigmas)s σ of the centre line, on both sides of it"),
}
"""What a pattern of ``spc.rules`` looks for."""

FAMILIES: Mapping[str, str] = {"nelson": N_("Nelson %(n)s"), "western": N_("Western Electric %(n)s")}


def told(name: str, params: Mapping[str, JsonValue] | None = None) -> Rule | None:
    """The rule of this name, with the parameters that were told where they differ; None: no rule that we know."""
    given = {key: value for key in PARAMETERS if (value := (params or {}).get(key)) is not None}
    known = CATALOGUE.get(name)
    if known is None or not given:
        return known
    if known.pattern != "beyond":
        given.pop("points", None)
    try:
        return Rule.read({name: given})
    except ValueError:
        return known


def text(words: Words, rule: Rule | str, params: Mapping[str, JsonValue] | None = None) -> str:
    """The rule in the reader's language; a name that is not known here stands for itself."""
    meant = told(rule, params) if isinstance(rule, str) else rule
    if meant is None:
        return str(rule)
    if meant.pattern == "beyond" and meant.window == 1:
        if meant.sigmas == 3.0:
            return words(_BEYOND_LIMIT)
        return words(_BEYOND, sigmas=_plain(meant.sigmas))
    places = {"points": meant.points, "window": meant.window, "sigmas": _plain(meant.sigmas)}
    message = TEXTS[meant.pattern]
    return words(message, **{name: value for name, value in places.items() if f"%({name})s" in message})


def short(words: Words, name: str) -> str:
    """What engineers call it: ``Nelson 2``."""
    family, n = name.rstrip("0123456789"), name[len(name.rstrip("0123456789")) :]
    return words(FAMILIES[family], n=n) if family in FAMILIES and n else name


def _plain(sigmas: float | None) -> str:
    return "" if sigmas is None else f"{sigmas:g}"


def chart_labels(words: Words) -> dict[str, str]:
    """Rule names -> their words, for ``spc.svg``."""
    return {name: text(words, rule) for name, rule in CATALOGUE.items()}
