"""``lotkeeper-central telemetry``: which tags there are, and the readings of one, for people and programs."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from central import cli_telemetry, telemetry
from central.app import build
from central.settings import load_settings
from records.clock import SystemClock, iso_z
from records.telemetry import SeriesTag
from tests.rigs import stores
from tests.rigs.trends import BAD, TrendAgent, polled, spoil
from tests.unit.typing_commands import Type

START_US = 1_795_000_000_000_000
SECOND = 1_000_000
SPAN = ("--from", iso_z(START_US), "--to", iso_z(START_US + 7200 * SECOND))
FORCE = ("telemetry", "--agent", "trend-1", "--tag", "welder.force")


@pytest.fixture
def trended(typed: Type, tmp_path: Path) -> Type:
    """Ten readings, one of them bad, in two chunks an hour apart."""
    loaded = load_settings(tmp_path / "central.yaml")
    with closing(build(loaded.value, SystemClock(), configuration=loaded.hash)) as central:
        agent = TrendAgent().enrol(central.store, central.clock.now_us())
        first, second = polled(START_US, 5, float), polled(START_US + 3600 * SECOND, 5, float)
        second[4] = (second[4][0], 0.0, BAD)
        agent.send(central.ingest, agent.body(first), agent.body(second))
    return typed


def test_readings_are_told_in_all_three_ways(trended: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_telemetry, "AT_ONCE", 3)  # several pages
    said = trended(*FORCE, *SPAN, "--json")
    assert (said.code, len(said.json)) == (0, 10)
    assert said.json[0] == {
        "time": iso_z(START_US), "source_time": None, "value": 0.0, "unit": "N", "quality": "good",
        "status": "Good", "left_out": None
    }  # fmt: skip
    assert (said.json[9]["value"], said.json[9]["quality"]) == (None, "bad")
    rows = [*csv.DictReader(io.StringIO(trended(*FORCE, *SPAN, "--csv").out))]
    assert [(row["time"], row["value"]) for row in rows] == [
        (one["time"], "" if one["value"] is None else str(one["value"])) for one in said.json
    ]
    shown = trended(*FORCE, *SPAN).out.splitlines()
    assert (len(shown), shown[1]) == (10, f"{iso_z(START_US + SECOND)}  1.0  N  good  Good")


def test_a_span_that_begins_within_more_chunks_than_are_opened_at_once_ends(
    trended: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the answer was empty and told to ask again from the very same time."""
    monkeypatch.setattr(telemetry, "MOST_CHUNKS", 0)
    later = ("--from", iso_z(START_US + 2 * SECOND), *SPAN[2:])
    assert len(trended(*FORCE, *later, "--json").json) == 8


def test_a_damaged_chunk_keeps_no_others_from_being_told(trended: Type, tmp_path: Path) -> None:
    """Bug: no reading of an hour could be had, by command or program, where one chunk of it was damaged."""
    database = load_settings(tmp_path / "central.yaml").value.database
    assert isinstance(database, Path)
    spoil(partial(stores.by_hand, database.parent), 1, b"damaged")
    said = trended(*FORCE, *SPAN, "--json")
    assert (said.code, len(said.json)) == (1, 5)
    assert "1 chunk that began from" in said.err
    assert "damaged in the database: run lotkeeper-central verify" in said.err


def test_a_tag_whose_only_chunks_are_damaged_is_told_of(trended: Type, tmp_path: Path) -> None:
    """Bug: the command said that nobody sends it."""
    database = load_settings(tmp_path / "central.yaml").value.database
    assert isinstance(database, Path)
    for seq in (1, 2):
        spoil(partial(stores.by_hand, database.parent), seq, b"damaged")
    said = trended(*FORCE, *SPAN, "--json")
    assert (said.code, said.json) == (1, [])
    last = iso_z(START_US + 3600 * SECOND)
    assert f"2 chunks that began from {iso_z(START_US)} to {last} cannot be read" in said.err
    assert "restore a backup of before" in said.err
    early = ("--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z")
    said = trended(*FORCE, *early, "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "damaged")


def test_an_empty_span_is_no_error_and_tags_are_told(trended: Type) -> None:
    early = ("--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z")
    assert trended(*FORCE, *early, "--json").json == []
    assert "no telemetry is here of this span" in trended(*FORCE, *early).err
    tags = trended("telemetry", "--json").json
    assert [(one["agent"], one["tag"]) for one in tags] == [
        ("trend-1", "welder.force"),
        ("trend-1", "welder.word"),
    ]
    assert trended("telemetry", "--agent", "trend-1", "--json").json == tags


def test_a_tag_that_was_renamed_is_still_read(typed: Type, tmp_path: Path) -> None:
    """Bug: only the tags of a device's last two minutes were known, though the readings are here."""
    loaded = load_settings(tmp_path / "central.yaml")
    with closing(build(loaded.value, SystemClock(), configuration=loaded.hash)) as central:
        agent = TrendAgent().enrol(central.store, central.clock.now_us())
        agent.send(central.ingest, agent.body(polled(START_US, 5, float)))
        agent.force = SeriesTag("clamp_force", "N")
        agent.send(central.ingest, agent.body(polled(START_US + 7200 * SECOND, 5, float)))
    assert "welder.clamp_force" in {one["tag"] for one in typed("telemetry", "--json").json}
    assert len(typed(*FORCE, *SPAN, "--json").json) == 5
    early = ("--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z")
    assert "tags: welder.clamp_force" in typed(*FORCE, *early).err


def test_where_there_is_no_telemetry_at_all_that_is_said(typed: Type) -> None:
    assert "no telemetry is here\n" in typed("telemetry").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--agent", "trend-9", "--tag", "welder.force"), "agents: trend-1"),
        (("--agent", "trend-1", "--tag", "welder.forse"), "tags: welder.force, welder.word"),
        (("--tag", "welder.force"), "--tag needs --agent"),
        (("--agent", "trend-1", "--json", "--csv"), "exclude each other"),
        (("--agent", "trend-1", "--tag", "welder.force", "--from", "yesterday"), "2026-11-26T08:00:00Z"),
        ((*FORCE[1:], "--from", "2026-11-26T08:00:00Z", "--to", "2026-11-26T08:00:00Z"), "is not after"),
        (("--agent", "trend-1", "--from", "2026-11-26T08:00:00Z"), "--from and --to need --tag"),
    ],
)
def test_what_is_typed_wrong_names_what_there_is(trended: Type, words: tuple[str, ...], told: str) -> None:
    said = trended("telemetry", *words)
    assert (said.code, told in said.err) == (2, True), said.err
