"""The samples whose bytes are fixed for good. Run as a program it writes their files: right for new ones only.

A class that gains an optional field gets a new sample; the old files stay and must be read for ever.
Everything is made from constants: the key of 32 counted bytes, Ed25519 signs without chance.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import JsonValue

from records import chain
from records.configuration import ConfigurationFile, ConfigurationRecord
from records.keys import SigningKey
from records.model import (
    SCHEMA,
    Act,
    Counter,
    Decision,
    DocumentUse,
    EpochOpened,
    Fact,
    Header,
    MaterialActual,
    MaterialKind,
    OperationRecord,
    OperationsEvent,
    Outcome,
    Parameter,
    Person,
    Purpose,
    Quality,
    Reading,
    Result,
    Signature,
    StoredAs,
    Subject,
    SubjectKind,
    SubjectResult,
    Target,
    TestResult,
    encode,
    kind_of,
)
from records.telemetry import Column, Series, SeriesTag, Thinned, encode_chunk, encode_series, named_before
from records.verdict import SpcState
from records.wire import Document, Envelope, Head, Request, Tombstone, Watermark, encode_frame, seal, sign

HERE = Path(__file__).parent
AGENT, EPOCH, STREAM = "assembly-1", "00112233445566778899aabb", "records"
HEARD = 1_795_000_000
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
HEADER = Header(
    1_795_000_000_000_001, 480, "suzhou", "valve-1", "leak_test", "lotkeeper 0.1.0", "sha256:" + "ab" * 32
)


def _operation() -> OperationRecord:
    unit = Subject(SubjectKind.UNIT, "000123", "VS-100", "gs1")
    carrier = Subject(SubjectKind.CARRIER, "C-07")
    test = TestResult("leak_rate", 0.1 + 0.2, "mL/min", 0.0, 0.5, None, Result.PASS, "line")
    return OperationRecord(
        run_id="0a1b2c",
        station="leak_test",
        equipment="LEAK-01",
        operation="OP30",
        order="WO-1000",
        product="VS-100",
        lot="WO-1000/A",
        purpose=Purpose.RETEST,
        attempt=2,
        cycle=9_007_199_254_740_993,  # a float would lose its last digit
        began_us=1_795_000_000_000_000,
        ended_us=1_795_000_004_000_000,
        outcome=Outcome.COMPLETED,
        subjects=(SubjectResult(unit, Result.PASS, 2, "nest-1", None, (test,)),),
        people=(Person("B000001"),),
        readings=(
            Reading(
                tag="leak_tester.leak_rate",
                value=0.30000000000000004,
                unit="mL/min",
                data_type="float32",
                quality=Quality.GOOD,
                status="good",
                source_us=None,
                server_us=None,
                edge_us=1_795_000_003_900_000,
                raw="3e99999a",
                characteristic="leak_rate",
            ),
            Reading("welder.force_profile", [1.5, 2], "N", "float64", Quality.BAD, "Bad", 1, 2, 3),
        ),
        materials=(MaterialActual(MaterialKind.IDENTIFIED_AS, carrier, unit, "1"),),
        spc=(
            SpcState("leak_rate", "i_mr", 3, 1, 1, "in_control", ("nelson1",), 0.3, None, 0.12, 0.0, 0.24, "v1"),
        ),
        counters=(Counter("total", 41),),
        parameters=(Parameter("程序", "清洗 A", None),),
        documents=(DocumentUse("work-order", "WO-1000", 3, 1.25),),
        product_revision="B",
    )


def facts() -> list[Fact]:
    """One fact of every kind."""
    target = Target("dhr", "d-1", "cd" * 32)
    signature = Signature("qa", "Q. A. Person", "released", 1_795_000_009_000_000, "ef" * 32, role="quality")
    stored = Header(1, -60, "s", None, None, "x", None, StoredAs("ffee", 7, "0f" * 32))
    return [
        Fact(HEADER, EpochOpened("created")),
        Fact(HEADER, _operation()),
        Fact(HEADER, OperationsEvent("scan-refused", {"text": 'é"\n', "n": 1, "gone": None}, order="WO-1000")),
        Fact(
            stored, Decision(Act.CORRECT, target, Person("qa", "quality"), "typing-error", "1", ["2"], signature)
        ),
    ]


LATER_VERDICT = SpcState(
    *("t2", "t2_individuals", 7, 1, 1, "signal", ("nelson1",), 12.5, None, 0.0, 0.0, 11.8, "s-1:2"),
    stream="product=VS-100&tool=T1",
    segment=2,
    sample=50.0,
    range_rules=("nelson1",),
    range_centre=0.1,
    range_lower=0.0,
    range_upper=0.3,
    tags=("leak_tester.pressure", "leak_tester.leak_rate"),
)


def later_facts() -> list[Fact]:
    """Facts of kinds and with fields that came after the frame was fixed."""
    text = "agent: assembly-1  # 装配\n"
    file = ConfigurationFile("line.yaml", chain.digest(text.encode()).hex(), text)
    resolved: JsonValue = {"agent": "assembly-1", "stations": {}, "password": "env:PLC"}
    return [
        Fact(
            HEADER,
            ConfigurationRecord("sha256:" + "ab" * 32, (file,), resolved, "lotkeeper 0.1.0", "approved"),
        ),
        Fact(
            HEADER,
            replace(
                _operation(),
                purpose=Purpose.SETUP,
                purpose_told=Purpose.PRODUCTION,
                purpose_reason="configuration-not-approved",
            ),
        ),
        Fact(
            HEADER,
            Decision(
                Act.OVERRIDE,
                Target("hold", "seal/h-1a2b3c4d"),
                Person("B000001"),
                "heater 2 changed / 已更换",
                {"hold": "h-1a2b3c4d", "rule": "nelson1"},
                {"units": ["unit|VS-100|gs1|S1"], "left": 2},
                order="WO-1000",
            ),
        ),
        Fact(HEADER, replace(_operation(), spc=(LATER_VERDICT,))),
        Fact(HEADER, replace(_operation(), spc=(replace(LATER_VERDICT, size_tag="leak_tester.tested"),))),
        Fact(HEADER, replace(_operation(), documents=(DocumentUse("lots", "SR-20", 7, 300_000.5, "warn"),))),
        Fact(replace(HEADER, clock_offset_ms=-1250), OperationsEvent("agent-stopped", {"reason": "asked"})),
        Fact(
            HEADER,
            Decision(
                Act.HOLD, Target("hold", "H-1a2b3c4d"), Person("li.na", "qa"), "complaint: 4711 / 投诉", reasons=3
            ),
        ),
    ]


def telemetry() -> tuple[bytes, bytes, bytes]:
    """Telemetry chunks: polls that have every tag, readings that say whose they are, and what thinning left."""
    agent = ("assembly-1", "suzhou", "valve-1", "welder")
    grid = Series(
        *agent,
        0.1,
        "lotkeeper 0.1.0",
        "sha256:" + "ab" * 32,
        (
            Column("float64", (SeriesTag("force", "N"), SeriesTag("温度", "°C"))),
            Column("bool", (SeriesTag("running"),)),
            Column("string", (SeriesTag("carrier"),)),
        ),
    )
    edge_us = np.array([1_795_000_000_000_000, 1_795_000_000_100_000])
    source_us = np.repeat(edge_us, 4) - 1500
    source_us[3] = 0
    polls = encode_chunk(
        encode_series(grid),
        edge_us,
        source_us,
        np.array([0, 0, 0, 0, 0, 0x8F060000, 0, 0x40000000], np.uint32),
        [np.array([1.5, 20.25, 1.75, 0.0]), np.array([1, 0], np.uint8), ["C-07", "C-08/é"]],
    )
    thinned = (
        SeriesTag("level", "mm", deadband=0.5, on_change=True, heartbeat_s=60.0),
        SeriesTag("mean", average_s=10.0),
    )
    listed = Series(
        *agent,
        None,
        "lotkeeper 0.1.0",
        "sha256:" + "ab" * 32,
        (Column("int16", thinned[:1]), Column("float64", thinned[1:])),
    )
    told = encode_chunk(
        encode_series(listed),
        edge_us,
        np.array([946_684_800_000_000, 0, 1_795_000_000_099_000]),
        np.zeros(3, np.uint32),
        [np.array([-7, 8], np.int16), np.array([0.1])],
        counts=np.array([2, 1]),
        tags=np.array([0, 1, 0]),
    )
    left = encode_chunk(
        encode_series(listed),
        edge_us,
        np.zeros(3, np.int64),
        np.zeros(3, np.uint32),
        [np.array([-7, 8], np.int16), np.array([0.1])],
        counts=np.array([2, 1]),
        tags=np.array([0, 1, 0]),
        thinned=Thinned(60.0, EPOCH, ((12, 3, 20), (80, 1, 1)), 500),
        left_out=np.array([0, 0, 497]),
    )
    return polls, named_before(told, StoredAs("ffee", 7, "0f" * 32)), left


def envelopes() -> list[Envelope]:
    """The facts chained, and behind them a body that is a tombstone by now."""
    rows: list[Envelope] = []
    previous = chain.first_hash(AGENT, EPOCH, STREAM)
    for seq, fact in enumerate(facts(), 1):
        rows.append(seal(AGENT, EPOCH, STREAM, seq, SCHEMA, kind_of(fact.data), encode(fact), previous))
        previous = rows[-1].hash
    gone = seal(AGENT, EPOCH, STREAM, len(rows) + 1, SCHEMA, "operations_event", b"gone", previous)
    grave = Tombstone(gone.digest.hex(), "damaged", AGENT)
    rows.append(Envelope(AGENT, EPOCH, STREAM, gone.seq, SCHEMA, gone.kind, gone.digest, gone.hash, None, grave))
    return rows


def payloads() -> dict[str, bytes]:
    """Every payload that travels, by the name of its golden file."""
    rows = envelopes()
    last, start = rows[-1], chain.first_hash(AGENT, EPOCH, STREAM)
    return {
        "frame.bin": encode_frame(rows, start, KEY, compress=False),
        "later_frame.bin": encode_frame(rows, start, KEY, compress=False, heard=HEARD),
        "watermark.json": sign(Watermark(AGENT, EPOCH, STREAM, last.seq, last.hash.hex(), 1), KEY),
        "head.json": sign(Head(AGENT, EPOCH, STREAM, last.seq, last.hash.hex(), 1_795_000_000_000_000), KEY),
        "document.json": sign(
            Document("work-order", "WO-1000", 3, 1_795_000_000_000_000, {"lot": "WO-1000/A", "数量": "8"}), KEY
        ),
        "request.json": sign(Request(AGENT, "sync", 1_795_000_000_000_000, {"work-order": {"WO-1000": 3}}), KEY),
        **{f"body_{row.seq}_{row.kind}.json": row.body for row in rows if row.body is not None},
        **{f"later_{n}_{kind_of(fact.data)}.json": encode(fact) for n, fact in enumerate(later_facts(), 1)},
        "chain.json": json.dumps(
            {
                "first_hash": chain.first_hash(AGENT, EPOCH, STREAM).hex(),
                "rows": [
                    {"seq": row.seq, "kind": row.kind, "digest": row.digest.hex(), "hash": row.hash.hex()}
                    for row in rows
                ],
            },
            indent=1,
        ).encode(),
    }


TELEMETRY = ("telemetry_polls.lkt", "telemetry_told.lkt", "telemetry_thinned.lkt")
"""Their headers are compressed, which other libraries may do otherwise: what counts is what is read from them."""
PACKED = "frame_zstd.bin"
"""The frame again, compressed: so too."""

if __name__ == "__main__":
    for name, content in zip(TELEMETRY, telemetry(), strict=True):
        (HERE / name).write_bytes(content)
    (HERE / PACKED).write_bytes(encode_frame(envelopes(), chain.first_hash(AGENT, EPOCH, STREAM), KEY))
    for name, content in payloads().items():
        (HERE / name).write_bytes(content)
