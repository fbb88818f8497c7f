"""Modbus over pymodbus; ``device`` is the driver."""

from drivers.modbus.device import ModbusTcp

__all__ = ["ModbusTcp"]
