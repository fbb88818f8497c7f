"""Central's tables. One ``metadata`` for all modules of this package.

``envelope`` has the keys and hashes of all records for ever, in one piece; what they say stands apart from it, in
``body`` and ``telemetry_body``, so that it can be given up later while the chain holds: ``tombstone`` says why.

Evidence (these, ``frame``, ``conflict``, ``quarantine``, ``agent_key``) is append-only: its tables say
``append_only`` and the engine guards them with triggers. ``fact_index``, ``fact_subject`` and ``document`` are
derived when a record is committed, so that nothing above has to decode bodies to find them.

A module of this package that needs a table of its own defines it on ``metadata``; it exists from the next start
on. A table that changes needs a migration.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
)

from central.store.types import Serial, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

APPEND_ONLY = {"append_only": True}
"""``Table(..., info=APPEND_ONLY)``: rows of this table are never updated or deleted."""
ADDED_LATER = {**APPEND_ONLY, "added_later": True}
"""So too, and a database lacks the table until a server of a version that has it was started on it."""
UNTIL_TOMBSTONE = {**ADDED_LATER, "until_tombstone": True}
"""So too, but for rows whose record has a tombstone."""
PARTITIONED = {"partitioned": True}
"""On PostgreSQL in parts by month of ``received_us`` (``central.store.partitions``)."""

envelope = Table(
    "envelope",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),  # the order of commits: the cursor
    Column("agent", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("schema", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("agent", "epoch", "stream", "seq"),
    UniqueConstraint("hash"),
    info=APPEND_ONLY,
    sqlite_autoincrement=True,
)


def _bodies(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("envelope_id", Serial, primary_key=True, autoincrement=False),
        Column("received_us", BigInteger, nullable=False),  # as of the envelope
        Column("body", LargeBinary, nullable=False),
        info=UNTIL_TOMBSTONE | PARTITIONED,
        postgresql_partition_by="RANGE (received_us)",
    )


body = _bodies("body")
telemetry_body = _bodies("telemetry_body")

tombstone = Table(
    "tombstone",
    metadata,
    Column("envelope_id", Serial, ForeignKey("envelope.id"), primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("act", Text, nullable=True),  # hash of central's fact that says so; null: it came without its body
    info=ADDED_LATER,
)

frame = Table(
    "frame",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("head", LargeBinary(32), nullable=False),
    Column("key", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Index(None, "agent", "epoch", "stream", "first"),
    info=APPEND_ONLY,
    sqlite_autoincrement=True,
)

fact_index = Table(
    "fact_index",
    metadata,
    Column("envelope_id", Serial, ForeignKey("envelope.id"), primary_key=True, autoincrement=False),
    Column("agent", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("readable", Boolean, nullable=False),  # False: a body that could not be decoded, or a tombstone
    Column("at_us", BigInteger, nullable=True),
    Column("station", Text, nullable=True),
    Column("work_order", Text, nullable=True),
    Column("product", Text, nullable=True),
    Column("lot", Text, nullable=True),
    Column("operation", Text, nullable=True),
    Column("cycle", BigInteger, nullable=True),
    Column("run_id", Text, nullable=True),
    Column("code", Text, nullable=True),
    Column("purpose", Text, nullable=True),
    Index(None, "work_order", "envelope_id"),
    Index(None, "lot", "envelope_id"),
    Index(None, "code", "envelope_id"),
    Index(None, "station", "cycle"),
    Index(None, "run_id"),
)

fact_subject = Table(
    "fact_subject",
    metadata,
    Column("envelope_id", Serial, ForeignKey("envelope.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("product", Text, nullable=True),
    Column("scheme", Text, nullable=False),
    Column("id", Text, nullable=False),
    Index(None, "id", "envelope_id"),
)

watermark = Table(
    "watermark",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("opened", BigInteger, nullable=False),  # 1, 2, 3 ...: the order of an agent's epochs
    Column("committed_through", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("moved_us", BigInteger, nullable=False),
)

head = Table(
    "head",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("epoch", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("at_us", BigInteger, nullable=False),  # the agent's clock
    Column("received_us", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # as signed by the agent
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("agent", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("stream", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("held", LargeBinary(32), nullable=False),
    Column("offered", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=True),  # the offered one, where it was offered
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("agent", "epoch", "stream", "seq", "offered"),
    info=APPEND_ONLY,
    sqlite_autoincrement=True,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("agent", Text, nullable=True),
    Column("reason", Text, nullable=False),  # one of central.quarantine.Reason
    Column("detail", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the whole payload or body
    Column("size", BigInteger, nullable=False),
    Column("payload", LargeBinary, nullable=False),  # its beginning, bounded
    Column("envelope_id", Serial, ForeignKey("envelope.id"), nullable=True),  # poison: committed, not readable
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("topic", "digest", "reason"),
    info=APPEND_ONLY,
    sqlite_autoincrement=True,
)

quarantine_trouble = Table(
    "quarantine_trouble",
    metadata,
    Column("quarantine_id", Serial, ForeignKey("quarantine.id"), primary_key=True, autoincrement=False),
    Column("trouble", Text, nullable=False),  # JSON: the detail for any language
    info=ADDED_LATER,
)

agent = Table(
    "agent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("partition", Text, nullable=False),
    Column("enrolled_us", BigInteger, nullable=False),
)

agent_key = Table(
    "agent_key",
    metadata,
    Column("key", Text, primary_key=True),  # records.keys.key_id
    Column("owner", Text, nullable=False),
    Column("public", Text, nullable=False),  # 64 hexadecimal digits
    Column("since_us", BigInteger, nullable=False),
    info=APPEND_ONLY,
)

document = Table(
    "document",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("issued_us", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # JSON; null withdraws the document
)

cursor = Table(
    "cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("envelope_id", BigInteger, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
