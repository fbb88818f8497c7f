"""Which parameters tell each finding, and which findings are matters of a piece.

The codes themselves are in ``records.codes``; text in a reader's language is made from code and parameters where
it is shown. Every finding also has order, operation, station, time, subjects and records of its own.
"""

from __future__ import annotations

from typing import Final

from records.codes import SCAN_REFUSALS

PARAMS: Final[dict[str, tuple[str, ...]]] = {
    # exceptions
    "out-of-specification": ("operation", "characteristic", "value", "unit", "lower", "upper", "machine"),
    "spc-signal": ("characteristic", "chart", "rule", "parts", "subgroup", "limit_version"),
    "chart-no-limits": ("characteristic", "stream"),
    "unit-failed": ("operation", "attempt", "tests"),
    "unit-scrapped": ("operation", "attempt", "tests"),
    "retested": ("operation", "attempt", "result"),
    "reworked": ("operation", "attempt", "result"),
    "run-aborted": ("operation", "run", "cycle", "reason"),
    "run-resumed": ("operation", "run", "cycle"),
    "run-without-order": ("operation", "run", "cycle"),
    "operation-repeated": ("operation", "piece", "runs"),
    "operation-missing": ("operation", "piece", "next"),
    "reading-bad": ("tag", "status"),
    "cycles-missed": ("first", "last"),
    "device-lost": ("device", "address", "error"),
    "clock-jump": ("seconds",),
    "document-too-old": ("kind", "document", "version", "age_s"),
    "configuration-not-approved": ("station", "configuration"),
    "unit-held": ("hold", "characteristic", "stream", "subgroup", "rule"),
    "station-held": ("hold", "characteristic", "stream", "subgroup", "rule", "tag"),
    "station-hold-lifted": ("hold", "by", "reason"),
    "unit-released-at-station": ("hold", "by", "reason"),
    "ran-while-held": ("what", "holds", "cycle"),
    "ran-while-barred": ("why", "cycle"),
    "escalated": ("to", "characteristic", "stream", "subgroup", "rule"),
    "identity-unknown": ("piece", "operation"),
    **dict.fromkeys(SCAN_REFUSALS, ("scanner", "text", "expected", "found")),
    # discrepancies
    "quantity-disagrees": ("what", "ordered", "found"),
    "counter-disagrees": ("counter", "machine", "records", "from_cycle", "to_cycle"),
    "cycle-doubled": ("cycle", "runs"),
    "serial-doubled": ("serial", "pieces"),
    "lot-unknown-to-erp": ("item", "lot"),
    "consumption-disagrees": ("item", "expected", "found"),
    "certificate-incomplete": ("missing", "unaccounted"),
    "certificate-tail-unknown": ("agents",),
    "certificate-cycles-not-provable": ("stations",),
    "erp-refused": ("step", "error"),
    "erp-disagrees": ("what", "subject", "ours", "erp"),
    "record-conflict": ("agent", "seq", "held", "offered"),
    "record-quarantined": ("agent", "reason", "bytes"),
}
"""Finding code -> names of its parameters (one may be None). ``lot-expired`` of a lot that was used all the same
has item, lot and expiry instead."""

GROWING: Final = frozenset(
    {
        "quantity-disagrees",
        "consumption-disagrees",
        "certificate-incomplete",
        "certificate-tail-unknown",
        "certificate-cycles-not-provable",
        "erp-disagrees",
    }
)
"""What an order has only once, however much it comes to say: a decision holds for what it said then."""

MATTERS: Final = frozenset(
    {
        "unit-failed",
        "out-of-specification",
        "operation-missing",
        "operation-repeated",
        "identity-unknown",
        "unit-held",
        "reading-bad",
        "serial-doubled",
    }
)
"""What keeps a piece from being good until a person decides, or a later passing run cures it."""

CURABLE: Final = frozenset({"unit-failed", "out-of-specification", "reading-bad"})
"""Matters that a later passing retest or rework of the same operation cures."""
