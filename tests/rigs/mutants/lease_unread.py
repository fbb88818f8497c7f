"""Loaded into central it breaks a rule: a commit asks neither whose the lease is nor where the chains stand now.

As a worker might that takes a partition for its own because it once was: what it knew when it committed last must
still hold then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from central.store import leases, standing
from central.store.standing import Chain, Standing, Standings

honest = standing.read
move = standing.move
remembered: dict[Chain, Standing] = {}


def remember(connection: Any, chains: Collection[Chain]) -> Standings:
    found = honest(connection, chains)
    return replace(found, chains={chain: remembered.get(chain, each) for chain, each in found.chains.items()})


def moved(connection: Any, stands: Any, now_us: int) -> None:
    told = list(stands)
    move(connection, told, now_us)
    remembered.update({each.chain: each for each in told})


leases.assert_held = lambda connection, name, token: None
standing.read, standing.move = remember, moved
