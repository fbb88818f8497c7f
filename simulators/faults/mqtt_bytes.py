"""MQTT packets in a stream of bytes, cut out and put back in another order, as a bad network could do it."""

from __future__ import annotations

from collections import Counter

from simulators.faults.dice import Dice

PUBLISH = 3
KEPT = 200
"""How many past publishes may come again."""


class Replayer:
    """Passes one connection's bytes on; of its publishes some come twice, some swapped, some again much later.

    Args:
        past: publishes of this and former connections, oldest first.
        counts: how often what was done.
    """

    def __init__(self, dice: Dice, past: list[bytes], counts: Counter[str]) -> None:
        self._dice, self._past, self._counts = dice, past, counts
        self._rest = b""
        self._held: bytes | None = None

    def __call__(self, data: bytes) -> bytes:
        self._rest += data
        out: list[bytes] = []
        while (packet := self._next()) is not None:
            out += self._meddle(packet)
        if self._held is not None and not self._rest:
            out.append(self._held)  # nothing behind it to swap with: a packet is never kept for good
            self._held = None
        return b"".join(out)

    def _next(self) -> bytes | None:
        """The next whole packet: a byte of type and flags, a length of one to four bytes, then so many bytes."""
        length = shift = 0
        for at in range(1, min(len(self._rest), 5)):
            byte = self._rest[at]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                end = at + 1 + length
                if len(self._rest) < end:
                    return None
                packet, self._rest = self._rest[:end], self._rest[end:]
                return packet
        return None

    def _meddle(self, packet: bytes) -> list[bytes]:
        if packet[0] >> 4 != PUBLISH:
            return [packet]
        out = [packet]
        if self._held is not None:
            out.append(self._held)
            self._held = None
        elif self._dice.below(4) == 0:
            self._held = packet
            self._counts["swapped"] += 1
            return []
        if self._dice.below(4) == 0:
            out.append(packet)
            self._counts["sent twice"] += 1
        if self._past and self._dice.below(4) == 0:
            out.append(self._dice.choose(self._past))
            self._counts["sent again much later"] += 1
        self._past.append(packet)
        del self._past[:-KEPT]
        return out
