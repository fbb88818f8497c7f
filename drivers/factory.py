"""Settings to devices. Protocol libraries are imported only for drivers that a line uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.base import Device, OnNotice, Scanner
from drivers.tags import AnyModbusDevice, OpcUaDevice, SerialScannerDevice
from records.clock import Clock

if TYPE_CHECKING:
    from drivers.modbus import Bus


class Lines:
    """What devices share: those at one address, or on one serial port, use one connection in turns.

    Make one for all devices of an agent; devices may come and go while others stay.
    """

    def __init__(self) -> None:
        self._buses: dict[object, Bus] = {}

    def bus(self, settings: AnyModbusDevice) -> Bus:
        """The line that this device is on."""
        from drivers.modbus import Bus

        return self._buses.setdefault(settings.line, Bus())


def build_device(
    name: str,
    settings: OpcUaDevice | AnyModbusDevice,
    clock: Clock,
    tell: OnNotice,
    *,
    agent: str = "edge",
    lines: Lines | None = None,
) -> Device:
    """The device that these settings describe, not yet connected; ``tell`` hears what it notices.

    ``agent`` is who we are to servers that ask; ``lines`` what the device shares with others.
    """
    if isinstance(settings, OpcUaDevice):
        from drivers.opcua import OpcUa

        return OpcUa(name, settings, clock, tell, agent)
    from drivers.modbus import Modbus

    return Modbus(name, settings, clock, tell, (lines or Lines()).bus(settings))


def build_scanner(name: str, settings: SerialScannerDevice, clock: Clock) -> Scanner:
    """The scanner that these settings describe, not yet open."""
    from drivers.scanner import SerialScanner

    return SerialScanner(name, settings, clock)
