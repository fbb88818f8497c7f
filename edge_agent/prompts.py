"""What a station tells its operator, in words: its prompts, and what is missing. The page translates them.

A code that has no words here stands for itself, as does the item of a material that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

PROMPTS: Mapping[str, str] = {
    # what a signal brought about, and who ended it
    "station-held": "A signal held the station.",
    "unit-held": "A signal held units.",
    "alarm": "A signal raised an alarm.",
    "station-hold-lifted": "A hold of the station was lifted.",
    "unit-released-at-station": "Held units were released.",
    "alarm-acknowledged": "An alarm was acknowledged.",
    # a scan that was refused
    "scan-not-understood": "Scan refused: nothing at this station expects such a code.",
    "barcode-invalid": "Scan refused: the barcode is damaged or wrongly made.",
    "order-unknown": "Scan refused: no released order of that name is known.",
    "item-not-in-bom": "Scan refused: the order does not use that item.",
    "lot-unknown": "Scan refused: the lot is not known.",
    "lot-expired": "The lot has expired.",
    "lot-blocked": "Scan refused: the lot is blocked.",
    "label-wrong-product": "Scan refused: the label is of another product.",
    "label-wrong-lot": "Scan refused: the label is of another lot.",
    "serial-used": "Scan refused: that serial number is on another piece already.",
    "operator-unknown": "Scan refused: the badge is not known here.",
    "nothing-to-identify": "Scan refused: no piece waits for a label.",
    "unit-on-hold": "Scan refused: the unit is held.",
    "not-now": "Scan refused: right, but not at this moment.",
    "not-answered-in-time": "Scan refused: the station could not decide in time. Scan again.",
    "operator-not-qualified": "This person may not do this operation now.",
    "equipment-blocked": "The machine is blocked.",
    "calibration-overdue": "The machine's calibration is overdue.",
    "held-by-quality": "Quality holds this; it must not be worked on.",
    "document-stale": "Scan refused: what central told the line is too old to rely on.",
    "operation-skipped": "An earlier operation of this piece is missing or has failed.",
    "operation-not-known": "Waiting for word of this piece's earlier operations.",
    "holds-not-known": "Waiting for central's word of what quality holds.",
    "lot-used-up": "Too little is left of the mounted lot.",
    "identifier-too-long": "Scan refused: the code is longer than an identifier can be.",
    "load-full": "Scan refused: the load is full. Run it first.",
    # what central told
    "document-too-old": "What central told the line is older than allowed.",
    # the machine and the agent itself
    "capture-failed": "The machine's values could not be read; it is asked again.",
    "cycle-not-read": "The machine's cycle number could not be read; it is asked again.",
    "write-failed": "The machine could not be told; it is tried again.",
    "buffer-full": "Nothing can be recorded: the buffer or the disk is full, or the disk is too slow.",
    "configuration-not-approved": "The line file is not approved: runs are set-up only.",
}

MISSING: Mapping[str, str] = {
    "hold": "release of the station, which is held",
    "buffer": "room to record: central or the disk must be seen to",
    "operator": "operator",
    "order": "order",
    "route": "this operation in the order's routing",
    "subject": "product",
    "document-too-old": "newer word from central",
    "operator-not-qualified": "a qualified operator",
    "equipment-blocked": "a machine that is not blocked",
    "calibration-overdue": "calibration of the machine",
    "held-by-quality": "release of what quality holds",
    "operation-skipped": "an earlier operation of the piece",
    "operation-not-known": "word of the piece's earlier operations",
    "lot-expired": "a lot that has not expired",
    "lot-used-up": "another lot, of which enough is left",
    "holds-not-known": "word of what quality holds",
}
"""What a start needs and is not there; a material stands for itself."""


def prompt_says(code: str) -> str:
    """A prompt in English words."""
    return PROMPTS.get(code, code)


def barrier_says(barrier: Mapping[str, JsonValue]) -> str:
    """What stands against a start or is to be warned of, in English words with what it is about."""
    return f"{'' if barrier['refuses'] else 'warning: '}{prompt_says(str(barrier['why']))} ({barrier['about']})"


def missing_says(kind: str) -> str:
    """What is missing, in English words."""
    return MISSING.get(kind, kind)
