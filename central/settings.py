"""What an administrator writes: ``central.yaml``. Loaded once, at the composition root, into frozen models."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from central.links.settings import ErpSettings, ItemSettings
from central.store.database import Database, Server
from records.yaml import Duration, Loaded, Secret, Settings, Shown, load

HEADS_MISSED = 4
SHORTEST_HEAD_GRACE_S = 60.0


class HttpSettings(Settings):
    """Where the web pages and the API listen. ``secure_cookies``: true behind HTTPS, which is set up in front."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    secure_cookies: bool = False


class BrokerSettings(Settings):
    """The MQTT broker. ``mqtts://`` needs ``ca``; plain ``mqtt://`` is for a broker on this machine only.

    ``files``: the folder that central keeps the broker's access list and revocation list in; left out: ``broker``
    in central's own folder.
    """

    url: str = "mqtt://127.0.0.1:1883"
    protocol: Literal[5, "3.1.1"] = 5
    client_id: str = "lotkeeper-central"
    user: str | None = None
    password: Secret | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    files: Path | None = None

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (8883 if self.tls else 1883)

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError("write mqtts://HOST:PORT, or mqtt://127.0.0.1:PORT for a broker on this machine")
        if parts.scheme == "mqtt" and not _loopback(parts.hostname):
            raise ValueError("plain mqtt:// is only for a broker on this machine: use mqtts://")
        return url

    @model_validator(mode="after")
    def _files_together(self) -> Self:
        if self.tls and self.ca is None:
            raise ValueError("mqtts:// needs ca: the file of the certificate authority")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self


