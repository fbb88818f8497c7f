"""What the machine is told about whether it may run: the permit, and the tag of a hold. Pure.

Both are kept true by level: written when what they should say is not what was last written and verified, so a
write that failed, a machine that came back and an agent that was killed need nothing of their own. Locking comes
before anything is answered, freeing after it. While the station is held a run is acknowledged only once every
lock is verified at the machine: a machine that could not be told that it is held is not told to go on either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edge_agent.events import Effect, Write
from edge_agent.station_settings import StationSettings
from edge_agent.station_state import Phase, State, Step


class Interlock:
    """The tags of one station that let its machine run or stop it."""

    def __init__(self, settings: StationSettings) -> None:
        self._permit, self._hold = settings.permit, settings.hold
        self._acknowledge = settings.trigger.acknowledge

    def keep(self, state: State, effects: tuple[Effect, ...], *, met: bool, held: bool) -> Step:
        """The step with what else must be written. ``met``: all that a start needs is there, no hold either."""
        wanted = self._wanted(met=met, held=held)
        changed = {tag: value for tag, value in wanted.items() if state.told.get(tag) is not value}
        if changed:
            sure = state.sure - changed.keys()
            state = replace(state, told={**state.told, **changed}, sure=sure)
        if held and not wanted.keys() <= state.sure:
            effects = tuple(effect for effect in effects if not self._frees(effect))
        locks = tuple(Write(tag, value) for tag, value in changed.items() if self._locks(tag, value))
        frees = tuple(Write(tag, value) for tag, value in changed.items() if not self._locks(tag, value))
        return state, (*locks, *effects, *frees)

    def written(self, state: State, tag: str, *, held: bool) -> Step:
        """A write of one of these tags stands, verified; the last one that was waited for frees the answer."""
        if tag not in state.told:
            return state, ()
        state = replace(state, sure=state.sure | {tag})
        waits = held and state.phase is Phase.ANSWERING and self._acknowledge is not None
        if waits and self._acknowledge is not None and state.told.keys() <= state.sure:
            return state, (Write(self._acknowledge, True),)
        return state, ()

    @staticmethod
    def forget(state: State, tags: Iterable[str]) -> State:
        """Nothing is known of what these tags say now: they are written again at the next event."""
        gone = set(tags)
        told = {tag: value for tag, value in state.told.items() if tag not in gone}
        return replace(state, told=told, sure=state.sure - gone)

    def stopping(self) -> tuple[Write, ...]:
        """What tells the machine to stop, as far as it can be told."""
        if self._permit is not None:
            return (Write(self._permit.tag, False),)
        return () if self._hold is None else (Write(self._hold.tag, self._hold.value),)

    def _wanted(self, *, met: bool, held: bool) -> dict[str, bool]:
        wanted: dict[str, bool] = {}
        if self._hold is not None:
            wanted[self._hold.tag] = held is self._hold.value
        if self._permit is not None:
            wanted[self._permit.tag] = met
        return wanted

    def _locks(self, tag: str, value: bool) -> bool:
        if self._hold is not None and tag == self._hold.tag:
            return value is self._hold.value
        return not value

    def _frees(self, effect: Effect) -> bool:
        return isinstance(effect, Write) and effect.tag == self._acknowledge and effect.value
