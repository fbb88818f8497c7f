"""The closed catalogue of codes: what can happen, and which parameters tell it.

Records hold a code and parameters, never a sentence; the text in a reader's language is made where it is shown.
A code is never renamed or reused, since chained records hold it. ``docs/reference/codes.md`` is generated from
here.
"""

from __future__ import annotations

EVENTS: dict[str, tuple[str, ...]] = {
    # the agent and its devices
    "agent-started": ("software", "host"),
    "agent-stopped": ("reason",),
    "configuration-loaded": ("file", "hash"),
    "configuration-refused": ("file", "hash", "problems", "troubles"),
    "station-configured": ("was", "now", "charts"),
    "configuration-not-approved": ("configuration",),  # runs are setup from here on
    "configuration-approved": ("configuration",),  # runs are what the machine says from here on
    "device-connected": ("device", "address"),
    "device-lost": ("device", "address", "error", "trouble"),
    "device-changed": ("device", "was", "now"),
    "clock-jump": ("seconds",),
    "plc-write": ("tag", "value", "verified", "error", "trouble"),
    "reading-bad": ("tag", "status", "count"),
    "reading-stale": ("tag", "age_s", "count"),
    "samples-lost": ("device", "tag", "why", "count"),
    "server-certificate": ("device", "fingerprint", "was", "accepted"),
    "certificate-expires": ("device", "whose", "until", "fingerprint"),
    "device-identity": ("device", "manufacturer", "model", "serial", "firmware", "hardware"),
    "settings-revised": ("device", "tag", "setting", "asked", "given"),
    "clock-skew": ("device", "offset_s"),
    "polls-late": ("device", "polls", "late", "skipped", "span_s"),
    "polls-on-time": ("device", "polls", "late", "skipped", "span_s"),
    # what the agent keeps, and what central says of it
    "telemetry-thinned": (  # with bucket_s the extremes of each so many seconds are kept, without it nothing
        *("epoch", "first", "last", "chunks"),
        *("bucket_s", "readings", "began", "ended"),
    ),
    "telemetry-lost": ("values", "why"),
    "epoch-rolled-back": ("watermark", "held"),
    "central-restored": ("generation", "watermark", "lost_first", "lost_last", "lost"),  # lost: all, of each epoch
    "watermark-refused": ("reason", "watermark", "count"),
    "payload-refused": ("topic", "reason", "count"),
    "record-damaged": ("epoch", "seq", "digest"),
    "backlog-damaged": ("lost",),  # rows of the same stream that could not be stored again under a new epoch
    "record-undeliverable": ("epoch", "seq", "bytes", "limit"),
    "identity-renewed": ("what", "id", "until"),  # what: certificate, signing-key or central-keys
    "identity-warning": (
        "what",
        "why",
        "until",
        "trouble",
    ),  # it ends soon or cannot be renewed: a person must act
    "agent-doubled": ("agent", "instance", "kept", "reason"),
    "buffer-low": ("hours", "pending", "bytes", "cap"),  # the room lasts for so long yet without central
    "buffer-full": ("pending", "bytes", "cap"),  # the line is stopped from here on
    "disk-full": ("free", "path"),  # the line is stopped from here on
    "buffer-room": ("why", "free", "pending", "bytes", "cap"),  # it may go on
    "buffer-damaged": ("stream", "epoch", "seq", "reason"),  # the background check met what does not hold
    "clock-offset": ("seconds", "within_s", "limit_s"),  # the agent's clock less central's, and how sure that is
    "clock-agrees": ("seconds", "within_s", "limit_s"),
    "buffer-set-aside": ("file", "stream", "why", "agent", "pending"),  # of agent; pending: what is nowhere else
    # people, orders, material at a station
    "scan-accepted": ("scanner", "field", "text", "raw", "symbology"),
    "scan-refused": ("scanner", "reason", "text", "raw", "expected", "found", "document", "version"),
    "operator-signed-on": ("badge",),
    "order-started": ("order", "previous"),
    "order-stopped": ("order",),
    "lot-mounted": ("item", "lot", "expiry"),
    "unit-loaded": ("container", "position"),
    "anchor-kept": ("at", "heads", "root"),  # what central said of its own chains
    "document-too-old": ("kind", "id", "version", "age_s", "max_age_s", "beyond"),  # central out of reach for long
    "document-fresh": (
        "kind",
        "id",
        "version",
        "age_s",
        "max_age_s",
        "beyond",
    ),  # again, or not relied on any more
    "start-barred": ("why", "about", "refuses", "document", "version", "hold", "detail"),  # by what central told
    "start-free": ("why", "about", "refuses", "document", "version", "hold", "detail"),
    "ran-while-barred": ("why", "run_id", "cycle"),
    # runs
    "run-started": ("run_id", "cycle"),
    "run-aborted": ("run_id", "reason"),
    "run-resumed": ("run_id", "cycle"),
    "cycles-missed": ("first", "last"),
    "counter-period": ("was", "now", "why"),
    "counter-wrapped": ("was", "now", "size"),  # it came to its end, at so many counts; what it left out is missed
    "cycle-acknowledged-only": ("cycle",),
    "spc-signal": (
        *("characteristic", "chart", "rule", "part", "subgroup", "limit_version"),
        *("stream", "segment", "points", "window", "sigmas", "statistic", "lower", "upper", "left_out"),
    ),
    "spc-subgroup": (  # a closed subgroup of several readings, or one that no record of a run closed
        *("characteristic", "chart", "stream", "segment", "subgroup", "state", "rules", "range_rules"),
        *(
            "statistic",
            "range_statistic",
            "centre",
            "lower",
            "upper",
            "range_centre",
            "range_lower",
            "range_upper",
        ),
        *("sample", "limit_version", "provisional", "closed_by", "left_out"),
    ),
    "chart-no-limits": ("characteristic", "stream"),
    "chart-limits": ("characteristic", "stream", "segment", "was", "now", "source"),  # other limits from here on
    "chart-dropped": ("characteristic", "stream", "segment", "subgroup"),  # a station's memory of charts is full
    "reaction": ("characteristic", "stream", "subgroup", "rule", "part", "action", "to", "hold"),
    "unit-held": ("hold", "characteristic", "stream", "subgroup", "rule"),
    "station-held": ("hold", "characteristic", "stream", "subgroup", "rule", "tag"),
    "ran-while-held": ("what", "holds", "run_id", "cycle"),
    "hold-dropped": ("hold", "action", "units"),  # the station's list is full; what it said stands in the records
    "hold-tag-left": ("tag", "now", "left_set", "error"),  # another line file tells holds by another tag
    "hold-locks-nothing": ("holds",),  # while held: a line file without hold and permit, or without the station
    "station-hold-lifted": ("hold", "by", "reason", "reasons"),
    "unit-released-at-station": ("hold", "by", "reason", "reasons"),
    "alarm-acknowledged": ("hold", "by", "reason", "reasons"),
    "chart-restarted": ("characteristic", "stream", "segment", "by", "cause", "reason"),
    # what central states
    "agent-enrolled": ("agent", "key", "partition"),
    "document-issued": ("kind", "id", "version", "content"),
    "exception-opened": ("exception", "code", "params", "lot", "product"),
    "discrepancy-opened": ("discrepancy", "code", "params", "lot", "product"),
    "quarantined": ("agent", "reason", "bytes", "digest", "epoch", "seq"),
    "conflict": ("agent", "epoch", "stream", "seq", "held", "offered"),
    "erp-posted": ("order", "message", "step"),
    "erp-refused": ("order", "message", "step", "error"),
    "erp-unreachable": ("link", "error"),
    "request-time-forgotten": ("agent", "kind", "at"),
    # the audit stream of central
    "user-added": ("user", "role", "by", "origin"),
    "user-disabled": ("user", "by", "origin"),
    "password-changed": ("user", "by", "origin"),
    "account-locked": ("user", "attempts", "origin"),
    "token-created": ("name", "scope", "by", "origin"),
    "token-revoked": ("name", "by", "origin"),
    "signed-in": ("user", "origin"),
    "sign-in-refused": ("user", "reason", "origin"),
    "signed-out": ("user", "origin"),
    "signature-refused": ("user", "target", "reason", "origin"),
    "central-started": ("software",),
    "chain-verified": ("ok", "records", "reason"),
    "export-import-begun": ("agent", "digest", "import", "by", "origin", "reason"),
    "export-import-cut-short": ("agent", "digest", "import"),
    "export-imported": (
        *("agent", "digest", "import", "made", "new", "known", "conflicts", "quarantined", "holes", "damage"),
        *(
            "without_body",
            "by",
            "origin",
            "reason",
            "brought",
        ),  # without_body: epoch, stream, first, last; brought: epoch, stream, how many; where there are any
    ),
    "backup-made": ("backup", "made", "records", "generation", "bytes", "flaws", "by", "origin"),
    "retention-applied": ("records", "telemetry", "table_part", "until", "orders", "by", "origin", "reason"),
    "backup-restored": (
        *("backup", "held_until", "generation", "through", "flaws", "anchors_lost_after"),
        *("documents_from", "carried_over", "holds_after"),  # holds_after: nobody knows what was held since
        *("by", "origin", "reason"),
    ),
    "hold-carried-over": ("hold", "held", "reason", "by", "since_us", "record", "source"),  # a restore had lost it
    "revocation-carried-over": ("agent", "key", "reason", "by", "at_us", "source"),
    "document-unreached": ("agent", "kind", "id", "why"),  # the line does not hear what central says of it
    "certificate-issued": ("agent", "serial", "fingerprint", "until", "authority", "by", "origin"),
    "agent-revoked": ("agent", "keys", "reason", "by", "origin"),
    "agent-key-changed": ("agent", "key", "replaced", "until"),
    "authority-renewed": ("serial", "fingerprint", "until", "reason", "by", "origin"),
    "central-key-changed": ("key", "replaced", "until", "reason", "by", "origin"),
    "central-behind": ("agent", "epoch", "stream", "held", "offered"),  # what central confirmed once is gone
}
"""Operations events: code -> names of its parameters (a parameter may be absent)."""

