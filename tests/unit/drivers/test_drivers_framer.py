"""Scanner frames: every way the bytes can arrive gives the same scans, and no shortened or glued one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers import udi
from drivers.base import ScanFrame
from drivers.framer import Framer
from drivers.tags import SerialScannerDevice
from records.clock import FakeClock
from tests.rigs.examples import FULL

GTIN = "04012345000016"
ENDS = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n", "STX_ETX": b"\x03"}


class Line:
    """A serial line that is looked at every 50 ms."""

    def __init__(self, **settings: object) -> None:
        model = SerialScannerDevice.model_validate({"driver": "serial_scanner", "port": "p", **settings})
        self.framer = Framer(model, FakeClock())
        self.now_s = 0.0

    def feed(self, data: bytes) -> list[ScanFrame]:
        self.now_s += 0.05
        return self.framer.feed(data, self.now_s)

    def pause(self) -> list[ScanFrame]:
        """Longer than the idle time, in which the line is looked at all the while."""
        return [frame for _ in range(12) for frame in self.feed(b"")]

    def stall(self) -> None:
        """Longer than the idle time, in which nobody looks."""
        self.now_s += 1.0


def texts(frames: list[ScanFrame]) -> list[str]:
    return [frame.error or frame.text for frame in frames]


SCAN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=30) | st.just("A\x1dB")


@settings(max_examples=FULL)
@given(st.lists(SCAN, max_size=6), st.sampled_from(sorted(ENDS)), st.data())
def test_frames_do_not_depend_on_how_the_bytes_arrive(scans: list[str], end: str, data: st.DataObject) -> None:
    begin = b"\x02" if end == "STX_ETX" else b""
    stream = b"".join(begin + scan.encode() + ENDS[end] for scan in scans)
    found: list[ScanFrame] = []
    line = Line(terminator=end)
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += line.feed(stream[:size])
        stream = stream[size:]
    assert texts(found) == scans
    assert [frame.raw for frame in found] == [scan.encode() for scan in scans]
    assert line.pause() == []


def test_the_other_half_of_a_terminator_is_no_part_of_the_scan() -> None:
    assert texts(Line(terminator="CR").feed(b"A\r\nB\r\n")) == ["A", "B"]
    assert texts(Line(terminator="LF").feed(b"A\r\nB\n")) == ["A", "B"]
    assert texts(Line(terminator="STX_ETX").feed(b"\x02A\x03\r\n\x02B\x03")) == ["A", "B"]


def test_a_frame_without_its_end_is_told_as_incomplete() -> None:
    line = Line()
    assert line.feed(b"WO-10") == []
    (frame,) = line.pause()
    assert (frame.error, frame.text, frame.raw) == ("incomplete", "", b"WO-10")
    assert texts(line.feed(b"WO-1000\r")) == ["WO-1000"]
    assert line.pause() == []


def test_a_frame_that_was_under_way_while_nobody_looked_is_not_believed() -> None:
    """Its end may be another scan's: only the next one is."""
    line = Line()
    assert line.feed(b"WO-10") == []
    line.stall()
    assert texts(line.feed(b"WO-2000\rWO-3000\r")) == ["incomplete", "WO-3000"]


def test_a_frame_that_never_ends_is_told_once_and_skipped() -> None:
    line = Line(max_length=8)
    found = [frame for _ in range(50) for frame in line.feed(b"xxxxx")]
    assert texts(found) == ["too_long"]
    assert texts(line.feed(b"x\rWO-1\r")) == ["WO-1"]
    assert texts(line.feed(b"123456789\r")) == ["too_long"]
    assert texts(line.feed(b"12345678\r")) == ["12345678"]


def test_prefix_suffix_and_encoding() -> None:
    assert texts(Line(prefix="<", suffix=">").feed(b"<A>\rC>\r<D>\r")) == ["A", "prefix", "D"]
    assert texts(Line(encoding="ascii").feed(b"\xc3\xa4\rA\r")) == ["encoding", "A"]
    assert texts(Line(encoding="latin-1").feed(b"\xe4\r")) == ["ä"]


@pytest.mark.parametrize(
    ("settings", "stream", "error"),
    [
        ({"prefix": "<"}, b"<S1<S2\r", "glued"),  # an end was lost between the two
        ({"suffix": ">"}, b"S1>S2>\r", "glued"),
        ({"length": 3}, b"S1S2\r", "length"),
        ({"symbology_identifiers": True}, b"N0001\r", "symbology"),  # the beginning was lost
        ({}, b"S1\x00\r", "noise"),
        ({}, b"S1\x7f\r", "noise"),
        ({"terminator": "CRLF"}, b"S1\nS2\r\n", "noise"),
    ],
)
def test_what_cannot_be_one_scan_is_none(settings: dict[str, object], stream: bytes, error: str) -> None:
    line = Line(**settings)
    (frame,) = line.feed(stream)
    assert (frame.error, frame.text) == (error, "")
    assert frame.raw
    assert stream.startswith(frame.raw)


def test_between_stx_and_etx() -> None:
    line = Line(terminator="STX_ETX")
    assert texts(line.feed(b"\xff\x02S1\x03S2\x03\x02S3\x02S4\x03")) == [
        "incomplete",
        "S1",
        "incomplete",
        "incomplete",
        "S4",
    ]


