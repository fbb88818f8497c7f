"""Bodies and tombstones stand apart from the keys and hashes: what ``envelope`` held moves to tables of its own.

A database that the present tables were made for at once has nothing to move.
"""

from alembic import op
from sqlalchemy import inspect, text

from central.store.schema import body, metadata, telemetry_body, tombstone

revision = "0002"
down_revision = "0001"

MOVES = (
    "INSERT INTO body (envelope_id, received_us, body) "
    "SELECT id, received_us, body FROM envelope WHERE body IS NOT NULL AND stream <> 'telemetry'",
    "INSERT INTO telemetry_body (envelope_id, received_us, body) "
    "SELECT id, received_us, body FROM envelope WHERE body IS NOT NULL AND stream = 'telemetry'",
    'INSERT INTO tombstone (envelope_id, reason, "by") '
    "SELECT id, tombstone_reason, coalesce(tombstone_by, '') FROM envelope WHERE tombstone_reason IS NOT NULL",
    "ALTER TABLE envelope DROP COLUMN body",
    "ALTER TABLE envelope DROP COLUMN tombstone_reason",
    "ALTER TABLE envelope DROP COLUMN tombstone_by",
)


def upgrade() -> None:
    """All in the store's one transaction: killed anywhere, the next start begins again."""
    connection = op.get_bind()
    if "body" not in {column["name"] for column in inspect(connection).get_columns("envelope")}:
        return
    metadata.create_all(connection, [body, telemetry_body, tombstone])
    if connection.dialect.name == "postgresql":
        from central.store.partitions import make_ahead

        make_ahead(connection)
    for statement in MOVES:
        connection.execute(text(statement))
