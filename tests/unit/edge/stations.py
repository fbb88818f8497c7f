"""A station with its papers, and readings for it, for the tests of the pure core."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from pydantic import JsonValue

from drivers.udi import Barcode
from edge_agent.chart_settings import CharacteristicSettings
from edge_agent.events import Captured, Scanned
from edge_agent.papers import BomLine, ItemLots, LotStatus, Papers, WorkOrder
from edge_agent.station import Station
from edge_agent.station_settings import StationSettings
from records.model import Quality, Reading
from records.wire import Document

NOW_US = 1_795_000_000_000_000
VS, VB, SR, FOREIGN = "04012345000016", "04012345000030", "04012345000023", "04012345000047"

ASSEMBLE = {
    "equipment": "ASM-01",
    "operation": "OP10",
    "order": {"scan": "scanner", "pattern": "WO-[A-Z0-9-]+"},
    "operator": {"scan": "scanner", "pattern": "B[0-9]{6}"},
    "trigger": {"tag": "plc.done", "acknowledge": "plc.ack", "cycle": "plc.cycle", "running": "plc.running"},
    "permit": {"tag": "plc.permit", "needs": ["order", "operator", "material"]},
    "subject": {"kind": "carrier", "tag": "plc.carrier"},
    "purpose": {"tag": "plc.mode", "values": {1: "production", 2: "rework", 3: "retest", 4: "setup"}},
    "result": {"tag": "plc.result", "pass": 1, "fail": 2, "scrap": 3, "aborted": 4},
    "materials": [
        {"item": "VB-10", "per_unit": 1, "match": {"gtin": VB}},
        {"item": "SR-20", "per_unit": 2, "match": {"gtin": SR}},
    ],
    "capture": ["plc.torque"],
    "counters": {"total": "plc.total"},
}
LABEL = {
    "equipment": "LEAK-01",
    "operation": "OP30",
    "order": {"scan": "scanner", "ai": "10"},
    "operator": {"scan": "scanner", "pattern": "B[0-9]{6}"},
    "trigger": {"tag": "plc.done", "acknowledge": "plc.ack", "cycle": "plc.cycle"},
    "permit": {"tag": "plc.permit", "needs": ["operator", "subject"]},
    "subject": {"kind": "unit", "scan": "scanner", "ai": "21", "carrier": "plc.carrier"},
    "result": {"tag": "plc.result", "pass": 1, "fail": 2},
}
WASH = LABEL | {
    "equipment": "WASH-01",
    "operation": "OP40",
    "subject": {"kind": "unit", "scan": "scanner", "ai": "21", "collect": {"container": "TRAY-[0-9]{3}"}},
}
TORQUE = CharacteristicSettings.model_validate(
    {
        "tag": "plc.torque",
        "chart": "imr",
        "rules": ["nelson1", "nelson2"],
        "limits": {"fixed": {"centre": 2.2, "lower": 2.05, "upper": 2.35, "version": "t1"}},
        "specification": {"lsl": 1.8, "usl": 2.6},
    }
)


def station(settings: dict[str, JsonValue]) -> Station:
    return Station("s", StationSettings.model_validate(settings), {"torque": TORQUE})


def papers(*, state: str = "released") -> Papers:
    bom = (BomLine(item="VB-10", gtin=VB, quantity="8"), BomLine(item="SR-20", gtin=SR, quantity="16"))
    orders = {
        reference: WorkOrder(
            reference=reference,
            product=product,
            product_gtin=VS,
            revision="B",
            lot=reference,
            quantity="8",
            state=state,
            bom=bom,
        )
        for reference, product in (("WO-1", "VS-100"), ("WO-2", "VS-100"), ("WO-V2", "VS-200"))
    }
    lots = {
        "VB-10": ItemLots(
            item="VB-10", gtin=VB, lots=(LotStatus(lot="VB-1"), LotStatus(lot="VB-X", status="blocked"))
        ),
        "SR-20": ItemLots(
            item="SR-20",
            gtin=SR,
            lots=(
                LotStatus(lot="SR-1", expiry=date(2030, 1, 1)),
                LotStatus(lot="SR-OLD", expiry=date(2020, 1, 1)),
            ),
        ),
    }
    return Papers(orders, lots)


def plain(text: str) -> Scanned:
    return Scanned("scanner", text, text.encode(), Barcode("plain", text, None), NOW_US)


def gs1(carrier: str | None = None, known_as: str | None = None, **ais: str) -> Scanned:
    """``gs1(a01=..., a10=...)``: a scanned GS1 label."""
    fields = {name[1:]: value for name, value in ais.items()}
    text = "".join(f"({ai}){value}" for ai, value in fields.items())
    barcode = Barcode("gs1", text, "]d2", fields)
    return Scanned("scanner", text, text.encode(), barcode, NOW_US, carrier, known_as)


def reading(tag: str, value: JsonValue, quality: Quality = Quality.GOOD) -> Reading:
    held = None if quality is Quality.BAD else value
    return Reading(tag, held, None, "x", quality, quality.value, None, None, NOW_US)


def captured(cycle: int | None, **values: JsonValue) -> Captured:
    """What the machine shows at done: ``captured(7, torque=2.2)``."""
    shown: dict[str, JsonValue] = {
        "carrier": "C-1",
        "mode": 1,
        "result": 1,
        "torque": 2.2,
        "total": cycle,
    } | values
    readings = {f"plc.{name}": reading(f"plc.{name}", value) for name, value in shown.items()}
    good = Quality.BAD if cycle is None else Quality.GOOD
    readings["plc.cycle"] = reading("plc.cycle", cycle, good)
    return Captured(readings, NOW_US, "new-id")


def told(known: Papers, **ages_s: float) -> Papers:
    """The same papers as documents of version 3; ``work_order=...`` gives every document of that kind an age."""
    keys = [("work-order", name) for name in known.orders] + [("lots", name) for name in known.lots]
    documents = {key: Document(*key, 3, 0, {}) for key in keys}
    return replace(
        known,
        documents={**known.documents, **documents},
        age_s=lambda kind, _: ages_s.get(kind.replace("-", "_"), 0.0),
    )
