"""An uplink with short times for tests, and an agent that can be killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge_agent.uplink import Limits, Uplink, UplinkSettings
from records.clock import SystemClock
from records.keys import Identity, KeyRing, PublicKey
from tests.rigs.outboxes import fill, open_outbox

QUICK = UplinkSettings(
    "mqtt://127.0.0.1:1",
    head_interval_s=60.0,
    keepalive_s=5.0,
    limits=Limits(resend_after_s=0.5, resend_max_s=2.0),
    prune_interval_s=0.2,
    settle_s=0.3,
    reconnect_max_s=0.5,
)


def quick(url: str, **changes: object) -> UplinkSettings:
    return replace(QUICK, broker=url, **changes)  # type: ignore[arg-type]


def ring_of(identity: Identity) -> KeyRing:
    """What central believes of one agent."""
    return KeyRing([PublicKey(identity.file.agent, identity.signing.public.hex())])


def until(
    condition: Callable[[], object], timeout_s: float = 60.0, what: str = "what was waited for did not happen"
) -> None:
    """Wait until a condition holds; ``what`` is said where it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def run_until_killed(folder: Path, url: str, failpoint: str, nth: int) -> None:
    """An agent in a process of its own that commits five records and sends them, until a failpoint kills it."""
    left = nth

    def die(name: str) -> None:
        nonlocal left
        if name == failpoint:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    clock = SystemClock()
    outbox = open_outbox(folder / "buffer", clock, keep_acknowledged_s=0.0, failpoint=die)
    last = outbox.state("last")
    first = int(last) + 1 if isinstance(last, int) else 1
    uplink = Uplink(
        outbox, Identity.open(folder / "identity"), quick(url, max_frame_bytes=1500), clock, failpoint=die
    )
    uplink.start()
    fill(outbox, first, first + 4)
    time.sleep(60)
