"""``lotkeeper-central``: what an administrator, a quality manager and an auditor type.

Commands that write take central's folder for themselves, or ask the running server (``central.requests``). What
takes long to load is loaded by the commands that need it.
"""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

import central
from central import (
    cli_configurations,
    cli_doctor,
    cli_enrol,
    cli_ground,
    cli_holds,
    cli_keep,
    cli_keys,
    cli_limits,
    cli_recipes,
    cli_recompute,
    cli_telemetry,
)
from central.cli_common import DEFAULT_CONFIG, Config, Json, PasswordStdin, administer, me, password, say
from central.requests import (
    TokenCreate,
    TokenRevoke,
    UserAdd,
    UserDisable,
    UserPassword,
)
from central.settings import load_settings
from records.clock import SystemClock, iso_z
from records.console import print_json, run_app
from records.errors import ConfigurationError, Refused, Unknown
from records.files import make_folder, replace_file
from records.progress import Progress

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Central: takes the lines' records, meets the ERP, and holds the device history until it is released.",
)
user = typer.Typer(no_args_is_help=True, help="People's accounts.")
token = typer.Typer(no_args_is_help=True, help="Tokens for programs that use the API.")
app.add_typer(user, name="user")
app.add_typer(token, name="token")
app.add_typer(cli_configurations.app, name="configuration")
app.add_typer(cli_holds.app, name="hold")
app.add_typer(cli_ground.app, name="ground")
app.add_typer(cli_recipes.app, name="recipe")
app.add_typer(cli_limits.app, name="limits")
app.add_typer(cli_keys.app, name="keys")

# -- setting up and running --------------------------------------------------------------------------------


@app.command(
    epilog="Example: lotkeeper-central init --site suzhou --time-zone Asia/Shanghai",
)
def init(
    config: Config = DEFAULT_CONFIG,
    site: Annotated[str | None, typer.Option(help="Name of the plant, for a new settings file.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Its IANA time zone, for a new settings file.")] = None,
    admin: Annotated[str, typer.Option(help="User id of the first administrator.")] = "admin",
    password_stdin: PasswordStdin = False,
    json: Json = False,
) -> None:
    """Make the settings file, the folder, the keys and the first administrator."""
    from central.app import build
    from central.authority import create_authority, issue_client
    from central.keys import CentralKeys

    new = not config.exists()
    if not new and (site is not None or time_zone is not None):
        raise ConfigurationError(f"{config} exists already", hint="change site and time_zone in the file")
    secret = password(password_stdin)  # before anything is made: without one nothing is
    if new:
        make_folder(config.resolve().parent)
        replace_file(config, _template(site, time_zone).encode())
    loaded = load_settings(config)
    settings = loaded.value
    now_us = SystemClock().now_us()
    make_folder(settings.folder)
    settings.folder.chmod(0o700)  # keys, password hashes
    if not (settings.keys / "central.key").exists():
        CentralKeys.create(settings.keys, now_us)
        create_authority(settings.keys, settings.site, now_us)
        issue_client(settings.keys, settings.keys, "central", now_us)
    opened = build(settings, SystemClock(), configuration=loaded.hash)
    try:
        if opened.access.users():
            raise Refused(f"{settings.folder} has users already", hint="add more with: lotkeeper-central user add")
        opened.administration.do(UserAdd(by=me(), user=admin, role="admin", password=secret))
        opened.anchor()
    finally:
        opened.close()
    if json:
        print_json({"config": str(config), "folder": str(settings.folder), "admin": admin})
    else:
        made = f"{config} and {settings.folder}" if new else f"{settings.folder}, as {config} says"
        typer.echo(f"made {made}; {admin} is its administrator")
        typer.echo(f"keep a copy of {settings.keys} in a safe place: what is lost there cannot be made again")


@app.command(epilog="Example: lotkeeper-central serve --config /etc/lotkeeper/central.yaml")
def serve(config: Config = DEFAULT_CONFIG) -> None:
    """Run central until it is told to stop (SIGTERM, Ctrl-C)."""
    from central.serving import run_central  # the web libraries are loaded only here

    run_central(load_settings(config))


