"""Where central's database is: a file of SQLite's, or a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from records.yaml import Secret

WRITE_LOCK = 0x4C6F746B_77726974
"""Held on a server by every writing transaction. The first half says Lotk."""


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a PostgreSQL server. ``host`` is a name, an address, or the folder of its socket.

    ``ca``: the file of the authority that vouches for the server's certificate; None: the system's.
    """

    host: str
    port: int
    user: str
    name: str
    password: Secret | None = None
    ca: Path | None = None
    here: bool = False

    def __str__(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.name}"

    def parameters(self) -> dict[str, str | int]:
        """What libpq needs to connect. Beyond this machine only TLS with a name that the certificate proves."""
        found: dict[str, str | int] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.name,
            "sslmode": "prefer" if self.here else "verify-full",
            # a dead peer shows within half a minute
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        }
        if self.ca is not None or not self.here:
            found["sslmode"] = "verify-full"
            found["sslrootcert"] = "system" if self.ca is None else str(self.ca)
        if self.password is not None:
            found["password"] = self.password.reveal()
        return found


Database = Path | Server
