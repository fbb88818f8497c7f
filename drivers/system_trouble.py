"""What the operating system says of networks and serial ports, as troubles; the rare is told as it was said."""

from __future__ import annotations

import errno

from records.trouble import Trouble

_NETWORK = {
    errno.ECONNREFUSED: "connection-refused",
    errno.EHOSTUNREACH: "no-route",
    errno.ENETUNREACH: "no-route",
    errno.ECONNRESET: "connection-reset",
    errno.EPIPE: "connection-reset",
    errno.ETIMEDOUT: "no-connection-in-time",
}
_PORT = {
    errno.ENOENT: "no-such-port",
    errno.EACCES: "no-right",
    errno.EBUSY: "port-in-use",
    errno.EAGAIN: "port-in-use",
    errno.EIO: "port-gone",
}


def of_system(error: BaseException) -> Trouble:
    """Of a network: known by its number, else in the words of the system or of the library that raised it."""
    if isinstance(error, OSError):
        if error.errno in _NETWORK:
            return Trouble.of(_NETWORK[error.errno])
        if error.strerror:
            return Trouble.of("said-by-system", said=error.strerror)
    return Trouble.of("said-by-library", said=str(error) or type(error).__name__)


def of_port(error: BaseException) -> Trouble:
    """Of a serial port."""
    number = getattr(error, "errno", None)
    if number in _PORT:
        return Trouble.of(_PORT[number])
    if "returned no data" in str(error):
        return Trouble.of("port-gone")
    return Trouble.of("said-by-system", said=str(error) or type(error).__name__)
