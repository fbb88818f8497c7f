"""What all of central's commands share: their options, and how they reach the one that may write."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from central.requests import Request, ask_server
from central.settings import CentralSettings, load_settings
from records.clock import SystemClock
from records.console import print_json
from records.errors import ConfigurationError, Refused
from records.files import InstanceLock
from records.yaml import Loaded

__all__ = [
    "DEFAULT_CONFIG",
    "Config",
    "Json",
    "PasswordStdin",
    "administer",
    "load_settings",
    "me",
    "password",
    "say",
]

Config = Annotated[Path, typer.Option("--config", metavar="CENTRAL.yaml", help="Central's settings.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]
DEFAULT_CONFIG = Path("central.yaml")


def administer(loaded: Loaded[CentralSettings], request: Request) -> JsonValue:
    """Do it here when nothing runs, else have the running server do it."""
    from central.app import build

    settings = loaded.value
    try:
        InstanceLock(settings.folder / "instance.lock").release()
    except Refused:
        return ask_server(settings.folder, request)
    opened = build(settings, SystemClock(), configuration=loaded.hash)
    try:
        return opened.administration.do(request)
    finally:
        opened.close()


def password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ConfigurationError("no password was given", hint="give it with --password-stdin")
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise ConfigurationError("the two passwords differ")
    return first


def me() -> str:
    return getpass.getuser()


def say(json: bool, answer: JsonValue, text: str) -> None:
    if json:
        print_json(answer)
    else:
        typer.echo(text)
