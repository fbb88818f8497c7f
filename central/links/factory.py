"""Makes the connector that the settings ask for."""

from __future__ import annotations

from central.links.base import ErpLink
from central.links.rest import RestLink
from central.links.settings import ErpSettings, RestErpSettings
from central.links.tryton import TrytonLink


def open_link(settings: ErpSettings) -> ErpLink:
    """The connector of this kind; nothing is sent before it is first used."""
    if isinstance(settings, RestErpSettings):
        return RestLink(settings)
    return TrytonLink(settings)
