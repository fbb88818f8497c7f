"""The agent as it is put together: what it refuses to start with, and what it records about itself."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from drivers.base import Notice
from edge_agent import app
from edge_agent.app import Agent
from edge_agent.changeover import Changeover
from edge_agent.configuration import record_of
from edge_agent.events import DeviceBack
from edge_agent.outbox import MAX_BODY, export
from edge_agent.runner import StationRunner
from edge_agent.settings import LineSettings, load_line
from edge_agent.station_state import State
from records.clock import FakeClock
from records.configuration import ConfigurationRecord
from records.errors import ConfigurationError, Damaged, LotkeeperError
from records.keys import SigningKey
from records.model import Fact, OperationsEvent, decode
from records.wire import Document, down_topic, sign
from records.yaml import Loaded, Secret, Settings, parse
from tests.rigs.outboxes import make_identity

LIMIT_S = 20.0
LINE = """\
agent: press-1
site: suzhou
line: valve-1
time_zone: Asia/Shanghai
devices:
  plc:
    driver: modbus_tcp
    host: 127.0.0.1
    port: {port}
    timeout: 50ms
    tags: [{{name: done, address: 0}}, {{name: cycle, address: 1}}, {{name: ack, address: 2, access: write}}]
stations:
  press:
    equipment: PRESS-01
    operation: OP10
    order: {{tag: plc.cycle}}
    trigger: {{tag: plc.done, acknowledge: plc.ack, cycle: plc.cycle}}
    subject: {{kind: carrier, tag: plc.cycle}}
