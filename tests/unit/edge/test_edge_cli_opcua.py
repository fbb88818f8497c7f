"""``lotkeeper-edge certificate`` as it is typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drivers.tags import OpcUaDevice
from edge_agent.settings import load_line
from records.clock import SystemClock
from tests.unit.typing_commands import Type

LINE = """\
agent: sealing-1
site: suzhou
line: pouch-sealing
devices:
  sealer:
    driver: opcua
    endpoint: opc.tcp://10.0.0.5:4840
    security: {policy: Basic256Sha256}
    tags: [{name: temp, node_id: "ns=2;s=Temp", data_type: float64}]
uplink: {broker: "mqtt://127.0.0.1:9", identity: identity}
"""


@pytest.fixture
def line(tmp_path: Path) -> Path:
    path = tmp_path / "line.yaml"
    path.write_text(LINE)
    return path


def test_a_certificate_is_made_where_the_line_looks_for_it(typed: Type, line: Path) -> None:
    made = typed("certificate", "create", str(line), "--host", "line-pc", "--host", "10.0.0.9", "--json")
    assert (made.code, made.err) == (0, "")
    device = load_line(line).value.devices["sealer"]
    assert isinstance(device, OpcUaDevice)
    assert device.security is not None
    assert str(device.security.certificate) == made.json["certificate"]
    assert device.security.certificate == line.parent / "identity" / "opcua" / "certificate.der"
    key = device.security.private_key
    assert key is not None
    if sys.platform != "win32":
        assert key.stat().st_mode & 0o777 == 0o600
    assert made.json["application_uri"] == "urn:lotkeeper:sealing-1"
    assert made.json["hosts"] == ["line-pc", "10.0.0.9"]
    assert made.json["valid"] is True
    shown = typed("certificate", "show", str(line), "--json")
    assert (shown.code, shown.json) == (0, made.json)
    assert made.json["fingerprint"] in typed("certificate", "show", made.json["certificate"]).out


def test_one_that_is_there_is_never_replaced_unasked(typed: Type, tmp_path: Path) -> None:
    folder = str(tmp_path / "own")
    assert "add --agent NAME" in typed("certificate", "create", folder).err
    assert "cannot be the name of an agent" in typed("certificate", "create", folder, "--agent", "Press 1").err
    first = typed("certificate", "create", folder, "--agent", "press-1", "--json").json
    again = typed("certificate", "create", folder, "--agent", "press-1")
    assert again.code == 3
    assert "there is a certificate in" in again.err
    assert typed("certificate", "show", folder, "--json").json == first
    second = typed("certificate", "create", folder, "--agent", "press-1", "--replace", "--json").json
    assert second["fingerprint"] != first["fingerprint"]


def test_one_that_has_ended_is_not_fine(typed: Type, tmp_path: Path) -> None:
    from drivers.opcua.certificates import create

    create(tmp_path, "press-1", ("pc",), SystemClock().now_us() - 10 * 86_400_000_000, 5)
    shown = typed("certificate", "show", str(tmp_path), "--json")
    assert (shown.code, shown.json["valid"]) == (1, False)


def test_what_is_no_certificate_is_said(typed: Type, tmp_path: Path, line: Path) -> None:
    said = typed("certificate", "show", str(line))
    assert said.code == 2
    assert f"make it with: lotkeeper-edge certificate create {line}" in said.err
    assert "--agent NAME" in typed("certificate", "show", str(tmp_path / "none")).err
    (tmp_path / "x.der").write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n")
    said = typed("certificate", "show", str(tmp_path / "x.der")).err
    assert ("x.der is no certificate" in said, "cryptography" in said) == (True, False)
