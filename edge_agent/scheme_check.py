"""What a line's barcode patterns and the stations that read by them say wrong of each other."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent.line_view import LineView
from records.errors import Problem
from records.yaml import did_you_mean

KINDS = ("gs1", "hibc", "ean", "plain")
"""What is known without a pattern."""


def check_schemes(line: LineView) -> Iterator[Problem]:
    """A station can read only schemes that exist, and only fields that their patterns give."""
    for name in line.schemes:
        if name in KINDS:
            yield line.problem(("schemes", name), f"{name} is known already", "choose another name", key=True)
    left_out = {path for path, _ in line.left_out}
    for name, station in line.stations.items():
        subject, at = station.subject, ("stations", name, "subject")
        if subject.scheme in ("ean", "plain"):
            yield line.problem(
                (*at, "scheme"), f"a code of {subject.scheme} names no unit", "gs1, hibc, or a pattern"
            )
        elif subject.scheme in KINDS:
            if subject.scheme == "hibc" and subject.field != "serial":
                yield line.problem((*at, "field"), "an HIBC label names a unit by its serial", "field: serial")
            continue
        pattern = line.schemes.get(subject.scheme)
        if pattern is None:
            if ("schemes", subject.scheme) not in left_out:
                hint = did_you_mean(subject.scheme, (*KINDS, *line.schemes)) or "gs1, hibc, or one of schemes:"
                yield line.problem((*at, "scheme"), f"there is no scheme {subject.scheme!r}", hint)
            continue
        for group in (subject.serial_field, "lot", "di"):
            if group not in pattern.groupindex:
                hint = f"write (?P<{group}>...) in schemes.{subject.scheme}"
                yield line.problem((*at, "scheme"), f"the pattern has no group {group!r}", hint)
