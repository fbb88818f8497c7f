"""OPC UA over asyncua; ``device`` is the driver."""

from drivers.opcua.device import OpcUa

__all__ = ["OpcUa"]
