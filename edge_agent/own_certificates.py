"""Where the agent's OPC UA application certificate lies when a line file does not say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from drivers.tags import AnyDevice, OpcUaDevice
from drivers.tags.opcua_security import CERTIFICATE, KEY

FOLDER = "opcua"


def folder_beside(identity: Path | None, base: Path) -> Path:
    """The folder inside the identity's, or beside the line file of an agent without identity."""
    return (identity if identity is not None else base) / FOLDER


def with_certificates(devices: Mapping[str, AnyDevice], folder: Path) -> dict[str, AnyDevice]:
    """The devices, each secured OPC UA one with the certificate that it uses."""
    return {name: _with_certificate(device, folder) for name, device in devices.items()}


def _with_certificate(device: AnyDevice, folder: Path) -> AnyDevice:
    if not isinstance(device, OpcUaDevice) or device.security is None or not device.security.secure:
        return device
    if device.security.certificate is not None:
        return device
    ours = {"certificate": folder / CERTIFICATE, "private_key": folder / KEY}
    return device.model_copy(update={"security": device.security.model_copy(update=ours)})
