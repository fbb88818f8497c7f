"""Make this folder ready to run, test and demonstrate Lotkeeper; the second time, do nothing.

Four steps, each skipped when its work is there already:

1. uv: the one on the PATH, else its own small environment in ``.cache/uv`` (pinned in ``tools/uv.lock.txt``);
2. ``.venv``: exactly what ``requirements.lock`` names, each file checked against its hash, and this folder
   itself in editable form. The stamp in ``.venv`` holds the hash of what it was made from;
3. programs that are no Python packages (a broker, a browser, a font) and that only tests need: installed where
   this is Debian and we are root, else named together with what goes without them;
4. servers for the driver tests that are not Python (``tests/rigs/prepare.py``): built and fetched into ``.cache``.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys

from tools.system_packages import install_missing
from tools.uv_program import OWN_UV, ROOT, answers, find_uv

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "lotkeeper-setup"
LOCK = ROOT / "requirements.lock"
UV_LOCK = ROOT / "tools" / "uv.lock.txt"


class SetupError(Exception):
    """Setting up cannot go on; the message says why and what to do."""


def main() -> int:
    """Exit codes: 0 ready, 2 usage, 3 something could not be fetched or made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--python-only", action="store_true", help="leave steps 3 and 4 out (the demo needs none of it)"
    )
    arguments = parser.parse_args()
    try:
        make_environment()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 3
    if not arguments.python_only:
        install_missing(say)
        subprocess.run([str(PYTHON), "-m", "tests.rigs.prepare"], cwd=ROOT, check=False)
    return 0


def make_environment() -> None:
    """Bring ``.venv`` to what the lock says, unless its stamp says that it is."""
    wanted = fingerprint()
    if STAMP.exists() and STAMP.read_text() == wanted and answers([str(PYTHON), "-c", "import sys"]):
        return
    uv = find_uv() or make_own_uv()
    STAMP.unlink(missing_ok=True)
    if not answers([str(PYTHON), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]):
        say(f"making .venv with {sys.executable}")
        shutil.rmtree(VENV, ignore_errors=True)
        run([uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
    say("installing what requirements.lock names into .venv")
    into = ["--quiet", "--python", str(PYTHON)]
    run([uv, "pip", "sync", *into, "--require-hashes", "--compile-bytecode", str(LOCK)])
    run([uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """One hash over all that decides what ``.venv`` holds, and where it lies."""
    parts = [LOCK.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def make_own_uv() -> str:
    """Install uv into an environment of its own, with the Python that runs this."""
    say("no uv on the PATH: installing one into .cache/uv")
    folder = OWN_UV.parent.parent
    shutil.rmtree(folder, ignore_errors=True)
    if not answers([sys.executable, "-m", "venv", str(folder)]):
        raise SetupError(
            f"{sys.executable} cannot make a virtual environment. "
            "Install uv, or the venv module (Debian: apt-get install python3-venv), and try again."
        )
    run(
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(UV_LOCK)]
    )
    return str(OWN_UV)


def run(command: list[str]) -> None:
    """Run one step; its own output goes to the terminal."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        code = subprocess.run(command, env=environment, check=False).returncode
    except OSError as error:
        raise SetupError(f"{command[0]}: {error}") from error
    if code != 0:
        raise SetupError(f"this step ended with {code}: {' '.join(command)}")


def say(text: str) -> None:
    """Progress, where a person looks for it."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
