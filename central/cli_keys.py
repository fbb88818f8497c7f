"""``lotkeeper-central keys``: central's own signing key, and its own authority."""

from __future__ import annotations

from typing import Annotated

import typer

from central.cli_common import DEFAULT_CONFIG, Config, Json, administer, broker_words, me, say
from central.requests import AuthorityRenew, KeysRoll
from central.settings import load_settings
from records.clock import SystemClock, iso_z
from records.console import print_json

app = typer.Typer(no_args_is_help=True, help="Central's own signing key and authority.")


@app.command(epilog="Example: lotkeeper-central keys roll --reason 'yearly change'")
def roll(
    reason: Annotated[str, typer.Option(help="Why it is changed; stands in the audit trail.")],
    clock_was_ahead: Annotated[
        bool,
        typer.Option(
            "--clock-was-ahead",
            help="The last change bears a time that has not come, since central's clock was wrong: change it "
            "again now. An agent that has not connected since that change must be enrolled again.",
        ),
    ] = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Sign with a new key from now on. Agents hear of it by themselves; the former one is believed for 30 days."""
    loaded = load_settings(config)
    answer = administer(loaded, KeysRoll(by=me(), reason=reason, clock_was_ahead=clock_was_ahead))
    told = answer if isinstance(answer, dict) else {}
    text = (
        f"central signs with the key {told.get('key')} from now on; the former one, {told.get('replaced')}, is "
        f"believed until {told.get('until')}\nan agent that does not connect before then must be enrolled again\n"
        f"keep a new copy of {loaded.value.keys} in a safe place"
    )
    say(json, answer, text)


@app.command(
    "renew-authority", epilog="Example: lotkeeper-central keys renew-authority --reason 'it ends in three years'"
)
def renew_authority(
    reason: Annotated[str, typer.Option(help="Why it is renewed; stands in the audit trail.")],
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Give central's own certificate authority ten years more, with the key that it has.

    Nothing that it has signed ends by this. Agents get it with their next certificate; broker and
    central by enrol.
    """
    loaded = load_settings(config)
    answer = administer(loaded, AuthorityRenew(by=me(), reason=reason))
    told = answer if isinstance(answer, dict) else {}
    text = (
        f"central's own authority is good until {told.get('until')}; agents get it with their next certificate\n"
        "now make the broker's folder again (lotkeeper-central enrol --broker HOST --out FOLDER) and central's "
        "certificate (enrol --central), restart both, and "
        f"keep a new copy of {loaded.value.keys} in a safe place"
    )
    say(json, answer, "\n".join([text, *broker_words(told.get("broker"))]))


@app.command("list", epilog="Example: lotkeeper-central keys list --json")
def list_keys(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Every key that central ever signed with, and until when it is believed."""
    from central.keys import public_keys

    now_us, found = SystemClock().now_us(), public_keys(load_settings(config).value.keys)
    if json:
        print_json(
            [
                {
                    "id": key.id,
                    "public": key.public,
                    "since": iso_z(key.since_us),
                    "until": iso_z(key.until_us),
                    "believed": not key.ended(now_us),
                }
                for key in found
            ]
        )
        return
    for key in found:
        until = "present" if key.until_us is None else f"believed until {iso_z(key.until_us)}"
        typer.echo(f"{key.id}  since {iso_z(key.since_us)}  {'ended' if key.ended(now_us) else until}")
