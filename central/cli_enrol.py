"""``lotkeeper-central enrol``: identities of agents, certificates of broker and central, and their end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from central.cli_common import DEFAULT_CONFIG, Config, Json, administer, broker_words, me, say
from central.requests import AgentCertificate, AgentRegister, AgentRevoke, BrokerLists
from central.settings import CentralSettings, load_settings
from records.clock import SystemClock
from records.errors import ConfigurationError, Invalid
from records.files import replace_file
from records.yaml import Loaded

if TYPE_CHECKING:
    from central.folders import Signed
    from central.keys import CentralKeys

EPILOG = "\n\n".join(
    f"Example: lotkeeper-central enrol {words}"
    for words in (
        "sealing-1 --out identity",
        "--broker broker.plant --out broker",
        "sealing-1 --request request.json --out reply.json",
        "sealing-1 --out identity --csr",
        "sealing-1 --out identity --certificate signed.crt --ca plant-ca.crt",
        "sealing-1 --revoke --reason 'line PC stolen'",
    )
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was typed; ``out`` is there unless something is revoked."""

    loaded: Loaded[CentralSettings]
    keys: CentralKeys
    now_us: int
    out: Path
    csr: bool
    signed: Signed | None
    json: bool


def enrol(
    agent: Annotated[str | None, typer.Argument(help="The agent's name; unique in the plant.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to make; with --request the file to write.")] = None,
    broker: Annotated[
        list[str] | None, typer.Option(help="Instead: a broker's folder; the names it is reached under.")
    ] = None,
    central: Annotated[
        bool, typer.Option("--central", help="Instead: central's own certificate at the broker, anew.")
    ] = False,
    port: Annotated[int, typer.Option(help="The broker's port.")] = 8883,
    partition: Annotated[str, typer.Option(help="The agent's partition.")] = "p0",
    password_file: Annotated[
        Path | None, typer.Option(help="Also give the agent a broker password; mosquitto's file of them.")
    ] = None,
    production: Annotated[
        bool | None,
        typer.Option(
            "--production/--open",
            help="Production runs only by approved line files, or by any; left out: as it was (at first: any).",
        ),
    ] = None,
    request: Annotated[
        Path | None, typer.Option(help="Answer a line PC that made its keys itself (lotkeeper-edge identity).")
    ] = None,
    csr: Annotated[
        bool, typer.Option("--csr", help="The plant's own authority signs: leave a request in the folder.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="What the plant's authority signed (PEM); completes the folder.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="The plant's authority itself (PEM); with --certificate.")
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Believe nothing that this agent signs from now on.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why it is revoked.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Make an agent's identity, or a broker's folder, or central's certificate; or revoke an agent."""
    from central.keys import CentralKeys

    if [agent is not None, bool(broker), central].count(True) != 1:
        raise ConfigurationError("enrol needs one of AGENT, --broker HOST and --central", hint="see --help")
    if revoke:
        if agent is None:
            raise ConfigurationError("only an agent can be revoked", hint="enrol AGENT --revoke --reason TEXT")
        _revoke(load_settings(config), agent, reason or "", json)
        return
    loaded = load_settings(config)
    if central and out is None:
        out = loaded.value.keys
    if out is None:
        raise ConfigurationError("enrol needs --out FOLDER", hint="see --help; --broker makes a broker's folder")
    signed = _signed(certificate, ca, csr)
    wanted = _Wanted(loaded, CentralKeys.open(loaded.value.keys), SystemClock().now_us(), out, csr, signed, json)
    if agent is None:
        _server(wanted, broker or [], port)
    elif request is not None:
        if csr or password_file is not None:
            raise ConfigurationError("--request goes with neither --csr nor --password-file")
        _answer(wanted, agent, request, partition, production)
    elif signed is not None:
        _complete(wanted, agent)
    else:
        _identity(wanted, agent, partition, password_file, production)


def _signed(certificate: Path | None, ca: Path | None, csr: bool) -> Signed | None:
    from central.folders import Signed

    if (certificate is None) != (ca is None) or (csr and certificate is not None):
        raise ConfigurationError("--certificate and --ca go together, and --csr comes before them")
    return None if certificate is None or ca is None else Signed(_certificates(certificate), _certificates(ca))


def _certificates(path: Path) -> bytes:
    from records.certificates import read_certificates

    content = _read(path)
    try:
        read_certificates(content)
    except Invalid as error:
        raise Invalid(
            f"{path}: {error.message}", hint="give the certificate as the authority signed it"
        ) from error
    return content


def _identity(
    wanted: _Wanted, agent: str, partition: str, password_file: Path | None, production: bool | None
) -> None:
    from central.broker import add_password
    from central.folders import make_identity, write_mode
    from records.clock import new_secret

    secret = None if password_file is None else new_secret()
    made = make_identity(
        wanted.keys,
        agent,
        wanted.out,
        wanted.now_us,
        partition=partition,
        secret=secret,
        plant=wanted.csr,
        tell=_tell,
    )
    if password_file is not None and made.password_line is not None:
        add_password(password_file, made.password_line)
    pem = None if made.certificate is None else made.certificate.decode()
    asked = AgentRegister(
        by=me(), agent=agent, partition=partition, public=made.public, production=production, certificate=pem
    )
    told = administer(wanted.loaded, asked)
    mode = write_mode(wanted.keys, wanted.out, told)
    answer: dict[str, JsonValue] = {
        "agent": agent,
        "partition": partition,
        "folder": str(wanted.out),
        "key": made.public,
        "mode": mode,
        "complete": not wanted.csr,
        "broker": _broker(told),
    }
    text = f"enrolled {agent}; its identity is in {wanted.out}: carry it to the line PC and keep no copy"
    if wanted.csr:
        text = (
            f"enrolled {agent}; {wanted.out} is NOT COMPLETE: have the plant's authority sign "
            f"{wanted.out / 'tls.csr'} (common name {agent}, for a TLS client), then: lotkeeper-central enrol "
            f"{agent} --out {wanted.out} --certificate signed.crt --ca plant-ca.crt"
        )
    say(wanted.json, answer, "\n".join([text, *broker_words(answer["broker"])]))


def _complete(wanted: _Wanted, agent: str) -> None:
    from central.folders import complete_identity
    from records.keys import Identity

    assert wanted.signed is not None  # noqa: S101  the caller's condition
    complete_identity(wanted.out, agent, wanted.signed, wanted.now_us)
    asked = AgentCertificate(by=me(), agent=agent, certificate=wanted.signed.certificate.decode())
    administer(wanted.loaded, asked)
    key = Identity.open(wanted.out).signing.public.hex()
    answer: dict[str, JsonValue] = {"agent": agent, "folder": str(wanted.out), "key": key, "complete": True}
    say(wanted.json, answer, f"{wanted.out} is complete: carry it to the line PC and keep no copy")


def _answer(wanted: _Wanted, agent: str, request: Path, partition: str, production: bool | None) -> None:
    """Answer a line PC; only public things travel."""
    from central.folders import certify, check_name, reply
    from records.enrolment import encode_reply, read_request_file
    from records.keys import key_id

    check_name(partition, "partition")
    asked = read_request_file(_read(request))
    if asked.agent != check_name(agent):
        raise ConfigurationError(f"{request} is a request of {asked.agent}, not of {agent}")
    certificate = certify(wanted.keys, asked, wanted.signed, wanted.now_us)
    told = administer(
        wanted.loaded,
        AgentRegister(
            by=me(),
            agent=agent,
            partition=partition,
            public=asked.public,
            production=production,
            certificate=certificate.decode(),
            authority="own" if wanted.signed is None else "plant",
        ),
    )
    answered = reply(wanted.keys, asked, partition, certificate, wanted.signed, told)
    replace_file(wanted.out, encode_reply(answered, wanted.keys.signing, wanted.now_us))
    key = key_id(bytes.fromhex(asked.public))
    answer: dict[str, JsonValue] = {
        "agent": agent,
        "partition": partition,
        "reply": str(wanted.out),
        "key": asked.public,
        "key_id": key,
        "central_key_id": wanted.keys.signing.id,
        "broker": _broker(told),
    }
    text = (
        f"enrolled {agent} with the key {key} (compare it with what the line PC shows); central's own key is "
        f"{wanted.keys.signing.id}\ncarry {wanted.out} to the line PC: lotkeeper-edge identity accept {wanted.out}"
    )
    say(wanted.json, answer, "\n".join([text, *broker_words(answer["broker"])]))


def _server(wanted: _Wanted, hosts: list[str], port: int) -> None:
    """The broker's folder, or central's own certificate."""
    from central.folders import complete, make_broker, make_client

    if wanted.signed is not None:
        complete(wanted.out, wanted.signed, wanted.now_us, hosts[0] if hosts else "central", hosts)
        made = [wanted.out / name for name in ("tls.key", "tls.crt", "ca.crt")]
    elif hosts:
        made = make_broker(wanted.keys, hosts, wanted.out, port, wanted.now_us, plant=wanted.csr, tell=_tell)
        lists = BrokerLists(by=me(), folder=str(wanted.out.resolve()), revocation=not wanted.csr)
        told = administer(wanted.loaded, lists)
        written = told.get("written") if isinstance(told, dict) else None
        made += [wanted.out / str(name) for name in (written if isinstance(written, list) else ())]
    else:
        made = make_client(wanted.keys, wanted.out, wanted.now_us, plant=wanted.csr, tell=_tell)
    text = f"made {wanted.out}: run mosquitto with it" if hosts else f"made {', '.join(map(str, made))}"
    if wanted.csr:
        what = f"a TLS server of {', '.join(hosts)}" if hosts else "the common name central, for a TLS client"
        text = f"{wanted.out} is NOT COMPLETE: have the plant's authority sign {wanted.out / 'tls.csr'} ({what})"
    say(wanted.json, {"folder": str(wanted.out), "files": [str(path) for path in made]}, text)


def _revoke(loaded: Loaded[CentralSettings], agent: str, reason: str, json: bool) -> None:
    told = administer(loaded, AgentRevoke(by=me(), agent=agent, reason=reason))
    text = (
        f"{agent} is revoked: what it signs from now on goes to quarantine, what was committed stays\n"
        "what its buffer still holds can be brought as a file (lotkeeper-edge buffer export)"
    )
    say(json, told, "\n".join([text, *broker_words(_broker(told))]))


def _broker(told: JsonValue) -> JsonValue:
    return told.get("broker") if isinstance(told, dict) else None


def _tell(what: str) -> None:
    typer.echo(what, err=True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
