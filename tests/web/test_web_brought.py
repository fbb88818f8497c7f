"""A device history record says which of its records came by file, and who brought them."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import dhr_of, site
from fixture_central import FixtureCentral, whole_story
from pydantic import JsonValue

from central.store.brought import IMPORT_BEGUN, IMPORTED
from records.model import OperationsEvent


def state(made: FixtureCentral, code: str, agent: str, digest: str) -> None:
    params: dict[str, JsonValue] = {"agent": agent, "digest": digest, "by": "anna", "reason": "its PC died"}
    made.store.write(lambda c: made.facts.state(c, OperationsEvent(code, params), stream="audit"))


def test_the_certificate_of_a_lot_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = FixtureCentral.deliver

    def by_file(made: FixtureCentral) -> None:
        made.clock.advance((made.plant.now_us - made.clock.now_us()) / 1e6 + 1)
        state(made, IMPORT_BEGUN, "assembly-1", "d1")
        state(made, IMPORT_BEGUN, "testing-1", "d2")  # which never ends
        deliver(made)
        state(made, IMPORTED, "assembly-1", "d1")

    monkeypatch.setattr(FixtureCentral, "deliver", by_file)
    with site(tmp_path, whole_story(3)) as made:
        client = made.signed_in("mueller")
        page = f"/dhrs/{dhr_of(client, 'WO-1001')}?show=certificate"
        for language, came, who, cut in (
            ("en", "came by file, not over the network", "by anna", "is under way. It may have brought"),
            ("zh-CN", "由文件导入，并非经网络传来", "由 anna 导入", "正在进行。 其中可能由此导入了"),
        ):
            client.cookies.set("lk_language", language)
            text = client.get(page).text
            assert came in text
            assert who in text
            assert cut in text
            assert "its PC died" in text
        client.cookies.set("lk_language", "en")
        order = client.get(f"/dhrs/{dhr_of(client, 'WO-1001')}?show=units").text
        assert "came by file" not in order
