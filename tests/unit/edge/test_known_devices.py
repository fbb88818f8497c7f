"""A machine is told once, and again when another one answers; the outbox remembers over restarts."""

from __future__ import annotations

from pydantic import JsonValue

from drivers.base import Notice
from edge_agent.known_devices import KnownDevices


class Kept:
    """What the outbox would have committed."""

    def __init__(self) -> None:
        self.states: dict[str, JsonValue] = {}

    def state(self, key: str) -> JsonValue:
        return self.states.get(key)


def sift(
    known: KnownDevices, kept: Kept, code: str, **params: JsonValue
) -> list[tuple[str, dict[str, JsonValue]]]:
    news, state = known.sift(Notice(code, {"device": "plc", **params}))
    kept.states.update(state)
    return [(told.code, dict(told.params)) for told in news]


def test_a_certificate_is_news_once_and_when_it_is_another() -> None:
    kept = Kept()
    first = sift(KnownDevices(kept), kept, "server-certificate", fingerprint="sha256:a", was=None)
    assert first == [("server-certificate", {"device": "plc", "fingerprint": "sha256:a", "was": None})]
    restarted = KnownDevices(kept)
    assert sift(restarted, kept, "server-certificate", fingerprint="sha256:a", was=None) == []
    told = sift(restarted, kept, "server-certificate", fingerprint="sha256:b", was=None)
    assert told == [("server-certificate", {"device": "plc", "fingerprint": "sha256:b", "was": "sha256:a"})]


def test_another_machine_is_a_change_and_one_that_tells_less_is_none() -> None:
    kept = Kept()
    whole: dict[str, JsonValue] = {"manufacturer": "M", "model": "P", "serial": "1", "firmware": "2.0"}
    assert [c for c, _ in sift(KnownDevices(kept), kept, "device-identity", **whole)] == ["device-identity"]
    restarted = KnownDevices(kept)
    assert sift(restarted, kept, "device-identity", **whole) == []
    assert sift(restarted, kept, "device-identity", manufacturer="M", model=None) == []
    assert [c for c, _ in sift(restarted, kept, "device-identity", hardware="A")] == ["device-identity"]
    told = sift(KnownDevices(kept), kept, "device-identity", **{**whole, "serial": "7"})
    assert [code for code, _ in told] == ["device-identity", "device-changed"]
    assert told[1][1] == {"device": "plc", "was": "M / P / 1 / 2.0 / A", "now": "M / P / 7 / 2.0"}


def test_other_notices_pass() -> None:
    kept = Kept()
    assert sift(KnownDevices(kept), kept, "samples-lost", count=3) == [
        ("samples-lost", {"device": "plc", "count": 3})
    ]
    assert kept.states == {}
