"""The page of codes: what records, exceptions, discrepancies and audit entries may hold, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping

from central.web.texts import DISCREPANCY_TEXTS, EVENT_TEXTS, EXCEPTION_TEXTS, CodeText
from records import codes
from tools.reference.markdown import code, document, table

INTRODUCTION = """
Records hold a code and its parameters, never a sentence: the text is made where it is shown, in the reader's
language. A code is never renamed or used again for something else.
"""


def page() -> str:
    """The whole catalogue."""
    return document(
        "Codes",
        INTRODUCTION,
        "## Exceptions\n\nWhat a reviewer must look at, found in single records or in the walk of one piece.",
        _findings([name for name in codes.EXCEPTIONS if name not in codes.SCAN_REFUSALS], EXCEPTION_TEXTS),
        "## Refused scans\n\nWhy a station said no to a scan. Each is an exception of its order, too.",
        _findings(list(codes.SCAN_REFUSALS), EXCEPTION_TEXTS),
        "## Discrepancies\n\nWhat machines, records and ERP do not agree on; a person closes each with a reason.",
        _findings(list(codes.DISCREPANCIES), DISCREPANCY_TEXTS),
        "## Events\n\nWhat happened on the line and at central, with the parameters that tell it.",
        table(
            ("code", "means", "parameters"),
            [
                (code(name), _text(EVENT_TEXTS, name).title, ", ".join(code(each) for each in parameters))
                for name, parameters in codes.EVENTS.items()
            ],
        ),
    )


def _findings(names: list[str], texts: Mapping[str, CodeText]) -> str:
    rows = [
        (code(name), text.title, text.meaning, text.action)
        for name, text in ((name, _text(texts, name)) for name in names)
    ]
    return table(("code", "title", "means", "what to do"), rows)


def _text(texts: Mapping[str, CodeText], name: str) -> CodeText:
    return texts.get(name) or CodeText("", "")
