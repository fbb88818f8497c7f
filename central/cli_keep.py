"""Commands that keep and show the evidence: gap certificates, import of files, backup, restore."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from central.cli_common import (
    DEFAULT_CONFIG,
    Config,
    Json,
    PasswordStdin,
    administer,
    load_settings,
    me,
    say,
    signed,
)
from central.requests import BackupMake, CertificateAsk, ExportImport, RetentionApply, RetentionShow
from records.clock import SystemClock
from records.errors import ConfigurationError
from records.failpoint import failpoint_from_environment
from records.progress import Progress

CERTIFICATE_EXAMPLES = (
    "Example: lotkeeper-central certificate --lot L-2026-118 --product VS-100 --json\n\n"
    "Example: lotkeeper-central certificate --agent sealing-1"
)
IMPORT_EXAMPLES = (
    "Example: lotkeeper-central import sealing-1.lkexport\n\n"
    "Example: lotkeeper-central import sealing-1.lkexport --accept-revoked --reason 'PC stolen, disk found'"
)
RETENTION_EXAMPLES = (
    "Example: lotkeeper-central retention\n\n"
    "Example: lotkeeper-central retention --apply --user li.na --reason 'yearly, as SOP-17 says' --password-stdin"
)
RESTORE_EXAMPLES = (
    "Example: lotkeeper-central restore /mnt/backups/central-20261126T030000Z --reason 'the disk died'\n\n"
    "Example: lotkeeper-central restore --as-is --reason 'PostgreSQL put back from its own backup'"
)

UNPROVEN = (
    "  -> an agent that began anew, on another PC or an older copy of its disk, does not know what had been made "
    "last.\n     Export all that is on the disk of before (--all), once central has records of what follows, and "
    "import it.\n     Without that disk a person closes this with a reason"
)
LOST = (
    "  -> what an agent no longer had may be on a disk of before, or in a file that was set aside: export all\n"
    "     of it (--all) and import it. Where nothing has it, a person closes this with a reason"
)
OTHERWISE = (
    "  -> a disk went on in two ways, as after an older copy of it was put back, and what one of them made is not "
    "here.\n     No import can bring it under the same numbers: keep that disk, and a person closes this with a "
    "reason"
)
UNCHECKED = "  it counts records; whether hashes, signatures and anchors hold, lotkeeper-central verify says"
FLAWED = (
    "keep the earlier backups, and restore the newest whole one: the lines send again what it lacks. "
    "lotkeeper-central verify says what is damaged now"
)


def certificate(
    agent: Annotated[str | None, typer.Option(help="All that is here of an agent.")] = None,
    lot: Annotated[str | None, typer.Option(help="A lot, as its records name it.")] = None,
    product: Annotated[str | None, typer.Option(help="Its product, where several have such a lot.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Say whether records and machine cycles are all here; exit 1 when that is not certain."""
    if (agent is None) == (lot is None) or (product is not None and lot is None):
        raise ConfigurationError("certificate needs --agent, or --lot and perhaps --product", hint="see --help")
    answer = administer(load_settings(config), CertificateAsk(by=me(), agent=agent, lot=lot, product=product))
    told = answer if isinstance(answer, dict) else {}
    say(json, answer, "\n".join(certificate_lines(told)))
    raise typer.Exit(0 if told.get("grade") == "complete" else 1)


def certificate_lines(told: Mapping[str, JsonValue]) -> list[str]:
    """A certificate as a person reads it: one line for each chain and each station's cycles."""
    of = f"agent {told['agent']}" if "agent" in told else f"lot {told['lot']} of {told['product']}"
    lines = [f"{str(told['grade']).upper()}: {of}"]
    for part in _parts(told, "chains"):
        name = f"{part.get('agent') or told.get('agent')}/{part['epoch']}/{part.get('stream', 'records')}"
        none = "no signed head" if "agent" in told else "no signed head from after the end of the order"
        head = none if part["head_last"] is None else f"signed through {part['head_last']}{_silent(part)}"
        lines.append(
            f"  {name}: records {part['first']} to {part['last']}, {part['missing']} missing{_which(part)}, "
            f"{part['tombstones']} tombstones, {head}{_lost(part)}: {part['grade']}"
        )
    for part in _parts(told, "cycles"):
        absent = part["unaccounted"]
        named = absent if isinstance(absent, list) else []
        shown = ", ".join(str(each) for each in named[:20]) + ("..." if len(named) > 20 else "")
        missed = part["missed"]
        counted = part["first"] is not None  # else the station has no counter, or recorded nothing
        cycles = (
            f", counter period {part['period']}: cycles {part['first']} to {part['last']}, " if counted else ": "
        )
        lines.append(
            f"  {part['station']}{cycles}"
            f"{part['recorded']} recorded, {len(missed) if isinstance(missed, list) else missed} declared missed, "
            f"not accounted for: {shown or 'none'}: {part['grade']}"
        )
    for part in _parts(told, "brought"):
        lines += _brought(part)
    for part in _parts(told, "altered"):
        lines.append(f"  {part['agent']}/{part['epoch']}: record {part['seq']} is not what was committed")
    chains = _parts(told, "chains")
    by_head = [gap for part in chains for gap in _parts(part, "lost") if gap.get("signed")]
    if by_head or any(part.get("joined") is False and not part["lost"] for part in chains):
        lines.append(UNPROVEN)
    if any(not gap.get("signed") for part in chains for gap in _parts(part, "lost")):
        lines.append(LOST)
    if any(part.get("otherwise") for part in chains):
        lines.append(OTHERWISE)
    lines.append(UNCHECKED)
    return lines


