"""The file of an agent's frames: whatever is wrong with it is said, and what stands before is still handed out."""

from __future__ import annotations

import io
import json

import pytest

from records.errors import Damaged, Invalid, LotkeeperError
from records.exported import ExportHeader, read_export, write_export

HEADER = ExportHeader(
    agent="press-1", made_at="2026-01-02T03:04:05.000000Z", software="test", heads=('{"body":1}',)
)
FRAMES = [b"LKF1" + b"x" * 5, b"LKF1" + b"y" * 300]


def exported() -> bytes:
    file = io.BytesIO()
    assert write_export(file, HEADER, FRAMES) == len(file.getvalue())
    return file.getvalue()


def taken(content: bytes) -> tuple[list[bytes], str | None]:
    """The frames that come, and what is wrong then."""
    found: list[bytes] = []
    try:
        opened = read_export(io.BytesIO(content))
        for offset, frame in opened.frames:
            assert content[offset + 4 : offset + 4 + len(frame)] == frame
            found.append(frame)
    except (Invalid, Damaged) as error:
        return found, str(error)
    return found, None


def test_what_is_written_is_read() -> None:
    assert taken(exported()) == (FRAMES, None)
    opened = read_export(io.BytesIO(exported()))
    assert opened.header == HEADER
    first = json.loads(exported().partition(b"\n")[0])
    assert list(first)[:4] == ["format", "version", "agent", "made_at"]


def test_an_export_that_was_cut_anywhere_never_passes_for_a_whole_one() -> None:
    whole = exported()
    for end in range(len(whole)):
        frames, wrong = taken(whole[:end])
        assert wrong is not None
        assert frames == FRAMES[: len(frames)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no first line"),
        (b"x" * 100_000 + b"\n", "no first line"),
        (b"{}\n", "no export that this software knows"),
        (exported().replace(b'"version":1', b'"version":2'), "version"),
        (exported().replace(b"lotkeeper-export", b"lotkeeper_export"), "format"),
        (exported() + b"\0", "goes on behind its end"),
        (exported().replace(b"LKF1y", b"LKF2y"), "no frame stands here"),
        (exported().partition(b"\n")[0] + b"\n\xff\xff\xff\xff", "cannot be"),
    ],
)
def test_what_is_no_export_is_refused_by_its_place(content: bytes, says: str) -> None:
    _, wrong = taken(content)
    assert wrong is not None
    assert says in wrong


def test_a_pipe_that_gives_a_byte_at_a_time_is_read_too() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 1))

    assert [frame for _, frame in read_export(Slow(exported())).frames] == FRAMES


def test_errors_are_those_that_reach_a_person() -> None:
    with pytest.raises(LotkeeperError, match="buffer export"):
        read_export(io.BytesIO(b"no export"))
