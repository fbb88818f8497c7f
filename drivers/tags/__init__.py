"""The ``devices:`` part of a line file: devices and their tags, as pure models without any protocol library.

What a driver of this version cannot do is refused here, with its place in the file, never silently at run time.
Words of other tools (``slave_id``, ``type``, ``id``, ...) are taken with a warning when the file is loaded with
``aliases=ALIASES``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from drivers.tags.common import DeviceSettings, Name, Role, TagSettings
from drivers.tags.modbus import (
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
from drivers.tags.opcua import OPCUA_TYPES, OpcUaDevice, OpcUaSecurity, OpcUaTag
from drivers.tags.scanner import SerialScannerDevice

__all__ = [
    "ALIASES",
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
    "Register",
    "Role",
    "SequenceCheck",
    "SerialScannerDevice",
    "TagSettings",
]

ALIASES = MappingProxyType(
    {
        "slave_id": "unit_id",
        "slave": "unit_id",
        "unitId": "unit_id",
        "device_id": "unit_id",
        "type": "data_type",
        "dataType": "data_type",
        "id": "node_id",
        "nodeId": "node_id",
        "identifer": "identifier",
        "byteOrder": "byte_order",
        "input_type": "register",
        "count": "length",
        "multiplier": "scale",
        "interval": "poll_interval",
        "scan_interval": "poll_interval",
        "baud": "baudrate",
        "baud_rate": "baudrate",
    }
)
"""Words of Telegraf, ThingsBoard, Home Assistant and others, and ours for them."""

AnyDevice = Annotated[OpcUaDevice | ModbusTcpDevice | SerialScannerDevice, Field(discriminator="driver")]
Devices = dict[Name, AnyDevice]
"""The type of ``devices:`` in a line file."""
