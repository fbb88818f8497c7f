"""Commands that try one thing by itself, without a line that runs: what registers hold, what a barcode says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_args

import typer
from pydantic import JsonValue

from edge_agent.cli_line import load_line
from records.console import print_json
from records.errors import ConfigurationError

Json = Annotated[bool, typer.Option("--json", help="The answer is JSON in any case.")]
_SEPARATOR = re.compile(r"<GS>|\\x1d", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Add the commands to ``lotkeeper-edge``."""
    app.command(
        epilog="Example: lotkeeper-edge decode --registers 0x42F6,0xE979 --data-type float32",
    )(decode)
    app.command(
        epilog="Example: lotkeeper-edge scan ']d201040123450000161727123110LOT-42A<GS>21SN0001'",
    )(scan)


def decode(
    registers: Annotated[
        str, typer.Option(help="The registers in order of their addresses, decimal or hexadecimal: 17142,0xE979.")
    ],
    data_type: Annotated[str, typer.Option(help="float32, uint16, string, ... as in a line file.")],
    as_json: Json = False,
) -> None:
    """What registers hold, in each of the four byte orders (null where they hold no value): try the manual's."""
    from drivers.convert import RegisterFormat  # loaded only where it is used
    from drivers.convert import decode as decoded
    from drivers.tags.modbus import REGISTER_COUNT, ByteOrder
    from records.yaml import did_you_mean

    raw = b"".join(_register(word).to_bytes(2, "big") for word in registers.split(","))
    needed = REGISTER_COUNT.get(data_type)
    if needed is None and data_type != "string":
        known = (*REGISTER_COUNT, "string")
        hint = did_you_mean(data_type, known) or ", ".join(known)
        raise ConfigurationError(f"{data_type!r} is no data type here", hint=hint)
    count = len(raw) // 2
    if needed not in (None, count):
        raise ConfigurationError(f"a {data_type} takes {needed} register{'s'[: needed != 1]}, here are {count}")
    answer: dict[str, JsonValue] = {
        order: decoded(raw, RegisterFormat(data_type, order, count))[0] for order in get_args(ByteOrder)
    }
    print_json(answer)


def _register(word: str) -> int:
    try:
        value = int(word.strip(), 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 0xFFFF:
        raise ConfigurationError(f"{word.strip()!r} is no register", hint="0 to 65535, or 0x0000 to 0xFFFF")
    return value


def scan(
    barcode: Annotated[
        str | None,
        typer.Argument(help="What the scanner sends; the group separator is typed <GS> or \\x1d."),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read JSON string literals, one a line; answer with one array.")
    ] = False,
    expect: Annotated[str, typer.Option(help="auto, gs1, hibc, ean or plain.")] = "auto",
    paired_with: Annotated[
        str | None, typer.Option(metavar="PRIMARY", help="The HIBC primary that a secondary belongs to.")
    ] = None,
    line: Annotated[
        Path | None, typer.Option(metavar="LINE.yaml", help="Also know the patterns of its schemes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a barcode says, and what is wrong with it; exit 1 when it is not valid."""
    from drivers import udi  # loaded only where it is used
    from records.yaml import did_you_mean

    if (barcode is None) != stdin:
        raise ConfigurationError("give either a BARCODE or --stdin")
    kind = next((known for known in get_args(udi.Expect) if known == expect), None)
    if kind is None:
        raise ConfigurationError(
            f"{expect!r} is no kind of code", hint=did_you_mean(expect, get_args(udi.Expect)) or "auto"
        )
    if paired_with is not None and not udi.parse(paired_with, expect="hibc").udi_di:
        raise ConfigurationError(f"{paired_with!r} is no HIBC primary", hint="+, labeller, product, unit, check")
    schemes: Mapping[str, re.Pattern[str]] = (
        udi.NO_SCHEMES if line is None else load_line(line).value.barcode_schemes
    )
    texts = [_SEPARATOR.sub(udi.GS, barcode)] if barcode is not None else _texts()
    found = [udi.parse(text, expect=kind, paired_with=paired_with, schemes=schemes) for text in texts]
    answers: list[JsonValue] = [one.to_json() for one in found]
    print_json(answers if stdin else answers[0])
    raise typer.Exit(0 if all(one.valid for one in found) else 1)


def _texts() -> list[str]:
    texts = []
    for number, text in enumerate(sys.stdin, start=1):
        if not text.strip():
            continue
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, str):
            raise ConfigurationError(f"line {number} is no JSON string literal", hint='such as "WO-1000"')
        texts.append(value)
    return texts
