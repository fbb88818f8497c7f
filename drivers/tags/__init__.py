"""The ``devices:`` part of a line file: devices and their tags, as pure models without any protocol library.

What a driver of this version cannot do is refused here, with its place in the file, never silently at run time.
Words of other tools (``slave_id``, ``type``, ``id``, ...) are taken with a warning when the file is loaded with
``aliases=ALIASES``; ``defaults:`` and ``groups:`` of a device are resolved with ``expand=expand_devices``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from drivers.tags.aliases import ALIASES
from drivers.tags.common import DeviceSettings, Name, Role, TagSettings
from drivers.tags.groups import expand
from drivers.tags.modbus import (
    INTEGERS,
    MODBUS_TYPES,
    REGISTER_COUNT,
    BitField,
    ByteOrder,
    ModbusTag,
    Register,
    SequenceCheck,
)
from drivers.tags.modbus_devices import (
    AnyModbusDevice,
    ModbusDevice,
    ModbusRtuOverTcpDevice,
    ModbusSerialDevice,
    ModbusTcpDevice,
    ModbusTlsDevice,
)
from drivers.tags.opcua import OPCUA_TYPES, OpcUaDevice, OpcUaTag
from drivers.tags.opcua_security import OpcUaSecurity, OpcUaUser
from drivers.tags.scanner import SerialScannerDevice
from records.errors import Problem
from records.yaml import Tree

__all__ = [
    "ALIASES",
    "INTEGERS",
    "MODBUS_TYPES",
    "OPCUA_TYPES",
    "REGISTER_COUNT",
    "AnyDevice",
    "AnyModbusDevice",
    "BitField",
    "ByteOrder",
    "DeviceSettings",
    "Devices",
    "ModbusDevice",
    "ModbusRtuOverTcpDevice",
    "ModbusSerialDevice",
    "ModbusTag",
    "ModbusTcpDevice",
    "ModbusTlsDevice",
    "Name",
    "OpcUaDevice",
    "OpcUaSecurity",
    "OpcUaTag",
    "OpcUaUser",
    "Register",
    "Role",
    "SequenceCheck",
    "SerialScannerDevice",
    "TagSettings",
    "expand_devices",
]

AnyDevice = Annotated[OpcUaDevice | AnyModbusDevice | SerialScannerDevice, Field(discriminator="driver")]
Devices = dict[Name, AnyDevice]
"""The type of ``devices:`` in a line file."""


def expand_devices(tree: Tree) -> Iterator[Problem]:
    """Resolve ``defaults:`` and ``groups:`` of the devices in a tree; the problems that this meets."""
    return expand(tree, AnyDevice)