uplink: {{broker: "{broker}", identity: identity}}
buffer: {{path: buffer}}
"""


def write_line(folder: Path, *, broker: str = "mqtt://127.0.0.1:9", without: str = "") -> Path:
    text = LINE.format(port=9, broker=broker)
    file = folder / "line.yaml"
    file.write_text("".join(f"{row}\n" for row in text.splitlines() if not (without and row.startswith(without))))
    return file


def build(folder: Path, clock: FakeClock | None = None) -> Agent:
    return Agent(load_line(folder / "line.yaml"), clock or FakeClock())


@pytest.fixture
def central(tmp_path: Path) -> SigningKey:
    key = SigningKey.generate()
    make_identity(tmp_path / "identity", key)
    write_line(tmp_path)
    return key


def run(folder: Path, scene: Callable[[Agent, FakeClock], object]) -> list[OperationsEvent]:
    """Run the agent while the scene says "wait"; the events that it left behind."""

    async def all_of_it() -> None:
        clock = FakeClock()
        agent = build(folder, clock)
        running = asyncio.create_task(agent.run())
        async with asyncio.timeout(LIMIT_S):
            while not scene(agent, clock) and not running.done():
                await asyncio.sleep(0.002)
        agent.stop()
        await running

    asyncio.run(all_of_it())
    return events(folder)


def facts(folder: Path) -> list[Fact]:
    return [decode(e.kind, e.body or b"") for e in export(folder / "buffer" / "records.db")]


def events(folder: Path) -> list[OperationsEvent]:
    return [fact.data for fact in facts(folder) if isinstance(fact.data, OperationsEvent)]


@pytest.mark.parametrize("part", ["buffer", "uplink"])
def test_without_buffer_or_uplink_it_checks_but_does_not_run(tmp_path: Path, part: str) -> None:
    write_line(tmp_path, without=part)
    with pytest.raises(ConfigurationError, match=f"has no {part}"):
        build(tmp_path)
    assert not (tmp_path / "buffer").exists()


def test_an_identity_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    write_line(tmp_path)
    with pytest.raises(ConfigurationError, match=r"no identity in .*lotkeeper-central enrol"):
        build(tmp_path)
    assert not (tmp_path / "buffer").exists()


def test_the_identity_of_another_agent_is_refused(tmp_path: Path) -> None:
    make_identity(tmp_path / "identity", SigningKey.generate(), agent="press-2")
    write_line(tmp_path)
    with pytest.raises(ConfigurationError, match="is the identity of press-2, the file is of press-1"):
        build(tmp_path)
    assert not (tmp_path / "buffer").exists()


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"agent": 1}', b"\xff"])
def test_a_damaged_identity_names_its_file(tmp_path: Path, central: SigningKey, damage: bytes) -> None:
    (tmp_path / "identity" / "identity.json").write_bytes(damage)
    with pytest.raises(ConfigurationError, match=r"identity\.json is damaged"):
        build(tmp_path)


def test_two_agents_never_share_a_buffer(tmp_path: Path, central: SigningKey) -> None:
    agent = build(tmp_path)
    with pytest.raises(LotkeeperError, match="in use by another"):
        build(tmp_path)
    agent.outbox.close()


def test_it_records_that_it_started_with_which_configuration(tmp_path: Path, central: SigningKey) -> None:
    found = run(tmp_path, lambda *_: True)
    assert [event.code for event in found][:2] == ["agent-started", "configuration-loaded"]
    assert found[1].params == {"file": "line.yaml", "hash": load_line(tmp_path / "line.yaml").hash}
    assert found[-1].code == "agent-stopped"
    assert found[-1].params == {"reason": "asked"}


def test_every_record_names_place_zone_and_configuration(tmp_path: Path, central: SigningKey) -> None:
    run(tmp_path, lambda *_: True)
    opened, *others = [fact.header for fact in facts(tmp_path)]
    assert opened.configuration is None  # an epoch opens before there is a record of the configuration
    hash_ = load_line(tmp_path / "line.yaml").hash
    for header in others:
        assert (header.site, header.line, header.utc_offset_min) == ("suzhou", "valve-1", 480)
        assert header.configuration == hash_
        assert header.software.startswith("lotkeeper-edge/")


def test_the_configuration_is_a_record_before_the_first_that_names_it(tmp_path: Path, central: SigningKey) -> None:
    file = tmp_path / "line.yaml"
    with_secret = file.read_bytes().replace(b"site: suzhou", b"site: suzhou  # \xe8\x8b\x8f\xe5\xb7\x9e")
    file.write_bytes(with_secret)
    for _ in range(2):  # the second start finds it committed
        run(tmp_path, lambda *_: True)
    held = [fact.data for fact in facts(tmp_path)]
    (kept,) = [data for data in held if isinstance(data, ConfigurationRecord)]
    assert held.index(kept) == 1  # behind the epoch's opening
    assert kept.hash == "sha256:" + hashlib.sha256(with_secret).hexdigest()
    (one,) = kept.files
    assert (one.name, one.text.encode()) == ("line.yaml", with_secret)
    assert one.digest == hashlib.sha256(with_secret).hexdigest()
    assert kept.resolved["devices"]["plc"]["timeout"] == 0.05  # type: ignore[index,call-overload]
    assert kept.approval == "not-required"

    file.write_bytes(with_secret + b"# another\n")
    run(tmp_path, lambda *_: True)
    hashes = [fact.data.hash for fact in facts(tmp_path) if isinstance(fact.data, ConfigurationRecord)]
    assert hashes == [kept.hash, load_line(file).hash]


class WithSecret(Settings):
    password: Secret


def test_a_secret_is_a_reference_in_the_record_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLC_PASSWORD", "very secret indeed")
    loaded = parse(b"password: 'env:PLC_PASSWORD'\n", WithSecret)
    body = str(record_of(loaded, "test", "approved"))  # type: ignore[arg-type]  # any model with a secret will do
    assert "env:PLC_PASSWORD" in body
    assert "very secret" not in body


def test_a_configuration_that_fits_no_record_is_refused_and_a_large_one_keeps_its_bytes(
    tmp_path: Path, central: SigningKey
) -> None:
    file = tmp_path / "line.yaml"
    text = file.read_text()
    file.write_text(text + "#" * (MAX_BODY - len(text) - 4600) + "\n")
    assert record_of(load_line(file), "test", "").resolved is None
    run(tmp_path, lambda *_: True)
    assert any(isinstance(fact.data, ConfigurationRecord) for fact in facts(tmp_path))
    file.write_text(text + "\n" + "# \n" * ((MAX_BODY - len(text)) // 4 - 4))
    with pytest.raises(ConfigurationError, match="cannot be kept as a record"):
        build(tmp_path)


def test_a_full_buffer_keeps_the_line_waiting_until_the_configuration_is_on_disk(
    tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FULL_PAUSE_S", 0.005)
    file = tmp_path / "line.yaml"
    file.write_text(file.read_text().replace("{path: buffer}", "{path: buffer, records_max: 1B}"))
    with capture_logs() as said:
        found = run(tmp_path, lambda *_: any("cap" not in line for line in said if line["event"] == "buffer-full"))
    assert [event.code for event in found] == ["buffer-full"], "which the reserve behind the cap is for"


def test_a_device_that_is_away_is_a_record_with_its_address(tmp_path: Path, central: SigningKey) -> None:
    """Nothing listens on port 9 of this machine."""
    found = run(tmp_path, lambda agent, _: any(e.code == "device-lost" for e in events(tmp_path)))
    (lost,) = [event for event in found if event.code == "device-lost"]
    assert lost.params["address"] == "127.0.0.1:9 unit 1"
    assert "127.0.0.1:9" in str(lost.params["error"])
    assert lost.device == "plc"


@pytest.mark.parametrize("seconds", [3600.0, -3600.0, 2.5])
def test_a_clock_that_was_set_is_a_record(
    tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(app, "CLOCK_CHECK_S", 0.005)
    turns = 0

    def scene(agent: Agent, clock: FakeClock) -> bool:
        nonlocal turns
        turns += 1
        if turns == 20:
            clock.jump(seconds)
        return any(event.code == "clock-jump" for event in events(tmp_path))

    (jump,) = [event for event in run(tmp_path, scene) if event.code == "clock-jump"]
    assert jump.params == {"seconds": seconds}


def test_after_a_jump_the_clock_is_measured_anew(
    tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computer that slept looks as if its clock had been set; only central knows better."""
    monkeypatch.setattr(app, "CLOCK_CHECK_S", 0.005)
    asked: list[bool] = []
    turns = 0

    def scene(agent: Agent, clock: FakeClock) -> bool:
        nonlocal turns
        turns += 1
        if turns == 20:
            assert not asked
            status = replace(agent.uplink.status(), connected=True)
            agent.uplink.status = lambda: status  # type: ignore[method-assign]
            agent.sync.begin = lambda: asked.append(True)  # type: ignore[method-assign]
            clock.jump(3600.0)
        return bool(asked)

    run(tmp_path, scene)
    assert asked == [True]


