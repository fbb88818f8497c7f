"""Where what takes long to make is kept. Removing it is always safe."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """``$LOTKEEPER_CACHE``, else ``~/.cache/lotkeeper``."""
    return Path(os.environ.get("LOTKEEPER_CACHE") or Path.home() / ".cache" / "lotkeeper")
