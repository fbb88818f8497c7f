"""Every error of a configuration file at once, each with its place, its path and a hint."""

from __future__ import annotations

import hashlib
import os
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator, model_validator

from records.errors import ConfigurationError, Problem
from records.yaml import Duration, Loaded, Secret, Settings, Size, did_you_mean, fault, load, parse


class Tag(Settings):
    name: str
    node_id: str
    data_type: Literal["bool", "uint16", "float32"] = "float32"
    interval: Duration = 0.2


class OpcUa(Settings):
    driver: Literal["opcua"]
    endpoint: str
    tags: tuple[Tag, ...] = ()


class Modbus(Settings):
    driver: Literal["modbus_tcp"]
    host: str
    port: int = Field(502, ge=1, le=65535)
    retries: int = 3
    factor: float = Field(1.0, validate_default=True)

    @model_validator(mode="after")
    def _not_broadcast(self) -> Modbus:
        if self.retries == 13:
            raise fault("13 brings no luck", at="retries", hint="take 12")
        return self

    @field_validator("factor")
    @classmethod
    def _factor(cls, value: float) -> float:
        if value == 1.0 and os.environ.get("LK_NO_DEFAULT"):
            raise fault("`factor` is missing")
        return value


class Line(Settings):
    agent: str
    site: str = "here"
    devices: dict[str, Annotated[OpcUa | Modbus, Field(discriminator="driver")]] = Field(default_factory=dict)
    cap: Size = 1
    password: Secret | None = None


def problems(text: str, **options: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), Line, file="line.yaml", **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


def test_every_error_comes_at_once_in_the_order_of_lines() -> None:
    text = """
agent: 1.10
cap: 20
devices:
  x:
    driver: opcua
    tags:
      - {name: a, node_id: ns=2, data_type: floot32, interval: 5}
      - {nam: a, node_id: 004}
  y:
    driver: modbuss_tcp
  z:
    host: a
  w:
    driver: modbus_tcp
    host: a
    port: 99999
    hosst: a
  v: 7
"""
    assert problems(text) == [
        'line.yaml:2:8: agent: a text is needed, 1.10 is none (put it in quotes: "1.10")',
        "line.yaml:3:6: cap: a size needs a unit (B, kB, MB, GB, KiB, MiB or GiB) (for example 20GiB)",
        "line.yaml:5:3: devices.x.endpoint: `endpoint` is missing",
        "line.yaml:8:45: devices.x.tags.0.data_type: 'floot32' is not one of bool, uint16, float32 "
        "(did you mean `float32`?)",
        "line.yaml:8:64: devices.x.tags.0.interval: a duration needs a unit (ms, s, min, h or d) (for example 5s)",
        "line.yaml:9:9: devices.x.tags.1.name: `name` is missing",
        "line.yaml:9:10: devices.x.tags.1.nam: unknown key `nam` (did you mean `name`?)",
        'line.yaml:9:27: devices.x.tags.1.node_id: a text is needed, 004 is none (put it in quotes: "004")',
        "line.yaml:11:13: devices.y.driver: 'modbuss_tcp' is no known driver (did you mean `modbus_tcp`?)",
        "line.yaml:12:3: devices.z.driver: `driver` is missing (one of opcua, modbus_tcp)",
        "line.yaml:17:11: devices.w.port: 99999 is out of range: it must be at most 65535",
        "line.yaml:18:5: devices.w.hosst: unknown key `hosst` (did you mean `host`?)",
        "line.yaml:19:6: devices.v: a mapping (lines of `key: value`) is needed, found 7",
    ]


