"""Central's database as an older version of the software left it, with the same content."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from records.durable import open_writer, transaction

GUARD = (
    "CREATE TRIGGER {name} BEFORE {verb} ON \"envelope\" BEGIN SELECT RAISE(ABORT, 'envelope is append-only'); END"
)
COLUMNS = ("body BLOB", "tombstone_reason TEXT", "tombstone_by TEXT")
FILLED = (
    "UPDATE envelope SET body = coalesce((SELECT body FROM body b WHERE b.envelope_id = id), "
    "(SELECT body FROM telemetry_body b WHERE b.envelope_id = id)), "
    "tombstone_reason = (SELECT reason FROM tombstone t WHERE t.envelope_id = id), "
    'tombstone_by = (SELECT "by" FROM tombstone t WHERE t.envelope_id = id)'
)
KEYS = (
    'SELECT 1 FROM "envelope" WHERE "agent" = NEW."agent" AND "epoch" = NEW."epoch" AND "stream" = '
    'NEW."stream" AND "seq" = NEW."seq"',
    'SELECT 1 FROM "envelope" WHERE "hash" = NEW."hash"',
    'SELECT 1 FROM "envelope" WHERE "id" = NEW."id"',
)


def make_0001(database: Path) -> None:
    """The tables as migration 0001 alone made them: bodies and tombstones in ``envelope``. Nobody has it open.

    A database that is that old already stays as it is.
    """
    with closing(open_writer(database)) as db, transaction(db):
        if db.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",):
            return
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if name.startswith(("guard_envelope", "guard_body", "guard_telemetry_body", "guard_tombstone")):
                db.execute(f"DROP TRIGGER {name}")
        for column in COLUMNS:
            db.execute(f"ALTER TABLE envelope ADD COLUMN {column}")
        db.execute(FILLED)
        for table in ("body", "telemetry_body", "tombstone"):
            db.execute(f"DROP TABLE {table}")
        for verb in ("UPDATE", "DELETE"):
            db.execute(GUARD.format(name=f"guard_envelope_{verb.lower()}", verb=verb))
        exists = " OR ".join(f"EXISTS ({key})" for key in KEYS)
        db.execute(
            f'CREATE TRIGGER guard_envelope_insert BEFORE INSERT ON "envelope" WHEN {exists} '
            "BEGIN SELECT RAISE(ABORT, 'envelope is append-only'); END"
        )
        db.execute("UPDATE alembic_version SET version_num = '0001'")
