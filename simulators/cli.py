"""lotkeeper-sim: the world of a plant without hardware."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import JsonValue

from records.clock import SystemClock
from records.console import print_json, run_app
from records.errors import ConfigurationError
from records.yaml import load
from simulators.alone import (
    ModbusKind,
    OpcUaKind,
    cycle_for_ever,
    measures,
    modbus_plc,
    opcua_plc,
    scan_texts,
    typed_lines,
)
from simulators.faults.proxy import FaultProxy, Mode
from simulators.line import Line, troubles_of
from simulators.plc import Plc
from simulators.processes import end_in_order
from simulators.settings import PlantSettings

app = typer.Typer(
    help="The simulated plant: machines, scanners, ERP and faults, speaking the real protocols.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document when ready, nothing else on stdout.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")]
Every = Annotated[float, typer.Option(min=0.01, help="Seconds from one cycle to the next.")]
Handshake = Annotated[bool, typer.Option("--handshake", help="Wait for the host's Ack after each cycle.")]


def main() -> None:
    """Entry point of the ``lotkeeper-sim`` command."""
    for library in ("asyncua", "pymodbus"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    run_app(app)


def say(text: str) -> None:
    """One line for the person at the screen."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@app.command()
def plant(
    config: Annotated[Path, typer.Option(help="PLANT.yaml: orders, seed, speed, ports.")],
    exit_when_done: Annotated[bool, typer.Option(help="End after the last order instead of serving on.")] = False,
    as_json: Json = False,
) -> None:
    """Run the whole valve line: OP10 to OP40, its operators and its scripted troubles.

    Example: lotkeeper-sim plant --config PLANT.yaml --exit-when-done
    """
    settings = load(config, PlantSettings).value
    settings = settings.model_copy(update={"folder": config.parent / settings.folder})
    troubles = troubles_of(settings, config.parent)

    async def serve(stopped: asyncio.Event) -> None:
        line = Line(settings, troubles, SystemClock(), say)
        try:
            _ready(await line.start(), as_json)
            gc.freeze()  # two OPC UA address spaces that stay: nothing for the collector to go over
            await _until(stopped, line.run())
            if not exit_when_done:
                await stopped.wait()
        finally:
            await line.stop()

    _run(serve)


@app.command("plc-opcua")
def plc_opcua(
    kind: Annotated[OpcUaKind, typer.Option(help="Which machine.")] = OpcUaKind.ASSEMBLER,
    host: Host = "127.0.0.1",
    port: Port = 4841,
    every: Every = 2.0,
    seed: int = 1,
    handshake: Handshake = False,
    as_json: Json = False,
) -> None:
    """One OPC UA PLC that runs cycles by itself.

    Example: lotkeeper-sim plc-opcua --kind welder --port 4842
    """
    device = opcua_plc(kind, host, port, SystemClock())
    _run(lambda stopped: _serve_plc(stopped, device, kind, every, seed, handshake, as_json))


@app.command("plc-modbus")
def plc_modbus(
    kind: Annotated[ModbusKind, typer.Option(help="Which machine.")] = ModbusKind.LEAK_TESTER,
    host: Host = "127.0.0.1",
    port: Port = 5030,
    every: Every = 2.0,
    seed: int = 1,
    handshake: Handshake = False,
    as_json: Json = False,
) -> None:
    """One Modbus TCP PLC that runs cycles by itself.

    Example: lotkeeper-sim plc-modbus --kind washer --port 5040
    """
    device = modbus_plc(kind, host, port)
    _run(lambda stopped: _serve_plc(stopped, device, kind, every, seed, handshake, as_json))


@app.command()
def scanner(
    link: Annotated[Path, typer.Option(help="Path where the host finds the serial port.")],
    texts: Annotated[list[str] | None, typer.Argument(help="What to scan; without: each line of stdin.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the host's answer.")] = 2.0,
) -> None:
    """A serial barcode scanner on a pseudo-terminal; <GS> in a text is the GS1 separator.

    Example: lotkeeper-sim scanner --link ./scanner 'WO-1000' ']d2010401234500003010VB-1'
    """
    taken = True

    async def serve(stopped: asyncio.Event) -> None:
        nonlocal taken
        taken = await _until(stopped, scan_texts(link, texts or [], timeout, say)) or False

    _run(serve)
    if not taken:
        raise typer.Exit(1)


