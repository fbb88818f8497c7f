"""A fast OPC UA server for benchmarks: open62541 through the ``o6`` wheel, on the path of this process only.

    python -m benchmarks.rig.open62541 PORT VALUES GROUPS PERIOD_US BASE_US

Nodes ``ns=1;s=Tick.N`` of the namespace ``urn:test`` hold the number of periods since their group's base. Without
a licence the wheel ends its process after ten minutes, which is enough for one case. It says "ok" when it listens.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from records.clock import SystemClock

AFTER_S = 0.0002
"""A sleep may end a little early: the tick must have begun by then."""


async def main(port: int, values: int, groups: int, period_us: int, base_us: int) -> None:
    said = os.dup(1)
    os.dup2(2, 1)  # the wheel greets on stdout
    import o6  # type: ignore[import-not-found]  # no dependency of ours: only this process has it

    clock = SystemClock()
    server: Any = o6.Server(port=port, applicationUri="urn:test")
    nodes = [f"ns=1;s=Tick.{n}" for n in range(values)]
    for n, node in enumerate(nodes):
        await server.addVariable(f"Tick.{n}", server.objectsNode, o6.UInt32(0), nodeId=node)
    each = values // groups
    targets = [[o6.NodeId(node) for node in nodes[first : first + each]] for first in range(0, values, each)]

    async def tick(group: int) -> None:
        base = base_us + group * period_us // groups
        while True:
            number = (clock.now_us() - base) // period_us
            await server.write(targets[group], [o6.UInt32(number)] * each)
            next_us = base + (number + 1) * period_us
            await asyncio.sleep(max(0.0, (next_us - clock.now_us()) / 1e6) + AFTER_S)

    async with server:
        os.write(said, b"ok\n")
        await asyncio.gather(*(tick(group) for group in range(len(targets))))


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
