"""``lotkeeper-edge certificate``: the agent's own OPC UA certificate, which servers are told to trust."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from edge_agent import cli_browse
from edge_agent.cli_line import load_line
from records.clock import MICROSECONDS, SystemClock, iso_z
from records.console import print_json
from records.errors import ConfigurationError, Refused

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Place = Annotated[
    Path, typer.Argument(metavar="LINE.yaml|FOLDER", help="A line file, or the folder of the certificate.")
]

certificate = typer.Typer(
    no_args_is_help=True, help="The agent's own OPC UA certificate, which each server must be told to trust."
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``lotkeeper-edge``."""
    app.add_typer(certificate, name="certificate")
    cli_browse.register(app)


@certificate.command(epilog="Example: lotkeeper-edge certificate create config/lines/valve-assembly.yaml")
def create(
    place: Place,
    agent: Annotated[str | None, typer.Option(help="The agent's name, where a folder is given.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="A host name or address of this machine.")] = None,
    days: Annotated[int, typer.Option(min=1, max=7300, help="How long it is valid.")] = 1825,
    replace: Annotated[bool, typer.Option(help="Take the place of the one that is there.")] = False,
    json: Json = False,
) -> None:
    """Make an application certificate (RSA 2048, self-signed) and its private key, beside the agent's identity."""
    from drivers.opcua import certificates
    from drivers.tags.opcua_security import CERTIFICATE, KEY

    folder, name = _folder(place), agent or _agent(place)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
        raise ConfigurationError(f"{name!r} cannot be the name of an agent", hint="a-z, 0-9 and -, at most 63")
    if (folder / KEY).exists() and not replace:
        raise Refused(
            f"there is a certificate in {folder} already",
            hint="--replace makes another, which every server must then be told to trust",
        )
    hosts = tuple(host) if host else (socket.gethostname(),)
    own = certificates.create(folder, name, hosts, SystemClock().now_us(), days)
    facts = _facts(own.certificate, folder / CERTIFICATE)
    if json:
        print_json(facts)
        return
    _show(facts)
    typer.echo(f"Now let each server trust {folder / CERTIFICATE} (compare the fingerprint there).")


@certificate.command(epilog="Example: lotkeeper-edge certificate show config/lines/valve-assembly.yaml")
def show(
    place: Annotated[
        Path, typer.Argument(metavar="LINE.yaml|FOLDER|FILE", help="A line file, a folder or a certificate.")
    ],
    json: Json = False,
) -> None:
    """Whose certificate it is, its fingerprint and until when it is valid; exit 1 when it is not valid now."""
    from drivers.opcua.certificates import load_certificate
    from drivers.tags.opcua_security import CERTIFICATE

    path = place if place.is_file() and not _is_line(place) else _folder(place) / CERTIFICATE
    if path != place and not path.exists():
        words = str(place) if _is_line(place) else f"{place} --agent NAME"
        raise ConfigurationError(
            f"there is no certificate in {path.parent}",
            hint=f"make it with: lotkeeper-edge certificate create {words}",
        )
    found = load_certificate(path)
    facts = _facts(found, path)
    if json:
        print_json(facts)
    else:
        _show(facts)
    raise typer.Exit(0 if facts["valid"] else 1)


def _is_line(place: Path) -> bool:
    return place.suffix.lower() in (".yaml", ".yml")


def _folder(place: Path) -> Path:
    if not _is_line(place):
        return place
    from edge_agent.own_certificates import folder_beside

    line = load_line(place).value
    identity = None if line.uplink is None else line.uplink.identity
    return folder_beside(identity, place.resolve().parent)


def _agent(place: Path) -> str:
    if not _is_line(place):
        raise ConfigurationError("whose certificate shall it be?", hint="add --agent NAME, or give the line file")
    return load_line(place).value.agent


def _facts(found: Certificate, path: Path) -> dict[str, JsonValue]:
    from drivers.opcua.certificates import application_uri, fingerprint, hosts_of, named

    begins, ends = (
        int(t.timestamp()) * MICROSECONDS for t in (found.not_valid_before_utc, found.not_valid_after_utc)
    )
    hosts: list[JsonValue] = list(hosts_of(found))
    return {
        "certificate": str(path),
        "subject": named(found),
        "application_uri": application_uri(found),
        "hosts": hosts,
        "fingerprint": fingerprint(found),
        "valid_from": iso_z(begins),
        "valid_until": iso_z(ends),
        "valid": begins <= SystemClock().now_us() <= ends,
    }


def _show(facts: dict[str, JsonValue]) -> None:
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        typer.echo(f"{key.replace('_', ' '):<16} {text}")
