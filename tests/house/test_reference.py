"""The pages of docs/reference say what the code says."""

from __future__ import annotations

import pytest

from tools.reference.__main__ import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_up_to_date(name: str) -> None:
    path = FOLDER / name
    assert path.exists(), f"docs/reference/{name} is missing: make docs"
    assert path.read_text(encoding="utf-8") == PAGES[name](), f"docs/reference/{name} is stale: make docs"
