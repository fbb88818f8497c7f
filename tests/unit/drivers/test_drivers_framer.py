"""Scanner frames: every way the bytes can arrive gives the same scans, and no shortened one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drivers.base import ScanFrame
from drivers.scanner import Framer
from drivers.tags import SerialScannerDevice
from records.clock import FakeClock


def framer(**settings: object) -> Framer:
    model = SerialScannerDevice.model_validate({"driver": "serial_scanner", "port": "p", **settings})
    return Framer(model, FakeClock())


def texts(frames: list[ScanFrame]) -> list[str]:
    return [frame.error or frame.text for frame in frames]


SCAN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30) | st.just("A\x1dB")


@given(st.lists(SCAN, max_size=6), st.sampled_from(["CR", "LF", "CRLF"]), st.data())
def test_frames_do_not_depend_on_how_the_bytes_arrive(scans: list[str], end: str, data: st.DataObject) -> None:
    stream = b"".join(scan.encode() + {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n"}[end] for scan in scans)
    found: list[ScanFrame] = []
    under_test = framer(terminator=end)
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += under_test.feed(stream[:size])
        stream = stream[size:]
    assert texts(found) == scans
    assert [frame.raw for frame in found] == [scan.encode() for scan in scans]
    assert under_test.idle() == []


def test_the_other_half_of_a_terminator_is_no_part_of_the_scan() -> None:
    assert texts(framer(terminator="CR").feed(b"A\r\nB\r\n")) == ["A", "B"]
    assert texts(framer(terminator="LF").feed(b"A\r\nB\n")) == ["A", "B"]


def test_a_frame_without_its_end_is_told_as_incomplete() -> None:
    under_test = framer()
    assert under_test.feed(b"WO-10") == []
    (frame,) = under_test.idle()
    assert (frame.error, frame.text, frame.raw) == ("incomplete", "", b"WO-10")
    assert texts(under_test.feed(b"WO-1000\r")) == ["WO-1000"]
    assert under_test.idle() == []


def test_a_frame_that_never_ends_is_told_once_and_skipped() -> None:
    under_test = framer(max_length=8)
    found = [frame for _ in range(50) for frame in under_test.feed(b"xxxxx")]
    assert texts(found) == ["too_long"]
    assert texts(under_test.feed(b"x\rWO-1\r")) == ["WO-1"]
    assert texts(under_test.feed(b"123456789\r")) == ["too_long"]
    assert texts(under_test.feed(b"12345678\r")) == ["12345678"]


def test_prefix_suffix_and_encoding() -> None:
    under_test = framer(prefix="<", suffix=">", terminator="CR")
    assert texts(under_test.feed(b"<A\rB>\rC>\r<D>\r")) == ["A\rB", "prefix", "D"]
    assert texts(framer(encoding="ascii").feed(b"\xc3\xa4\rA\r")) == ["encoding", "A"]
    assert texts(framer(encoding="latin-1").feed(b"\xe4\r")) == ["ä"]


def test_empty_frames_are_nothing() -> None:
    assert framer().feed(b"\r\r\n\r") == []
