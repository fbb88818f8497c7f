"""Run by Alembic inside the store's own transaction, on the connection of its writer thread."""

from alembic import context

from central.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
