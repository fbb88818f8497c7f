"""Every write to a machine is an event, whatever its protocol and whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import JsonValue

from drivers.base import Notice, OnNotice
from records.errors import LotkeeperError


@contextmanager
def told_as_written(tell: OnNotice, tag: str, value: JsonValue, *, read_back: bool = True) -> Iterator[None]:
    """Tell one ``plc-write`` notice when the block ends: verified, or with the error that ended it.

    Args:
        tell: hears the notice.
        tag: ``DEVICE.TAG``.
        value: what was to be written.
        read_back: whether the block proves that the machine holds the value; else ``verified`` is null.
    """
    told: dict[str, JsonValue] = {"tag": tag, "value": value}
    try:
        yield
    except LotkeeperError as error:
        trouble: dict[str, JsonValue] = {} if error.trouble is None else {"trouble": error.trouble.to_json()}
        tell(Notice("plc-write", {**told, "verified": False, "error": error.message, **trouble}))
        raise
    tell(Notice("plc-write", {**told, "verified": True if read_back else None}))
