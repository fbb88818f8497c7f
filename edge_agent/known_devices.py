"""Which machine answered last at each device's address, kept over restarts.

Drivers tell a machine's certificate and identity after every start. Only what is new is a record: the first time
that it is seen, and when another machine (another serial number, model or firmware) answers than the last time.
What a machine once told and now leaves out, as some do while they start, is no change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pydantic import JsonValue

from drivers.base import Notice

CERTIFICATE, IDENTITY = "server-certificate", "device-identity"
_KEY = "device/"


class Kept(Protocol):
    """The outbox's states."""

    def state(self, key: str) -> JsonValue: ...


class KnownDevices:
    """What each device last showed of itself."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._seen: dict[str, dict[str, JsonValue]] = {}

    def sift(self, notice: Notice) -> tuple[Sequence[Notice], Mapping[str, JsonValue]]:
        """What of a notice is news, and the state to commit with it."""
        device = notice.params.get("device")
        if notice.code not in (CERTIFICATE, IDENTITY) or not isinstance(device, str):
            return (notice,), {}
        seen = self._of(device)
        if notice.code == CERTIFICATE:
            news = self._certificate(seen, notice)
        else:
            news = self._identity(seen, notice, device)
        return news, ({_KEY + device: dict(seen)} if news else {})

    def _of(self, device: str) -> dict[str, JsonValue]:
        if device not in self._seen:
            kept = self._kept.state(_KEY + device)
            self._seen[device] = dict(kept) if isinstance(kept, dict) else {}
        return self._seen[device]

    def _certificate(self, seen: dict[str, JsonValue], notice: Notice) -> Sequence[Notice]:
        before, now = seen.get("fingerprint"), notice.params["fingerprint"]
        if before == now:
            return ()
        seen["fingerprint"] = now
        return (Notice(notice.code, {**notice.params, "was": before}),)

    def _identity(self, seen: dict[str, JsonValue], notice: Notice, device: str) -> Sequence[Notice]:
        now: dict[str, JsonValue] = {
            key: value for key, value in notice.params.items() if key != "device" and value is not None
        }
        kept = seen.get("identity")
        before = dict(kept) if isinstance(kept, dict) else {}
        if before == {**before, **now}:
            return ()
        changed = any(key in before and before[key] != value for key, value in now.items())
        seen["identity"] = now if changed else {**before, **now}
        if not changed:
            return (notice,)
        told: dict[str, JsonValue] = {"device": device, "was": _text(before), "now": _text(now)}
        return (notice, Notice("device-changed", told))


def _text(identity: Mapping[str, JsonValue]) -> str:
    keys = ("manufacturer", "model", "serial", "firmware", "hardware")
    return " / ".join(str(identity[key]) for key in keys if key in identity)
