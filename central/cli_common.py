"""What all of central's commands share: their options, and how they reach the one that may write."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Annotated

import typer
from pydantic import JsonValue

from central.requests import LOCK_FILE, ExportImport, NoServer, Request, ask_server
from central.settings import CentralSettings, load_settings
from records.clock import SystemClock, to_us
from records.console import print_json
from records.errors import ConfigurationError, Invalid, Refused, Unknown
from records.files import is_held
from records.progress import Tell, silent
from records.yaml import Loaded

__all__ = [
    "DEFAULT_CONFIG",
    "Config",
    "Decider",
    "Json",
    "PasswordStdin",
    "Reason",
    "administer",
    "broker_words",
    "load_settings",
    "me",
    "moment",
    "password",
    "say",
    "signed",
    "typed",
]

Config = Annotated[Path, typer.Option("--config", metavar="CENTRAL.yaml", help="Central's settings.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]
Decider = Annotated[str, typer.Option("--user", help="Who decides; a quality role.")]
Reason = Annotated[str, typer.Option(help="Why, in that person's words.")]
DEFAULT_CONFIG = Path("central.yaml")
WAIT_S, STEP_S = 30.0, 0.1
"""How long a command waits for another one, or for a central that starts or ends, and between two looks."""


def administer(loaded: Loaded[CentralSettings], request: Request, tell: Tell = silent) -> JsonValue:
    """Do it here when nothing runs, else have the running server do it. ``tell`` hears how far what takes long is.

    Raises:
        ConfigurationError: what was typed cannot be taken. Invalid: a file of records cannot. Else what the parts
            raise.
    """
    with nullcontext() if isinstance(request, ExportImport) else typed():  # a file's content nobody has typed
        return _done(loaded, request, tell)


@contextmanager
def typed() -> Iterator[None]:
    """Within it what is Invalid is what somebody typed; what was named and is not there stays Unknown.

    Raises:
        ConfigurationError: in its place.
    """
    try:
        yield
    except Unknown:
        raise
    except Invalid as error:
        raise ConfigurationError(error.message, hint=error.hint) from error


def _done(loaded: Loaded[CentralSettings], request: Request, tell: Tell) -> JsonValue:
    """Where another command is at work, or central starts or ends, it waits for that."""
    folder, clock = loaded.value.folder, SystemClock()
    until_s = clock.monotonic_s() + WAIT_S
    while True:
        try:
            held = is_held(folder / LOCK_FILE)
            return ask_server(folder, request, tell) if held else _do_here(loaded, request, tell)
        except NoServer:
            if clock.monotonic_s() > until_s:
                raise
            sleep(STEP_S)


def _do_here(loaded: Loaded[CentralSettings], request: Request, tell: Tell) -> JsonValue:
    from central.app import build

    try:
        opened = build(loaded.value, SystemClock(), configuration=loaded.hash)
    except Refused:
        if is_held(loaded.value.folder / LOCK_FILE):  # by another one that was quicker
            return ask_server(loaded.value.folder, request, tell)
        raise
    try:
        return opened.administration.do(request, tell)
    finally:
        opened.close()


def signed(config: Path, from_stdin: bool, request: Callable[[str], Request]) -> JsonValue:
    """Have a person's decision made; the settings are read before the password is asked for."""
    loaded = load_settings(config)
    return administer(loaded, request(password(from_stdin)))


def password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigurationError("no password was given", hint="give it with --password-stdin")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise ConfigurationError("the two passwords differ")
    return first


def moment(text: str) -> int:
    """A time that was typed, in microseconds. Raises ConfigurationError: it is none, or has no zone."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        told = None
    if told is None or told.tzinfo is None:
        raise ConfigurationError(f"{text!r} is no time", hint="such as 2026-11-26T08:00:00Z")
    return to_us(told)


def me() -> str:
    return getpass.getuser()


def say(json: bool, answer: JsonValue, text: str) -> None:
    if json:
        print_json(answer)
    else:
        typer.echo(text)


def broker_words(broker: JsonValue) -> list[str]:
    """What is left to do at the broker, for a person."""
    if not isinstance(broker, dict):
        return []
    if broker["error"] is not None:
        return [f"NOT DONE: {broker['error']}"]
    return [
        f"the broker's lists are in {broker['folder']}: let mosquitto read them again (systemctl reload mosquitto)"
    ]
