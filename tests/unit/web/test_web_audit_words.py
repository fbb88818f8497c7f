"""A decision that keeps more than a word is shown by its word."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from central.audit import entry_of
from central.stored import StoredFact
from records.model import Act, Decision, Fact, Header, Person, Target


@pytest.mark.parametrize(
    ("new", "shown"),
    [("closed", "closed"), ({"state": "closed", "substance": "ab"}, "closed"), ({"lot": "L"}, None)],
)
def test_the_audit_entry_of_a_decision_shows_one_word(new: JsonValue, shown: JsonValue) -> None:
    decision = Decision(Act.CLOSE, Target("exception", "e1"), Person("qa"), "seen", old="open", new=new)
    header = Header(1, 480, "suzhou", None, None, "test", None)
    entry = entry_of(StoredFact("central", "e", "records", 1, "00", "decision", Fact(header, decision), 1, 1))
    assert entry.params["new"] == shown
