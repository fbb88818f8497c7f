"""Every scenario by name."""

from __future__ import annotations

from simulators.faults import kills
from simulators.faults.leg import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("edge-kill", "the agent is killed at random moments", kills.edge_kill, 100, 1000),
        Scenario("central-kill", "central is killed at random moments", kills.central_kill, 100, 1000),
        Scenario("broker-wipe", "the broker is killed with all it holds", kills.broker_wipe, 100, 200),
        Scenario("all-kill", "any of the three are killed together", kills.all_kill, 100, 500),
    )
}