SCAN_REFUSALS: tuple[str, ...] = (
    "scan-not-understood",  # no field of any station expects such content
    "barcode-invalid",  # a check digit, date or structure is wrong
    "order-unknown",  # no released work order of that reference
    "item-not-in-bom",  # the label names an item that the order does not use
    "lot-unknown",  # central never told us of that lot
    "lot-expired",
    "lot-blocked",
    "label-wrong-product",
    "label-wrong-lot",  # the label's lot is not the order's
    "serial-used",  # that serial is already on another piece
    "operator-unknown",
    "nothing-to-identify",  # a label was read while no piece waits for one
    "unit-on-hold",  # a signal held the unit, and nobody has released it
    "not-now",  # the content is right, the moment is not
    "not-answered-in-time",  # the operator was told no before the station could decide
    "operator-not-qualified",  # the person may not do this operation, or not any more
    "held-by-quality",  # a unit, lot, order or machine that a person holds at central
    "document-stale",  # what says that the scan is right is older than the line allows
    "operation-skipped",  # the piece has an earlier operation of its routing not behind it
    "lot-used-up",  # too little is left of the component's lot, as far as central knows
    "identifier-too-long",  # longer than records.model.LONGEST_ID
    "load-full",  # one record holds no further unit
)
"""Why a scan was refused (parameter ``reason`` of ``scan-refused``)."""

