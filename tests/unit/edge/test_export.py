"""``buffer export``: everything that central lacks, in one file of frames that prove themselves."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent import export as exporting
from edge_agent.outbox import Outbox, verify
from records import chain
from records.clock import FakeClock
from records.exported import read_export
from records.keys import KeyRing, PublicKey, SigningKey
from records.wire import Envelope, Head, decode_frame, unsign
from tests.rigs.outboxes import AGENT, fill, header, held, make_identity, mark, number_of, open_outbox, unguarded
from tests.unit.edge.test_agent_app import write_line
from tests.unit.typing_commands import Said, Type


class Folder:
    """A line whose agent has committed facts 1 to 10; central has the first four rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = write_line(path)
        self.identity = make_identity(path / "identity", SigningKey.generate())
        self.outbox = open_outbox(path / "buffer")
        fill(self.outbox, 1, 10)
        self.rows = held(self.outbox)
        self.outbox.apply(mark(self.rows[3]))
        clock = FakeClock()
        telemetry = Outbox(path / "buffer", AGENT, clock, context=lambda: header(clock), stream="telemetry")
        telemetry.keep([b"one chunk", b"another chunk"]).result()
        telemetry.close()

    @property
    def ring(self) -> KeyRing:
        return KeyRing([PublicKey(AGENT, self.identity.signing.public.hex())])

    def taken(self, file: Path) -> list[Envelope]:
        """What central would take: every frame verified, each behind the one before it."""
        found: list[Envelope] = []
        ends: dict[tuple[str, str], bytes] = {}
        with file.open("rb") as opened:
            for _, payload in read_export(opened).frames:
                frame = decode_frame(payload, self.ring)
                key = frame.epoch, frame.stream
                root = chain.first_hash(AGENT, *key)
                assert frame.previous == ends.get(key, root if frame.first == 1 else frame.previous)
                ends[key] = frame.head
                found += frame.envelopes
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


FULL = Path("/dev/full")


def records(rows: list[Envelope]) -> list[int | None]:
    return [number_of(row.body or b"{}") for row in rows if row.stream == "records"]


def write(typed: Type, folder: Folder, *words: object) -> tuple[Said, Path]:
    out = folder.path / "out.lkexport"
    return typed("buffer", "export", folder.line, "--out", out, "--json", *words), out


def test_everything_that_central_lacks_is_in_the_file_while_the_agent_runs(typed: Type, folder: Folder) -> None:
    said, out = write(typed, folder)
    assert (said.code, said.err) == (0, "")
    rows = folder.taken(out)
    assert [row for row in rows if row.stream == "records"] == folder.rows[4:]
    assert [row.body for row in rows if row.stream == "telemetry"][1:] == [b"one chunk", b"another chunk"]
    answer = said.json
    assert (answer["ok"], answer["records"], answer["telemetry"], answer["tombstones"]) == (True, 7, 3, 0)
    assert answer["bytes"] == out.stat().st_size
    with out.open("rb") as opened:
        heads = [unsign(Head, head.encode(), folder.ring, AGENT) for head in read_export(opened).header.heads]
    assert [(head.stream, head.last) for head in heads] == [("records", 11), ("telemetry", 3)]
    assert heads[0].hash == folder.rows[-1].hash.hex()


def test_all_means_what_central_has_too(typed: Type, folder: Folder) -> None:
    _, out = write(typed, folder, "--all", "--records-only")
    assert folder.taken(out) == folder.rows


def test_a_copy_of_the_folder_is_enough(typed: Type, folder: Folder) -> None:
    """Of an agent that was cut off: what is only in the log is there too."""
    copy = folder.path / "copy"
    shutil.copytree(folder.path / "buffer", copy)
    out = folder.path / "out.lkexport"
    words = ("--folder", copy, "--identity", folder.path / "identity")
    assert typed("buffer", "export", *words, "--out", out).code == 0
    assert records(folder.taken(out)) == [4, 5, 6, 7, 8, 9, 10]
    assert typed("buffer", "export", *words[:2]).code == 2, "one of them alone names no agent"


