"""The programs that only tests need and that are no Python packages, from Debian.

Installed where this is Debian and we are root; else each missing one is named together with what goes without
it, and the tests that need it are skipped with that reason. No service is left running: tests start brokers of
their own on ports of their own.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = {
    "mosquitto": "tests and `demo --check` over a real MQTT broker (the demo itself uses amqtt)",
    "mosquitto-clients": "tests that look at the broker from outside",
    "chromium-headless-shell": "tests in a browser",
    "postgresql": "tests of the store on PostgreSQL",
    "pgbouncer": "a pooler between central and PostgreSQL",
    "strace": "faults at system calls: kills at every write, disks that answer with an error",
    "faketime": "faults of the wall clock",
    "fonts-noto-cjk": "Chinese pages in screenshots",
    "gcc": "Modbus server of the driver tests and benchmarks",
    "libc6-dev": "Modbus server of the driver tests and benchmarks",
    "libmodbus-dev": "Modbus server of the driver tests and benchmarks",
}
"""Debian package -> what goes without it."""

SERVICES = ("mosquitto", "postgresql", "pgbouncer")
POLICY = Path("/usr/sbin/policy-rc.d")

Say = Callable[[str], None]


def install_missing(say: Say) -> None:
    """Install what is missing, or say what goes without it. Never fails: what needs it is skipped by name."""
    if shutil.which("dpkg-query") is None:
        say("not a Debian system: for all tests install " + ", ".join(NEEDED) + " in this system's way")
        return
    missing = [name for name in NEEDED if not installed(name)]
    if not missing:
        return
    if os.name != "posix" or os.geteuid() != 0:
        for name in missing:
            say(f"not root, so {name} is not installed; without it: no {NEEDED[name]}")
        say(f"to have it all: sudo apt-get install {' '.join(missing)}")
        return
    say(f"installing {', '.join(missing)}")
    with services_stay_down():
        if not (
            apt("update", "--quiet=2")
            and apt("install", "--yes", "--quiet=2", "--no-install-recommends", *missing)
        ):
            say("apt-get did not succeed (its words are above); tests that need these programs are skipped")
    for service in SERVICES if shutil.which("systemctl") is not None else ():
        if service in missing:
            subprocess.run(["systemctl", "disable", "--quiet", service], check=False)


def installed(package: str) -> bool:
    """True when Debian's package is there and configured."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def apt(*words: str) -> bool:
    """One apt-get run without questions; its output is shown only when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


@contextmanager
def services_stay_down() -> Iterator[None]:
    """Debian's own way to say that installing a package starts no service; an existing policy is left alone."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
