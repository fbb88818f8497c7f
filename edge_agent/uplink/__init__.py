"""The agent's way to central; see ``service`` for its promise."""

from edge_agent.uplink.broker import UplinkSettings
from edge_agent.uplink.service import Uplink
from edge_agent.uplink.status import UplinkStatus
from edge_agent.uplink.window import Limits

__all__ = ["Limits", "Uplink", "UplinkSettings", "UplinkStatus"]
