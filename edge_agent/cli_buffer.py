"""``buffer``: prove the buffer, look into it, and carry it to central when no network will."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import JsonValue

from edge_agent.cli_line import load_line
from records.clock import SystemClock, iso_z
from records.console import print_json
from records.errors import ConfigurationError
from records.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_agent.export import Written
    from edge_agent.outbox import Verification

LineFile = Annotated[Path, typer.Argument(metavar="LINE.yaml", help="The line file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]

buffer = typer.Typer(no_args_is_help=True, help="Look into the buffer of records, also while the agent is down.")


def register(app: typer.Typer) -> None:
    """Add the command to ``lotkeeper-edge``."""
    app.add_typer(buffer, name="buffer")


@buffer.command("verify", epilog="Example: lotkeeper-edge buffer verify config/lines/valve-assembly.yaml --json")
def verify_(line: LineFile, json: Json = False) -> None:
    """Check every record's digest and the whole chain, of telemetry too; exit 1 when one does not hold."""
    path = _database(line)
    result = _verified(path, path.with_name("telemetry.db"))
    if json:
        print_json(
            {
                "ok": result.ok,
                "records": result.records,
                "tombstones": result.tombstones,
                "first_bad": None if result.first_bad is None else asdict(result.first_bad),
                "reason": result.reason,
            }
        )
    elif result.ok:
        typer.echo(f"fine: {result.records} records in chain, {result.tombstones} tombstones")
    else:
        place = result.first_bad
        where = "" if place is None else f" at {place.agent}/{place.epoch}/{place.stream} seq {place.seq}"
        typer.echo(f"NOT FINE{where}: {result.reason}")
    raise typer.Exit(0 if result.ok else 1)


def _verified(records: Path, telemetry: Path) -> Verification:
    """Both files of a buffer, the one of records first; one that was never made is none."""
    from edge_agent.outbox import Verification, verify

    first = verify(records)
    if not first.ok or not telemetry.exists():
        return first
    second = verify(telemetry)
    both = second.records + first.records, second.tombstones + first.tombstones
    return Verification(second.ok, *both, second.first_bad, second.reason)


@buffer.command("show", epilog="Example: lotkeeper-edge buffer show config/lines/valve-assembly.yaml --last 5")
def show(
    line: LineFile,
    last: Annotated[int, typer.Option(min=0, help="Also print the last so many records.")] = 0,
    json: Json = False,
) -> None:
    """What the buffer holds: last record, what central has committed, what waits."""
    from edge_agent.outbox import glance, inspect

    path = _database(line)
    contents = inspect(path)
    kept = glance(path, last).last if last else ()
    records: list[JsonValue] = [
        {
            "epoch": e.epoch,
            "seq": str(e.seq),
            "kind": e.kind,
            "hash": e.hash.hex(),
            "body": None if e.body is None else e.body.decode(),
        }
        for e in kept
    ]
    pending = contents.pending
    if json:
        print_json(
            {
                "agent": contents.agent,
                "stream": contents.stream,
                "head": contents.head.to_json(),
                "acknowledged": contents.acknowledged.to_json(),
                "pending": pending.records,
                "oldest_pending": iso_z(pending.oldest_us),
                "records": contents.records,
                "bytes": contents.bytes,
                "last": records,
            }
        )
        return
    typer.echo(
        f"agent {contents.agent}, stream {contents.stream}, {contents.records} records, {contents.bytes} bytes"
    )
    typer.echo(f"head          {contents.head.epoch} {contents.head.seq} {contents.head.hash.hex()}")
    typer.echo(f"acknowledged  {contents.acknowledged.epoch} {contents.acknowledged.seq}")
    oldest = "" if pending.oldest_us is None else f", the oldest since {iso_z(pending.oldest_us)}"
    typer.echo(f"pending       {pending.records}{oldest}")
    for e in kept:
        typer.echo(f"\n{e.seq}  {e.kind}  {e.hash.hex()}")
        typer.echo("(tombstone)" if e.body is None else e.body.decode())


