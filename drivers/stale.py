"""How old each watched value may be, which are older, and how a device's tags are watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drivers.base import BlockBuilder, Device, Group, ReadingBlock
from drivers.status import BAD_STALE
from drivers.tags import AnyDevice, SerialScannerDevice, TagSettings

POLLS = 5
"""A polled value is stale when so many polls in a row brought nothing."""


def limit_s(tag: TagSettings, poll_interval_s: float, timeout_s: float) -> float:
    """How old this tag's value may be: what the tag says, else some polls, and never less than two time-outs."""
    return tag.stale_after if tag.stale_after is not None else max(POLLS * poll_interval_s, 2 * timeout_s)


def stale_group(device: Device, tags: Sequence[str]) -> Group:
    """The group of ``stale_block``."""
    settings = {tag.name: tag for tag in device.settings.tags}
    return Group.of(device.name, [settings[name] for name in tags])


def stale_block(group: Group, edge_us: int) -> ReadingBlock:
    """Readings that say that these tags were not refreshed."""
    builder = BlockBuilder(group)
    for _ in group.tags:
        builder.add(None, BAD_STALE)
    return builder.block(edge_us)


@dataclass(slots=True)
class _Kept:
    tags: tuple[str, ...]
    limit_s: float
    told: bool
    quiet: bool
    seen_s: float
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Overdue:
    """Tags that were refreshed too long ago. ``told``: their server tells them, we do not poll them."""

    tags: tuple[str, ...]
    age_s: float
    told: bool


class Freshness:
    """When what was last refreshed; pure, over monotonic seconds."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._by_tag: dict[str, _Kept] = {}

    @property
    def shortest_s(self) -> float:
        """The shortest limit; a day when there is none."""
        return min((kept.limit_s for kept in self._kept), default=86_400.0)

    def expect(
        self, tags: Iterable[str], limit_s: float, now_s: float, *, told: bool = False, quiet: bool = False
    ) -> None:
        """From now on these tags must be refreshed, together, within ``limit_s``; their age so far stays.

        ``told``: a server tells them. With ``quiet`` it may be silent about them while the device is connected,
        since nobody said how old they may be.
        """
        names = tuple(tags)
        before = [self._by_tag[name] for name in names if name in self._by_tag]
        seen_s = min((each.seen_s for each in before), default=now_s)
        kept = _Kept(names, limit_s, told, quiet, seen_s, any(each.stale for each in before))
        self._kept.append(kept)
        self._by_tag.update(dict.fromkeys(names, kept))

    def clear(self) -> None:
        """Expect nothing any more, but remember ages for what is expected next."""
        self._kept.clear()

    def refreshed(self, tag: str, now_s: float) -> None:
        """A tag was just refreshed, and with it those that are refreshed together with it."""
        kept = self._by_tag.get(tag)
        if kept is not None:
            kept.seen_s, kept.stale = now_s, False

    def doubtful(self, tag: str) -> None:
        """Not stale yet after all: it is overdue again at the next look."""
        self._by_tag[tag].stale = False

    def overdue(self, now_s: float, *, connected: bool) -> list[Overdue]:
        """What has become stale since the last call."""
        found: list[Overdue] = []
        silent: list[_Kept] = []
        for kept in self._kept:
            if kept.quiet and connected:
                kept.seen_s, kept.stale = now_s, False
            if kept.stale or now_s - kept.seen_s <= kept.limit_s:
                continue
            kept.stale = True
            if kept.told:
                silent.append(kept)
            else:
                found.append(Overdue(kept.tags, now_s - kept.seen_s, False))
        if silent:
            age_s = max(now_s - kept.seen_s for kept in silent)
            found.append(Overdue(tuple(tag for kept in silent for tag in kept.tags), age_s, True))
        return found


@dataclass(frozen=True, slots=True)
class PollGroup:
    """Tags that are read together every ``interval_s``; ``limits``: which of them may be how old."""

    interval_s: float
    tags: tuple[str, ...]
    limits: tuple[tuple[float, tuple[str, ...]], ...]

    @property
    def heads(self) -> tuple[str, ...]:
        """One tag of each limit: what is read together is refreshed together."""
        return tuple(tags[0] for _, tags in self.limits)


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """How the wanted tags of a device are watched: each once, however many want it."""

    polled: tuple[PollGroup, ...]
    subscribed: tuple[TagSettings, ...]
    timeout_s: float

    @classmethod
    def of(cls, device: AnyDevice, wanted: Iterable[str]) -> WatchPlan:
        """Raises KeyError for a tag that the device does not have."""
        if isinstance(device, SerialScannerDevice):
            return cls((), (), 0.0)
        known = {tag.name: tag for tag in device.tags}
        groups: dict[float, list[TagSettings]] = {}
        subscribed: list[TagSettings] = []
        for tag in (known[name] for name in dict.fromkeys(wanted)):
            if tag.mode == "subscribe":
                subscribed.append(tag)
            else:
                groups.setdefault(tag.poll_interval or device.poll_interval, []).append(tag)
        polled = tuple(_group(interval_s, tags, device.timeout) for interval_s, tags in sorted(groups.items()))
        return cls(polled, tuple(subscribed), device.timeout)

    def expect(self, freshness: Freshness, now_s: float) -> None:
        """Have everything watched from now on."""
        freshness.clear()
        for group in self.polled:
            for limit, tags in group.limits:
                freshness.expect(tags, limit, now_s)
        quiet = [tag.name for tag in self.subscribed if tag.stale_after is None]
        if quiet:
            freshness.expect(quiet, 2 * self.timeout_s, now_s, told=True, quiet=True)
        for tag in self.subscribed:
            if tag.stale_after is not None:
                freshness.expect([tag.name], tag.stale_after, now_s, told=True)


def _group(interval_s: float, tags: Sequence[TagSettings], timeout_s: float) -> PollGroup:
    limits: dict[float, list[str]] = {}
    for tag in tags:
        limits.setdefault(limit_s(tag, interval_s, timeout_s), []).append(tag.name)
    shared = tuple((limit, tuple(names)) for limit, names in limits.items())
    return PollGroup(interval_s, tuple(tag.name for tag in tags), shared)
