"""A file that extends another: how they merge, where errors point, what the hash is over, what is refused."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from records.errors import ConfigurationError
from records.yaml import Settings, load, parse


class Tag(Settings):
    name: str
    address: int
    unit: str | None = None


class Line(Settings):
    agent: str
    site: str = "here"
    tags: tuple[Tag, ...] = ()
    rules: tuple[str, ...] = ()
    limits: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def resolved_keys(cls) -> Mapping[str, Any]:
        return {"extends": str}


BASE = """\
agent: base
site: suzhou
rules: [a, b]
limits: {low: 1, high: 2}
tags:
  - {name: one, address: 1, unit: N}
  - {name: two, address: 2}
  - {name: three, address: 3}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "own.yaml"


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(file, Line)
    return [str(problem).replace(f"{file.parent}/", "") for problem in caught.value.problems]


def test_mappings_merge_by_key_named_lists_by_name_and_other_lists_are_replaced(tmp_path: Path) -> None:
    own = """\
extends: base.yaml
agent: second
rules: [c]
limits: {high: 3}
tags:
  - {name: four, address: 4}
  - {name: one, address: 11}
"""
    line = load(write(tmp_path, base=BASE, own=own), Line).value
    assert (line.agent, line.site, line.rules, line.limits) == ("second", "suzhou", ("c",), {"low": 1, "high": 3})
    assert [(tag.name, tag.address, tag.unit) for tag in line.tags] == [
        ("one", 11, "N"),
        ("two", 2, None),
        ("three", 3, None),
        ("four", 4, None),
    ]


def test_null_removes_a_key_and_remove_an_entry(tmp_path: Path) -> None:
    own = """\
extends: base.yaml
site: null
limits: {low: ~}
tags: [{name: two, remove: true}, {name: one, unit: null}]
"""
    line = load(write(tmp_path, base=BASE, own=own), Line).value
    assert (line.site, line.limits) == ("here", {"high": 2})
    assert [(tag.name, tag.unit) for tag in line.tags] == [("one", None), ("three", None)]


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    own = "extends: base.yaml\nsyte: null\ntags: [{name: tow, remove: true}, {name: one, remove: true, unit: N}]\n"
    assert problems(write(tmp_path, base=BASE, own=own)) == [
        "own.yaml:2:1: syte: what this file extends has no `syte` that could be removed (did you mean `site`?)",
        "own.yaml:3:8: tags.0: what this file extends has no tow that could be removed (did you mean `two`?)",
        "own.yaml:3:47: tags.1.remove: unknown key `remove` (known here: name, address, unit)",
    ]


def test_a_name_twice_in_one_file_is_kept_twice(tmp_path: Path) -> None:
    own = "extends: base.yaml\ntags: [{name: one, address: 5}, {name: one, address: 6}]\n"
    line = load(write(tmp_path, base=BASE, own=own), Line).value
    assert [tag.address for tag in line.tags] == [5, 2, 3, 6]


def test_an_empty_list_replaces(tmp_path: Path) -> None:
    assert load(write(tmp_path, base=BASE, own="extends: base.yaml\ntags: []\n"), Line).value.tags == ()


def test_errors_point_to_where_the_value_stands(tmp_path: Path) -> None:
    base = BASE.replace("address: 2", "address: two") + "colour: red\n"
    own = "extends: base.yaml\nagent: 5\ntags:\n  - {name: three, addres: 3}\n  - {name: one, unit: 7}\n"
    assert problems(write(tmp_path, base=base, own=own)) == [
        "base.yaml:7:26: tags.1.address: a whole number is needed, found 'two'",
        "base.yaml:9:1: colour: unknown key `colour` (known here: agent, site, tags, rules, limits, extends)",
        'own.yaml:2:8: agent: a text is needed, 5 is none (put it in quotes: "5")',
        "own.yaml:4:19: tags.0.addres: unknown key `addres` (did you mean `address`?)",
        'own.yaml:5:23: tags.1.unit: a text is needed, 7 is none (put it in quotes: "7")',
    ]


def test_aliases_meet_whatever_word_each_file_uses(tmp_path: Path) -> None:
    own = "extends: base.yaml\ntags: [{name: one, offset: 9}]\n"
    loaded = load(write(tmp_path, base=BASE, own=own), Line, aliases={"offset": "address"})
    assert loaded.value.tags[0].address == 9
    assert [warning.path for warning in loaded.warnings] == ["tags.0.offset"]


def test_a_chain_starts_each_path_at_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "root.yaml").write_text(BASE)
    (tmp_path / "common" / "middle.yaml").write_text("extends: root.yaml\nsite: middle\n")
    own = write(tmp_path, own="extends: common/middle.yaml\nagent: own\n")
    loaded = load(own, Line)
    assert (loaded.value.agent, loaded.value.site, len(loaded.value.tags)) == ("own", "middle", 3)
    assert [name for name, _ in loaded.sources] == ["own.yaml", "common/middle.yaml", "common/root.yaml"]
    assert loaded.sources[2][1] == BASE.encode()


def test_the_hash_is_over_all_files_and_anyone_can_compute_it(tmp_path: Path) -> None:
    own = write(tmp_path, base=BASE, own="extends: base.yaml\n")
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("own.yaml", "base.yaml")]
    expected = hashlib.sha256("".join(f"{each}\n" for each in digests).encode()).hexdigest()
    assert load(own, Line).hash == f"sha256:{expected}"
    command = "sha256sum own.yaml base.yaml | cut -c1-64 | sha256sum"
    told = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.split()[0] == expected
    (tmp_path / "base.yaml").write_text(BASE + "# changed\n")
    assert load(own, Line).hash != f"sha256:{expected}"
    assert load(tmp_path / "base.yaml", Line).hash == (
        f"sha256:{hashlib.sha256((tmp_path / 'base.yaml').read_bytes()).hexdigest()}"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"own": "extends: base.yaml\n", "base": "extends: own.yaml\n"},
            "base.yaml:1:10: extends: the files extend each other in a circle: own.yaml extends base.yaml extends "
            "own.yaml",
        ),
        (
            {"own": "extends: ./own.yaml\n"},
            "own.yaml:1:10: extends: the files extend each other in a circle: own.yaml extends own.yaml",
        ),
        (
            {"own": "extends: [a, b]\n"},
            "own.yaml:1:10: extends: the name of a file is needed, relative to the folder of this one",
        ),
        ({"own": "extends: none.yaml\n"}, "own.yaml:1:10: extends: none.yaml cannot be read: No such file"),
        ({"own": "extends: .\n"}, "is no file"),
        (
            {"own": "extends: base.yaml\nagent: a", "base": "agent: [\n"},
            "base.yaml:2:1: (file): this is no valid YAML",
        ),
        (
            {"own": "extends: f1.yaml\n", **{f"f{n}": f"extends: f{n + 1}.yaml\n" for n in range(1, 9)}},
            "f7.yaml:1:10: extends: more than 8 files extend each other",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_extended_is_told_alone(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    (found,) = problems(write(tmp_path, **files))
    assert expected in found


def test_text_without_a_folder_extends_nothing() -> None:
    with pytest.raises(ConfigurationError, match="only a file can extend another one"):
        parse(b"extends: a.yaml", Line)


def test_a_model_that_does_not_extend_refuses_the_key() -> None:
    with pytest.raises(ConfigurationError, match="unknown key `extends`"):
        parse(b"{name: a, address: 1, extends: a.yaml}", Tag)
