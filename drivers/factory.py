"""Settings to devices. Protocol libraries are imported only for drivers that a line uses."""

from __future__ import annotations

from drivers.base import Device, OnNotice, Scanner
from drivers.tags import ModbusTcpDevice, OpcUaDevice, SerialScannerDevice
from records.clock import Clock


def build_device(
    name: str, settings: OpcUaDevice | ModbusTcpDevice, clock: Clock, tell: OnNotice, *, agent: str = "edge"
) -> Device:
    """The device that these settings describe, not yet connected; ``tell`` hears what it notices.

    ``agent`` is who we are to servers that ask.
    """
    if isinstance(settings, OpcUaDevice):
        from drivers.opcua import OpcUa

        return OpcUa(name, settings, clock, tell, agent)
    from drivers.modbus import ModbusTcp

    return ModbusTcp(name, settings, clock, tell)


def build_scanner(name: str, settings: SerialScannerDevice, clock: Clock) -> Scanner:
    """The scanner that these settings describe, not yet open."""
    from drivers.scanner import SerialScanner

    return SerialScanner(name, settings, clock)
