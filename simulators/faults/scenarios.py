"""Every scenario by name."""

from __future__ import annotations

from simulators.faults import (
    backlog,
    buffers,
    calls,
    clocks,
    configurations,
    disk,
    exhaustion,
    images,
    kills,
    machines,
    network,
    postgres,
    power,
    soak,
    tampering,
    transactions,
    twins,
    workers,
)
from simulators.faults.leg import Scenario

DISK = ("mosquitto", *disk.PROGRAMS)

STRACE = ("mosquitto", "strace")

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario("edge-kill", "the agent is killed at random moments", kills.edge_kill, 100, 1000),
        Scenario("central-kill", "central is killed at random moments", kills.central_kill, 100, 1000),
        Scenario("broker-wipe", "the broker is killed with all it holds", kills.broker_wipe, 100, 200),
        Scenario("all-kill", "any of the three are killed together", kills.all_kill, 100, 500),
        Scenario("power-cut", "the line PC loses its power", power.power_cut, 25, 100, root=True, programs=DISK),
        Scenario(
            "central-power-cut",
            "central loses its power",
            power.central_power_cut,
            25,
            100,
            root=True,
            programs=DISK,
        ),
        Scenario("disk-full", "a disk is full, and free again", power.disk_full, 5, 20, root=True, programs=DISK),
        Scenario(
            "syscall-kill",
            "killed at every write and sync of each transaction",
            calls.syscall_kill,
            1,
            len(transactions.KINDS),
            programs=STRACE,
        ),
        Scenario("io-error", "writes and syncs that fail", calls.io_error, 10, 40, programs=STRACE),
        Scenario("partition", "the network is cut, half open or slow", network.partition, 50, 100),
        Scenario("duplicate", "publishes come twice, swapped and much later", network.duplicate, 50, 100),
        Scenario("plc", "machines freeze, hang up, restart and show no numbers", machines.plc, 30, 60),
        Scenario("config", "line files wrong, half written and right again", configurations.config, 8, 16),
        Scenario("files", "a buffer's files deleted, cut and exchanged", buffers.files, 8, 16),
        Scenario("slow-disk", "syncs that take their time", buffers.slow_disk, 5, 10, programs=STRACE),
        Scenario(
            "exhaustion",
            "no files, no memory, no processor",
            exhaustion.exhaustion,
            10,
            20,
            why_not=exhaustion.why_not,
        ),
        Scenario(
            "upgrade",
            "killed at every write and sync of a layout's upgrade",
            calls.upgrade,
            1,
            calls.UPGRADE_EVERY,
            programs=STRACE,
        ),
        Scenario("pause", "a process stands still and goes on", network.pause, 25, 50),
        Scenario("clock-jump", "wall clocks are set", clocks.clock_jump, 7, 14, why_not=clocks.why_not),
        Scenario("image-restore", "the agent's disk is an old copy again", images.image_restore, 10, 20),
        Scenario("central-restore", "central is restored from a backup", images.central_restore, 5, 10),
        Scenario(
            "worker-kill",
            "several workers and serve on one PostgreSQL are killed and stand still",
            workers.worker_kill,
            25,
            100,
            why_not=postgres.why_not,
        ),
        Scenario("same-id", "two line PCs have one identity", twins.same_id, 10, 20),
        Scenario("backlog", "hours of outage of 20 agents come back at once", backlog.backlog, 72, 72),
        Scenario(
            "backlog-postgres",
            "the same, central on PostgreSQL",
            backlog.backlog_on_postgres,
            72,
            72,
            why_not=postgres.why_not,
        ),
        Scenario("bit-rot", "bits turn over in databases and logs", images.bit_rot, 250, 1000),
        Scenario(
            "tamper",
            "history is changed with SQL",
            tampering.tamper,
            len(tampering.ATTACKS),
            len(tampering.ATTACKS),
        ),
        Scenario("soak", "any fault after any other, for an hour", soak.soak, 60, 60),
    )
}
