"""Serial barcode scanners."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drivers.tags.common import Described, TagSettings
from records.yaml import Duration


class SerialScannerDevice(Described):
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
    terminator: Literal["CR", "LF", "CRLF"] = "CR"
    """What ends each scan."""
    prefix: str = Field("", max_length=16)
    """What begins each scan and is no part of it."""
    suffix: str = Field("", max_length=16)
    """What stands before the terminator and is no part of the scan."""
    max_length: int = Field(512, ge=1, le=65_536)
    """Longest content in bytes; what is longer is refused."""
    idle: Duration = 0.5
    """A scan whose end has not come after this long is incomplete."""
    encoding: Literal["ascii", "utf-8", "latin-1"] = "utf-8"
    """How bytes are read as text."""
    acknowledge: bool = False
    """Whether the scanner waits for ACK or NAK."""
    description: str | None = None
    """For people."""

    @property
    def tags(self) -> tuple[TagSettings, ...]:
        """A scanner has no tags; stations name it in ``scan:``."""
        return ()

    @property
    def address_text(self) -> str:
        return self.port
