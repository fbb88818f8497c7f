"""``lotkeeper-edge browse``: an OPC UA server's variables as a line file to begin with, while they are found."""

from __future__ import annotations

import asyncio
import json as jsons
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from drivers.tags import OPCUA_TYPES, OpcUaDevice
from drivers.tags.opcua_security import CERTIFICATE, KEY, POLICIES
from edge_agent import skeleton
from edge_agent.own_certificates import FOLDER
from records.clock import SystemClock
from records.console import print_json
from records.errors import ConfigurationError, Refused
from records.yaml import Settings, did_you_mean, parse

if TYPE_CHECKING:
    from drivers.opcua.browse import Filters, Walk

_TOLD_EVERY_S = 1.0
NAME = "machine"


class _File(Settings):
    devices: dict[str, OpcUaDevice]


def register(app: typer.Typer) -> None:
    """Add the command to ``lotkeeper-edge``."""
    app.command(
        epilog="Example: lotkeeper-edge browse opc.tcp://10.0.0.5:4840 --policy Basic256Sha256"
        " --fingerprint sha256:AB12 --match '*/Torque*'",
    )(browse)


def browse(
    endpoint: Annotated[str, typer.Argument(help="opc.tcp://HOST:PORT and the path that the server names.")],
    policy: Annotated[
        str | None, typer.Option(help=f"{', '.join(POLICIES)}, or None where the network is trusted.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="Sign or SignAndEncrypt.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="sha256:... of the server's certificate.")] = None,
    trust_list: Annotated[Path | None, typer.Option(help="A folder of trusted certificates instead.")] = None,
    certificate: Annotated[Path, typer.Option(help="The folder of our certificate.")] = Path(FOLDER),
    user: Annotated[str | None, typer.Option(help="The user's name; anonymous when left out.")] = None,
    password_env: Annotated[str | None, typer.Option(help="The environment variable with the password.")] = None,
    root: Annotated[
        str, typer.Option(help="Where to begin, a node id; the Objects folder when left out.")
    ] = "i=85",
    depth: Annotated[int, typer.Option(min=1, max=100, help="How many levels below it.")] = 10,
    max_nodes: Annotated[int, typer.Option(min=1, help="Stop after so many nodes.")] = 20_000,
    match: Annotated[str | None, typer.Option(help="Only paths like this: 'Line/*/Torque*'.")] = None,
    namespace: Annotated[str | None, typer.Option(help="Only nodes of this namespace URI.")] = None,
    writable: Annotated[bool, typer.Option("--writable", help="Only what the server lets be written.")] = False,
    types: Annotated[str | None, typer.Option(help="Only these data types: float64,uint32.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds that one answer may take.")] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")] = False,
) -> None:
    """An OPC UA server's variables as a line file to begin with; without --policy, what the server offers."""
    from drivers.opcua.browse import Filters

    if not endpoint.startswith("opc.tcp://"):
        raise ConfigurationError(f"{endpoint!r} is no OPC UA endpoint", hint="for example opc.tcp://10.0.0.5:4840")
    if (user is None) != (password_env is None):
        raise ConfigurationError("--user and --password-env go together", hint="the variable holds the password")
    filters = Filters(root, depth, max_nodes, match, namespace, writable, _types(types))
    if policy is None or (policy in POLICIES and fingerprint is None and trust_list is None):
        raise asyncio.run(_offers(endpoint, policy, timeout))
    security: dict[str, JsonValue] = {"policy": policy}
    if policy != "None":
        security["mode"] = mode or "SignAndEncrypt"
    else:
        security["allow_insecure"] = True
    if fingerprint is not None:
        security["server_fingerprint"] = fingerprint
    if trust_list is not None:
        security["trust_list"] = str(trust_list)
    if user is not None:
        security["auth"] = {"username": user, "password": f"env:{password_env}"}
    asyncio.run(_browse(endpoint, security, certificate, filters, timeout, json))


def _types(text: str | None) -> tuple[str, ...]:
    wanted = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for word in wanted:
        if word not in OPCUA_TYPES:
            raise ConfigurationError(f"{word!r} is no data type here", hint=did_you_mean(word, OPCUA_TYPES))
    return wanted


async def _offers(endpoint: str, policy: str | None, timeout_s: float) -> Exception:
    """What to type, for a server that too little was said about."""
    from drivers.opcua.offers import offers_of

    found = await offers_of(endpoint, timeout_s)
    wanted = (policy,) if policy is not None else POLICIES
    secure = next((each for each in found if each.policy in wanted), None)
    lines = [f"which channel? {endpoint} offers:", *(f"  {each.policy} {each.mode}" for each in found)]
    if secure is not None:
        words = f"--policy {secure.policy} --mode {secure.mode} --fingerprint {secure.fingerprint}"
        return Refused("\n".join(lines), hint=f"compare the fingerprint with the one shown at the server: {words}")
    return Refused("\n".join(lines), hint="--policy None, where the network is trusted")


async def _browse(
    endpoint: str,
    security: dict[str, JsonValue],
    certificate: Path,
    filters: Filters,
    timeout_s: float,
    as_json: bool,
) -> None:
    from drivers.opcua.browse import Walk
    from drivers.opcua.session import Session

    said = skeleton.flow(security)
    ours: dict[str, JsonValue] = {}
    if security["policy"] != "None":
        ours = {"certificate": str(certificate / CERTIFICATE), "private_key": str(certificate / KEY)}
    device = {
        "driver": "opcua",
        "endpoint": endpoint,
        "security": {**security, **ours},
        "timeout": f"{timeout_s}s",
    }
    settings = parse(jsons.dumps({"devices": {NAME: device}}).encode(), _File, file="(command line)")
    session = Session(NAME, settings.value.devices[NAME], SystemClock(), lambda _: None, "browse")
    await session.connect()
    walk = Walk(session, filters)
    telling = asyncio.create_task(_tell(walk))
    try:
        if as_json:
            await _as_json(walk, endpoint)
        else:
            await _as_yaml(walk, endpoint, said)
    finally:
        telling.cancel()
        await session.close()
    if walk.progress.stopped:
        typer.echo(
            f"stopped at {walk.progress.nodes} nodes, there is more: narrow it with --root, --depth or --match,"
            " or raise --max-nodes",
            err=True,
        )


async def _as_yaml(walk: Walk, endpoint: str, security: str) -> None:
    names, written = skeleton.Names(), 0
    sys.stdout.write(skeleton.head(endpoint, security))
    whole = False
    try:
        async for found in walk.variables():
            written += skeleton.is_written(found)
            sys.stdout.write(skeleton.entry(names, found))
        whole = True
    finally:
        progress = walk.progress
        sys.stdout.write(skeleton.foot(progress, written=written, whole=whole))
        sys.stdout.flush()


async def _as_json(walk: Walk, endpoint: str) -> None:
    names = skeleton.Names()
    tags: list[JsonValue] = [skeleton.as_json(names, found) async for found in walk.variables()]
    progress = walk.progress
    print_json(
        {
            "endpoint": endpoint,
            "nodes": progress.nodes,
            "unread": progress.unread,
            "stopped": progress.stopped,
            "tags": tags,
        }
    )


async def _tell(walk: Walk) -> None:
    """How far it is, for people who wait."""
    while True:
        await asyncio.sleep(_TOLD_EVERY_S)
        typer.echo(f"{walk.progress.nodes} nodes, {walk.progress.tags} variables ...", err=True)
