"""``lotkeeper-central telemetry``: which trend data is here, and the readings of one tag."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from central.cli_common import DEFAULT_CONFIG, Config, Json, load_settings, moment
from records.clock import MICROSECONDS, SystemClock
from records.console import print_json
from records.errors import ConfigurationError

if TYPE_CHECKING:
    from central.store.engine import Connection
    from central.telemetry import DeviceTags, Point, Points, Unreadable

EXAMPLES = (
    "Example: lotkeeper-central telemetry --agent sealing-1\n\n"
    "Example: lotkeeper-central telemetry --agent sealing-1 --tag sealer.seal_temp --from 2026-11-26T08:00:00Z "
    "--to 2026-11-26T09:00:00Z --csv"
)
USUAL_US = 3600 * MICROSECONDS
AT_ONCE = 10_000
"""Readings that are held in memory, where they are not one document."""


def telemetry(
    agent: Annotated[str | None, typer.Option(help="Of this agent.")] = None,
    tag: Annotated[str | None, typer.Option(help="DEVICE.TAG; left out: which tags there are.")] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="From this time on, with Z; left out: an hour before."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="To before this time; left out: now.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout, nothing else.")] = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Readings of a telemetry tag over a span of its agent's clock, oldest first; or which tags there are."""
    from central.store.engine import reading
    from central.telemetry import devices, require

    if json and as_csv:
        raise ConfigurationError("--json and --csv exclude each other")
    if tag is not None and agent is None:
        raise ConfigurationError("--tag needs --agent", hint="lotkeeper-central telemetry shows what there is")
    if tag is None and (begin is not None or end is not None):
        raise ConfigurationError("--from and --to need --tag", hint="which tags there are has no span")
    to_us = SystemClock().now_us() if end is None else moment(end)
    from_us = to_us - USUAL_US if begin is None else moment(begin)
    if to_us <= from_us:
        raise ConfigurationError("--to is not after --from")
    with reading(load_settings(config).value.database) as connection:
        if agent is None or tag is None:
            known = devices(connection)
            if agent is not None:
                require(known, agent)
            _write(_tags(known, agent), "", json=json, as_csv=as_csv)
            return
        missing = _Missing()
        found = _readings(connection, agent, tag, from_us, to_us, missing)
        first = next(found, None)
        if first is None and not missing:  # else it is here, whether or not its agent sends it still
            require(devices(connection), agent, tag)
        rows = (point.to_json() for point in chain([] if first is None else [first], found))
        _write(rows, " of this span", json=json, as_csv=as_csv)
    missing.tell()


@dataclass(slots=True)
class _Missing:
    """Whether any of what a device sent in the span is not here to be read."""

    given_up: bool = False
    unreadable: Unreadable | None = None

    def __bool__(self) -> bool:
        return self.given_up or bool(self.unreadable)

    def add(self, found: Points) -> None:
        """What one page of the span lacks."""
        self.given_up |= found.given_up > 0
        self.unreadable = found.unreadable if self.unreadable is None else self.unreadable | found.unreadable

    def tell(self) -> None:
        """Beside the readings; what is damaged is not fine."""
        if self.given_up:
            typer.echo("some of this span is past its retention: what it held is not here", err=True)
        if self.unreadable:
            from central.telemetry import MEND

            typer.echo(f"{self.unreadable.says()}: {MEND}", err=True)
            raise typer.Exit(1)


def _readings(
    connection: Connection, agent: str, tag: str, from_us: int, to_us: int, missing: _Missing
) -> Iterator[Point]:
    from central.telemetry import read

    next_us: int | None = from_us
    while next_us is not None:
        found = read(connection, agent, tag, next_us, to_us, AT_ONCE)
        missing.add(found)
        yield from found.points
        next_us = found.next_us


def _tags(known: list[DeviceTags], agent: str | None) -> Iterator[dict[str, JsonValue]]:
    return (one for device in known if agent in (None, device.agent) for one in device.to_json())


def _write(rows: Iterator[dict[str, JsonValue]], where: str, *, json: bool, as_csv: bool) -> None:
    """As one JSON document, as CSV, or in columns for people."""
    from central.sheets import cell

    if json:
        print_json([*rows])
        return
    first = next(rows, None)
    if first is None:
        typer.echo(f"no telemetry is here{where}", err=True)
        return
    if not as_csv:
        for row in chain([first], rows):
            typer.echo("  ".join(str(value) for value in row.values() if value is not None))
        return
    writer = csv.DictWriter(sys.stdout, list(first))
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in chain([first], rows))
