"""Recipes: what a product's revision specifies of each characteristic, for the lines that make it.

A recipe comes as YAML or JSON::

    product: VS-100
    revision: C
    characteristics:
      torque:
        - {tool: T1, position: "2", specification: {lsl: 1.8, usl: 2.6, target: 2.2}, sigma: 0.05}
      leak_rate:
        - specification: {usl: 0.5}

An entry without ``tool`` or ``position`` is for all of them; a more exact one wins. ``sigma`` is that of a part,
for short-run Z charts. Approved recipes go to every agent as document ``recipe``, id ``PRODUCT/REVISION``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, FiniteFloat, JsonValue, StringConstraints, model_validator

from central.proposals import Proposed
from records.errors import ConfigurationError, Invalid
from records.yaml import Settings, load

DOCUMENT = "recipe"
MOST_BYTES = 256 * 1024

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class SpecificationSettings(Settings):
    """Limits of what is acceptable; the limits themselves are good."""

    lsl: FiniteFloat | None = None
    usl: FiniteFloat | None = None
    target: FiniteFloat | None = None

    @model_validator(mode="after")
    def _ordered(self) -> SpecificationSettings:
        if self.lsl is None and self.usl is None and self.target is None:
            raise ValueError("give lsl, usl or target")
        if self.lsl is not None and self.usl is not None and self.lsl >= self.usl:
            raise ValueError("lsl must be below usl")
        return self


class RecipeEntry(Settings):
    """What holds for a characteristic, for one tool or position or for all."""

    tool: Name | None = None
    position: Name | None = None
    specification: SpecificationSettings | None = None
    sigma: Annotated[FiniteFloat, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> RecipeEntry:
        if self.specification is None and self.sigma is None:
            raise ValueError("give a specification, a sigma or both")
        return self


class RecipeSettings(Settings):
    """A recipe as it is imported."""

    product: Name
    revision: Name
    characteristics: Annotated[dict[Name, list[RecipeEntry]], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _told_once(self) -> RecipeSettings:
        for name, entries in self.characteristics.items():
            places = [(entry.tool, entry.position) for entry in entries]
            if not places:
                raise ValueError(f"{name} has no entry")
            if len(set(places)) != len(places):
                raise ValueError(f"{name} has two entries for the same tool and position")
        return self

    @property
    def key(self) -> str:
        return f"{self.product}/{self.revision}"

    @property
    def content(self) -> dict[str, JsonValue]:
        """As documents and decisions hold it."""
        return self.model_dump(mode="json")


def read_recipe(path: Path) -> RecipeSettings:
    """A recipe from a YAML or JSON file.

    Raises:
        ConfigurationError: every error of the file at once, each with its place.
    """
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {MOST_BYTES} bytes: no recipe")
    return load(path, RecipeSettings).value


def recipe_of(content: JsonValue) -> RecipeSettings:
    """A recipe as the interface or the command line brings it.

    Raises:
        Invalid: names the first thing that is wrong.
    """
    try:
        return RecipeSettings.model_validate(content)
    except ValueError as error:
        raise Invalid(f"no recipe: {error}") from None


def issue(one: Proposed, valid: Sequence[Proposed]) -> tuple[str, str, JsonValue]:
    """The document of a recipe: the version that was approved last; withdrawn where none is approved any more."""
    current = next((other for other in valid if other.key == one.key), None)
    return DOCUMENT, one.key, None if current is None else current.content
