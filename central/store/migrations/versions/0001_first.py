"""All tables that are missing, as the modules of central.store define them now.

A table that changes has a migration of its own, which finds by itself whether it has anything to do.
"""

from alembic import op

from central.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table that is not there yet."""
    metadata.create_all(op.get_bind())
