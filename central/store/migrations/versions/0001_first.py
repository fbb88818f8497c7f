"""All tables, as the modules of central.store define them.

Frozen at the first release: from then on every change of a table is a migration of its own.
"""

from alembic import op

from central.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table that is not there yet."""
    metadata.create_all(op.get_bind())