@app.command()
def erp(
    folder: Annotated[Path, typer.Option(help="Keeps the ERP's book and its access token.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8069,
    orders: Annotated[int, typer.Option(min=1, help="Work orders in a new book.")] = 2,
    units: Annotated[int, typer.Option(min=1, help="Units of each.")] = 8,
) -> None:
    """The simulated ERP with its REST contract.

    Example: lotkeeper-sim erp --folder ./erp --port 8069
    """
    from simulators import erp as simulated_erp  # FastAPI and uvicorn are slow to import: only here

    simulated_erp.run(host, port, folder, orders, units)


@app.command()
def faults(
    scenario: Annotated[str | None, typer.Argument(help="Which fault; without: the proxy of --to.")] = None,
    cycles: Annotated[int | None, typer.Option(min=1, help="How often; without: one leg.")] = None,
    seed: Annotated[int, typer.Option(help="Decides what is done when.")] = 1,
    full_starts: Annotated[
        bool, typer.Option("--full-starts", help="New interpreters instead of forks of a warm parent.")
    ] = False,
    results: Annotated[Path | None, typer.Option(help="Append each leg to this file of JSON lines.")] = None,
    until: Annotated[int | None, typer.Option(min=1, help="Go on until --results holds so many cycles.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Copy the folder of a leg that went wrong there.")] = None,
    to: Annotated[str | None, typer.Option(help="HOST:PORT behind the proxy.")] = None,
    port: Port = 0,
    host: Host = "127.0.0.1",
    mode: Annotated[Mode, typer.Option(help="How the proxy behaves at first.")] = Mode.PASS,
    as_json: Json = False,
) -> None:
    """Break a small plant of real processes and judge it against its ledger; or (--to) be a bad network.

    Without SCENARIO and --to, the scenarios are listed. The proxy takes a mode from each line of stdin: pass,
    drop, rst, black-hole, trickle, corrupt, delay 0.5.

    Example: lotkeeper-sim faults edge-kill --cycles 100 --seed 7 --json

    Example: lotkeeper-sim faults --to 127.0.0.1:1883 --port 1884 --mode black-hole
    """
    if scenario is None and to is not None:
        _run(lambda stopped: _serve_proxy(stopped, to, host, port, mode, as_json))
        return
    from simulators.faults.run import Order, run  # httpx is loaded only here
    from simulators.faults.scenarios import SCENARIOS

    if scenario is None:
        for name, found in SCENARIOS.items():
            typer.echo(f"{name:<18}{found.tells}{' (needs root)' if found.root else ''}")
        return
    if scenario not in SCENARIOS:
        raise ConfigurationError(f"there is no scenario {scenario}", hint=f"known: {', '.join(SCENARIOS)}")
    end_in_order()
    order = Order(SCENARIOS[scenario], seed, cycles, full_starts, results, until, keep)
    outcome = run(order, SystemClock(), say)
    if as_json:
        print_json(outcome.to_json())
    for detail in list(outcome.details())[:50]:
        say(f"not as it should be: {detail}")
    raise typer.Exit(0 if outcome.ok else 1)


@app.command()
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Headless and accelerated; judges itself and ends.")
    ] = False,
    units: Annotated[int, typer.Option(min=1, help="Units of each order.")] = 12,
    orders: Annotated[int, typer.Option(min=1, help="Orders; odd ones are clean, even ones troubled.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the plant's physics.")] = 1,
    troubles: Annotated[str, typer.Option(help="default, none, or a file of scripted troubles.")] = "default",
    erp_kind: Annotated[Literal["simulated", "tryton"], typer.Option("--erp", help="Which ERP.")] = "simulated",
    broker: Annotated[
        Literal["mosquitto", "amqtt"] | None,
        typer.Option(help="Which broker; mosquitto for --check, else amqtt (nothing to install)."),
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Leave everything in this new folder.")] = None,
    as_json: Json = False,
) -> None:
    """A whole plant on this PC: simulated line, two agents, broker, central, ERP.

    Example: lotkeeper-sim demo --check --units 20 --erp tryton
    """
    from simulators.demo import CHECK_SPEED, SHOW_SPEED, run_demo
    from simulators.demo_plant import Plan

    plan = Plan(
        orders=orders,
        units=units,
        seed=seed,
        speed=CHECK_SPEED if check else SHOW_SPEED,
        troubles=troubles,
        erp=erp_kind,
        broker=broker or ("mosquitto" if check else "amqtt"),
    )
    raise typer.Exit(run_demo(plan, check=check, keep=keep, clock=SystemClock(), as_json=as_json))


# -- inside ------------------------------------------------------------------------------------------------


async def _serve_proxy(stopped: asyncio.Event, to: str, host: str, port: int, mode: Mode, as_json: bool) -> None:
    name, _, number = to.rpartition(":")
    if not name or not number.isdigit():
        raise ConfigurationError(f"--to {to} is no HOST:PORT", hint="for example --to 127.0.0.1:1883")
    proxy = FaultProxy(name, int(number), host=host, port=port)
    await proxy.start()
    proxy.set_mode(mode)
    _ready({"host": proxy.host, "port": proxy.port, "to": to, "mode": proxy.mode.value}, as_json)
    reader = asyncio.create_task(_read_modes(proxy))
    await stopped.wait()
    reader.cancel()
    await proxy.stop()


async def _read_modes(proxy: FaultProxy) -> None:
    async for line in typed_lines():
        word, _, seconds = line.strip().partition(" ")
        try:
            proxy.set_mode(Mode(word), delay_s=float(seconds or 0))
        except ValueError:
            say(f"{line.strip()!r} is no mode; known: {', '.join(Mode)}")
        else:
            say(f"mode {proxy.mode.value}")


async def _serve_plc(
    stopped: asyncio.Event,
    device: Plc,
    kind: OpcUaKind | ModbusKind,
    every_s: float,
    seed: int,
    handshake: bool,
    as_json: bool,
) -> None:
    await device.start()
    try:
        _ready({"url": device.url, "host": device.host, "port": device.port}, as_json)
        await _until(stopped, cycle_for_ever(device, measures(kind, seed), every_s, handshake=handshake))
    finally:
        await device.stop()


def _ready(what: JsonValue, as_json: bool) -> None:
    if as_json:
        print_json(what)
        sys.stdout.flush()
    elif isinstance(what, dict):
        say("ready: " + ", ".join(f"{key} {value}" for key, value in what.items()))


async def _until(stopped: asyncio.Event, work: Awaitable[bool | None]) -> bool | None:
    """The work's result, or None when the person ended it first."""
    task = asyncio.ensure_future(work)
    ending = asyncio.create_task(stopped.wait())
    await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


def _run(serve: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run until the work is done, or SIGINT or SIGTERM asks for the end."""

    async def supervised() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: loop.call_soon_threadsafe(stopped.set))
        await serve(stopped)

    asyncio.run(supervised())
