"""Write ``docs/reference`` and ``config/schema`` from the code; ``--check`` only says what is stale (exit 1)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial

from central.settings import CentralSettings
from edge_agent.schema import line_schema
from records.yaml.schema import Schema, json_schema
from simulators.troubles import TroubleScript
from tools.reference import api, cli, codes, models
from tools.uv_program import ROOT


def _text(schema: Callable[[], Schema]) -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _schema(schema: Callable[[], Schema]) -> Callable[[], str]:
    return partial(_text, schema)


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli.page,
    "docs/reference/line-file.md": models.line_file,
    "docs/reference/central-file.md": models.central_file,
    "docs/reference/api.md": api.page,
    "docs/reference/codes.md": codes.page,
    "config/schema/line.schema.json": _schema(line_schema),
    "config/schema/central.schema.json": _schema(
        partial(json_schema, CentralSettings, title="Lotkeeper central.yaml")
    ),
    "config/schema/troubles.schema.json": _schema(
        partial(json_schema, TroubleScript, title="Lotkeeper troubles of the simulated plant")
    ),
}


def stale() -> list[str]:
    """The files that no longer say what the code says, or are missing."""
    return [name for name, page in PAGES.items() if _read(name) != page()]


def _read(name: str) -> str | None:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


def main() -> int:
    """Exit codes: 0 fine, 1 stale files (with ``--check``)."""
    if sys.argv[1:] == ["--check"]:
        names = stale()
        for name in names:
            print(f"{name} is stale: make docs")
        return 1 if names else 0
    for name in stale():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
