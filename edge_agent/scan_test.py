"""What each station would make of a barcode, without telling it: which field takes it, or why none does."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from drivers import udi
from edge_agent import scans
from edge_agent.events import Scanned
from edge_agent.papers import Papers
from edge_agent.runner import StationRunner
from edge_agent.settings import LineSettings
from records.clock import utc_offset_min

Json = dict[str, JsonValue]


def try_scan(line: LineSettings, runners: Sequence[StationRunner], papers: Papers, text: str, at_us: int) -> Json:
    """The barcode's answer, and one more for each scanner of each station.

    What only the moment tells is left out: which carrier stands there, whether a run is going on.
    """
    barcode = udi.parse(text, schemes=line.barcode_schemes)
    offset_min = utc_offset_min(line.time_zone, at_us)
    stations: list[JsonValue] = []
    for runner in runners:
        settings = runner.station.settings
        for scanner in settings.scanners():
            scan = Scanned(scanner, text, text.encode(), barcode, at_us, carrier="?", utc_offset_min=offset_min)
            field = scans.recognise(settings, scan)
            answer: Json = {"station": runner.station.name, "scanner": scanner, "field": field}
            if field is None:
                said: scans.Meaning = scans.not_recognised(barcode)
            else:
                said = scans.meaning(settings, scan, field, papers, runner.status.order)
            refused = said if isinstance(said, scans.Refusal) else None
            answer |= {
                "accepted": refused is None,
                "reason": refused.reason if refused else None,
                "expected": refused.expected if refused else None,
                "found": refused.found if refused else None,
            }
            stations.append(answer)
    return barcode.to_json() | {"stations": stations}