@buffer.command(
    "export",
    epilog="Example: lotkeeper-edge buffer export line.yaml --out /media/stick/sealing-1.lkexport\n\n"
    "Example: lotkeeper-edge buffer export --folder /mnt/old/buffer --identity /mnt/old/identity\n\n"
    "Example: lotkeeper-edge buffer export line.yaml --folder buffer/records.db.foreign-20261126T060000000000Z",
)
def export(
    line: Annotated[
        Path | None, typer.Argument(metavar="[LINE.yaml]", help="The line file; not needed with both folders.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; AGENT-TIME.lkexport when left out.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that the buffer holds, also what central has acknowledged.")
    ] = False,
    records_only: Annotated[bool, typer.Option("--records-only", help="Without telemetry.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="The buffer, a copy of it, or a file that was set aside, instead of the line file's."
        ),
    ] = None,
    identity: Annotated[
        Path | None, typer.Option("--identity", help="The agent's identity folder, instead of the line file's.")
    ] = None,
    json: Json = False,
) -> None:
    """Write what central does not have into a file of signed frames, which central imports.

    For a dead network or a dead PC: it works while the agent runs, while it is down, on a copy of its folder, and
    from a write-protected disk. The buffer stays as it is. Importing a file twice changes nothing. Exit 1 when the
    file was made and is not whole: the buffer is damaged and the file ends before that, the content of records was
    lost on this disk, or a file that was set aside holds more of this agent; which is said.
    """
    from edge_agent.aside_words import aside_json, aside_says
    from edge_agent.export import STREAMS, Export
    from edge_agent.outbox.aside import set_aside
    from edge_agent.software import software
    from records.keys import Identity

    folder, identity = _folders(line, folder, identity)
    opened, clock = Identity.open(identity), SystemClock()
    moment = (iso_z(clock.now_us()) or "").replace("-", "").replace(":", "")[:15]
    target = out or Path(f"{opened.file.agent}-{moment}Z.lkexport")
    export = Export(folder, opened, software(), everything=everything)
    with Progress("records written") as progress:
        made = export.write(target, STREAMS[:1] if records_only else STREAMS, clock, progress)
    beside = [one for one in set_aside(folder) if one.concerns]
    whole = made.whole and not any(one.agent == made.agent for one in beside)
    if json:
        files: list[JsonValue] = [aside_json(one) for one in beside]
        print_json({"file": str(target), "ok": whole, **asdict(made), "set_aside": files})
    else:
        _say_what_was_made(made, target)
    for text in _not_in_it(made):
        typer.echo(f"error: {text}", err=True)
    for one in beside:
        typer.echo(f"warning: NOT IN IT: {aside_says(aside_json(one))}", err=True)
    raise typer.Exit(0 if whole else 1)


def _say_what_was_made(made: Written, target: Path) -> None:
    typer.echo(
        f"{target}: {made.records} records and {made.telemetry} telemetry chunks of {made.agent} in "
        f"{made.frames} signed frames, {made.bytes} bytes"
    )
    if made.tombstones:
        typer.echo(
            f"{made.tombstones} of them without a body: {made.tombstones - made.lost} thinned, {made.lost} "
            "damaged on this disk"
        )
    if made.broken is None:
        typer.echo(f"next: lotkeeper-central import {target.name}")


def _not_in_it(made: Written) -> Iterator[str]:
    """What the file lacks of the buffer that it was made from, and what to do."""
    if made.broken is not None:
        yield (
            f"NOT ALL: {made.broken}. To save what stands behind it, start the agent on this folder or a copy of "
            "it: it stores again what still proves itself. Then export again"
        )
    if made.lost:
        more = "" if made.lost == len(made.lost_named) else f" and {made.lost - len(made.lost_named)} more"
        yield (
            f"NOT WHOLE: the content of {made.lost} records was damaged on this disk and is lost: "
            f"{', '.join(made.lost_named)}{more}. Their numbers and hashes are in the file, so that the rest "
            "holds. Is there an older copy of this disk? Then import its export first. Tell quality, and look at "
            "the disk"
        )


def _folders(line: Path | None, folder: Path | None, identity: Path | None) -> tuple[Path, Path]:
    """The folders of buffer and identity: as typed, else from the line file."""
    if folder is not None and identity is not None:
        return folder, identity
    if line is None:
        raise typer.BadParameter("name a line file, or both --folder and --identity", param_hint="LINE.yaml")
    settings = load_line(line).value
    if folder is None and settings.buffer is not None:
        folder = settings.buffer.path
    if identity is None and settings.uplink is not None:
        identity = settings.uplink.identity
    if folder is None or identity is None:
        lacks, option = ("buffer", "--folder") if folder is None else ("uplink", "--identity")
        raise ConfigurationError(f"{line} has no {lacks}", hint=f"add it, or give {option}")
    return folder, identity


def _database(line: Path) -> Path:
    loaded = load_line(line)
    if loaded.value.buffer is None:
        raise ConfigurationError(f"{loaded.file} has no buffer", hint="add buffer: {path: FOLDER}")
    from edge_agent.outbox import records_of

    return records_of(loaded.value.buffer.path, loaded.value.agent)