def _silent(part: Mapping[str, JsonValue]) -> str:
    """When an agent has stated that last, and whether it is silent since."""
    at = part.get("head_at")
    if at is None:
        return ""
    return f", silent since {at}" if part["grade"] == "tail-unknown" else f" at {at}"


def _brought(part: Mapping[str, JsonValue]) -> list[str]:
    """That records came by file instead of the network, and by whom."""
    who = f"by {part['by']}" + ("" if part["reason"] is None else f" ({part['reason']})")
    if part["ended"] is None:
        became = "is under way" if part["cut_short"] is None else "was cut short"
        begun = f"  an import of a file of {part['agent']}, begun at {part['begun']} {who}, {became}:"
        return [
            f"{begun} it may have brought {each['records']} records of {each['first']} to {each['last']} "
            f"of {each['epoch']}/{each['stream']}"
            for each in _parts(part, "records")
        ]
    return [
        f"  {part['agent']}/{each['epoch']}/{each['stream']}: {each['records']} records of {each['first']} to "
        f"{each['last']} came by file, not over the network, at {part['ended']} {who}"
        for each in _parts(part, "records")
    ]


def _which(part: Mapping[str, JsonValue]) -> str:
    """Which records of this very chain are missing: an agent's line names them."""
    stretches = [f"{gap['first']} to {gap['last']}" for gap in _parts(part, "missing_records")]
    return f" ({', '.join(stretches)})" if stretches else ""


def _lost(part: Mapping[str, JsonValue]) -> str:
    """What is not here: the agent no longer had it, or its head names it; or that what came before is unknown."""
    said = ""
    for by_head, words in ((False, "lost"), (True, "signed by its agent and not here")):
        gaps = [gap for gap in _parts(part, "lost") if bool(gap.get("signed")) is by_head]
        named = [f"{gap['first']} to {gap['last']} of {gap['epoch']}" for gap in gaps]
        said += f", {words}: records {', '.join(named)}" if named else ""
    twice = part.get("otherwise")
    if isinstance(twice, list) and twice:
        said += f", another record {', '.join(map(str, twice))} was signed and is not here"
    if said:
        return said
    return ", what its agent made before it began anew is not proven" if part.get("joined") is False else ""


def _parts(told: Mapping[str, JsonValue], name: str) -> list[Mapping[str, JsonValue]]:
    parts = told.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def import_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What lotkeeper-edge buffer export wrote.")],
    accept_revoked: Annotated[
        bool, typer.Option("--accept-revoked", help="Also what was signed by a key that is believed no more.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why that is right, for the record.")] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Take an agent's records from a file, as if the network brought them; exit 1 when not all could be taken."""
    given = (reason or "").strip()
    if accept_revoked != bool(given):
        raise ConfigurationError("--accept-revoked and --reason go together", hint="the reason is kept for ever")
    request = ExportImport(by=me(), file=str(file.resolve()), reason=given or None)
    with Progress("kB of the file taken") as progress:
        answer = administer(load_settings(config), request, progress)
    told = answer if isinstance(answer, dict) else {}
    say(
        json,
        answer,
        f"{told.get('agent')}: new {_rows(told, 'new')}; known {_rows(told, 'known')}; frames: "
        f"{told.get('conflicts')} in conflict, {told.get('quarantined')} in quarantine, {told.get('holes')} "
        "behind a gap",
    )
    if told.get("damage") and not json:
        typer.echo(f"the file is damaged: {told['damage']}", err=True)
    why = told.get("quarantined_why")
    if isinstance(why, list) and not json:
        for wrong in why:
            typer.echo(f"quarantine: {wrong}", err=True)
    bare, named = told.get("without_body"), told.get("without_body_named")
    if bare and isinstance(named, list) and not json:
        more = f" and {int(str(bare)) - len(named)} more" if int(str(bare)) > len(named) else ""
        typer.echo(
            f"warning: {bare} records without body, lost on the line PC's disk: {', '.join(map(str, named))}"
            f"{more}; the lots that they concern are not complete",
            err=True,
        )
    raise typer.Exit(0 if told.get("ok") else 1)