EXCEPTIONS: tuple[str, ...] = (
    "out-of-specification",
    "spc-signal",
    "chart-no-limits",  # a chart whose product, revision, tool or position has no limits
    "unit-failed",
    "unit-scrapped",
    "retested",
    "reworked",
    "run-aborted",
    "run-resumed",
    "run-without-order",  # a station ran while nobody had named an order there
    "operation-repeated",  # one piece twice at one operation without rework or retest
    "operation-missing",  # a piece went on without one of its operations
    "reading-bad",
    "cycles-missed",
    "device-lost",
    "clock-jump",
    "document-too-old",
    "configuration-not-approved",  # a production agent worked by a configuration that quality has not approved
    "unit-held",  # a signal's reaction plan holds these units
    "station-held",
    "station-hold-lifted",
    "unit-released-at-station",
    "ran-while-held",  # the machine ran although it was held, or a held unit was worked on
    "ran-while-barred",  # the machine ran although what central told stood against it
    "escalated",  # a signal that a named person or role must hear of
    "identity-unknown",  # a subject that no work order and no earlier record explains
    *SCAN_REFUSALS,
)
"""What a reviewer must look at, found in single records or in the walk of one piece."""

DISCREPANCIES: tuple[str, ...] = (
    "quantity-disagrees",  # records of an operation against the ordered or started quantity
    "counter-disagrees",  # a machine's own counter against the records
    "cycle-doubled",  # one cycle of one machine recorded twice
    "serial-doubled",  # one serial on two pieces
    "lot-unknown-to-erp",
    "consumption-disagrees",  # consumed quantity against the bill of material
    "certificate-incomplete",
    "certificate-tail-unknown",
    "certificate-cycles-not-provable",
    "erp-refused",
    "erp-disagrees",
    "record-conflict",
    "record-quarantined",
)
"""Where machine, records and ERP do not agree; each has an owner and a state."""
