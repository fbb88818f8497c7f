"""Why a message lies in quarantine is told in the language of the page."""

from __future__ import annotations

import pytest
from conftest import Site, form_token

from records.wire import up_topic

STRANGER, GARBAGE = "assembly-9", b"this is no frame at all"


def test_what_is_wrong_with_a_message_in_quarantine_is_told_in_the_language_of_the_page(own: Site) -> None:
    """Bug: it was English on Chinese pages."""
    known = next(iter(own.central.plant.agents.values()))
    for topic in (up_topic("p0", STRANGER, "records"), known.topic):
        assert own.central.ingest.take(topic, GARBAGE).result == "quarantined"
    client = own.signed_in("mueller")
    english = client.get("/lines").text
    form = {"csrf": form_token(client, "/lines"), "language": "zh-CN"}
    assert client.post("/preferences", data=form).status_code == 303
    chinese = client.get("/lines").text
    for text, other in (
        (f"{STRANGER} is not enrolled", f"{STRANGER} 未注册"),
        (
            "the payload is no Lotkeeper frame (it does not begin with LKF1)",
            "载荷不是 Lotkeeper 数据帧（不以 LKF1 开头）",
        ),
    ):
        assert (text in english, other in english) == (True, False)
        assert (text in chinese, other in chinese) == (False, True)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_detail_without_a_code_stands_as_it_is(own: Site, language: str) -> None:
    """As those that an older central kept."""
    own.central.ingest.quarantine.refuse("topic", None, "body", "kept by an older version", b"x")
    client = own.signed_in("mueller")
    client.post("/preferences", data={"csrf": form_token(client, "/lines"), "language": language})
    assert "kept by an older version" in client.get("/lines").text
