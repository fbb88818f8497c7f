"""The documents for people: links lead somewhere, and every command line in them is one that exists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.commands import Command, commands, programs

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
}
COMMANDS = {each.path: each for name, app in programs().items() for each in commands(name, app)}

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`(lotkeeper-(?:edge|central|sim) [^`]+)`")
_LINE = re.compile(r"^(?:\S*/)?(lotkeeper-(?:edge|central|sim) .+)$")
_ENDS = re.compile(r"\s(?:#|\||>|&|;).*$")


def anchors(page: Path) -> set[str]:
    """The names that headings of a page get, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> Iterator[str]:
    for target in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = page if not name else (page.parent / name).resolve()
        if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors(found)):
            yield target


def command_lines(text: str) -> Iterator[str]:
    """Every ``lotkeeper-...`` command line of a page: in blocks at the begin of a line, and inside sentences."""
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            start = re.sub(r"^.*=(?=(?:/\S*/)?lotkeeper-)", "", line.strip())  # ExecStart= of a systemd unit
            if found := _LINE.match(start):
                yield _ENDS.sub("", found[1])
    yield from _INLINE.findall(_FENCE.sub("", text))


def fault(line: str) -> str | None:
    """Why a command line would not be taken, or None."""
    words = shlex.split(line)
    command = max((each for each in COMMANDS.values() if _is(each, words)), key=_length, default=None)
    rest = words[_length(command) :] if command else []
    if command is None or (command.is_group and rest and not rest[0].startswith("-")):
        return f"{line}: no such command"
    unknown = {word.partition("=")[0] for word in rest if word.startswith("--")} - options(command)
    return f"{line}: no option {', '.join(sorted(unknown))}" if unknown else None


def _length(command: Command) -> int:
    return len(command.path.split())


def _is(command: Command, words: list[str]) -> bool:
    """Whether the words begin with this command; what stands in braces is whatever was typed there."""
    path = command.path.split()
    pairs = zip(path, words[: len(path)], strict=False)
    fits = all(piece == word or (piece[0] == "{" and word[0] not in "-[") for piece, word in pairs)
    return len(words) >= len(path) and fits


def options(command: Command) -> set[str]:
    known = {word for parameter in command.command.get_params(command.context) for word in parameter.opts}
    return known | {"--help", "--debug"}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert list(dead_links(PAGES[name])) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_exists(name: str) -> None:
    lines = command_lines(PAGES[name].read_text(encoding="utf-8"))
    assert [found for line in lines if (found := fault(line)) is not None] == []


def test_command_lines_are_found_and_judged() -> None:
    text = (
        "Run `lotkeeper-edge check LINE.yaml`:\n```sh\n.venv/bin/lotkeeper-central verify --config FILE | head\n"
        "ExecStart=/opt/lotkeeper/bin/lotkeeper-edge run LINE.yaml\n```\n"
    )
    found = list(command_lines(text))
    assert found == [
        "lotkeeper-central verify --config FILE",
        "lotkeeper-edge run LINE.yaml",
        "lotkeeper-edge check LINE.yaml",
    ]
    assert [fault(line) for line in found] == [None, None, None]
    assert (
        fault("lotkeeper-central rewind --from BACKUP")
        == "lotkeeper-central rewind --from BACKUP: no such command"
    )
    assert fault("lotkeeper-edge run LINE.yaml --fast") == "lotkeeper-edge run LINE.yaml --fast: no option --fast"


def test_dead_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A head\n[x](other.md) [y](#a-head) [z](#b-head) [w](https://example.org) ![p](page.md#a-head)\n"
    )
    assert list(dead_links(page)) == ["other.md", "#b-head"]


def test_the_verifier_in_the_documents_verifies() -> None:
    page = ROOT / "docs" / "explanation" / "the-record.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    golden = ROOT / "tests" / "golden"
    rows = json.loads((golden / "chain.json").read_text())["rows"]
    bodies = sorted(golden.glob("body_*.json"))
    held = [
        {"epoch": "00112233445566778899aabb", "body": body.read_text(encoding="utf-8"), **row}
        for row, body in zip(rows, bodies, strict=False)
    ]
    sample: dict[str, Callable[[str, str, list[dict[str, str]]], None]] = {}
    exec(code, sample)  # what a reader would run
    sample["verify"]("assembly-1", "records", held)
    held[2]["body"] = held[2]["body"].replace("suzhou", "Suzhou")
    with pytest.raises(AssertionError, match="record 3 is not what was chained"):
        sample["verify"]("assembly-1", "records", held)


def test_every_decision_has_a_number_of_its_own_and_a_line_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    there = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in there] == [*range(1, len(there) + 1)]
    titles = {name: (folder / name).read_text(encoding="utf-8").splitlines()[0] for name in there}
    assert [title for name, title in titles.items() if not title.startswith(f"# {int(name[:4])}. ")] == []
    listed = re.findall(
        r"^(\d+)\. \[.+\]\((.+)\)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [(int(number), name) for number, name in listed] == list(enumerate(there, 1))
