"""Telemetry: which tags there are, and one of them over a span of time as a chart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Response

from central.telemetry import Point, TagTrend
from central.web.i18n import N_
from central.web.show import unit_text
from central.web.times import local_us
from central.web.trend_svg import BUCKET_PX, Drawing, draw
from central.web.visit import Enter, NotThere, Visit, markup
from records.clock import MICROSECONDS, from_us
from records.errors import Invalid

router = APIRouter(include_in_schema=False)

SPANS_S = (600, 3600, 28_800, 86_400)
"""Lengths of a span that are offered."""
USUAL_S = 3600
LONGEST_S = 7 * 86_400
WIDTH = 1080
MOST_DIGITS = 17
"""Of a time in microseconds."""
ROWS = 200
"""Most readings in the table under a chart; the interface tells all of them."""
FIRST_LOOK_S, MOST_LOOKED = 10, 5_000
"""How far back the newest readings are looked for at first, and how many may be found at once."""

WORDS = {
    "bad": N_("bad"),
    "uncertain": N_("uncertain"),
    "silent": N_("no reading"),
    "summary": N_("{readings} readings, {bad} bad, {uncertain} uncertain, {silent} s without a reading."),
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """The span that is shown. ``follows``: its end is now, so the page is to be kept up to date."""

    from_us: int
    to_us: int
    follows: bool
    from_text: str = ""
    to_text: str = ""
    instead: bool = False
    """Whether it is another one than was asked for: longer than a week, or with its end before its beginning."""

    @property
    def span_s(self) -> int:
        return (self.to_us - self.from_us) // MICROSECONDS


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of the page over other spans."""

    here: str
    zone: str

    def last(self, seconds: int, until: str = "") -> str:
        return f"{self.here}?{urlencode({'span': seconds} | ({'to': until} if until else {}))}"

    def moved(self, shown: Stretch, by: int) -> str:
        """The span before (-1) or after (1) this one."""
        from_us = shown.from_us + by * (shown.to_us - shown.from_us)
        return f"{self.here}?{urlencode({'from': self.local(from_us), 'span': shown.span_s})}"

    def local(self, at_us: int) -> str:
        """As a form's field has it."""
        return from_us(at_us).astimezone(ZoneInfo(self.zone)).strftime("%Y-%m-%dT%H:%M:%S")


@router.get("/telemetry")
def tags(visit: Enter, agent: str = "", at: str = "") -> Response:
    """``agent``: of this one alone. ``at``: the charts show the surroundings of this time, in microseconds."""
    devices = [found for found in visit.desk.telemetry_devices() if agent in ("", found.agent)]
    at_us = int(at) if at.isdecimal() and len(at) <= MOST_DIGITS else None
    return visit.page("telemetry.html", devices=devices, address=address, at_us=at_us)


@router.get("/telemetry/{agent}/{tag}")
def tag_page(visit: Enter, agent: str, tag: str, span: int = USUAL_S, at: str = "") -> Response:
    """``at``: a time in microseconds to show the surroundings of, as records link to it."""
    asked = visit.request.query_params
    shown = stretch(visit.show.now_us, visit.show.zone, span, asked.get("from", ""), asked.get("to", ""), at)
    device, _, name = tag.partition(".")
    known = [found for found in visit.desk.telemetry_devices() if (found.agent, found.device) == (agent, device)]
    if not known or not name:
        raise NotThere
    found, error = None, ""
    try:
        found = visit.desk.trend(agent, tag, shown.from_us, shown.to_us, (WIDTH - 80) // BUCKET_PX)
    except Invalid:
        error = visit.words(N_("The values of this tag are no numbers, so there is no chart; the table has them."))
    rows, more = _newest(visit, agent, tag, shown)
    return visit.page(
        "telemetry_tag.html",
        agent=agent,
        tag=tag,
        shown=shown,
        found=found,
        error=error,
        svg=_svg(visit, agent, tag, shown, found),
        spans=SPANS_S,
        links=Links(address(agent, tag), visit.show.zone),
        rows=rows,
        more=more,
        last_us=known[0].last_us,
        api=urlencode({"agent": agent, "tag": tag, "from": _z(shown.from_us), "to": _z(shown.to_us)}),
    )


def address(agent: str, tag: str) -> str:
    return f"/telemetry/{quote(agent, safe='')}/{quote(tag, safe='')}"


def stretch(now_us: int, zone: str, span_s: int, from_text: str, to_text: str, at: str = "") -> Stretch:
    """What an address asks for; nonsense is left out, and nothing is longer than a week."""
    span_us = min(max(span_s, 1), LONGEST_S) * MICROSECONDS
    begin, end = local_us(from_text, zone), local_us(to_text, zone)
    if at.isdecimal() and len(at) <= MOST_DIGITS:
        begin, end = int(at) - span_us // 2, int(at) + span_us // 2
    if begin is not None and end is not None and end > begin:
        last = begin + LONGEST_S * MICROSECONDS
        return Stretch(begin, min(end, last), False, from_text, to_text if end <= last else "", end > last)
    if begin is not None:
        return Stretch(begin, begin + span_us, False, from_text, instead=end is not None)
    if end is not None:
        return Stretch(end - span_us, end, False, "", to_text)
    return Stretch(now_us - span_us, now_us, True)


def _newest(visit: Visit, agent: str, tag: str, shown: Stretch) -> tuple[list[Point], bool]:
    """The newest readings of the span, oldest first, and whether it has more.

    They are looked for from its end back, further each time: a long span costs no more than a short one.
    """
    held: list[Point] = []
    end_us, step_us = shown.to_us, FIRST_LOOK_S * MICROSECONDS
    while len(held) <= ROWS and end_us > shown.from_us:
        begin_us = max(shown.from_us, end_us - step_us)
        found = visit.desk.telemetry(agent, tag, begin_us, end_us, MOST_LOOKED)
        if found.next_us is not None and step_us > MICROSECONDS:
            step_us //= 4
            continue
        held = [*found.points, *held]
        end_us, step_us = begin_us, step_us * 4
    return held[-ROWS:], len(held) > ROWS


def _svg(visit: Visit, agent: str, tag: str, shown: Stretch, found: TagTrend | None) -> str:
    if found is None or not found.trend.readings:
        return ""
    zone = ZoneInfo(visit.show.zone)

    def clock(at_us: int, seconds: bool) -> str:
        local = from_us(at_us).astimezone(zone)
        if (local.hour, local.minute, local.second) == (0, 0, 0):
            return local.strftime("%m-%d")
        return local.strftime("%H:%M:%S" if seconds else "%H:%M")

    offset = from_us(shown.from_us).astimezone(zone).utcoffset()
    drawing = Drawing(
        key="trend",
        title=f"{agent} {tag}",
        trend=found.trend,
        to_us=found.next_us or shown.to_us,
        unit=unit_text(found.units[-1]) if found.units else "",
        stepped=found.stepped,
        offset_us=0 if offset is None else round(offset.total_seconds()) * MICROSECONDS,
        clock=clock,
        words={name: visit.words(text) for name, text in WORDS.items()},
        width=WIDTH,
    )
    return markup(draw(drawing))


def _z(at_us: int) -> str:
    moment: datetime = from_us(at_us)
    return moment.isoformat().replace("+00:00", "Z")