def _rows(told: Mapping[str, JsonValue], name: str) -> str:
    chunks = int(str(told.get(f"{name}_telemetry", 0)))
    return f"{int(str(told.get(name, 0))) - chunks} records and {chunks} telemetry chunks"


def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Give it up; left out: only say what would be.")] = False,
    user: Annotated[str | None, typer.Option(help="Who decides; one who may release lots.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Say what is past its retention, and give its content up; keys and hashes stay, every chain still holds."""
    given, decider = (reason or "").strip(), (user or "").strip()
    if len({apply, bool(given), bool(decider)}) > 1:
        raise ConfigurationError(
            "--apply, --user and --reason go together", hint="who gave it up and why is kept for ever"
        )

    def request(secret: str) -> RetentionApply:
        return RetentionApply(by=me(), user=decider, password=secret, reason=given)

    if apply:
        answer = signed(config, password_stdin, request)
    else:
        answer = administer(load_settings(config), RetentionShow(by=me()))
    told = answer if isinstance(answer, dict) else {}
    done = "gave up" if apply else "past their retention:"
    held = told.get("held_by")
    kept = "" if held is None else f"; the device history record {held} keeps what came after it began"
    say(
        json,
        answer,
        f"{done} {told.get('records')} records received before {told.get('records_until')} and "
        f"{told.get('telemetry')} telemetry chunks received before {told.get('telemetry_until')}{kept}",
    )


def backup(
    out: Annotated[
        Path | None, typer.Option(help="Folder to make the backup in; left out: backup.folder of the settings.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Copy database, anchors and keys while central serves, and prove that the copy can be restored.

    Exit 1: the copy is made, and marked, but of a database that does not hold.
    """
    loaded = load_settings(config)
    request = BackupMake(by=me(), out=None if out is None else str(out.resolve()))
    with Progress("records of the copy checked") as progress:
        answer = administer(loaded, request, progress)
    told = answer if isinstance(answer, dict) else {}
    flaws = told.get("flaws")
    if not isinstance(flaws, list) or not flaws:
        say(json, answer, f"made and verified {told.get('backup')}: {told.get('records')} records")
        return
    named = "".join(f"\n  {flaw}" for flaw in flaws)
    text = f"made {told.get('backup')}: {told.get('records')} records, but the database does not hold:{named}"
    say(json, answer, f"{text}\n  -> {FLAWED}")
    raise typer.Exit(1)


def restore(
    backup: Annotated[Path | None, typer.Argument(metavar="BACKUP", help="The backup's folder.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Even over a database that holds more, or that is damaged.")
    ] = False,
    flawed: Annotated[
        bool, typer.Option("--flawed", help="Even a backup that was made of a damaged database, as it says.")
    ] = False,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help="No BACKUP: go on with what lies there, put back by other means or with anchors lost.",
        ),
    ] = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Put a backup in the place of central's database; the lines then send again what it lacks."""
    from central.facts import Origin, software
    from central.restore import Why, declare
    from central.restore import restore as put_back

    if (backup is None) != as_is:
        raise ConfigurationError("restore needs BACKUP, or --as-is", hint="see --help")
    if not reason.strip():
        raise ConfigurationError("a restore needs a reason", hint="it is kept for ever: --reason 'why'")
    loaded = load_settings(config)
    settings = loaded.value
    origin = Origin(settings.site, settings.time_zone, software(), loaded.hash)
    why = Why(me(), "command line", reason.strip())
    with Progress("records of the backup checked") as progress:
        if backup is None:
            done = declare(settings, SystemClock(), origin, why, progress.counting)
        else:
            done = put_back(
                settings,
                backup.resolve(),
                SystemClock(),
                origin,
                why,
                replace=replace,
                flawed=flawed,
                failpoint=failpoint_from_environment(),
                counting=progress.counting,
            )
    aside = "" if done.set_aside is None else f"; the former database is kept as {done.set_aside}"
    text = f"restored {done.held} records{aside}. Start central: the lines send again what is missing"
    say(json, done.to_json(), "\n".join([text, *done.carried.told()]))