class DatabaseSettings(Settings):
    """A PostgreSQL server in place of the file in ``folder``: ``postgresql://USER@HOST/DATABASE``.

    ``HOST`` is a name, or the folder of the server's socket with %2F for each slash. Beyond this machine the
    connection is TLS, and ``ca`` names the file of the authority of the server's certificate (left out: the
    system's authorities).
    """

    url: str
    password: Secret | None = None
    ca: Path | None = None

    @property
    def server(self) -> Server:
        """The parts of the address."""
        parts = urlsplit(self.url)
        host = unquote(re.sub(r":[0-9]*$", "", parts.netloc.rpartition("@")[2])).strip("[]")
        here = host.startswith("/") or _loopback(host)
        name = unquote(parts.path.lstrip("/"))
        return Server(host, parts.port or 5432, unquote(parts.username or ""), name, self.password, self.ca, here)

    @field_validator("url")
    @classmethod
    def _whole(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.password is not None:
            # not repeated in the message: it is the secret itself
            raise ValueError("no password in the address: write password: env:NAME or file:PATH beside it")
        whole = parts.scheme == "postgresql" and parts.username and parts.hostname and parts.path.strip("/")
        if not whole or parts.query or parts.fragment:
            raise ValueError("write postgresql://USER@HOST/DATABASE")
        return url


class SessionSettings(Settings):
    """How long a sign-in lasts: without any request (``idle``), and at most (``longest``)."""

    idle: Duration = 30 * 60.0
    longest: Duration = 12 * 3600.0


class LockoutSettings(Settings):
    """After ``attempts`` wrong passwords in a row an account takes none for ``period``."""

    attempts: Annotated[int, Field(ge=2, le=100)] = 5
    period: Duration = 15 * 60.0


class ReviewSettings(Settings):
    """``four_eyes``: whoever reviewed a lot may not release it, whoever proposed limits or a recipe may not
    approve them. ``document_age``: a run that relied on an order or lot list older than this is an exception.
    """

    four_eyes: bool = True
    document_age: Duration = 7 * 86_400.0


Cause = Annotated[str, Field(min_length=1, max_length=100)]


class ChartSettings(Settings):
    """``causes``: the assignable causes that a point of a characteristic may be given; ``*`` is for all that
    are not named. Left out, a list that fits most plants holds.
    """

    causes: dict[str, Annotated[list[Cause], Field(min_length=1, max_length=100)]] = Field(default_factory=dict)


class AnchorSettings(Settings):
    """``also``: a copy of the anchors file on another disk or host, which whoever owns this one cannot rewrite."""

    also: Path | None = None


class BackupSettings(Settings):
    """A backup into ``folder`` ``every`` so often; the newest ``keep`` of them stay.

    The folder holds central's private keys as well: no other account may read it, and it belongs on another disk.
    Lines must keep their acknowledged records (``buffer.keep_acknowledged``) for longer than ``every``: what a
    restored central lacks, they send again.
    """

    folder: Path
    every: Annotated[Duration, Field(ge=60)] = 86_400.0
    keep: Annotated[int, Field(ge=1, le=1000)] = 14


class RetentionSettings(Settings):
    """How long the bodies of records stay at least; given up they are only by ``lotkeeper-central retention``.

    ``records``: after the end of the device history record that they stand in. ``telemetry``: after their receipt.
    """

    telemetry: Annotated[Duration, Field(ge=86_400)] = 365 * 86_400.0
    records: Annotated[Duration, Field(ge=86_400)] = 5479 * 86_400.0


class CentralSettings(Settings):
    """``central.yaml``. ``folder`` holds database, keys and anchors; relative paths start at the file's folder.

    ``lease``: how long a partition stays with a process that takes records in and is not heard of any more.
    ``database``: a PostgreSQL server for a plant that has outgrown the file in ``folder``.

    ``head_interval`` is how often the agents state their last record: after a few times that (and no less than a
    minute) an agent that has not is a discrepancy of the lots it worked on.
    """

    site: Annotated[Shown, Field(min_length=1, max_length=100)]
    time_zone: str
    folder: Path
    postgres: DatabaseSettings | None = Field(default=None, alias="database")
    http: HttpSettings = HttpSettings()
    broker: BrokerSettings = BrokerSettings()
    items: dict[str, ItemSettings] = Field(default_factory=dict)
    erp: ErpSettings | None = None
    lease: Annotated[Duration, Field(ge=2, le=600)] = 10.0
    head_interval: Duration = 30.0
    anchor_interval: Duration = 300.0
    anchors: AnchorSettings = AnchorSettings()
    backup: BackupSettings | None = None
    review: ReviewSettings = ReviewSettings()
    charts: ChartSettings = ChartSettings()
    retention: RetentionSettings = RetentionSettings()
    sessions: SessionSettings = SessionSettings()
    lockout: LockoutSettings = LockoutSettings()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{name!r} is no IANA time zone such as Europe/Berlin or Asia/Shanghai") from None
        return name

    @property
    def head_grace_s(self) -> float:
        """How long an agent's signed head may stay away after its last record."""
        return max(SHORTEST_HEAD_GRACE_S, HEADS_MISSED * self.head_interval)

    @property
    def database(self) -> Database:
        """The file in ``folder``, or the server that the key ``database`` names."""
        return self.folder / "central.db" if self.postgres is None else self.postgres.server

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def broker_files(self) -> Path:
        return self.broker.files or self.folder / "broker"

    @property
    def anchors_file(self) -> Path:
        return self.folder / "anchors.jsonl"


def load_settings(path: Path) -> Loaded[CentralSettings]:
    """Read ``central.yaml``; its relative paths are made absolute.

    Raises:
        ConfigurationError: every error of the file at once, each with its place.
    """
    loaded = load(path, CentralSettings)
    settings = resolve_paths(loaded.value, path.resolve().parent)
    return replace(loaded, value=settings)


def resolve_paths(settings: CentralSettings, base: Path) -> CentralSettings:
    """The same settings with every relative path taken from ``base``."""
    broker = settings.broker
    files = {
        name: base / value
        for name in ("ca", "certificate", "key", "files")
        if (value := getattr(broker, name)) is not None
    }
    update: dict[str, object] = {"folder": base / settings.folder, "broker": broker.model_copy(update=files)}
    if settings.anchors.also is not None:
        update["anchors"] = AnchorSettings(also=base / settings.anchors.also)
    if settings.backup is not None:
        update["backup"] = settings.backup.model_copy(update={"folder": base / settings.backup.folder})
    if settings.postgres is not None and settings.postgres.ca is not None:
        update["postgres"] = settings.postgres.model_copy(update={"ca": base / settings.postgres.ca})
    return settings.model_copy(update=update)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
