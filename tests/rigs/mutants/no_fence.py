"""Loaded into central it breaks a rule: whoever says hello last may send, so that of two agents both do."""

from __future__ import annotations

from central import fencing
from central.fencing import Held, Start, Verdict


def believe(_held: Held | None, hello: Start, now_us: int) -> Verdict:
    return Verdict(Held(hello, now_us))


fencing.judge = believe