class Amounts(Settings):
    age: Annotated[Duration, Field(ge=86_400)] = 86_400.0
    pause: Annotated[Duration, Field(gt=0, le=0.25)] = 0.2
    room: Annotated[Size, Field(ge=1536)] = 2048
    count: Annotated[int, Field(le=3)] = 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age: 1s", "1:6: age: '1s' is out of range: it must be at least 1d (units: ms, s, min, h or d)"),
        ("pause: 1 s", "1:8: pause: '1 s' is out of range: it must be at most 250ms (units: ms, s, min, h or d)"),
        ("pause: 0s", "1:8: pause: '0s' is out of range: it must be more than 0s (units: ms, s, min, h or d)"),
        ("room: 1kB", "1:7: room: '1kB' is out of range: it must be at least 1536B (units: B, kB, MB, GB, KiB, "
         "MiB or GiB)"),
        ("count: 4", "1:8: count: 4 is out of range: it must be at most 3"),
    ],
)  # fmt: skip
def test_a_limit_has_the_unit_of_what_was_written(text: str, expected: str) -> None:
    """Bug: '1s' had to be at least 86400.0, of nobody knew what."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), Amounts, file="central.yaml")
    assert [str(each) for each in caught.value.problems] == [f"central.yaml:{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line.yaml:1:1: (file): the file is empty"),
        (
            "- 1",
            "line.yaml:1:1: (file): the file must be a mapping (begin with lines of `key: value`)",
        ),
        (
            "agent: a: b",
            "line.yaml:1:9: (file): this is no valid YAML: mapping values are not allowed here (a text that holds "
            "': ' needs quotes, and keys of one level the same indentation)",
        ),
        (
            "agent:\n\tb: 1",
            "line.yaml:2:1: (file): this is no valid YAML: while scanning for the next token found character "
            "'\\t' that cannot start any token (indent with spaces, not with tabs)",
        ),
        (
            "agent: a\n---\nagent: b",
            "line.yaml:3:1: (file): a second document begins here (one file, one document)",
        ),
        ("agent: &x [*x]", "line.yaml:1:8: (file): this anchor contains itself"),
        (
            "agent: a\nagent: b",
            "line.yaml:2:1: agent: `agent` stands here twice (the first is in line 1)",
        ),
        (
            "agent: !secret a",
            "line.yaml:1:8: agent: the tag !secret is not known here (write the value without a tag)",
        ),
        (
            "agent: a\nsite: x\0y",
            "line.yaml:2:8: (file): the character U+0000 cannot stand in a file "
            "(type this place anew; what cannot be seen may have come in by a copy)",
        ),
        (
            'agent: a\nsite: "x\\0y"',
            "line.yaml:2:7: site: the character U+0000 cannot be kept in a text "
            "(type this place anew; what cannot be seen may have come in by a copy)",
        ),
        (
            'agent: a\nsite: b\n"x\\0": {}',
            "line.yaml:3:1: (file): the character U+0000 cannot be kept in a text "
            "(type this place anew; what cannot be seen may have come in by a copy)",
        ),
        (
            'agent: a\nsite: "\\ud800"',
            "line.yaml:2:7: site: the character U+D800 cannot be kept in a text "
            "(type this place anew; what cannot be seen may have come in by a copy)",
        ),
        (
            'agent: a\nsite: "\\U00110000"',
            "line.yaml:2:5: (file): this is no valid YAML: what stands behind this place cannot be read "
            "(type this place anew; what cannot be seen may have come in by a copy)",
        ),
        ("agent: a\nsite: " + "[" * 900, "line.yaml:2:67: (file): nested deeper than 60 levels"),
        ("agent: a\nsite:", "line.yaml:2:6: site: a text is needed, found nothing"),
    ],
)
def test_wrong_yaml_is_told_with_its_place(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_duplicate_keys_are_all_found_beside_other_errors() -> None:
    found = problems("agent: a\nagent: b\nsite: c\nsite: d\nsyte: e")
    assert [line.split(": ")[0] for line in found] == ["line.yaml:2:1", "line.yaml:4:1", "line.yaml:5:1"]


def test_a_file_that_is_no_utf8_names_the_byte() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(b"agent: a\nsite: \xff", Line, file="line.yaml")
    assert str(caught.value).startswith("line.yaml:2:7: (file): the file is no UTF-8 text")


def test_a_number_too_long_to_print_is_a_text() -> None:
    longest = "0x" + "f" * 5000
    assert parse(f"agent: a\nsite: {longest}".encode(), Line, file="line.yaml").value.site == longest


def test_a_bomb_of_aliases_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 200000 values" in problems("\n".join(rows))[0]


def test_deep_nesting_is_refused() -> None:
    assert "nested deeper than 60 levels" in problems("agent: " + "[" * 100 + "]" * 100)[0]


def test_unreadable_files_are_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for path, why in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError) as caught:
            load(path, Line)
        assert str(path) in str(caught.value)
        assert why in str(caught.value)
        assert caught.value.problems[0].line == 1


def test_values_keep_their_kind() -> None:
    text = 'agent: "007"\nsite: NO\npassword: env:LK_TEST\ncap: 20 GiB\n'
    loaded = parse(text.encode(), Line)
    assert (loaded.value.agent, loaded.value.site, loaded.value.cap) == ("007", "NO", 20 * 2**30)
    assert loaded.hash == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    assert loaded.sources == (("(text)", text.encode()),)
    assert loaded.warnings == ()


def test_anchors_and_merge_keys_work() -> None:
    text = """
agent: a
devices:
  one: &base {driver: modbus_tcp, host: h, port: 1}
  two: {<<: *base, port: 2}
