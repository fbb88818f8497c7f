"""The house rules that no linter knows: sizes, empty rooms, stubs, paths and hosts of one machine."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("records", "drivers", "spc", "edge_agent", "central", "simulators")
LINES_AT_MOST = 500
FUNCTION_LINES_AT_MOST = 70

REGISTRIES = [
    r"\.".join(parts)
    for parts in (  # spelled apart, so that this file names none either
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
    )
]
INDEX_OPTIONS = ["--" + option for option in ("index-url", "extra-index-url", "find-links", "trusted-host")]
HOME_OF_SOMEBODY = re.compile(r"""(?<![\w./-])/(?:work|root|home/[a-z]\w*|Users/\w+)(?=[/"'`\s]|$)""")
TEMPORARY = re.compile(r"""(?<![\w./-])/(?:var/)?tmp/\w""")


@cache
def tracked() -> tuple[Path, ...]:
    """Every text file that is committed here."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8000])


@cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")))


def places(pattern: re.Pattern[str], paths: tuple[Path, ...]) -> list[str]:
    """``file:line: text`` of every line that the pattern finds."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    pattern = re.compile("|".join([*REGISTRIES, *map(re.escape, INDEX_OPTIONS)]))
    assert pattern.search("https://" + "pypi." + "org/simple")
    assert places(pattern, tracked()) == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    for path in ('open("/work/x")', "cd /root", "`/home/anna/lotkeeper`"):
        assert HOME_OF_SOMEBODY.search(path)
    for path in ("/api/v1/work-orders", "GET /work-orders", "a/work/b"):
        assert not HOME_OF_SOMEBODY.search(path)
    itself = Path(__file__)
    assert places(HOME_OF_SOMEBODY, tuple(path for path in tracked() if path != itself)) == []


def test_temporary_folders_are_asked_for_not_named() -> None:
    outside_tests = tuple(path for path in tracked() if "tests" not in path.relative_to(ROOT).parts)
    assert places(TEMPORARY, outside_tests) == []


def test_no_module_is_empty() -> None:
    empty = [str(path.relative_to(ROOT)) for path in modules() if path.name != "__init__.py" and not says(path)]
    assert empty == []


def test_every_room_has_code() -> None:
    rooms = [path.parent for path in modules() if path.name == "__init__.py"]
    empty = [str(room.relative_to(ROOT)) for room in rooms if not any(says(path) for path in room.rglob("*.py"))]
    assert empty == []


def test_every_room_is_a_package() -> None:
    """Without ``__init__.py`` import-linter does not see a room, and its contracts say nothing about it."""
    rooms = {path.parent for path in modules() if "migrations" not in path.parts}
    assert [str(room.relative_to(ROOT)) for room in rooms if not (room / "__init__.py").exists()] == []


def says(path: Path) -> bool:
    """True when a module defines, assigns or imports something."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@cache
def names_in(folder: Path) -> Counter[str]:
    """How many functions of each name the modules of a folder have."""
    return Counter(function.name for each in folder.glob("*.py") for function in functions(each))


@cache
def without_body(path: Path) -> set[int]:
    """Lines of functions that may lack a body: of a Protocol, abstract, an overload, or given by subclasses."""
    found: set[int] = set()
    named = names_in(path.parent)
    found.update(function.lineno for function in functions(path) if named[function.name] > 1)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases):
            found.update(
                each.lineno for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            )
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            ast.unparse(mark).endswith(("abstractmethod", "overload")) for mark in node.decorator_list
        ):
            found.add(node.lineno)
    return found


def is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True for a function that only says it is not there: ``...`` or ``raise NotImplementedError``."""
    last = function.body[-1]
    if isinstance(last, ast.Raise) and last.exc is not None:
        return "NotImplementedError" in ast.unparse(last.exc)
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is ...


def test_no_stub_stands_for_code() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in modules()
        for function in functions(path)
        if is_stub(function) and function.lineno not in without_body(path)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_stay_readable(package: str) -> None:
    long = []
    for path in (each for each in modules() if each.is_relative_to(ROOT / package)):
        name = path.relative_to(ROOT)
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LINES_AT_MOST:
            long.append(f"{name}: {lines} lines, more than {LINES_AT_MOST}")
        for function in functions(path):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > FUNCTION_LINES_AT_MOST:
                long.append(f"{name}:{function.lineno} {function.name}: {length} lines")
    assert not long, "\n".join(long)


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest takes in only the first of them; the other's tests would be gone."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
