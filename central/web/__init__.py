"""Central's pages and HTTP interface: ``create_app(central)`` gives the ASGI application."""

from central.web.site import create_app

__all__ = ["create_app"]
