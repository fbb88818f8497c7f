"""Modbus over pymodbus' transports; ``device`` is the driver, ``bus`` what devices on one line share."""

from drivers.modbus.bus import Bus
from drivers.modbus.device import Modbus

__all__ = ["Bus", "Modbus"]
