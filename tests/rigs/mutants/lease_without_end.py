"""Loaded into central it breaks a rule: a lease lasts until its holder gives it back."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from central.store import leases
from central.store.leases import Lease

honest = leases.known
FOR_EVER_US = 2**62


def known(connection: Connection) -> dict[str, Lease]:
    found = honest(connection)
    return {name: replace(each, until_us=FOR_EVER_US if each.until_us else 0) for name, each in found.items()}


leases.known = known
