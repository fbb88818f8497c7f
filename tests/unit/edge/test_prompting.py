"""A prompt does not outlive what it speaks of."""

from __future__ import annotations

from edge_agent.events import Prompt, Until
from edge_agent.prompting import Prompting


def test_what_stands_against_a_start_is_told_for_as_long() -> None:
    told = Prompting("seal")
    assert told.say(Prompt("held-by-quality", {"hold": "H-1"}, Until.LIFTED))
    assert told.standing(["held-by-quality", "calibration-overdue"]) == "held-by-quality"
    told.over(Until.ACCEPTED)
    assert told.standing(["held-by-quality"]) == "held-by-quality", "a scan lifts no hold"
    assert told.standing(["calibration-overdue"]) is None
    assert told.standing(["held-by-quality"]) == "held-by-quality", "who asks changes nothing"


def test_a_tag_that_was_written_ends_what_was_said_of_it_alone() -> None:
    told = Prompting("seal")
    told.say(Prompt("write-failed", {"tag": "plc.ack", "error": "away"}, Until.WRITTEN))
    told.over(Until.WRITTEN, "plc.permit")
    assert told.standing(()) == "write-failed"
    told.over(Until.WRITTEN, "plc.ack")
    assert told.standing(()) is None


def test_a_prompt_that_nothing_ends_stands_until_the_next() -> None:
    told = Prompting("seal")
    told.say(Prompt("station-held", {}))
    for what in set(Until) - {Until.NEXT}:
        told.over(what)
    assert told.standing(()) == "station-held"
    assert not told.say(Prompt("station-held", {}))
    assert told.say(Prompt("lot-expired", {}, Until.ACCEPTED))
    assert told.standing(()) == "lot-expired"
