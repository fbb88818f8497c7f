"""Every closed set of words that pages show: states with shape and tone, and names of enumerations.

A status is always shape, word and colour together, so that none of the three has to be seen. Tones are those of
the style sheet: ok, busy, warning, bad, hold, idle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from central.web.i18n import N_, Words

_SHAPES = {
    "ok": "circle",
    "busy": "half",
    "warning": "triangle",
    "bad": "diamond",
    "hold": "square",
    "idle": "ring",
}


@dataclass(frozen=True, slots=True)
class Status:
    tone: str
    shape: str
    word: str


def _state(tone: str, word: str) -> Status:
    return Status(tone, _SHAPES[tone], word)


STATES: Mapping[str, Mapping[str, Status]] = {
    "dhr": {
        "collecting": _state("busy", N_("Collecting")),
        "complete": _state("warning", N_("Ready for review")),
        "in_review": _state("warning", N_("In review")),
        "reviewed": _state("busy", N_("Reviewed")),
        "released": _state("ok", N_("Released")),
        "rejected": _state("bad", N_("Rejected")),
    },
    "configuration": {
        "proposed": _state("warning", N_("Not approved")),
        "approved": _state("ok", N_("Approved")),
        "withdrawn": _state("bad", N_("Withdrawn")),
        "not_needed": _state("idle", N_("Needs no approval")),
    },
    "proposal": {
        "proposed": _state("warning", N_("Not approved")),
        "approved": _state("ok", N_("Approved")),
        "superseded": _state("idle", N_("Superseded")),
        "withdrawn": _state("bad", N_("Withdrawn")),
    },
    "hold": {
        "standing": _state("hold", N_("Held by quality")),
        "released": _state("ok", N_("Hold released")),
    },
    "advice": {
        "urgent": _state("bad", N_("Problem")),
        "look": _state("warning", N_("Look")),
    },
    "fitness": {
        "fit": _state("ok", N_("Fit")),
        "soon": _state("warning", N_("Ends soon")),
        "ended": _state("bad", N_("Expired")),
        "nobody": _state("bad", N_("Nobody")),
        "blocked": _state("hold", N_("Blocked")),
        "unlisted": _state("idle", N_("Not in the list")),
    },
    "finding": {
        "open": _state("bad", N_("Open")),
        "closed": _state("ok", N_("Closed")),
    },
    "order": {
        "released": _state("idle", N_("Released to production")),
        "running": _state("busy", N_("Running")),
        "held": _state("hold", N_("On hold")),
        "closed": _state("ok", N_("Closed")),
        "cancelled": _state("idle", N_("Cancelled")),
        "unknown": _state("bad", N_("Unknown to the ERP")),
    },
    "posting": {
        "none": _state("idle", N_("Not due yet")),
        "pending": _state("warning", N_("Waiting to be sent")),
        "posting": _state("busy", N_("Being sent")),
        "posted": _state("ok", N_("Booked in the ERP")),
        "refused": _state("bad", N_("Refused by the ERP")),
    },
    "result": {
        "pass": _state("ok", N_("Pass")),
        "fail": _state("bad", N_("Fail")),
        "scrap": _state("hold", N_("Scrap")),
        "aborted": _state("warning", N_("Aborted")),
        "not_judged": _state("idle", N_("Not judged")),
    },
    "fate": {
        "good": _state("ok", N_("Good")),
        "pending": _state("warning", N_("Undecided")),
        "scrap": _state("hold", N_("Scrap")),
        "in_process": _state("busy", N_("In process")),
    },
    "quality": {  # another word than a good piece's, which other languages need
        "good": _state("ok", N_("Good quality")),
        "uncertain": _state("warning", N_("Uncertain")),
        "bad": _state("bad", N_("Bad")),
    },
    "spc": {
        "in_control": _state("ok", N_("In control")),
        "signal": _state("bad", N_("Signal")),
        "open": _state("idle", N_("Subgroup not closed")),
        "collecting": _state("idle", N_("Collecting for limits")),
        "gap": _state("warning", N_("Gap")),
        "no_limits": _state("idle", N_("No limits")),
    },
    "grade": {
        "complete": _state("ok", N_("Complete")),
        "cycles-not-provable": _state("warning", N_("Cycles not provable")),
        "tail-unknown": _state("warning", N_("End not proven")),
        "incomplete": _state("bad", N_("Incomplete")),
    },
    "check": {
        "met": _state("ok", N_("Complete")),
        "open": _state("warning", N_("Missing")),
        "none": _state("idle", N_("Nothing to check")),
    },
    "agent": {
        "online": _state("ok", N_("Connected")),
        "waiting": _state("warning", N_("Records waiting")),
        "offline": _state("bad", N_("Not connected")),
        "silent": _state("idle", N_("Nothing received yet")),
        "revoked": _state("hold", N_("Revoked")),
    },
    "erp": {
        "ok": _state("ok", N_("Answers")),
        "failing": _state("warning", N_("Does not answer")),
        "refused": _state("bad", N_("Refuses central")),
        "unknown": _state("idle", N_("Not asked yet")),
    },
    "signature": {
        "current": _state("ok", N_("Valid for this content")),
        "outdated": _state("bad", N_("Content changed since")),
    },
}

NAMES: Mapping[str, Mapping[str, str]] = {
    "purpose": {
        "production": N_("Production"),
        "rework": N_("Rework"),
        "retest": N_("Retest"),
        "setup": N_("Set-up"),
        "challenge": N_("Reference part"),
        "sample": N_("Sample"),
        "maintenance": N_("Maintenance"),
    },
    "subject": {
        "unit": N_("Unit"),
        "lot": N_("Lot"),
        "carrier": N_("Carrier"),
        "container": N_("Container"),
    },
    "material": {
        "consumed": N_("Consumed"),
        "produced": N_("Produced"),
        "scrapped": N_("Scrapped"),
        "by_product": N_("By-product"),
        "sampled": N_("Sampled"),
        "packed": N_("Packed"),
        "unpacked": N_("Unpacked"),
        "split": N_("Split"),
        "merged": N_("Merged"),
        "identified_as": N_("Identified as"),
        "returned": N_("Returned"),
    },
    "kind": {
        "exception": N_("Exception"),
        "discrepancy": N_("Discrepancy"),
        "operation_record": N_("Operation record"),
        "operations_event": N_("Event"),
        "decision": N_("Decision"),
        "epoch_opened": N_("Record series opened"),
        "configuration": N_("Configuration"),
    },
    "document": {
        "work-order": N_("Work order"),
        "lots": N_("Component lots"),
        "recipe": N_("Recipe"),
        "limit-sets": N_("Limit sets"),
        "route-status": N_("Progress of pieces"),
        "lot-quantities": N_("What is left of lots"),
        "holds": N_("Holds"),
        "people": N_("List of people"),
        "equipment": N_("List of machines"),
        "reasons": N_("List of reasons"),
        "configuration": N_("Approved line files"),
        "agent-mode": N_("Agent mode"),
        "certificate": N_("Certificate of the agent"),
        "signing-key": N_("Signing key"),
        "central-keys": N_("Keys of central"),
    },
    "stream": {
        "records": N_("records"),
        "telemetry": N_("telemetry"),
        "audit": N_("audit"),
    },
    "beyond": {
        "warn": N_("Warns"),
        "refuse": N_("Does not start"),
        "go_on": N_("Goes on"),
    },
    "target": {
        "dhr": N_("Device history record"),
        "configuration": N_("Line file"),
        "exception": N_("Exception"),
        "discrepancy": N_("Discrepancy"),
        "hold": N_("Hold"),
        "recipe": N_("Recipe"),
        "limit-set": N_("Limit set"),
        "chart-point": N_("Point of a control chart"),
        "order": N_("Work order"),
        "record": N_("Record"),
    },
    "held": {
        "unit": N_("Unit"),
        "lot": N_("Lot"),
        "component": N_("Component lot"),
        "order": N_("Work order"),
        "equipment": N_("Equipment"),
    },
    "act": {
        "correct": N_("Corrected"),
        "void": N_("Voided"),
        "late_entry": N_("Late entry"),
        "hold": N_("Put on hold"),
        "release": N_("Released"),
        "rework": N_("Rework decided"),
        "scrap": N_("Scrap decided"),
        "concession": N_("Concession given"),
        "override": N_("Overridden"),
        "bypass": N_("Bypassed"),
        "close": N_("Closed"),
        "review": N_("Reviewed"),
        "reject": N_("Rejected"),
        "approve": N_("Approved"),
        "withdraw": N_("Withdrawn"),
        "comment": N_("Commented"),
        "exclude": N_("Left out of limits"),
        "include": N_("Taken in again"),
        "propose": N_("Proposed"),
    },
    "left-out": {
        "excluded": N_("excluded by a person"),
        "gap": N_("gap"),
        "uncertain": N_("uncertain reading"),
        "no-readings": N_("its readings are not kept"),
    },
    "cause": {
        "tool-wear": N_("Tool wear"),
        "tool-changed": N_("Tool changed"),
        "setup": N_("Setup or adjustment"),
        "material": N_("Material"),
        "machine-fault": N_("Machine fault"),
        "maintenance": N_("Maintenance"),
        "operator": N_("Handling"),
        "environment": N_("Environment"),
        "measurement": N_("Measurement"),
        "process-change": N_("Process changed on purpose"),
        "false-alarm": N_("False alarm: no cause found after a search"),
        "unknown": N_("Unknown cause"),
    },
    "meaning": {
        "reviewed": N_("Reviewed"),
        "released": N_("Released"),
        "rejected": N_("Rejected"),
    },
    "overdue": {
        "warn": N_("Warns"),
        "refuse": N_("Does not start"),
    },
    "reasons": {
        "hold": N_("Hold"),
        "release": N_("Release of a hold"),
        "scrap": N_("Scrap"),
        "rejection": N_("Rejection of a lot"),
        "override": N_("Lifting a hold at a station"),
    },
    "role": {
        "operator": N_("Operator"),
        "engineer": N_("Engineer"),
        "planner": N_("Planner"),
        "qa": N_("Quality assurance"),
        "qa_manager": N_("Quality manager"),
        "auditor": N_("Auditor"),
        "admin": N_("Administrator"),
    },
    "requirement": {
        "order": N_("Work order"),
        "operator": N_("Operator"),
        "material": N_("Material"),
        "subject": N_("Identified units"),
        "route": N_("Route"),
        "operation": N_("Operation"),
        "bom": N_("Material"),
        "record": N_("Records"),
        "certificate": N_("Gap certificate"),
        "discrepancy": N_("Discrepancies closed"),
        "exception": N_("Exceptions closed"),
        "erp": N_("Booked in the ERP"),
        "signature": N_("Signature"),
        "clearance": N_("Line clearance"),
        "quantity": N_("Pieces accounted for"),
    },
    "chart": {
        "imr": N_("Individual values and moving range"),
        "xbar_r": N_("Subgroup means and ranges"),
        "xbar_s": N_("Subgroup means and standard deviations"),
        "p": N_("Proportion nonconforming (p)"),
        "np": N_("Number nonconforming (np)"),
        "c": N_("Nonconformities (c)"),
        "u": N_("Nonconformities per unit (u)"),
        "laney_p": N_("Proportion nonconforming, Laney p′"),
        "laney_u": N_("Nonconformities per unit, Laney u′"),
        "t": N_("Time between events (t)"),
        "ewma": N_("Weighted moving average (EWMA)"),
        "cusum": N_("Cumulative sums (CUSUM)"),
        "t2_subgroup": N_("Hotelling T² of subgroups"),
        "t2_individuals": N_("Hotelling T² of single values"),
        "mewma": N_("Multivariate EWMA"),
    },
    "what": {
        "consumed": N_("consumption"),
        "cycles": N_("cycles"),
        "finished": N_("pieces finished"),
        "good": N_("good units"),
        "inspection": N_("inspection"),
        "operation": N_("operation"),
        "scrap": N_("scrap"),
        "started": N_("pieces begun"),
        "state": N_("state of the order"),
        "station": N_("the station"),
        "unit": N_("a held unit"),
        "certificate": N_("certificate"),
        "files": N_("files of the certificate"),
        "folder": N_("folder of the identity"),
        "signing-key": N_("signing key"),
        "central-keys": N_("central's keys"),
    },
    "action": {
        "note": N_("Noted"),
        "alarm": N_("Alarm"),
        "hold_unit": N_("Units held"),
        "hold_station": N_("Station held"),
        "escalate": N_("Escalated"),
    },
    "reason": {
        "machine-result": N_("the machine said so"),
        "no-end-from-machine": N_("the machine did not report the end"),
        "cause-vanished": N_("the cause is gone"),
        "wrong-password": N_("wrong password"),
        "user-unknown": N_("unknown user"),
        "user-disabled": N_("disabled user"),
        "locked": N_("account locked"),
        "content-changed": N_("the content has changed"),
        "released-already": N_("it was released already"),
        "not-allowed": N_("the role may not do this"),
        "same-person": N_("the reviewer or author may not sign"),
        "blocked": N_("something must be done first"),
        "two-are-alive": N_("both are running"),
        "copy-of-a-running-agent": N_("a copy of a disk whose agent is running"),
        "another-was-enrolled-later": N_("the other one was enrolled later"),
        "not-a-frame": N_("cannot be read"),
        "unknown-agent": N_("agent not enrolled"),
        "signature": N_("chain or signature is wrong"),
        "topic": N_("sent under another's topic"),
        "body": N_("content of an unknown kind"),
        "head": N_("no signed head"),
        "request": N_("request that is not answered"),
        "quarantine-full": N_("quarantine is full"),
        "conflicts-full": N_("more conflicts than are kept"),
    },
    "written": {
        "written": N_("written"),
        "found": N_("was there already"),
    },
    "outcome": {
        "completed": N_("Completed"),
        "aborted": N_("Aborted"),
    },
}


def status(words: Words, group: str, code: str | None) -> Status:
    """The status in the reader's language; an unknown code is shown as it is, without a judgement."""
    found = STATES[group].get(code or "")
    if found is None:
        return Status("idle", "ring", code or "–")
    return Status(found.tone, found.shape, words(found.word))


def name(words: Words, group: str, code: str | None) -> str:
    """The name of an enumeration's value in the reader's language; an unknown one is shown as it is."""
    found = NAMES[group].get(code or "")
    return words(found) if found else (code or "–")
