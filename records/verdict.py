"""The verdict of a control chart, as a record holds it."""

from __future__ import annotations

from dataclasses import dataclass

from records.fields import Count, Later


@dataclass(frozen=True, slots=True)
class SpcState:
    """The control-chart verdict that was known when the record was committed.

    ``state``: in_control, signal, open (subgroup not closed), collecting (phase I), gap, no_limits. ``position``
    of ``size``: the reading's place in its subgroup. ``rules`` fired on the chart of the ``statistic``,
    ``range_rules`` on that of the ``range_statistic`` (a CUSUM: the upper and the lower sum).

    ``stream`` says what the chart is of, as a query string of what tells it from others of its characteristic
    (``product``, ``revision``, ``tool``, ``position``). ``segment`` counts the stretches that no run crosses.
    ``sample`` is the size of a sample of counts, or of a subgroup that closed with another number of readings.
    ``tags`` names the readings that the chart took, in its order, where they do not themselves say it: of several
    variables, and where a reading bears the name of another characteristic that is measured by the same tag.
    ``size_tag`` names the reading that told the size of the sample, where one did.
    """

    characteristic: str
    chart: str
    subgroup: Count
    position: Count
    size: Count
    state: str
    rules: tuple[str, ...]
    statistic: float | None
    range_statistic: float | None
    centre: float | None
    lower: float | None
    upper: float | None
    limit_version: str | None
    provisional: bool = False
    stream: Later[str] = None
    segment: Later[Count] = None
    sample: Later[float] = None
    range_rules: Later[tuple[str, ...]] = None
    range_centre: Later[float] = None
    range_lower: Later[float] = None
    range_upper: Later[float] = None
    tags: Later[tuple[str, ...]] = None
    size_tag: Later[str] = None
