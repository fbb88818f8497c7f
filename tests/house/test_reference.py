"""The pages of docs/reference and the schemas of config/schema say what the code says."""

from __future__ import annotations

import pytest

from tools.reference.__main__ import PAGES
from tools.uv_program import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    path = ROOT / name
    assert path.exists(), f"{name} is missing: make docs"
    assert path.read_text(encoding="utf-8") == PAGES[name](), f"{name} is stale: make docs"