@app.command(epilog="Example: lotkeeper-central worker --name second --config /etc/lotkeeper/central.yaml")
def worker(
    name: Annotated[
        str | None, typer.Option(help="Its own among all workers on this database; left out: this machine's.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Take agents' records in beside serve, until it is told to stop. Needs PostgreSQL."""
    import socket

    from central.worker import run_worker

    run_worker(load_settings(config), name or socket.gethostname())


@app.command(epilog="Example: lotkeeper-central verify --json")
def verify(
    anchors: Annotated[
        Path | None,
        typer.Option(
            help="Trust this copy of the anchors file instead of the one in central's folder and anchors: also."
        ),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Check every record, chain, signature and anchor; exit 1 when one does not hold. Writes nothing."""
    from central.keys import public_keys
    from central.verify import verify as check

    settings = load_settings(config).value
    if anchors is not None and not anchors.is_file():
        raise Unknown(f"there is no anchors file {anchors}")
    trusted = anchors or settings.anchors_file
    known = public_keys(settings.keys)
    also = settings.anchors.also if anchors is None else None
    with Progress("records read") as progress:
        result = check(settings.database, trusted, known, progress, complete=anchors is None, also=also)
    place = result.first_bad
    if json:
        print_json(
            {
                "ok": result.ok,
                "records": result.records,
                "tombstones": result.tombstones,
                "awaited": result.awaited,
                "copy_unread": result.copy_unread,
                "first_bad": None if place is None else asdict(place),
                "reason": result.reason,
                "restores": result.restores,
                "lost": result.lost,
                "gaps": [
                    {"agent": agent, "epoch": gap.epoch, "first": gap.first, "last": gap.last}
                    for agent, gap in result.gaps
                ],
                "unanchored": [
                    {"after": iso_z(a) if a else None, "until": iso_z(b)} for a, b in result.unanchored
                ],
            }
        )
    elif result.ok:
        typer.echo(f"fine: {result.records} records, {result.tombstones} of them tombstones")
        if result.awaited:
            typer.echo(
                f"what explains {result.awaited} of the tombstones has not come from its agent or is not anchored "
                "yet: verify again when it has"
            )
        if result.restores:
            typer.echo(
                f"central was restored {result.restores} times; {result.lost} records that were anchored are lost "
                "or have not come again yet under their numbers"
            )
        for after_us, until_us in result.unanchored:
            since = iso_z(after_us) if after_us else "the beginning"
            typer.echo(f"no anchors from {since} to {iso_z(until_us)}: they were lost, as was stated then")
        for agent, gap in result.gaps:
            typer.echo(
                f"{agent} made records {gap.first} to {gap.last} of epoch {gap.epoch} and no longer had them: "
                f"a gap, see lotkeeper-central certificate --agent {agent}"
            )
    else:
        where = "" if place is None else f" at {place.agent}/{place.epoch}/{place.stream} seq {place.seq}"
        typer.echo(f"NOT FINE{where}: {result.reason}")
    if result.copy_unread is not None and not json:
        typer.echo(f"the copy of the anchors was not compared: {result.copy_unread}")
    raise typer.Exit(0 if result.ok else 1)


app.command("doctor", epilog="Example: lotkeeper-central doctor --json")(cli_doctor.doctor)
app.command("enrol", epilog=cli_enrol.EPILOG)(cli_enrol.enrol)


# -- people and programs -----------------------------------------------------------------------------------


@user.command("add", epilog="Example: lotkeeper-central user add li.na --role qa --name 'Li Na' --password-stdin")
def user_add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user id; never given to another person.")],
    role: Annotated[str, typer.Option(help="operator, engineer, planner, qa, qa_manager, auditor or admin.")],
    full_name: Annotated[
        str | None, typer.Option("--name", help="The name that is printed with signatures.")
    ] = None,
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Open an account."""
    loaded = load_settings(config)
    request = UserAdd(by=me(), user=name, role=role, password=password(password_stdin), name=full_name)
    say(json, administer(loaded, request), f"{name} may sign in as {role}")


@user.command("disable", epilog="Example: lotkeeper-central user disable li.na")
def user_disable(
    name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = DEFAULT_CONFIG, json: Json = False
) -> None:
    """Close an account for good; what it signed stays signed."""
    answer = administer(load_settings(config), UserDisable(by=me(), user=name))
    say(json, answer, f"{name} can no longer sign in")


@user.command("password", epilog="Example: lotkeeper-central user password li.na --password-stdin")
def user_password(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    password_stdin: PasswordStdin = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Give an account a new password and unlock it."""
    loaded = load_settings(config)
    request = UserPassword(by=me(), user=name, password=password(password_stdin))
    say(json, administer(loaded, request), f"{name} has a new password")


@user.command("list", epilog="Example: lotkeeper-central user list --json")
def user_list(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every account that ever was."""
    from central.store import access as accounts
    from central.store.engine import reading

    with reading(load_settings(config).value.database) as connection:
        found = accounts.accounts(connection)
    if json:
        print_json(
            [
                {
                    "user": each.id,
                    "name": each.name,
                    "role": each.role,
                    "disabled": each.disabled_us is not None,
                    "created": iso_z(each.created_us),
                }
                for each in found
            ]
        )
        return
    for each in found:
        typer.echo(
            f"{each.id:<20} {each.role:<12} {each.name}{'' if each.disabled_us is None else '  (disabled)'}"
        )


@token.command("create", epilog="Example: lotkeeper-central token create erp-import --scope write")
def token_create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    scope: Annotated[str, typer.Option(help="read, write, or sign (may bring people's signatures).")],
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Make a token and print it once."""
    answer = administer(load_settings(config), TokenCreate(by=me(), name=name, scope=scope))
    say(json, answer, str(answer["token"]) if isinstance(answer, dict) else "")


@token.command("revoke", epilog="Example: lotkeeper-central token revoke erp-import")
def token_revoke(
    name: Annotated[str, typer.Argument(metavar="NAME")], config: Config = DEFAULT_CONFIG, json: Json = False
) -> None:
    """Make a token useless for good."""
    answer = administer(load_settings(config), TokenRevoke(by=me(), name=name))
    say(json, answer, f"the token {name} is useless now")


@token.command("list", epilog="Example: lotkeeper-central token list")
def token_list(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every token that ever was, without its secret."""
    from central.store import access as accounts
    from central.store.engine import reading

    with reading(load_settings(config).value.database) as connection:
        found = accounts.tokens(connection)
    if json:
        print_json(
            [
                {
                    "name": each.name,
                    "scope": each.scope,
                    "created": iso_z(each.created_us),
                    "revoked": each.revoked_us is not None,
                }
                for each in found
            ]
        )
        return
    for each in found:
        typer.echo(f"{each.name:<20} {each.scope:<8}{'' if each.revoked_us is None else '  (revoked)'}")


# -- within ------------------------------------------------------------------------------------------------


def _template(site: str | None, time_zone: str | None) -> str:
    """The example settings with this plant's name and zone; JSON's strings are YAML's."""
    text = (Path(central.__file__).parent.parent / "config" / "central.yaml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("# yaml-language-server")]  # no copy of it
    given = {"site": site, "time_zone": time_zone}
    texts = {f"{key}:": f"{key}: {dumps(value)}" for key, value in given.items() if value is not None}
    return "".join(f"{texts.get(line.split(' ', 1)[0], line)}\n" for line in lines)


app.command("recompute", epilog="Example: lotkeeper-central recompute WO-1000 --json")(cli_recompute.recompute)
app.command("telemetry", epilog=cli_telemetry.EXAMPLES)(cli_telemetry.telemetry)
app.command("import", epilog=cli_keep.IMPORT_EXAMPLES)(cli_keep.import_export)
app.command("certificate", epilog=cli_keep.CERTIFICATE_EXAMPLES)(cli_keep.certificate)
app.command("backup", epilog="Example: lotkeeper-central backup --out /mnt/backups")(cli_keep.backup)
app.command("retention", epilog=cli_keep.RETENTION_EXAMPLES)(cli_keep.retention)
app.command("restore", epilog=cli_keep.RESTORE_EXAMPLES)(cli_keep.restore)


def main() -> None:
    """The command's entry."""
    run_app(app)