def test_a_pause_ends_a_scan_only_where_something_else_proves_it_whole() -> None:
    by_length = Line(terminator="idle", length=4)
    assert by_length.feed(b"S00") == []
    assert by_length.feed(b"1") == []
    assert texts(by_length.pause()) == ["S001"]
    by_length.feed(b"S00")
    assert texts(by_length.pause()) == ["length"]
    by_length.feed(b"S001S002")
    assert texts(by_length.pause()) == ["length"]
    by_suffix = Line(terminator="idle", suffix="#")
    by_suffix.feed(b"S001#")
    assert texts(by_suffix.pause()) == ["S001"]
    by_suffix.feed(b"S001")
    assert texts(by_suffix.pause()) == ["incomplete"]
    by_suffix.feed(b"S001#S002#")
    assert texts(by_suffix.pause()) == ["glued"]


@pytest.mark.parametrize(
    "settings",
    [
        {"terminator": "idle"},
        {"terminator": "idle", "length": 4, "idle": "5ms"},
        {"prefix": "ä", "encoding": "ascii"},
        {"prefix": "\x02"},
    ],
)
def test_settings_that_could_not_tell_scans_apart_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Line(**settings)


def test_empty_frames_are_nothing() -> None:
    assert Line().feed(b"\r\r\n\r") == []


# -- fault F17: noise, half a frame, two scans glued: no wrong serial -----------------------------------------

SERIAL = st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True)
BARE_NOISE = st.binary(min_size=1, max_size=4).map(
    lambda raw: bytes(byte for byte in raw if byte < 0x20 or byte >= 0x7F).translate(None, b"\x02\x03\r\n\x1d")
)
"""What a moved plug or a wire without shield gives, and what the system reads for a damaged byte: no text."""


@st.composite
def disturbed(draw: st.DrawFn, labels: st.SearchStrategy[bytes], begin: bytes, end: bytes) -> list[bytes | None]:
    """What arrives of whole labels: cut anywhere, ends lost, noise within and between; None is a pause."""
    arrived: list[bytes | None] = []
    for label in draw(st.lists(labels, min_size=1, max_size=5)):
        frame = begin + label + end
        match draw(st.sampled_from(["whole", "cut", "glued", "noise", "beginning lost"])):
            case "whole":
                arrived += [frame]
            case "cut":
                arrived += [frame[: draw(st.integers(0, len(frame) - 1))], None]
            case "beginning lost":
                arrived += [None, frame[draw(st.integers(1, len(frame) - 1)) :]]
            case "glued":
                arrived += [frame[: len(frame) - len(end)]]
            case "noise":
                at = draw(st.integers(0, len(frame)))
                arrived += [frame[:at] + draw(BARE_NOISE) + frame[at:]]
    return arrived


def serials(line: Line, arrived: list[bytes | None]) -> list[str]:
    """The serials that would be believed."""
    frames: list[ScanFrame] = []
    for part in arrived:
        for size in (7, 1000):  # in pieces, as a port gives them
            frames += line.pause() if part is None else line.feed(part[:size])
            part = None if part is None else part[size:]
            if not part:
                break
    frames += line.pause()
    codes = [udi.parse(frame.text) for frame in frames if frame.error is None]
    return [serial for code in codes if code.valid and (serial := code.said("21") or code.said("serial"))]


def gs1(serial: str) -> bytes:
    return f"01{GTIN}10LOT-7\x1d21{serial}".encode()


def hibc(serial: str) -> bytes:
    text = f"+A123BJC5D6E71/$$+3270928{serial[:18]}"
    return (text + udi.check_character(text)).encode()


FRAMINGS = [
    ({"terminator": "CR", "symbology_identifiers": True}, b"]d2", b"\r", gs1),
    ({"terminator": "STX_ETX"}, b"\x02", b"\x03", gs1),
    ({"terminator": "CR", "prefix": "~"}, b"~", b"\r", gs1),
    ({"terminator": "idle", "prefix": "~", "suffix": "#"}, b"~", b"#", gs1),
    ({"terminator": "CR"}, b"", b"\r", hibc),
]


@pytest.mark.parametrize(("settings", "begin", "end", "label"), FRAMINGS)
@settings(max_examples=FULL)
@given(data=st.data())
def test_no_cut_glue_or_noise_gives_a_serial_that_was_not_sent(
    settings: dict[str, object], begin: bytes, end: bytes, label: object, data: st.DataObject
) -> None:
    sent = data.draw(st.lists(SERIAL, min_size=1, max_size=4))
    labels = st.sampled_from([label(serial) for serial in sent])  # type: ignore[operator]
    arrived = data.draw(disturbed(labels, begin, end))
    believed = serials(Line(**settings), arrived)
    assert set(believed) <= {serial[:18] if label is hibc else serial for serial in sent}


@settings(max_examples=FULL)
@given(st.lists(SERIAL, min_size=2, max_size=3))
def test_glued_labels_of_one_product_are_refused_also_without_any_mark(sent: list[str]) -> None:
    short = [f"01{GTIN}21{serial}".encode() for serial in sent]
    for labels in ([gs1(serial) for serial in sent], short):
        assert serials(Line(), [b"".join(labels) + b"\r"]) == []


@settings(max_examples=FULL)
@given(SERIAL, st.data())
def test_a_label_that_lost_its_end_is_none_after_a_pause(serial: str, data: st.DataObject) -> None:
    """Without any mark a pause parts the half from what comes next."""
    cut = gs1(serial)[: data.draw(st.integers(1, len(gs1(serial)) - 1))]
    assert serials(Line(), [cut, None, gs1("NEXT") + b"\r"]) == ["NEXT"]
