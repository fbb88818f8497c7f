"""The line file of a command. Its models are loaded only when one is asked for, so that others answer at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.settings import LineSettings
    from records.yaml import Loaded


def load_line(path: Path, *, advise: bool = False) -> Loaded[LineSettings]:
    """As ``edge_agent.settings.load_line``."""
    from edge_agent import settings

    return settings.load_line(path, advise=advise)
