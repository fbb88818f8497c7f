"""The only door to YAML: a file becomes a frozen pydantic model, or every error of it at once, with its place.

``load`` reads a file, ``parse`` its bytes. Both give a ``Loaded``: the value, the very bytes of the file and of
what it extends, their hash (which every record names), warnings (a word of another tool was taken) and, for checks
that go across the file later, the place of every value.

A file is read in this order: its YAML and that of the files it extends; words of other tools become ours; the
files merge; ``expand`` resolves what a kind of file abbreviates; the model validates; ``check`` sees it as a
whole, and the sound part of it where something is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Generic, NoReturn, TypeVar

from pydantic import BaseModel

from records.errors import ConfigurationError, Problem
from records.trouble import Trouble
from records.yaml.aliases import Alias, Renaming
from records.yaml.extend import KEY as EXTENDS
from records.yaml.extend import read_chain
from records.yaml.messages import did_you_mean, problems_of
from records.yaml.models import known_keys, models_for, types_below
from records.yaml.partial import DROP, Parts, Sound
from records.yaml.tree import ROOT, Item, Path, Tree
from records.yaml.types import Duration, Secret, Settings, Shown, Size, fault

__all__ = [
    "DROP",
    "Alias",
    "Duration",
    "Item",
    "Loaded",
    "Parts",
    "Path",
    "Secret",
    "Settings",
    "Shown",
    "Size",
    "Tree",
    "configuration_hash",
    "did_you_mean",
    "fault",
    "known_keys",
    "load",
    "models_for",
    "parse",
    "read_file",
    "refuse",
    "types_below",
]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """A file that was read without an error; inside ``check`` perhaps the sound part of one with errors."""

    value: M
    hash: str
    sources: tuple[tuple[str, bytes], ...] = field(repr=False)
    """The files it was read from, the file itself first: name (relative to the file's folder) and very bytes."""
    warnings: tuple[Problem, ...]
    _tree: Tree = field(repr=False)
    left_out: tuple[tuple[Path, Item], ...] = ()
    """Wrong parts that are not in ``value``, with their places; empty once the file is loaded."""

    @property
    def file(self) -> str:
        return self._tree.file

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column (from 1) of the value at this path, such as ``("devices", "plc", "tags", 0)``."""
        place = self._tree.problem(path, "")
        return place.line, place.col

    def problem(self, path: Path, message: str, hint: str | None = None, *, key: bool = False) -> Problem:
        """A problem that a later check found at this path; ``key`` points at its key instead of its value."""
        return self._tree.problem(path, message, hint, key=key)


Check = Callable[[Loaded[M]], Iterable[Problem]]


def load(
    path: FilePath,
    model: type[M],
    *,
    aliases: Mapping[str, str | Alias] | None = None,
    expand: Callable[[Tree], Iterable[Problem]] | None = None,
    check: Check[M] | None = None,
    advise: Check[M] | None = None,
    parts: Parts | None = None,
) -> Loaded[M]:
    """The model that a YAML file describes.

    Args:
        path: the file.
        model: what it must be; relative secrets are sought beside the file. It may extend other files when
            ``extends`` is among the model's resolved keys.
        aliases: words of other tools and ours for them; used only where ours is a key and theirs is none,
            each use is a warning.
        expand: changes the tree before the model sees it (defaults, groups).
        check: finds what a model alone cannot see (references across the file); its problems are errors too.
        advise: finds what is probably not meant; its problems are warnings.
        parts: what ``check`` can do without: where something is wrong there, it still sees the rest.

    Raises:
        ConfigurationError: with every problem, in the order of lines.
    """
    return parse(
        read_file(path),
        model,
        file=str(path),
        folder=path.parent,
        aliases=aliases,
        expand=expand,
        check=check,
        advise=advise,
        parts=parts,
    )


def read_file(path: FilePath) -> bytes:
    """The bytes of a file, for ``parse``.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        trouble = Trouble.of("file-not-read", said=str(error.strerror)).hinted(Trouble.of("check-path"))
        problem = Problem(str(path), 1, 1, ROOT, str(trouble), str(trouble.hint), trouble)
        raise ConfigurationError(str(problem), (problem,)) from None


def parse(
    content: bytes,
    model: type[M],
    *,
    file: str = "(text)",
    folder: FilePath | None = None,
    aliases: Mapping[str, str | Alias] | None = None,
    expand: Callable[[Tree], Iterable[Problem]] | None = None,
    check: Check[M] | None = None,
    advise: Check[M] | None = None,
    parts: Parts | None = None,
) -> Loaded[M]:
    """As ``load``, for bytes that are already here; without ``folder`` nothing can be extended."""
    chain = read_chain(content, file, folder, follow=EXTENDS in known_keys(model))
    if chain.broken:
        refuse(chain.problems)
    words = Renaming(aliases or {})
    for tree in chain.trees:
        words.root(tree.root, model)
    tree = chain.merged()
    words.root(tree.root, model)
    problems = [*chain.problems, *words.problems]
    problems += expand(tree) if expand is not None else ()
    sound = Sound(tree, parts or {})
    try:
        value = sound.model(
            model,
            {"folder": folder},
            lambda error, tree: problems_of(error.errors(include_url=False), tree, model),
        )
    except RecursionError:
        value = None
        problems.append(Problem(file, 1, 1, ROOT, "nested too deep"))
    problems += sound.problems
    if value is None:
        refuse(problems)
    loaded = Loaded(
        value,
        configuration_hash(tuple(data for _, data in chain.sources)),
        tuple(chain.sources),
        (),
        sound.tree,
        tuple(sound.left_out),
    )
    problems += check(loaded) if check is not None else ()
    if problems:
        refuse(problems)
    warnings = [*words.warnings, *(advise(loaded) if advise is not None else ())]
    return replace(loaded, warnings=tuple(sorted(dict.fromkeys(warnings), key=_place)))


def configuration_hash(contents: Sequence[bytes]) -> str:
    """What every record names: the SHA-256 of a file's very bytes.

    Of a file that extends others it is the SHA-256 of a text: the SHA-256 of each file in lower-case hex, each
    ended by a line feed, the file itself first, then what it extends, and so on:
    ``sha256sum line.yaml base.yaml | cut -c1-64 | sha256sum``.
    """
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    if len(digests) > 1:
        digests = [hashlib.sha256("".join(f"{each}\n" for each in digests).encode()).hexdigest()]
    return f"sha256:{digests[0]}"


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise ConfigurationError with these problems in the order of lines, each once."""
    ordered = tuple(sorted(dict.fromkeys(problems), key=_place))
    raise ConfigurationError("\n".join(map(str, ordered)), ordered)


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return problem.file, problem.line, problem.col, problem.path