def test_time_that_passes_is_no_jump(tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CLOCK_CHECK_S", 0.005)
    turns = 0

    def scene(agent: Agent, clock: FakeClock) -> bool:
        nonlocal turns
        turns += 1
        clock.advance(100.0)
        clock.jump(0.001)
        return turns > 50

    assert "clock-jump" not in [event.code for event in run(tmp_path, scene)]


def test_what_ends_a_part_ends_the_agent_and_is_said_as_it_is(tmp_path: Path, central: SigningKey) -> None:
    async def all_of_it() -> None:
        agent = build(tmp_path)

        async def breaks() -> None:
            raise Damaged("the chart of torque cannot be read")

        agent.runners[0].run = breaks  # type: ignore[method-assign]
        await agent.run()

    with pytest.raises(Damaged, match="the chart of torque"):
        asyncio.run(all_of_it())
    assert events(tmp_path)[-1].params == {"reason": "failed"}


def test_a_part_that_swallows_the_cancellation_is_told_again(tmp_path: Path, central: SigningKey) -> None:
    ended: list[str] = []

    async def all_of_it() -> None:
        agent = build(tmp_path)

        async def deaf() -> None:
            agent.stop()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            ended.append("swallowed")
            await asyncio.Event().wait()

        agent.runners[0].run = deaf  # type: ignore[method-assign]
        async with asyncio.timeout(LIMIT_S):
            await agent.run()

    asyncio.run(all_of_it())
    assert ended == ["swallowed"]
    assert events(tmp_path)[-1].params == {"reason": "asked"}


def test_an_event_that_a_full_buffer_does_not_take_is_said(tmp_path: Path, central: SigningKey) -> None:
    file = tmp_path / "line.yaml"
    file.write_text(file.read_text().replace("{path: buffer}", "{path: buffer, records_max: 1B}"))
    agent = build(tmp_path)
    with capture_logs() as said:
        agent.record("clock-jump", {"seconds": 5.0})
        agent.outbox.close()
    assert [(line["event"], line["code"]) for line in said] == [("event-not-kept", "clock-jump")]


def test_papers_are_read_anew_after_a_change_and_damage_is_said(tmp_path: Path, central: SigningKey) -> None:
    agent = build(tmp_path)
    assert agent.papers() is agent.papers()
    for version, content in ((1, {"reference": "WO-1"}), (2, None)):
        document = Document("work-order", "WO-1", version, 0, content)
        with capture_logs() as said:
            agent.documents.take(down_topic("press-1", "work-order", "WO-1"), "press-1", sign(document, central))
            assert agent.papers().order("WO-1") is None
        assert [line["event"] for line in said].count("document-not-understood") == (1 if content else 0)
    agent.outbox.close()


def test_a_device_that_is_back_is_told_to_its_stations(tmp_path: Path, central: SigningKey) -> None:
    posted: list[object] = []

    def scene(agent: Agent, _: FakeClock) -> bool:
        if not posted:

            async def post(event: object) -> None:
                posted.append(event)

            agent.runners[0].post = post  # type: ignore[method-assign]
            agent.floor.supervisors["plc"]._link.up()
            posted.append("asked")
        return any(getattr(event, "device", None) == "plc" for event in posted)

    run(tmp_path, scene)
    assert DeviceBack("plc") in posted


def test_a_machine_is_recorded_once_and_another_one_is_a_change_after_a_restart_too(
    tmp_path: Path, central: SigningKey
) -> None:
    def shows(serial: str) -> Callable[[Agent, FakeClock], object]:
        def scene(agent: Agent, clock: FakeClock) -> object:
            agent._notice(Notice("device-identity", {"device": "plc", "serial": serial}))
            return True

        return scene

    run(tmp_path, shows("1"))
    run(tmp_path, shows("1"))
    found = run(tmp_path, shows("2"))
    told = [(event.code, event.device) for event in found if event.code.startswith("device-")]
    assert [each for each in told if each[0] != "device-lost"] == [
        ("device-identity", "plc"),
        ("device-identity", "plc"),
        ("device-changed", "plc"),
    ]


def test_a_station_that_left_while_its_return_was_prepared_is_there_again(
    tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests = False
    monkeypatch.setattr(State, "free", property(lambda _: rests))

    async def scene() -> list[str]:
        nonlocal rests
        loaded = load_line(tmp_path / "line.yaml")
        floor = build(tmp_path).floor
        floor.start()
        gone = replace(loaded, value=loaded.value.model_copy(update={"stations": {}}))
        await floor.take(floor.prepare(gone))
        prepared = floor.prepare(loaded)  # its run is not over
        rests = True
        async with asyncio.timeout(LIMIT_S):
            while floor.runners:
                await asyncio.sleep(0.002)
        await floor.take(prepared)
        return [runner.name for runner in floor.runners]

    assert asyncio.run(scene()) == ["press"]


def test_a_change_that_came_while_another_was_made_is_still_wanted_anew(
    tmp_path: Path, central: SigningKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(State, "free", property(lambda _: False))
    loaded = load_line(tmp_path / "line.yaml")
    changes: list[Changeover] = []
    monkeypatch.setattr(StationRunner, "change", lambda _, change: changes.append(change))

    def other(equipment: str) -> Loaded[LineSettings]:
        station = loaded.value.stations["press"].model_copy(update={"equipment": equipment})
        return replace(loaded, value=loaded.value.model_copy(update={"stations": {"press": station}}))

    async def scene() -> None:
        floor = build(tmp_path).floor
        for line in (other("PRESS-02"), other("PRESS-03")):
            await floor.take(floor.prepare(line))
        changes[0].done()  # only now is the first one made
        await floor.take(floor.prepare(replace(other("PRESS-03"), hash="another")))

    asyncio.run(scene())
    assert [change.anew for change in changes] == [True, True, True]
