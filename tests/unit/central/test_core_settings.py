"""``central.yaml``: every error at once with its place, secrets by reference, nothing insecure by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from central.settings import load_settings
from records.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[3]
GOOD = "site: suzhou\ntime_zone: Asia/Shanghai\nfolder: data\n"


def load(folder: Path, text: str) -> object:
    path = folder / "central.yaml"
    path.write_text(text)
    return load_settings(path).value


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in error.value.problems]


def test_the_example_is_valid() -> None:
    loaded = load_settings(ROOT / "config" / "central.yaml")
    assert loaded.value.items["VS-100"].gtin == "04012345000016"
    assert loaded.value.folder == ROOT / "config" / "central-data"
    assert loaded.hash.startswith("sha256:")


def test_paths_start_at_the_file(tmp_path: Path) -> None:
    text = GOOD + "broker: {url: 'mqtts://broker.plant', ca: keys/ca.crt, certificate: /etc/a.crt, key: b.key}\n"
    path = tmp_path / "central.yaml"
    path.write_text(text)
    settings = load_settings(path).value
    assert settings.database == tmp_path / "data" / "central.db"
    assert settings.broker.ca == tmp_path / "keys" / "ca.crt"
    assert settings.broker.certificate == Path("/etc/a.crt")
    assert (settings.broker.address, settings.broker.tls) == (("broker.plant", 8883), True)


def test_every_error_at_once_with_its_place(tmp_path: Path) -> None:
    text = "site: suzhou\ntime_zone: Mars/Olympus\nfodler: data\nsessions: {idle: 30}\nhttp: {port: 99999}\n"
    found = problems(tmp_path, text)
    assert [line.split(": ")[0].rsplit(":", 2)[1] for line in found if line.startswith("central.yaml:")]
    text = "\n".join(found)
    for expected in ("time_zone", "folder", "sessions.idle", "http.port", "did you mean"):
        assert expected in text


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        ("{url: 'mqtt://broker.plant:1883'}", "use mqtts://"),
        ("{url: 'http://127.0.0.1'}", "mqtts://HOST:PORT"),
        ("{url: 'mqtts://broker.plant'}", "needs ca"),
        ("{url: 'mqtts://broker.plant', ca: a, key: b}", "go together"),
        ("{protocol: 4}", "protocol"),
        ("{user: central, password: secret}", "password"),
    ],
)
def test_no_insecure_broker(tmp_path: Path, broker: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, GOOD + f"broker: {broker}\n"))


def test_no_erp_is_a_choice(tmp_path: Path) -> None:
    assert getattr(load(tmp_path, GOOD), "erp", "?") is None
