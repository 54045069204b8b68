"""Alembic's entry: migrates over the connection that ``store.schema`` hands in."""

from alembic import context

from store.tables import Row

context.configure(connection=context.config.attributes["connection"], target_metadata=Row.metadata)
with context.begin_transaction():
    context.run_migrations()
