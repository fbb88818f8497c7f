"""Serial barcode scanners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from drivers.tags.common import TagSettings
from records.yaml import Duration, Settings, fault


class SerialScannerDevice(Settings):
    """A barcode scanner that sends text frames; ``acknowledge``: it waits for ACK or NAK after each."""

    driver: Literal["serial_scanner"]
    port: str = Field(min_length=1)
    """``/dev/ttyUSB0``, ``COM3``; a name from udev survives replugging."""
    baudrate: int = Field(9600, ge=50, le=4_000_000)
    """Bits per second."""
    bytesize: Literal[7, 8] = 8
    """Data bits."""
    parity: Literal["none", "even", "odd"] = "none"
    """Parity bit."""
    stopbits: Literal[1, 2] = 1
    """Stop bits."""
    terminator: Literal["CR", "LF", "CRLF", "STX_ETX", "idle"] = "CR"
    """What ends each scan; STX_ETX: it begins with STX and ends with ETX; idle: nothing more comes."""
    prefix: str = Field("", max_length=16)
    """What begins each scan and is no part of it; must not occur in a code."""
    suffix: str = Field("", max_length=16)
    """What stands before the terminator and is no part of the scan; must not occur in a code."""
    length: int | None = Field(None, ge=1, le=65_536)
    """How many bytes every scan has, where all have the same; any other is refused."""
    max_length: int = Field(512, ge=1, le=65_536)
    """Longest content in bytes; what is longer is refused."""
    symbology_identifiers: bool = False
    """Whether the scanner sends AIM identifiers (`]d2`); a scan without one is refused then as half a scan."""
    idle: Duration = 0.5
    """A scan whose end has not come after this long without a byte is incomplete, or ended (terminator: idle)."""
    encoding: Literal["ascii", "utf-8", "latin-1"] = "utf-8"
    """How bytes are read as text."""
    acknowledge: bool = False
    """Whether the scanner waits for ACK or NAK."""
    description: str | None = None
    """For people."""

    @model_validator(mode="after")
    def _framed(self) -> SerialScannerDevice:
        """What could not tell half a scan, or two glued ones, from one is refused here."""
        if self.terminator == "idle" and not self.suffix and self.length is None:
            raise fault(
                "a pause alone cannot tell half a scan from a whole one",
                at=("terminator",),
                hint="give suffix or length as well, or have the scanner send CR",
            )
        if self.idle < 0.02:
            raise fault("shorter than the pauses inside a scan", at=("idle",), hint="at least 20ms")
        for name, text in (("prefix", self.prefix), ("suffix", self.suffix)):
            try:
                text.encode(self.encoding)
            except UnicodeEncodeError:
                raise fault(f"cannot be written in {self.encoding}", at=(name,)) from None
            if not text.isprintable():
                raise fault("holds a control character", at=(name,), hint="STX and ETX are terminator: STX_ETX")
        return self

    @property
    def tags(self) -> tuple[TagSettings, ...]:
        """A scanner has no tags; stations name it in ``scan:``."""
        return ()

    @property
    def address_text(self) -> str:
        return self.port
