"""Write ``docs/reference`` from the code; ``--check`` only says what is stale (exit 1)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tools.reference import api, cli, codes, models
from tools.uv_program import ROOT

FOLDER = ROOT / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli.page,
    "line-file.md": models.line_file,
    "central-file.md": models.central_file,
    "api.md": api.page,
    "codes.md": codes.page,
}


def stale() -> list[str]:
    """The pages that no longer say what the code says, or are missing."""
    return [name for name, page in PAGES.items() if _read(name) != page()]


def _read(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Exit codes: 0 fine, 1 stale pages (with ``--check``)."""
    if sys.argv[1:] == ["--check"]:
        names = stale()
        for name in names:
            print(f"docs/reference/{name} is stale: make docs")
        return 1 if names else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in stale():
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
