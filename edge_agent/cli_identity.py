"""``lotkeeper-edge identity``: keys that are made on the line PC and never leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from records.clock import SystemClock, iso_z
from records.console import print_json
from records.errors import ConfigurationError, Invalid

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Out = Annotated[Path, typer.Option(help="The identity folder, as the line file's uplink.identity names it.")]

identity = typer.Typer(no_args_is_help=True, help="The agent's keys, made on this PC.")


def register(app: typer.Typer) -> None:
    """Add the commands to ``lotkeeper-edge``."""
    app.add_typer(identity, name="identity")


@identity.command(
    epilog="Example: lotkeeper-edge identity request --agent sealing-1 --out /var/lib/lotkeeper/identity"
)
def request(
    agent: Annotated[str, typer.Option(help="The agent's name; unique in the plant.")],
    out: Out,
    new: Annotated[
        bool,
        typer.Option("--new", help="Make the keys anew: a reply to what was asked before does not fit any more."),
    ] = False,
    json: Json = False,
) -> None:
    """Make keys in the folder and a request that is carried to central. Asked again it has the same keys."""
    from records.enrolment import asked_key, make_request

    told: list[JsonValue] = []
    try:
        path = make_request(out, agent, SystemClock().now_us(), new=new, tell=told.append)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be written: {error.strerror}") from error
    key = asked_key(out)
    if json:
        answer: dict[str, JsonValue] = {"agent": agent, "request": str(path), "csr": str(out / "tls.csr")}
        print_json(answer | {"key": key.public.hex(), "key_id": key.id, "set_aside": told})
        return
    for what in told:
        typer.echo(what)
    typer.echo(f"made keys for {agent}; the signing key is {key.id} (central shows the same)")
    typer.echo(
        f"carry {path} to central: lotkeeper-central enrol {agent} --request {path.name} --out reply.json\n"
        f"and its answer back: lotkeeper-edge identity accept reply.json --out {out}"
    )


@identity.command(epilog="Example: lotkeeper-edge identity accept reply.json --out /var/lib/lotkeeper/identity")
def accept(
    reply: Annotated[
        Path,
        typer.Argument(metavar="REPLY", help="Central's reply, or a certificate that the plant signed (PEM)."),
    ],
    out: Out,
    ca: Annotated[
        Path | None, typer.Option(help="With a certificate: the plant's authority (PEM), where it is new.")
    ] = None,
    json: Json = False,
) -> None:
    """Take the answer to a request into use, after checking that it fits; a running agent needs a restart."""
    from records.certificates import certificate_of
    from records.enrolment import accept as take
    from records.enrolment import accept_certificate

    content, now_us = _read(reply), SystemClock().now_us()
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            found = accept_certificate(out, content, None if ca is None else _read(ca), now_us)
        else:
            found = take(out, content, now_us)
        certificate = certificate_of((out / "tls.crt").read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be used: {error}") from error
    except Invalid as error:
        raise Invalid(f"{reply} is not taken, nothing has changed: {error.message}", hint=error.hint) from error
    until, central = iso_z(certificate.until_us), [key.id for key in found.file.central_keys]
    if json:
        answer: dict[str, JsonValue] = {
            "agent": found.file.agent,
            "key": found.signing.public.hex(),
            "until": until,
        }
        print_json(answer | {"central_keys": [*central]})
        return
    typer.echo(f"{out} is the identity of {found.file.agent}; its certificate is good until {until}")
    typer.echo(f"central's keys: {', '.join(central)} (compare with what central showed)")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