"""
    devices = parse(text.encode(), Line).value.devices
    assert isinstance(devices["two"], Modbus)
    assert (devices["two"].host, devices["two"].port) == ("h", 2)


def test_aliases_of_other_tools_are_taken_with_a_warning() -> None:
    text = "agent: a\ndevices:\n  x: {driver: opcua, endpoint: e, tags: [{name: n, id: i, type: bool}]}\n"
    loaded = parse(text.encode(), Line, file="line.yaml", aliases={"id": "node_id", "type": "data_type"})
    device = loaded.value.devices["x"]
    assert isinstance(device, OpcUa)
    assert (device.tags[0].node_id, device.tags[0].data_type) == ("i", "bool")
    assert [str(warning) for warning in loaded.warnings] == [
        "line.yaml:3:52: devices.x.tags.0.id: `id` is taken as `node_id` (write `node_id`)",
        "line.yaml:3:59: devices.x.tags.0.type: `type` is taken as `data_type` (write `data_type`)",
    ]


def test_an_alias_beside_our_own_word_is_an_error() -> None:
    text = "agent: a\ndevices:\n  x: {driver: opcua, endpoint: e, tags: [{name: n, node_id: j, id: i}]}\n"
    assert problems(text, aliases={"id": "node_id"}) == [
        "line.yaml:3:64: devices.x.tags.0.id: `id` means `node_id`, which stands here too (keep one)"
    ]


def test_an_alias_is_no_key_where_ours_is_none() -> None:
    assert problems("agent: a\nid: b", aliases={"id": "node_id"}) == [
        "line.yaml:2:1: id: unknown key `id` (known here: agent, site, devices, cap, password)"
    ]


def test_a_validator_names_place_and_hint() -> None:
    text = "agent: a\ndevices:\n  x:\n    driver: modbus_tcp\n    host: h\n    retries: 13"
    assert problems(text) == ["line.yaml:6:14: devices.x.retries: 13 brings no luck (take 12)"]


def test_a_default_that_is_refused_names_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LK_NO_DEFAULT", "1")
    text = "agent: a\ndevices:\n  x:\n    driver: modbus_tcp\n    host: h"
    assert problems(text) == ["line.yaml:4:5: devices.x.factor: `factor` is missing"]


def test_a_later_check_reports_with_place() -> None:
    def check(loaded: Loaded[Line]) -> list[Problem]:
        return [
            loaded.problem(("devices", "x", "port"), "later"),
            loaded.problem(("devices", "x", "nothing"), "nearest parent", "a hint"),
            loaded.problem(("site",), "first", key=True),
        ]

    assert problems("agent: a\nsite: b\ndevices:\n  x: {driver: modbus_tcp, host: h, port: 1}", check=check) == [
        "line.yaml:2:1: site: first",
        "line.yaml:4:6: devices.x.nothing: nearest parent (a hint)",
        "line.yaml:4:42: devices.x.port: later",
    ]


def test_positions_of_values() -> None:
    loaded = parse(b"agent: a\ndevices:\n  x: {driver: modbus_tcp, host: h, port: 1}", Line)
    assert loaded.position(("devices", "x", "port")) == (3, 42)
    assert loaded.position(("devices", "y")) == (3, 3)
    assert loaded.position(()) == (1, 1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("200ms", 0.2), ("2s", 2.0), ("1.5 min", 90.0), ("14d", 1_209_600.0), ("250us", 0.00025)]
)
def test_durations(text: str, seconds: float) -> None:
    tags = f"[{{name: n, node_id: i, interval: {text}}}]"
    whole = f"agent: a\ndevices: {{x: {{driver: opcua, endpoint: e, tags: {tags}}}}}"
    device = parse(whole.encode(), Line).value.devices["x"]
    assert isinstance(device, OpcUa)
    assert device.tags[0].interval == seconds


@pytest.mark.parametrize("text", ["5", "soon", "-1s", "1 fortnight", "1e3s", "true", "[1s]", "s"])
def test_wrong_durations_and_sizes(text: str) -> None:
    assert len(problems(f"agent: a\ncap: {text}")) == 1


def test_secrets_come_from_environment_or_file(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("LK_TEST", "sesame")
    (tmp_path / "pw").write_text("from file\n")
    for reference, revealed in (("env:LK_TEST", "sesame"), ("file:pw", "from file")):
        (tmp_path / "line.yaml").write_text(f"agent: a\npassword: {reference}\n")
        secret = load(tmp_path / "line.yaml", Line).value.password
        assert secret is not None
        assert secret.reveal() == revealed
        assert revealed not in repr(secret)


def test_a_missing_secret_says_which(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delenv("LK_TEST", raising=False)
    with pytest.raises(ConfigurationError, match="env:LK_TEST is empty or missing"):
        Secret("env:LK_TEST").reveal()
    with pytest.raises(ConfigurationError, match="file:none cannot be read: No such file"):
        Secret("file:none", tmp_path).reveal()


def test_a_secret_in_the_file_is_refused_and_not_repeated() -> None:
    (found,) = problems("agent: a\npassword: hunter2")
    assert "by reference" in found
    assert "hunter2" not in found


def test_models_give_json_schemas_in_the_words_of_the_file() -> None:
    schema = Line.model_json_schema()
    assert schema["properties"]["cap"]["type"] == "string"
    assert Tag.model_json_schema()["properties"]["interval"]["examples"] == ["200ms", "14d"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("node", "did you mean `node_id`?"),  # mode is as near, but this is where the word begins
        ("Mode", "did you mean `mode`?"),
        ("adres", "did you mean `address`?"),
        ("no", "known here: mode, node_id, address"),
        ("xyz", "known here: mode, node_id, address"),
    ],
)
def test_what_is_meant(word: str, hint: str) -> None:
    assert did_you_mean(word, ("mode", "node_id", "address")) == hint
