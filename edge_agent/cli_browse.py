"""``lotkeeper-edge browse``: an OPC UA server's variables as a line file to begin with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from records.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    """Add the command to ``lotkeeper-edge``."""
    app.command(
        epilog="Example: lotkeeper-edge browse opc.tcp://10.0.0.5:4840 --policy Basic256Sha256"
        " --fingerprint sha256:AB12 --match '*/Torque*'",
    )(browse)


def browse(
    endpoint: Annotated[str, typer.Argument(help="opc.tcp://HOST:PORT and the path that the server names.")],
    policy: Annotated[
        str | None,
        typer.Option(
            help="Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss; None on a trusted network."
        ),
    ] = None,
    mode: Annotated[str | None, typer.Option(help="Sign or SignAndEncrypt.")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="sha256:... of the server's certificate.")] = None,
    trust_list: Annotated[Path | None, typer.Option(help="A folder of trusted certificates instead.")] = None,
    certificate: Annotated[Path, typer.Option(help="The folder of our certificate.")] = Path("opcua"),
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
    """An OPC UA server's variables as a line file to begin with; without --policy, what the server offers.

    A server that offers no security at all is browsed without, and that is said.
    """
    from drivers.opcua.browse import Filters  # the protocol library is loaded only here
    from edge_agent import browsing

    if not endpoint.startswith("opc.tcp://"):
        raise ConfigurationError(f"{endpoint!r} is no OPC UA endpoint", hint="for example opc.tcp://10.0.0.5:4840")
    if (user is None) != (password_env is None):
        raise ConfigurationError("--user and --password-env go together", hint="the variable holds the password")
    filters = Filters(root, depth, max_nodes, match, namespace, writable, browsing.types_of(types))
    asked = browsing.Asked(
        endpoint, policy, mode, fingerprint, trust_list, certificate, user, password_env, timeout
    )
    asyncio.run(browsing.run(asked, filters, json))