def test_many_frames_join_to_one_chain(typed: Type, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "FRAME_RECORDS", 3)
    said, out = write(typed, folder)
    assert said.json["frames"] == 4
    assert records(folder.taken(out)) == [4, 5, 6, 7, 8, 9, 10]


def test_rows_that_were_stored_again_come_once(typed: Type, folder: Folder) -> None:
    rolled_back = mark(folder.rows[-1])
    object.__setattr__(rolled_back, "committed_through", 99)
    folder.outbox.apply(rolled_back)
    _, out = write(typed, folder, "--records-only")
    assert records(folder.taken(out)) == [None, None, 4, 5, 6, 7, 8, 9, 10]


def test_a_body_that_was_damaged_is_a_tombstone_and_the_file_stays_as_it_is(typed: Type, folder: Folder) -> None:
    folder.outbox.close()
    database = folder.path / "buffer" / "records.db"
    with closing(sqlite3.connect(database)) as connection:
        unguarded(connection, "UPDATE records SET body = CAST('{}' AS BLOB) WHERE position = 8")
        connection.commit()
    before = database.read_bytes()
    said, out = write(typed, folder, "--records-only")
    name = f"{folder.rows[7].epoch}/records/8"
    assert (said.code, said.json["ok"], said.json["tombstones"]) == (1, False, 1), "made, but not whole"
    assert (said.json["lost"], said.json["lost_named"]) == (1, [name])
    assert f"NOT WHOLE: the content of 1 records was damaged on this disk and is lost: {name}. " in said.err
    rows = folder.taken(out)
    assert [row.hash for row in rows] == [row.hash for row in folder.rows[4:]]
    grave = rows[3].tombstone
    assert grave is not None
    assert (rows[3].body, grave.reason) == (None, "damaged")
    assert database.read_bytes() == before


def test_a_broken_chain_ends_the_stream_and_is_said(typed: Type, folder: Folder) -> None:
    folder.outbox.close()
    with closing(sqlite3.connect(folder.path / "buffer" / "records.db")) as connection:
        unguarded(connection, "UPDATE records SET hash = zeroblob(32) WHERE position = 8")
        connection.commit()
    said, out = write(typed, folder)
    assert (said.code, said.json["ok"]) == (1, False)
    assert "NOT ALL" in said.err
    rows = folder.taken(out)
    assert records(rows) == [4, 5, 6]
    assert sum(row.stream == "telemetry" for row in rows) == 3, "the other stream comes whole"
    assert not verify(folder.path / "buffer" / "records.db").ok


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_full_disk_is_no_room(typed: Type, folder: Folder) -> None:
    (folder.path / "out.lkexport.new").symlink_to(FULL)
    said, out = write(typed, folder)
    assert (said.code, said.json["error"]["code"]) == (74, "no-room")
    assert not out.exists()


def test_what_cannot_be_exported_is_refused_and_leaves_no_file(typed: Type, folder: Folder) -> None:
    _, out = write(typed, folder)
    assert write(typed, folder)[0].code == 2, "an export is never overwritten"
    out.unlink()
    make_identity(folder.path / "other", SigningKey.generate(), agent="press-2")
    said, _ = write(typed, folder, "--identity", folder.path / "other")
    assert (said.code, "of press-1, the identity is of press-2" in said.err) == (2, True)
    said = typed("buffer", "export", folder.line, "--out", folder.path / "nowhere" / "x")
    assert (said.code, "there is no folder" in said.err) == (2, True)
    said, _ = write(typed, folder, "--folder", folder.path / "nothing")
    assert (said.code, "there is no buffer" in said.err) == (3, True)
    folder.outbox.close()
    (folder.path / "buffer" / "records.db").write_bytes(b"no database" * 1000)
    assert write(typed, folder)[0].code == 1
    assert [path.name for path in folder.path.iterdir() if "lkexport" in path.name] == []
