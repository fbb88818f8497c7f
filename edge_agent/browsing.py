"""An OPC UA server's variables as a line file to begin with, written while they are found."""

from __future__ import annotations

import asyncio
import json as jsons
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import JsonValue

from drivers.opcua.browse import Filters, Walk
from drivers.opcua.offers import Offer, offers_of
from drivers.opcua.session import Session
from drivers.tags import OPCUA_TYPES, OpcUaDevice
from drivers.tags.opcua_security import CERTIFICATE, KEY, POLICIES
from edge_agent import skeleton
from records.clock import SystemClock
from records.console import print_json
from records.errors import ConfigurationError, Refused
from records.yaml import Settings, did_you_mean, parse

_TOLD_EVERY_S = 1.0
NAME = "machine"


class _File(Settings):
    devices: dict[str, OpcUaDevice]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed: the server, and how we come to it. ``certificate`` is the folder of ours."""

    endpoint: str
    policy: str | None
    mode: str | None
    fingerprint: str | None
    trust_list: Path | None
    certificate: Path
    user: str | None
    password_env: str | None
    timeout_s: float


async def run(asked: Asked, filters: Filters, as_json: bool) -> None:
    """Browse, and write what is found to stdout.

    Raises:
        ConfigurationError: something typed is wrong or not there. Refused: too little was said of the channel, or
            the server refuses. Unreachable: nothing answers.
    """
    policy = asked.policy
    if policy is None or (policy in POLICIES and asked.fingerprint is None and asked.trust_list is None):
        policy = _only_insecure(asked, await offers_of(asked.endpoint, asked.timeout_s))
    await _browse(asked, _security(asked, policy), filters, as_json)


def _only_insecure(asked: Asked, found: tuple[Offer, ...]) -> str:
    """The policy None where nothing else is offered, nothing was chosen and no secret is to be sent; said aloud.

    Raises:
        Refused: with what to type.
    """
    if asked.policy is None and asked.user is None and found and all(each.policy == "None" for each in found):
        typer.echo(
            f"warning: {asked.endpoint} offers no security: browsed without, "
            "anybody on the way could change what is found",
            err=True,
        )
        return "None"
    wanted = (asked.policy,) if asked.policy is not None else POLICIES
    secure = next((each for each in found if each.policy in wanted), None)
    lines = [f"which channel? {asked.endpoint} offers:", *(f"  {each.policy} {each.mode}" for each in found)]
    if secure is not None:
        words = f"--policy {secure.policy} --mode {secure.mode} --fingerprint {secure.fingerprint}"
        raise Refused("\n".join(lines), hint=f"compare the fingerprint with the one shown at the server: {words}")
    raise Refused("\n".join(lines), hint="--policy None, where the network is trusted")


def _security(asked: Asked, policy: str) -> dict[str, JsonValue]:
    """As ``security`` of a line file says it."""
    said: dict[str, JsonValue] = {"policy": policy}
    if policy != "None":
        said["mode"] = asked.mode or "SignAndEncrypt"
        if policy in POLICIES and not (asked.certificate / CERTIFICATE).exists():
            raise ConfigurationError(
                f"there is no certificate of ours in {asked.certificate}",
                hint=f"make it with: lotkeeper-edge certificate create {asked.certificate} --agent NAME,"
                " or name its folder: --certificate FOLDER",
            )
    else:
        said["allow_insecure"] = True
    if asked.fingerprint is not None:
        said["server_fingerprint"] = asked.fingerprint
    if asked.trust_list is not None:
        said["trust_list"] = str(asked.trust_list)
    if asked.user is not None:
        if not os.environ.get(asked.password_env or ""):
            raise ConfigurationError(f"the environment variable {asked.password_env} is empty or missing")
        said["auth"] = {"username": asked.user, "password": f"env:{asked.password_env}"}
    return said


def types_of(text: str | None) -> tuple[str, ...]:
    """Data types, separated by commas.

    Raises:
        ConfigurationError: one is none.
    """
    wanted = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    for word in wanted:
        if word not in OPCUA_TYPES:
            raise ConfigurationError(f"{word!r} is no data type here", hint=did_you_mean(word, OPCUA_TYPES))
    return wanted


async def _browse(asked: Asked, security: dict[str, JsonValue], filters: Filters, as_json: bool) -> None:
    endpoint, certificate = asked.endpoint, asked.certificate
    said = skeleton.flow(security)
    ours: dict[str, JsonValue] = {}
    if security["policy"] != "None":
        ours = {"certificate": str(certificate / CERTIFICATE), "private_key": str(certificate / KEY)}
    device = {
        "driver": "opcua",
        "endpoint": endpoint,
        "security": {**security, **ours},
        "timeout": f"{asked.timeout_s}s",
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
